"""Makes the dashboards and the status page's questions out of panels.py: `make dashboards`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from string import ascii_uppercase
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from grafana_foundation_sdk.builders import common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from panels import BOARDS, DEPLOYS, Board, Panel, on_status_page

FILES = Path(__file__).parents[1] / "files"
SOURCE = model.DataSourceRef(type_val="prometheus", uid="prometheus")
WIDTH, HEIGHT = 8, 7


def made() -> dict[Path, str]:
    """The text of each file that is made."""
    texts = {FILES / "dashboards" / f"{board.uid}.json": _text(_board(board)) for board in BOARDS}
    texts[FILES / "status/panels.json"] = _text(_questions())
    return texts


def _text(document: object) -> str:
    return (
        json.dumps(json.loads(JSONEncoder(sort_keys=True, indent=2).encode(document)), indent=2, sort_keys=True) + "\n"
    )


def _board(board: Board) -> model.Dashboard:
    builder = (
        build.Dashboard(board.title)
        .uid(board.uid)
        .tags(["davit"])
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .annotation(
            build.AnnotationQuery().name("Deploys").datasource(SOURCE).enable(True).icon_color("purple").expr(DEPLOYS)
        )
    )
    for panel in board.panels:
        builder = builder.with_panel(_panel(panel))
    return builder.build()


def _panel(panel: Panel) -> Any:
    builder = {"stat": stat.Panel, "table": table.Panel, "series": timeseries.Panel}[panel.kind]()
    builder = builder.title(panel.title).datasource(SOURCE).span(WIDTH).height(HEIGHT)
    if panel.kind != "table":
        builder = builder.unit(panel.unit).thresholds(_thresholds(panel))
    if panel.kind == "series":
        builder = builder.fill_opacity(8).line_width(2).legend(common.VizLegendOptions().show_legend(True))
    for letter, query in zip(ascii_uppercase, panel.queries, strict=False):
        target = prometheus.Dataquery().ref_id(letter).expr(query.expr).legend_format(query.legend)
        target = target.instant().format(PromQueryFormat.TABLE) if panel.kind == "table" else target.range()
        builder = builder.with_target(target)
    return builder


def _thresholds(panel: Panel) -> build.ThresholdsConfig:
    low, high = panel.good
    steps = [model.Threshold(None, "red" if low is not None else "green")]
    if low is not None:
        steps.append(model.Threshold(low, "green"))
    if high is not None:
        steps.append(model.Threshold(high, "red"))
    return build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def _questions() -> Mapping[str, object]:
    levels = {
        level: [{**asdict(panel), "alerts": "ALERTS{" in panel.queries[0].expr} for panel in panels]
        for level, panels in on_status_page().items()
    }
    return {"levels": levels, "marks": DEPLOYS}


def main() -> int:
    """Write what is made; with `--check`, name what is not as it would be made."""
    stale = [path for path, text in made().items() if not path.exists() or path.read_text("utf-8") != text]
    if "--check" in sys.argv[1:]:
        sys.stderr.writelines(f"{path}: run make dashboards\n" for path in stale)
        return 1 if stale else 0
    for path, text in made().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
