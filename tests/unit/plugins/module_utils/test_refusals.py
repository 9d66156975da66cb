"""What a Compose file may not say, where that is, and what to write instead."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils.refusals import refuse

NO_STATE: frozenset[str] = frozenset()
GOOD: dict[str, Any] = {"image": "a:1"}


def of_service(service: dict[str, Any], **model: Any) -> dict[str, Any]:
    return {"services": {"web": {**GOOD, **service}}, **model}


@pytest.mark.parametrize(
    ("model", "path", "why", "advice"),
    [
        (of_service({"network_mode": "host"}), "services.web.network_mode", "same ports", "remove it"),
        (of_service({"network_mode": "container:x"}), "services.web.network_mode", "same ports", "remove it"),
        (of_service({"container_name": "x"}), "services.web.container_name", "only once", "service name"),
        (of_service({"external_links": ["x"]}), "services.web.external_links", "another", "declare"),
        (of_service({"volumes_from": ["container:x"]}), "services.web.volumes_from", "another", "declared volume"),
        ({"services": {"web": {"build": "."}}}, "services.web.build", "no 'image:'", "push the built image"),
        ({"services": {"web": None}}, "services.web", "no 'image:'", "push the built image"),
        (of_service({"scale": 2, "ports": ["80"]}), "services.web", "2 copies", "add hosts"),
        (of_service({"deploy": {"replicas": 3}, "ports": ["80"]}), "services.web", "3 copies", "add hosts"),
        (
            of_service({"networks": {"n": {"ipv4_address": "10.0.0.2"}}}),
            "services.web.networks.n",
            "fixed address",
            "use the service name",
        ),
        (of_service({}, networks={"n": {"external": True}}), "networks.n", "answers for all", "through the edge"),
        (
            of_service({}, networks={"n": {"ipam": {"config": [{"subnet": "10.0.0.0/24"}]}}}),
            "networks.n",
            "fixed subnet",
            "remove 'ipam'",
        ),
        (of_service({"volumes": ["d:/d"]}), "services.web.volumes", "volume 'd'", "compose_release_stateful: [web]"),
        (of_service({"volumes": ["d:/d:rw,z"]}), "services.web.volumes", "volume 'd'", "read-only"),
        (of_service({"volumes": ["./d:/d"]}), "services.web.volumes", "bind mount './d'", "read-only"),
        (of_service({"volumes": ["${D:-./d}:/d"]}), "services.web.volumes", "${D:-./d}", "read-only"),
        (
            of_service({"volumes": [{"type": "bind", "source": "/d", "target": "/d"}]}),
            "services.web.volumes",
            "bind mount '/d'",
            "read-only",
        ),
    ],
)
def test_what_is_refused(model: dict[str, Any], path: str, why: str, advice: str) -> None:
    [refusal] = refuse(model, NO_STATE)
    assert ".".join(refusal.path) == path
    assert why in refusal.why
    assert advice in refusal.instead
    assert str(refusal) == f"{path}: {refusal.why}. Instead: {refusal.instead}."


TMPFS = {"m": {"driver_opts": {"type": "tmpfs", "device": "tmpfs"}}}


@pytest.mark.parametrize(
    "model",
    [
        {"services": {}},
        of_service({}),
        of_service({"build": ".", "ports": ["8000:80"]}),
        of_service({"network_mode": "service:other"}),
        of_service({"scale": 1, "ports": ["80"]}),
        of_service({"scale": 4}),
        of_service({"scale": "${N:-2}", "ports": ["80"]}),
        of_service({"volumes": ["d:/d:ro"]}),
        of_service({"volumes": ["./d:/d:z,ro"]}),
        of_service({"volumes": ["/only/inside"]}),
        of_service({"volumes": [{"type": "bind", "source": "/d", "target": "/d", "read_only": True}]}),
        of_service({"volumes": [{"type": "tmpfs", "target": "/d"}]}),
        of_service({"volumes": ["m:/d"]}, volumes=TMPFS),
        of_service({"networks": ["n"]}, networks={"n": None}),
        of_service({"networks": {"n": None}}, networks={"n": {"ipam": {"config": [{}]}}}),
    ],
)
def test_what_is_not_refused(model: dict[str, Any]) -> None:
    assert refuse(model, NO_STATE) == []


def test_a_service_that_owns_data_may_write_but_not_have_a_fixed_name() -> None:
    model = of_service({"volumes": ["d:/d"], "networks": {"n": {"ipv4_address": "10.0.0.2"}}})
    assert refuse(model, frozenset({"web"})) == []
    model = of_service({"volumes": ["d:/d"], "container_name": "x"})
    assert [r.path[-1] for r in refuse(model, frozenset({"web"}))] == ["container_name"]


def test_an_unknown_stateful_service_is_named_with_those_that_there_are() -> None:
    [refusal] = refuse(of_service({}), frozenset({"db"}))
    assert "names 'db'" in refusal.why
    assert refusal.instead == "one of web"


def test_everything_is_told_at_once_in_the_order_of_the_file() -> None:
    model = {"services": {"b": {"container_name": "x"}, "a": {**GOOD, "network_mode": "host"}}}
    found = [".".join(r.path) for r in refuse(model, NO_STATE)]
    assert found == ["services.b.container_name", "services.b", "services.a.network_mode"]
