"""A host that is watched: who may look, what is seen under traffic, what people are told, and what a page shows."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from roles.monitoring.dashboards import panels
from tests.e2e.conftest import fill_registry, one_host
from tests.e2e.support.controller import Controller
from tests.e2e.support.fleet import Fleet
from tests.e2e.support.host import stack
from tests.e2e.support.monitored import WEBHOOK, Monitored, in_service_image, look
from tests.e2e.support.playbook import ROOT, Result
from tests.e2e.support.target import Target
from tests.e2e.support.wait import until
from tests.e2e.test_rules import in_image

BOARDS = sorted((ROOT / "roles/monitoring/files/dashboards").glob("*.json"))
PANELS = json.loads((ROOT / "roles/monitoring/files/status/panels.json").read_text())
RULES = (ROOT / "roles/monitoring/files/rules").glob("*.yml")
RARE = {panel.title for board in panels.BOARDS for panel in board.panels if panel.rare}
"""What has no series on a host that is well."""
OF_THE_RUNTIME = {"python_info", "process_virtual_memory_bytes"}

SETTINGS = {
    **one_host("10.83"),
    "monitoring_enabled": True,
    "monitoring_scrape_interval": "2s",
    "monitoring_notify_after": "1s",
    "monitoring_slack_url": f"{WEBHOOK}/slack",
    "monitoring_heartbeat_url": f"{WEBHOOK}/heartbeat",
    "monitoring_extra_rules": {
        "test": {
            "groups": [
                {
                    "name": "test",
                    "rules": [
                        {
                            "alert": "Tested",
                            "expr": "davit_release_info",
                            "labels": {"severity": "page"},
                            "annotations": {"summary": "A release is live.", "action": "Be glad."},
                        }
                    ],
                }
            ]
        }
    },
}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    """A host with monitoring and the reference service; DAVIT_KEEP_TARGET=1 leaves it for the next run."""
    fill_registry()
    fleet = Fleet.declare("monitored", tmp_path_factory.mktemp("inventory"), SETTINGS)
    keep = bool(os.environ.get("DAVIT_KEEP_TARGET"))
    if fleet.rest() and not keep:
        fleet.destroy()
    result = fleet.run("site")
    assert result.rc == 0, str(result)
    instance = next(iter(fleet.instances().values()))["InstanceId"]
    made = Target(fleet, next(iter(fleet.addresses().values())), Result([], 0, "", ""), f"davit-lab-{instance}")
    yield Monitored(made)
    if not keep:
        gone = fleet.destroy()
        assert (gone.rc, fleet.rest()) == (0, {}), str(gone)


@pytest.fixture(scope="module")
def busy(host: Monitored) -> Monitored:
    """The host after enough clean traffic for every figure, a second deploy included."""
    host.listen()
    queries = json.loads(
        in_service_image("import json; from model_build import synthetic; print(json.dumps(synthetic.queries(700, 5)))")
    )
    result = host.target.fleet.run("deploy", compose_release_version="v2", compose_release_soak_seconds=1)
    assert result.rc == 0, str(result)
    host.ask_many(queries[:350], [{"query": "xylophone"}])
    until(lambda: host.value("count(http_requests_total)") is not None, 30)
    host.ask_many(queries[350:], [{}, {"query": "pizza", "limit": 9000}])
    until(lambda: (host.value('data_drift_window_requests{role="live"}') or 0) > 500, 30)
    until(lambda: host.value("app:bad_inputs:ratio_rate30m") is not None, 30)
    return host


def test_a_second_run_changes_nothing(host: Monitored) -> None:
    result = host.target.fleet.run("configure")
    assert (result.rc, result.changed) == (0, {}), str(result)


def test_only_who_knows_the_password_may_look_and_apps_are_left_alone(host: Monitored) -> None:
    for path in ("/user/status.html", "/graph", "/api/v1/query?query=up", "/alerts/"):
        assert host.get(path, user="")[0] == 401, path
        assert host.get(path, password="wrong")[0] == 401, path
        assert host.get(path)[0] in (200, 302), path
    assert host.target.ask("/readyz").status == 200
    listening = host.target.inside("ss -Hltn | awk '{print $4}'").split()
    for port in (8099, 9090, 9093, 9100, 9115):
        assert [one for one in listening if one.endswith(f":{port}")] == [f"127.0.0.1:{port}"]


@pytest.mark.parametrize(
    "path",
    [
        *("/metrics", "/metrics/", "/metrics?a=b", "//metrics", "/./metrics", "/readyz/../metrics", "/%6detrics"),
        *("/metrics%2F", "/metrics%2f", "/metrics%2F..%2Fmetrics"),
    ],
)
def test_nobody_outside_reads_the_metrics_of_an_app(host: Monitored, path: str) -> None:
    """While Prometheus does, by the tests below."""
    answer = host.target.ask(path)
    assert (answer.status, "http_requests_total" in answer.body) == (404, False), answer


def test_everything_is_measured(host: Monitored) -> None:
    def all_up() -> bool:
        return {one["metric"]["job"] for one in host.query("up == 1")} == {
            *("app", "prometheus", "alertmanager", "node", "edge", "traefik"),
        }

    until(all_up, 30)
    assert host.query("up == 0") == []
    (live,) = host.query('up{job="app"}')
    assert live["metric"]["role"] == "live"
    assert live["metric"]["release"] == host.target.live("restaurant-search")


@pytest.mark.parametrize("board", BOARDS, ids=lambda path: path.stem)
def test_every_panel_has_something_to_show(busy: Monitored, board: Path) -> None:
    shown = json.loads(board.read_text())["panels"]
    empty = [
        f"{panel['title']}: {target['expr']}"
        for panel in shown
        for target in panel["targets"]
        if not busy.query(target["expr"]) and panel["title"] not in RARE
    ]
    assert empty == []
    assert len(shown) >= 8


def test_no_metric_of_the_service_is_without_a_use(busy: Monitored) -> None:
    """What is measured is looked at somewhere, and what is looked at is measured (by the test above)."""
    text = busy.target.inside(
        "curl --silent --fail $(awk -F'\"' '/127.0.0.1/ {print $2}' "
        "/opt/davit/public/targets/restaurant-search.json | head -1)/metrics"
    )
    families = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    asked = "".join(path.read_text() for path in [*BOARDS, *RULES])
    # A counter's or a histogram's own series carry the family's name and more.
    families = {name for name in families if not name.endswith("_created")}
    assert {name for name in families if name not in asked} - OF_THE_RUNTIME == set()


def test_the_packaged_model_is_as_good_as_its_card_says(busy: Monitored) -> None:
    """The unit tests have a model that counts words; this one understands paraphrases."""
    seen = busy.query('model_golden_precision_at_10{role="live"}')
    scores = {one["metric"]["group"]: float(one["value"][1]) for one in seen}
    assert scores["lexical"] >= 0.95
    assert scores["paraphrase"] >= 0.70


def test_a_host_that_is_well_raises_no_alarm(busy: Monitored) -> None:
    # The lab's hosts have no clock of their own to keep.
    assert busy.firing() - {"ClockOff"} == {"Watchdog", "Tested"}


def test_an_alert_arrives_at_the_webhook_and_the_heartbeat_outside_is_told(busy: Monitored) -> None:
    until(lambda: bool(busy.heard("slack")), 60)
    told = json.dumps(busy.heard("slack"))
    assert "[FIRING] Tested restaurant-search" in told
    assert "A release is live. Be glad." in told
    assert "Watchdog" not in told
    until(lambda: bool(busy.heard("heartbeat")), 90)
    assert {alert["labels"]["alertname"] for one in busy.heard("heartbeat") for alert in one["alerts"]} == {"Watchdog"}


def test_a_mistake_in_a_rule_is_refused_and_the_old_rules_stay(busy: Monitored) -> None:
    wrong: dict[str, Any] = {"test": {"groups": [{"name": "test", "rules": [{"alert": "Bad", "expr": "sum("}]}]}}
    result = busy.target.fleet.run("configure", monitoring_extra_rules=wrong)
    assert result.rc != 0
    assert "promtool check config" in result.output, str(result)
    assert "the old ones stay" in result.output, str(result)
    assert "Tested" in busy.firing()


def test_a_changed_rule_is_a_reload_and_no_restart(busy: Monitored) -> None:
    began = busy.value("process_start_time_seconds{job='prometheus'}")
    other = {"test": {"groups": [{"name": "test", "rules": [{"record": "test:one", "expr": "vector(1)"}]}]}}
    mail = {"to": "ops@example.org", "from": "davit@example.org", "server": "127.0.0.1:25", "username": "davit"}
    mail["password"] = 'it\'s "quoted" 100% #1'
    result = busy.target.fleet.run("configure", "-vvv", monitoring_extra_rules=other, monitoring_email=mail)
    assert result.rc == 0, str(result)
    assert "reloaded alertmanager, prometheus" in result.output, str(result)
    assert mail["password"] not in result.output
    until(lambda: busy.value("test:one") == 1, 30)
    assert busy.value("process_start_time_seconds{job='prometheus'}") == began


def suppressed(host: Monitored) -> set[str]:
    """The alerts that Alertmanager keeps from people, by name."""
    told = json.loads(host.get("/alerts/api/v2/alerts")[1])
    return {alert["labels"]["alertname"] for alert in told if alert["status"]["state"] == "suppressed"}


def test_a_deploy_and_a_host_that_is_down_keep_quiet_what_follows_from_them(busy: Monitored) -> None:
    own = {"host": "elsewhere", "app": "shop"}
    noisy, urgent = {**own, "in_deploy": "quiet"}, {**own, "severity": "page"}

    def tell(*alerts: dict[str, str]) -> None:
        body = json.dumps([{"labels": alert} for alert in alerts])
        url = "http://127.0.0.1:9093/davit/alerts/api/v2/alerts"
        busy.target.inside(f"curl --fail --silent -H 'Content-Type: application/json' -d '{body}' {url}")

    tell({**noisy, "alertname": "Noisy"}, {**urgent, "alertname": "Urgent"}, {**own, "alertname": "DeployUnderWay"})
    until(lambda: suppressed(busy) == {"Noisy"}, 30)
    tell({"host": "elsewhere", "alertname": "HostDown"})
    until(lambda: suppressed(busy) >= {"Noisy", "Urgent"}, 30)


SERIES = """
import json, sys
from pathlib import Path
from model_build import synthetic
from restaurant_search.drift import Window
from restaurant_search.engine import Engine, Filters
engine = Engine.load(Path("/opt/model"))
A_MINUTE, CLEAN, DRIFTED = 30, 60, 95


def answered(queries):
    for query in queries:
        found = engine.find(query, Filters(), 1)
        yield query, found.hits[0].restaurant.cuisine, found.error


clean = list(answered(synthetic.queries(CLEAN * A_MINUTE, 11)))
series = []
for moved in json.loads(sys.argv[1]):
    window, told = Window(engine.reference), {}
    both = clean + list(answered(synthetic.queries(DRIFTED * A_MINUTE, 12, synthetic.Drift(*moved))))
    for minute in range(CLEAN + DRIFTED):
        for one in both[minute * A_MINUTE : (minute + 1) * A_MINUTE]:
            window.add(*one)
        seen = window.drift()
        figures = {f'data_drift_psi{{role="live",app="shop",feature="{f}"}}': v for f, v in seen.psi.items()}
        figures['data_drift_window_requests{role="live",app="shop"}'] = seen.size
        figures['data_out_of_vocabulary_ratio{role="live",app="shop"}'] = seen.unknown_words
        figures['model_reconstruction_error{role="live",app="shop"}'] = seen.error
        figures['model_reconstruction_error_reference{role="live",app="shop"}'] = window.usual_error
        for name, value in figures.items():
            told.setdefault(name, ["_"] * (CLEAN + DRIFTED))[minute] = "_" if value is None else f"{value:.6f}"
    series.append({name: " ".join(values) for name, values in told.items()})
print(json.dumps(series))
"""
MOVED: dict[tuple[float, float], set[str]] = {
    (0.8, 0): {"DataDrift"},
    (0, 0.8): {"UnknownWords", "DataDrift", "ReconstructionErrorHigh"},
}
"""The alerts that a share of moved cuisines and a share of new words shall set off."""


def test_an_hour_of_clean_traffic_is_quiet_and_drifted_traffic_after_it_is_not() -> None:
    """The service's own figures at one search in two seconds, given to the rules as Prometheus would. The window has to
    fill with what has drifted, and then half an hour to pass."""
    fired = 'count by (alertname) (ALERTS{alertstate="firing"})'
    named = "max by (alertname) (ALERTS{alertstate='firing'})"
    all_figures = json.loads(in_service_image(SERIES, json.dumps(list(MOVED))))
    case = {
        "rule_files": ["/davit/roles/monitoring/files/rules/ml.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "name": f"moved by {moved}",
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in figures.items()],
                "promql_expr_test": [
                    {"expr": fired, "eval_time": "60m", "exp_samples": []},
                    {
                        "expr": named,
                        "eval_time": "154m",
                        "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(alerts)],
                    },
                ],
            }
            for (moved, alerts), figures in zip(MOVED.items(), all_figures, strict=True)
        ],
    }
    place = ROOT / ".lab/drift-case.yml"
    place.write_text(yaml.safe_dump(case))
    done = in_image("promtool", "test", "rules", "/davit/.lab/drift-case.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("browser")
def test_the_status_page_shows_three_levels_and_the_last_deploys(busy: Monitored, tmp_path: Path) -> None:
    busy.search_until("app:errors:ratio_rate5m and app:slow:ratio_rate5m")
    url = f"http://{busy.target.address}/davit/user/status.html"
    shot = os.environ.get("DAVIT_SCREENSHOT") or str(tmp_path / "status.png")
    page = look(url, "#deploys .card", "#verdict", ".card", "h2", "#deploys li", screenshot=shot)
    assert (page["status"], page["errors"], page["overflow"]) == (200, [], False)
    assert [one["text"].lower() for one in page["seen"]["h2"]] == ["system", "data", "model", "deploys"]
    cards = {one["text"].splitlines()[0]: one for one in page["seen"][".card"]}
    declared = {panel["title"] for level in PANELS["levels"].values() for panel in level}
    assert set(cards) == declared
    assert [title for title, card in cards.items() if "no data yet" in card["text"]] == []
    assert f"v2 ({busy.target.live('restaurant-search')})" in " ".join(
        one["text"] for one in page["seen"]["#deploys li"]
    )
    phone = look(url, "#deploys .card", "#verdict", width=390)
    assert (phone["errors"], phone["overflow"]) == ([], False)


@pytest.mark.usefixtures("browser")
def test_the_status_page_says_so_when_it_knows_nothing(busy: Monitored) -> None:
    """A Prometheus that cannot be asked must not look like a host that is well."""
    url = f"http://{busy.target.address}/davit/user/status.html"
    busy.target.inside("mv /opt/davit/monitoring/prometheus/user/panels.json /tmp/panels.json")
    try:
        page = look(url, "h1", "#verdict")
    finally:
        busy.target.inside("mv /tmp/panels.json /opt/davit/monitoring/prometheus/user/panels.json")
    assert "fine" not in page["seen"]["#verdict"][0]["text"].lower()


def gate_with(**check: Any) -> dict[str, Any]:
    """The service's own HTTP checks, and one bound on what Prometheus says."""
    declared = yaml.safe_load((ROOT / "service/deploy.yml").read_text())["compose_release_gate"]
    return {"http": declared["http"], "metrics": [{"name": "told", **check}]}


def test_a_gate_can_ask_prometheus_about_the_candidate(busy: Monitored) -> None:
    before = busy.target.live("restaurant-search")
    ready = 'service_ready{role="candidate"}'
    good = busy.target.fleet.run(
        "deploy", compose_release_gate=gate_with(promql=ready, min=1), compose_release_soak_seconds=0
    )
    assert good.rc == 0, str(good)
    live = busy.target.live("restaurant-search")
    assert live != before
    bad = busy.target.fleet.run(
        "deploy", compose_release_gate=gate_with(promql=ready, min=2), compose_release_soak_seconds=0
    )
    assert bad.rc != 0, str(bad)
    assert "system gate, told: 1 (app=restaurant-search" in bad.output, str(bad)
    assert busy.target.live("restaurant-search") == live


def test_a_release_that_breaks_a_bound_in_its_soak_is_taken_back(busy: Monitored) -> None:
    live = busy.target.live("restaurant-search")
    missing = 'http_requests_total{path="/search",status="422"}'
    bound = {"metric": missing, "of": 'http_requests_total{path="/search"}', "max": 0.5, "at": "soak", "level": "data"}
    with Controller(
        "deploy",
        busy.target.fleet.inventory,
        {"compose_release_gate": gate_with(**bound), "compose_release_soak_seconds": 60},
    ) as deploy:
        until(lambda: "soak" in busy.target.inside("cat /opt/davit/apps/restaurant-search/deploy.json || true"), 60)
        while deploy.running:
            busy.ask_many([], [{}] * 5)
        result = deploy.wait(60)
    assert result.rc != 0, str(result)
    assert "in the soak, data gate, told: " in result.output, str(result)
    assert "instead of at most 0.5" in result.output, str(result)
    assert busy.target.live("restaurant-search") == live
    assert busy.target.history("restaurant-search")[-1]["result"] == "rolled back"


def test_an_app_that_tells_nothing_is_known_by_what_the_edge_counts(busy: Monitored) -> None:
    quiet = stack("pair-a", compose_release_routes=[{"service": "web", "hosts": ["pair-a.test"]}])
    result = busy.target.fleet.run("deploy", **quiet, compose_release_soak_seconds=0)
    assert result.rc == 0, str(result)
    figures = ("requests:rate5m", "errors:ratio_rate5m", "errors:ratio_rate1d", "slow:ratio_rate5m")

    def known() -> bool:
        assert busy.target.ask("/readyz", "pair-a.test").status == 200
        return all(busy.query(f'app:{figure}{{app="pair-a"}}') for figure in figures)

    until(known, 60)
    assert busy.query('up{app="pair-a"}') == []
    assert busy.value('app:errors:ratio_rate1d{app="pair-a"}') == 0
    # The edge counts for one that tells of itself as well, under the same name, and is not asked.
    told = 'app:requests:rate5m{app="restaurant-search"}'
    busy.search_until(f"{told} == app:own_requests:rate5m and app:edge_requests:rate5m")


def test_switched_off_it_is_gone_from_the_edge(busy: Monitored) -> None:
    result = busy.target.fleet.run("configure", monitoring_enabled=False)
    assert result.rc == 0, str(result)
    assert busy.target.inside("docker ps --quiet --filter label=com.docker.compose.project=davit-monitoring") == ""
    assert busy.get("/graph")[0] != 200
    assert busy.target.ask("/readyz").status == 200
