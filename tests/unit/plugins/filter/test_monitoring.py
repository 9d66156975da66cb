"""How Davit's rules are made to fit a host."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ansible_collections.davit.ec2.plugins.filter.monitoring import files_below, rules_for

RULES = Path(__file__).parents[4] / "roles/monitoring/files/rules"
USUAL = files_below("rules", map(str, RULES.glob("*.yml")))
QUARTER, DAYS_90 = 0.25, 2160


def test_as_they_lie_there_they_are_for_a_quarter_of_a_second_and_90_days() -> None:
    assert len(USUAL) >= 4
    assert rules_for(USUAL, QUARTER, DAYS_90) == USUAL


@pytest.mark.parametrize(
    ("seconds", "matcher", "exported"),
    [
        (0.1, 'le="0.1"', {"0.1"}),
        (2.5, 'le="2.5"', {"2.5"}),
        ("0.5", 'le="0.5"', {"0.5"}),
        # As Go writes a whole number, and as Python and Prometheus 3 do.
        (1.0, 'le=~"1|1[.]0"', {"1", "1.0"}),
        ("10", 'le=~"10|10[.]0"', {"10", "10.0"}),
    ],
)
def test_what_is_slow_is_measured_by_the_bucket_of_that_bound(
    seconds: float | str, matcher: str, exported: set[str]
) -> None:
    made = rules_for(USUAL, seconds, DAYS_90)
    text = made["rules/records.yml"]
    assert (text.count(matcher), 'le="0.25"' in text) == (2, False)
    pattern = matcher.partition('"')[2].rstrip('"')
    known = ["0.1", "0.25", "0.5", "1", "1.0", "100", "2.5", "10", "10.0", "1000", "+Inf"]
    same = (lambda le: bool(re.fullmatch(pattern, le))) if "=~" in matcher else (lambda le: le == pattern)
    assert {le for le in known if same(le)} == exported
    assert made["rules/system.yml"].count(f"took over {float(seconds):g} s.") == 2
    assert made.keys() == USUAL.keys()
    assert all(yaml.safe_load(content)["groups"] for content in made.values())


@pytest.mark.parametrize(
    ("hours", "renewed", "bound"),
    [(2160, 720, "240"), (8760, 2880, "240"), (1080, 240, "72"), (168, 24, "12"), ("160", 6, "3"), (24, 6, "3")],
)
def test_a_certificate_is_late_well_after_traefik_would_have_renewed_it(
    hours: float | str, renewed: float, bound: str
) -> None:
    text = rules_for(USUAL, QUARTER, hours)["rules/system.yml"]
    assert re.findall(r"time\(\) < (.*)", text) == [f"{bound} * 3600"]
    assert float(bound) <= renewed / 2
