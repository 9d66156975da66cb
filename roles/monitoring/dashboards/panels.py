"""What is shown, on Grafana's dashboards and on the status page: one table, since both ask the same questions."""

from __future__ import annotations

from dataclasses import dataclass

LIVE = 'role="live"'
USERS = 'method!="HEAD",path!~"/healthz|/readyz|/metrics"'


@dataclass(frozen=True)
class Query:
    """A query to Prometheus; `legend` names its series, with labels as `{{label}}`."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One panel. `unit` is Grafana's; `good` is the range of a value that needs nobody; `rare` may have no series.

    `stat` shows the last value, `series` a line over time, `table` the labels of what there is.
    """

    title: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: str = "series"
    good: tuple[float | None, float | None] = (None, None)
    rare: bool = False
    status: str = ""
    """The level under which the status page shows it; empty: only Grafana does."""


@dataclass(frozen=True)
class Board:
    """A dashboard."""

    uid: str
    title: str
    panels: tuple[Panel, ...]


def one(expr: str, legend: str = "{{app}}") -> tuple[Query, ...]:
    """A panel's only query."""
    return (Query(expr, legend),)


RELEASE = Panel(
    "Live release",
    one("davit_release_info", "{{app}} {{version}} ({{release}})"),
    kind="table",
    status="deploys",
)
REQUESTS = Panel("Requests per second", one("app:requests:rate5m"), "reqps", status="system")
ERRORS = Panel("Failed requests", one("app:errors:ratio_rate5m"), "percentunit", good=(None, 0.01), status="system")
LATENCY = Panel(
    "Latency",
    tuple(Query(f"app:latency_seconds:p{p}_5m", f"p{p} {{{{app}}}}") for p in (50, 95, 99)),
    "s",
    status="system",
)
# What is slow is the host's to say, by monitoring_slow_seconds.
SLOW = Panel("Slow requests", one("app:slow:ratio_rate5m"), "percentunit", good=(None, 0.01), status="system")
ALERTS = Panel(
    "Alerts that fire",
    one('ALERTS{alertstate="firing",severity!="none"}', "{{alertname}} {{app}}"),
    kind="table",
    rare=True,
    status="system",
)
DRIFT = Panel(
    "Drift of the queries (PSI)",
    one(f"data_drift_psi{{{LIVE}}}", "{{feature}}"),
    good=(None, 0.25),
    status="data",
)
GOLDEN = Panel(
    "Golden set, precision at 10",
    one(f"model_golden_precision_at_10{{{LIVE}}}", "{{group}}"),
    "percentunit",
    good=(0.5, None),
    status="model",
)
CATALOGUE_AGE = Panel(
    "Age of the catalogue",
    one(f"time() - catalogue_created_timestamp_seconds{{{LIVE}}}"),
    "s",
    "stat",
    (None, 36 * 3600),
    status="data",
)
BAD_INPUTS = Panel(
    "Invalid and missing inputs", one("app:bad_inputs:ratio_rate30m"), "percentunit", good=(None, 0.1), status="data"
)
LAST_RESULT = Panel(
    "Last deploy", one("davit_deploy_last_result", "{{app}}: {{action}} {{result}}"), kind="table", status="deploys"
)
MEMORY = Panel(
    "Memory that is left",
    one("node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes", "host"),
    "percentunit",
    good=(0.1, None),
    status="system",
)
CPU = Panel(
    "CPU in use",
    one('1 - avg(rate(node_cpu_seconds_total{mode="idle"}[5m]))', "host"),
    "percentunit",
    good=(None, 0.9),
    status="system",
)
DISK = Panel(
    "Disk that is left",
    one(
        'min by (mountpoint) (node_filesystem_avail_bytes{mountpoint!~"/etc/.+"} / node_filesystem_size_bytes)',
        "{{mountpoint}}",
    ),
    "percentunit",
    good=(0.05, None),
    status="system",
)

BOARDS = (
    Board(
        "davit-overview",
        "Davit: overview",
        (ALERTS, RELEASE, REQUESTS, ERRORS, LATENCY, DRIFT, GOLDEN, CPU, MEMORY, LAST_RESULT),
    ),
    Board(
        "davit-service",
        "Davit: service",
        (
            REQUESTS,
            ERRORS,
            LATENCY,
            Panel(
                "Requests by path and status",
                one(f"sum by (path, status) (rate(http_requests_total{{{LIVE},{USERS}}}[5m]))", "{{path}} {{status}}"),
                "reqps",
            ),
            Panel("In flight", one(f"sum by (app) (http_requests_in_flight{{{LIVE}}})")),
            SLOW,
            Panel(
                "Searches refused",
                one(f"sum by (app, reason) (rate(search_rejected_total{{{LIVE}}}[5m]))", "{{reason}}"),
                "reqps",
                rare=True,
            ),
            Panel("Ready", one("service_ready", "{{app}} {{role}}"), kind="stat", good=(1, None)),
            Panel("Memory of the process", one(f"process_resident_memory_bytes{{{LIVE}}}"), "bytes"),
            Panel("CPU of the process", one(f"rate(process_cpu_seconds_total{{{LIVE}}}[5m])"), "percentunit"),
            Panel(
                "Open files of the process",
                one(f"process_open_fds{{{LIVE}}} / process_max_fds{{{LIVE}}}"),
                "percentunit",
                good=(None, 0.8),
            ),
            Panel(
                "Error budget burnt (1 = the whole in 30 days)",
                (
                    Query("app:errors:ratio_rate1h / 0.001", "errors {{app}}"),
                    Query("app:slow:ratio_rate1h / 0.01", "latency {{app}}"),
                ),
                good=(None, 1),
            ),
        ),
    ),
    Board(
        "davit-data",
        "Davit: data",
        (
            DRIFT,
            Panel("Searches in the window", one(f"data_drift_window_requests{{{LIVE}}}"), good=(500, None)),
            Panel(
                "Unknown words in queries",
                one(f"data_out_of_vocabulary_ratio{{{LIVE}}}"),
                "percentunit",
                good=(None, 0.15),
                status="data",
            ),
            Panel(
                "Inputs by outcome",
                one(f"sum by (outcome) (rate(search_inputs_total{{{LIVE}}}[5m]))", "{{outcome}}"),
                "reqps",
            ),
            BAD_INPUTS,
            CATALOGUE_AGE,
            Panel("Restaurants in the catalogue", one(f"catalogue_entries{{{LIVE}}}"), kind="stat"),
            Panel(
                "Drift of the catalogue (PSI)", one(f"catalogue_drift_psi{{{LIVE}}}", "{{feature}}"), good=(None, 0.25)
            ),
            Panel(
                "Unknown words in the catalogue",
                one(f"catalogue_out_of_vocabulary_ratio{{{LIVE}}}"),
                "percentunit",
                good=(None, 0.05),
            ),
        ),
    ),
    Board(
        "davit-model",
        "Davit: model",
        (
            GOLDEN,
            Panel(
                "Golden set, recall at 100", one(f"model_golden_recall_at_100{{{LIVE}}}", "{{group}}"), "percentunit"
            ),
            Panel("Golden set, F1", one(f"model_golden_f1{{{LIVE}}}", "{{group}}"), "percentunit"),
            Panel(
                "Since the golden set was asked",
                one(f"time() - model_golden_last_run_timestamp_seconds{{{LIVE}}}"),
                "s",
                "stat",
                (None, 3 * 3600),
            ),
            Panel(
                "Reconstruction error",
                (
                    Query(f"model_reconstruction_error{{{LIVE}}}", "now"),
                    Query(f"model_reconstruction_error_reference{{{LIVE}}}", "without drift"),
                ),
                status="model",
            ),
            Panel(
                "Searches that found nothing",
                one(f"sum by (app) (rate(search_empty_results_total{{{LIVE}}}[5m])) / (app:requests:rate5m > 0)"),
                "percentunit",
                good=(None, 0.1),
                status="model",
            ),
            Panel("Model", one("model_info", "{{id}} {{version}} ({{role}})"), kind="table", status="model"),
            Panel("Build", one("build_info", "{{version}} {{commit}} ({{role}})"), kind="table"),
        ),
    ),
    Board(
        "davit-host",
        "Davit: host",
        (
            CPU,
            MEMORY,
            DISK,
            Panel(
                "Load per CPU",
                one('node_load5 / count without (cpu, mode) (node_cpu_seconds_total{mode="idle"})', "host"),
            ),
            Panel(
                "Network",
                (
                    Query('sum(rate(node_network_receive_bytes_total{device!~"lo|veth.*|br-.*|docker.*"}[5m]))', "in"),
                    Query(
                        'sum(rate(node_network_transmit_bytes_total{device!~"lo|veth.*|br-.*|docker.*"}[5m]))', "out"
                    ),
                ),
                "Bps",
            ),
            Panel(
                "Disk reads and writes",
                (
                    Query("sum(rate(node_disk_read_bytes_total[5m]))", "read"),
                    Query("sum(rate(node_disk_written_bytes_total[5m]))", "written"),
                ),
                "Bps",
            ),
            Panel("Clock", one("node_timex_offset_seconds", "offset"), "s", good=(-0.05, 0.05)),
            Panel(
                "Killed for want of memory",
                one("increase(node_vmstat_oom_kill[1h])", "host"),
                kind="stat",
                good=(None, 0),
            ),
            Panel("Edge answers", one('probe_success{job="edge"}', "{{instance}}"), kind="stat", good=(1, None)),
            Panel(
                "Certificate ends in",
                one("probe_ssl_earliest_cert_expiry - time()", "{{instance}}"),
                "s",
                "stat",
                (0, None),
                rare=True,
            ),
            Panel(
                "Memory of containers",
                one('sum by (name) (container_memory_working_set_bytes{name!=""})', "{{name}}"),
                "bytes",
                rare=True,
            ),
            Panel("Targets", one("up", "{{job}} {{instance}}"), kind="stat", good=(1, None)),
        ),
    ),
    Board(
        "davit-deploys",
        "Davit: deploys",
        (
            RELEASE,
            LAST_RESULT,
            Panel(
                "Live since",
                one("time() - davit_release_live_since_timestamp_seconds"),
                "s",
                "stat",
                status="deploys",
            ),
            Panel("Deploy under way", one("davit_deploy_in_progress"), kind="stat"),
            Panel("Releases that run", one("davit_releases_running"), kind="stat", good=(None, 2)),
            Panel(
                "Length of the last deploy", one("davit_deploy_last_duration_seconds"), "s", "stat", status="deploys"
            ),
            Panel(
                "Requests of the last deploy's probe",
                (
                    Query("davit_deploy_probe_requests", "sent {{app}}"),
                    Query("davit_deploy_probe_failures", "lost {{app}}"),
                ),
                kind="stat",
                status="deploys",
            ),
            Panel(
                "Longest gap of the last deploy's probe",
                one("davit_deploy_probe_longest_gap_seconds"),
                "s",
                "stat",
                (None, 1),
            ),
            Panel(
                "Since the last return to an earlier release",
                one("time() - davit_rolled_back_timestamp_seconds"),
                "s",
                "stat",
                rare=True,
            ),
        ),
    ),
)

# Deploys as vertical lines over every panel: the moment at which one ended.
DEPLOYS = "changes(davit_deploy_last_end_timestamp_seconds[1m]) > 0"
LEVELS = ("system", "data", "model", "deploys")


def on_status_page() -> dict[str, list[Panel]]:
    """The status page's panels by level, each once."""
    shown: dict[str, dict[str, Panel]] = {level: {} for level in LEVELS}
    for board in BOARDS:
        for panel in board.panels:
            if panel.status:
                shown[panel.status][panel.title] = panel
    return {level: list(panels.values()) for level, panels in shown.items()}
