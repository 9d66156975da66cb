"""How Prometheus is told to ask the edge for certificates."""

from __future__ import annotations

from ansible_collections.davit.ec2.plugins.filter.monitoring import tls_modules, tls_probes

MODULE = {"prober": "http", "http": {"follow_redirects": False, "tls_config": {"insecure_skip_verify": True}}}


def test_each_host_is_asked_for_by_its_name_at_the_loopback_address() -> None:
    """Its own address may be closed to the host itself, and only a name tells the edge which certificate is meant."""
    hosts = ["a.example.org", "b.example.org"]
    modules = tls_modules(hosts, MODULE)
    for host, scrape in zip(hosts, tls_probes(hosts, 9115), strict=True):
        assert scrape["params"]["target"] == ["https://127.0.0.1/"]
        (static,) = scrape["static_configs"]
        assert static == {"targets": ["127.0.0.1:9115"], "labels": {"job": "edge", "instance": f"https://{host}/"}}
        http = modules[scrape["params"]["module"][0]]["http"]
        assert http["headers"] == {"Host": host}
        assert http["tls_config"] == {"insecure_skip_verify": True, "server_name": host}
        assert http["follow_redirects"] is False
    assert len({scrape["job_name"] for scrape in tls_probes(hosts, 9115)}) == 2


def test_without_tls_nothing_more_is_asked() -> None:
    assert (tls_probes([], 9115), tls_modules([], MODULE)) == ([], {})
