"""What watches a host, asked of the programs themselves and through the edge."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

if TYPE_CHECKING:
    from conftest import Machine

PATHS = {"default": "/davit", "alternative": "/watch"}
LOGIN = """--user 'ops:pa$ "word"'"""


@pytest.fixture(params=PATHS)
def watched(request: pytest.FixtureRequest) -> tuple[Machine, str]:
    """Each host, and where its Prometheus answers on loopback."""
    return request.getfixturevalue(str(request.param)), f"http://127.0.0.1:9090{PATHS[str(request.param)]}"


def asked(machine: Machine, url: str) -> Any:
    """The data of an answer of Prometheus."""
    document = machine.json(f"curl --silent --show-error --max-time 5 '{url}'")
    assert document["status"] == "success", document
    return document["data"]


def test_every_target_is_up(watched: tuple[Machine, str]) -> None:
    machine, prometheus = watched
    deadline = time.monotonic() + 60
    while True:
        targets = asked(machine, f"{prometheus}/api/v1/targets")["activeTargets"]
        states = {target["labels"]["job"]: target["health"] for target in targets}
        if set(states.values()) == {"up"} or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    assert states == dict.fromkeys(["alertmanager", "edge", "node", "prometheus", "traefik"], "up")


def test_an_app_that_tells_nothing_is_known_by_what_the_edge_counts(alternative: Machine) -> None:
    """A route under the names that a deploy gives it, to a program that answers."""
    router = {"shop-0": {"rule": "Host(`shop.test`)", "service": "shop-0"}}
    service = {"shop-0": {"loadBalancer": {"servers": [{"url": "http://127.0.0.1:9115"}]}}}
    route = json.dumps({"http": {"routers": router, "services": service}})
    alternative.output(f"echo '{route}' > /opt/davit/edge/dynamic/shop.yml")
    query = quote('app:requests:rate5m{app="shop"} > 0')
    deadline = time.monotonic() + 90
    while not asked(alternative, f"http://127.0.0.1:9090/watch/api/v1/query?query={query}")["result"]:
        assert time.monotonic() < deadline
        alternative.answer("http://127.0.0.1/-/healthy", "--header 'Host: shop.test'")
        time.sleep(0.5)
    alternative.output("rm /opt/davit/edge/dynamic/shop.yml")


def test_all_of_it_listens_on_loopback_alone(either: Machine) -> None:
    lines = either.output("ss --listening --tcp --numeric --no-header").splitlines()
    outside = {line.split()[3] for line in lines if not line.split()[3].startswith(("127.", "[::1]"))}
    assert {address.rsplit(":", 1)[1] for address in outside} <= {"22", "80"}


def test_the_edge_serves_nothing_without_a_password(default: Machine) -> None:
    assert default.answer("http://127.0.0.1/davit/user/status.html")[0] == 404


def test_the_edge_asks_for_the_password(alternative: Machine) -> None:
    page = "http://127.0.0.1/watch/user/status.html"
    assert alternative.answer(page)[0] == 401
    assert alternative.answer(page, "--user ops:wrong")[0] == 401
    status, _headers, body = alternative.answer(page, LOGIN)
    assert (status, "<title>" in body) == (200, True)
    assert alternative.answer("http://127.0.0.1/watch/alerts/", LOGIN)[0] == 200
    assert alternative.answer("http://127.0.0.1/davit/user/status.html")[0] == 404


def test_samples_are_kept_as_long_as_asked_for(default: Machine, alternative: Machine) -> None:
    for machine, path, kept in ((default, "/davit", "30d or 5GiB"), (alternative, "/watch", "3d or 1GiB")):
        told = asked(machine, f"http://127.0.0.1:9090{path}/api/v1/status/runtimeinfo")
        assert told["storageRetention"] == kept


def test_davit_s_rules_are_loaded_and_one_s_own_as_well(default: Machine, alternative: Machine) -> None:
    names = {}
    for machine, path in ((default, "/davit"), (alternative, "/watch")):
        groups = asked(machine, f"http://127.0.0.1:9090{path}/api/v1/rules")["groups"]
        names[path] = {rule["name"] for group in groups for rule in group["rules"]}
    assert {"HostDown", "Watchdog"} <= names["/davit"]
    assert names["/watch"] - names["/davit"] == {"ShopAlways"}


def test_what_is_slow_is_what_the_host_says(default: Machine, alternative: Machine) -> None:
    for machine, path, bucket in ((default, "/davit", 'le="0.25"'), (alternative, "/watch", 'le=~"1|1[.]0"')):
        groups = asked(machine, f"http://127.0.0.1:9090{path}/api/v1/rules")["groups"]
        (query,) = [rule["query"] for group in groups for rule in group["rules"] if rule["name"] == "app:slow:rate5m"]
        assert bucket in query


def test_a_refused_rule_has_not_replaced_the_one_that_works(alternative: Machine) -> None:
    """side_effect tried a rule that cannot be read."""
    query = quote('ALERTS{alertname="ShopAlways"}')
    deadline = time.monotonic() + 30
    while not (found := asked(alternative, f"http://127.0.0.1:9090/watch/api/v1/query?query={query}")["result"]):
        assert time.monotonic() < deadline, found
        time.sleep(0.5)


def test_alerts_go_where_they_shall(alternative: Machine) -> None:
    status = alternative.json("curl --silent --max-time 5 http://127.0.0.1:9093/watch/alerts/api/v2/status")
    text = status["config"]["original"]
    assert "to: ops@example.org" in text
    assert "smarthost: 127.0.0.1:25" in text
    assert "slack_configs:" in text
    assert "repeat_interval: 1h" in text
    # A URL with a token in it is shown to nobody.
    assert "/hook" not in text


def test_an_alert_can_be_silenced_as_the_runbook_says(alternative: Machine, project: Any) -> None:
    runbook = (project / "docs/operations.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^docker exec davit-monitoring.*\\\n.*$", runbook, re.MULTILINE)
    alternative.output(command.replace("<name>", "ShopAlways").replace("/davit/", "/watch/"))
    silences = alternative.json("curl --silent --max-time 5 http://127.0.0.1:9093/watch/alerts/api/v2/silences")
    assert [(one["comment"], one["status"]["state"]) for one in silences] == [("why", "active")]


def test_secrets_are_for_root_alone(alternative: Machine) -> None:
    assert alternative.output("stat --format %a /opt/davit/monitoring/alertmanager/alertmanager.yml") == "600"
    assert alternative.host.run("runuser --user nobody -- ls /opt/davit/monitoring").rc != 0
