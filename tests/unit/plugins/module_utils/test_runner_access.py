# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Which rules a run opens and closes, and which it leaves alone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.davit.ec2.plugins.module_utils import runner_access
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.runner_access import Plan, Rule, describe, plan

NOW = datetime(2026, 11, 26, 15, 30, tzinfo=UTC).timestamp()
HOURS = 3600.0
HERE, THERE = "203.0.113.7", "198.51.100.9"
DECLARED = Rule("192.0.2.0/24", "SSH from the declared networks")


def of(run: str, address: str = HERE, age: float = 0.0) -> Rule:
    """The rule of a run that is `age` seconds old."""
    return Rule(f"{address}/32", describe(run, NOW - age))


MINE, OTHERS = of("octo/shop/1"), of("octo/shop/2")


@pytest.mark.parametrize(
    ("rules", "address", "expected"),
    [
        pytest.param([], HERE, Plan((), (MINE,)), id="opens"),
        pytest.param([MINE], HERE, Plan(), id="is open already"),
        pytest.param([DECLARED], HERE, Plan((), (MINE,)), id="another network is declared"),
        pytest.param([DECLARED], "192.0.2.5", Plan(), id="the declared networks let it in"),
        pytest.param([Rule(f"{HERE}/32", "by hand")], HERE, Plan(), id="a rule for it was there"),
        pytest.param([of("octo/shop/1", THERE)], HERE, Plan((of("octo/shop/1", THERE),), (MINE,)), id="it has moved"),
        pytest.param([OTHERS], HERE, Plan((OTHERS,), (MINE,)), id="takes over a rule for its address"),
        pytest.param([of("octo/shop/2", THERE, HOURS)], HERE, Plan((), (MINE,)), id="another run works"),
        pytest.param(
            [of("octo/shop/2", THERE, 3 * HOURS)],
            HERE,
            Plan((of("octo/shop/2", THERE, 3 * HOURS),), (MINE,)),
            id="closes what a killed run left",
        ),
        pytest.param(
            [of("octo/shop/2", THERE, -3 * HOURS)],
            HERE,
            Plan((of("octo/shop/2", THERE, -3 * HOURS),), (MINE,)),
            id="closes what a wrong clock left",
        ),
        pytest.param(
            [of("octo/shop/1", HERE, 3 * HOURS)],
            HERE,
            Plan((of("octo/shop/1", HERE, 3 * HOURS),), (MINE,)),
            id="renews its own",
        ),
        pytest.param(
            [Rule(f"{THERE}/32", "davit runner someone edited this")],
            HERE,
            Plan((Rule(f"{THERE}/32", "davit runner someone edited this"),), (MINE,)),
            id="closes what nobody can read",
        ),
        pytest.param([], "", Plan(), id="nothing to close"),
        pytest.param([MINE, DECLARED, of("octo/shop/2", THERE)], "", Plan((MINE,), ()), id="closes its own alone"),
        pytest.param(
            [of("octo/shop/1", THERE)], "", Plan((of("octo/shop/1", THERE),), ()), id="closes without its address"
        ),
        pytest.param(
            [of("octo/shop/2", THERE, 3 * HOURS)],
            "",
            Plan((of("octo/shop/2", THERE, 3 * HOURS),), ()),
            id="closing closes what was left as well",
        ),
    ],
)
def test_what_a_run_changes(rules: list[Rule], address: str, expected: Plan) -> None:
    assert plan(rules, "octo/shop/1", address, NOW, 2 * HOURS) == expected


_RUNS = st.sampled_from(["octo/shop/1", "octo/shop/2", "octo/shop/11"])
_ADDRESSES = st.sampled_from([HERE, THERE, "192.0.2.5"])
_AGES = st.sampled_from([0.0, HOURS, 2 * HOURS, 3 * HOURS, -3 * HOURS])
_RULES = st.lists(
    st.one_of(st.builds(of, _RUNS, _ADDRESSES, _AGES), st.just(DECLARED), st.just(Rule(f"{HERE}/32", ""))),
    unique_by=lambda rule: rule.cidr,
)


@given(_RULES, _ADDRESSES)
def test_after_opening_and_closing_only_the_rules_of_others_are_left(rules: list[Rule], address: str) -> None:
    opened = plan(rules, "octo/shop/1", address, NOW, 2 * HOURS).applied(rules)
    assert any(runner_access._covers(rule, address) for rule in opened)
    assert len({rule.cidr for rule in opened}) == len(opened), "AWS refuses a second rule for one network"
    closed = plan(opened, "octo/shop/1", "", NOW, 2 * HOURS).applied(opened)
    assert [rule for rule in closed if "octo/shop/1 " in rule.description] == []
    declared = [rule for rule in rules if not rule.description.startswith("davit runner ")]
    assert [rule for rule in closed if rule in declared] == declared
    assert plan(closed, "octo/shop/1", "", NOW, 2 * HOURS) == Plan()


def test_only_rules_for_port_22_alone_are_looked_at() -> None:
    ssh = MINE.to_permission()
    others = [
        {**ssh, "FromPort": 0, "ToPort": 65535},
        {**ssh, "FromPort": 80, "ToPort": 80},
        {**ssh, "IpProtocol": "udp"},
        {"IpProtocol": "-1", "IpRanges": ssh["IpRanges"]},
        {**ssh, "IpRanges": [], "Ipv6Ranges": [{"CidrIpv6": "::/0"}]},
    ]
    assert runner_access.ssh_rules([*others, ssh]) == [MINE]
    assert runner_access.ssh_rules([{**ssh, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]) == [Rule("0.0.0.0/0", "")]


@pytest.mark.parametrize("text", ["203.0.113.7", " 203.0.113.7\r\n"])
def test_one_public_address_is_taken(text: str) -> None:
    assert runner_access.public_address(text, "x") == HERE


@pytest.mark.parametrize(
    "text",
    [
        *("", "203.0.113.7, 198.51.100.9", "203.0.113.7/0", "0.1.2.3", "10.1.2.3", "127.0.0.1", "100.64.0.1"),
        *("169.254.169.254", "172.16.0.1", "192.168.1.1", "224.0.0.1", "255.255.255.255", "2001:db8::1"),
        *("<html>502 Bad Gateway</html>", "203.0.113", "0xcb007107"),
    ],
)
def test_anything_else_opens_nothing(text: str) -> None:
    with pytest.raises(DavitError, match="no public IPv4 address, so nothing was opened: set runner_access_address"):
        runner_access.public_address(text, "https://example.org")


@pytest.mark.parametrize("run", ["octo/shop/4711", "octo-org/shop.api_2/4711", "local/0"])
def test_a_run_is_named(run: str) -> None:
    assert runner_access.check_run(run) == run
    text = runner_access.describe(run, NOW)
    assert text == f"davit runner {run} since 2026-11-26T15:30:00Z"
    assert runner_access._of_runner(Rule("0.0.0.0/0", text)) == (run, NOW)


@pytest.mark.parametrize("run", ["", "a b", "a since b", "a\nb", "a" * 201, 'a"b'])
def test_a_name_that_a_description_cannot_hold_is_refused(run: str) -> None:
    with pytest.raises(DavitError, match="cannot name a run"):
        runner_access.check_run(run)
