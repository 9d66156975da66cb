"""A deploy that takes the place of a stack is killed at any point, and again in each recovery: one of the two serves.

As in test_crashes.py, the real steps run over a host in memory. The old stack owns port 80 and a volume; the edge
waits.
"""

from __future__ import annotations

import contextlib
import json
from functools import partial
from pathlib import Path

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import (
    agent,
    journal,
    leases,
    plan,
    rollback,
    store,
)
from ansible_collections.davit.ec2.plugins.module_utils.adoption import Old
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.journal import Claim
from tests.unit.support import crashes
from tests.unit.support.adopting import (
    ADOPTION,
    AS_BEFORE,
    EDGE,
    OLD,
    STATEFUL,
    Adopting,
    Flow,
    deploy,
    inspected,
    make,
    prepare,
    require_one_of_two,
)
from tests.unit.support.crashes import states_of
from tests.unit.support.host import Box, State

SOAK = {"soak_seconds": 0.005}
FLOWS = (
    ADOPTION,
    Flow("without data", SOAK, stateful=False),
    Flow("gate fails", bad_before_traffic=True),
    Flow("without data, gate fails", stateful=False, bad_before_traffic=True),
    Flow("workers whose soak fails", SOAK, bad_in_traffic=True, workers=True),
    Flow("the edge does not start", edge_fails=True),
)
every_flow = pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Adopting:
    return make(tmp_path, monkeypatch)


def always(state: State, path: tuple[str, ...]) -> None:
    """The data has one owner at every moment, and so have port 80 and the work of a worker."""
    running = state.running()
    owners = [p for p in (OLD, STATEFUL) if "db" in running.get(p, set())]
    assert len(owners) <= 1, (path, running)
    assert not ("web" in running.get(OLD, set()) and EDGE in running), (path, running)
    both = "web" in running.get(OLD, set()) and any("mail" in services for services in running.values())
    assert not both, (path, running)
    assert set(state.boxes[OLD]) == set(AS_BEFORE), (path, "a container of the old stack is gone")


def tried(host: Adopting, flow: Flow) -> None:
    if not flow.fails:
        deploy(host, flow)
        return
    with pytest.raises(DavitError):
        deploy(host, flow)


@every_flow
def test_whenever_it_is_killed_exactly_one_of_the_two_serves(host: Adopting, flow: Flow) -> None:
    prepare(host, flow)
    states = states_of(host, lambda: tried(host, flow))
    require_one_of_two(host, flow, ("nobody interrupts",))
    assert bool(store.pointed(host.layout.live)) == (not flow.fails)

    def before() -> None:
        left_by = journal.read(host.layout)
        breached = set() if left_by is None or left_by.failed else {1}
        host.bad_before_traffic = breached if flow.bad_before_traffic else set()
        host.bad_in_traffic = breached if flow.bad_in_traffic else set()

    seen = crashes.explore(
        *(host, states, lambda: agent.recover(host.layout)),
        always=always,
        before=before,
        after=partial(require_one_of_two, host, flow),
    )
    assert seen > len(states) / 2


@pytest.mark.parametrize("lease", ["runs", "ended"])
@pytest.mark.parametrize("flow", [FLOWS[0], FLOWS[1]], ids=lambda flow: flow.name)
def test_whenever_it_is_left_a_rollback_leads_back_to_the_old_stack(host: Adopting, flow: Flow, lease: str) -> None:
    prepare(host, flow)
    tried, states = 0, states_of(host, lambda: deploy(host, flow))
    for what, state in states:
        host.restore(state)
        left = journal.read(host.layout)
        if left is None or store.pointed(host.layout.last_good):
            continue
        tried += 1
        host.now = leases.Moment("boot", 1000.0 if lease == "runs" else 9999.0)
        claim = Claim("bob@desk", "rollback", plan.ROLLBACK, 60, {"drain_seconds": 0, "keep": 3, "cause": "it is slow"})
        # Once its lease has ended, a deploy that had switched is judged and finished, and then nothing is before it.
        may_be_good = lease == "ended" and left.phase in (journal.SWITCH, journal.SOAK, journal.FINISH)
        with contextlib.suppress(*([DavitError] if may_be_good else [])):
            rollback.go_back(host.layout, "", claim, host, 1)
        assert may_be_good or not store.pointed(host.layout.live), what
        require_one_of_two(host, flow, (what,))
    assert tried > len(states) / 2


def test_a_container_is_stopped_after_those_that_use_it(host: Adopting) -> None:
    prepare(host, FLOWS[0])
    done = [what for what, _state in states_of(host, lambda: deploy(host, FLOWS[0]))]
    assert done.index(f"stop {OLD}/web") < done.index(f"stop {OLD}/db") < done.index("up db") < done.index("edge up")
    # As late as possible: what needs no data is there before.
    assert done.index("create web") < done.index(f"stop {OLD}/web")


def test_without_data_the_old_stack_serves_until_the_gate_has_passed(host: Adopting) -> None:
    prepare(host, FLOWS[1])
    states = states_of(host, lambda: deploy(host, FLOWS[1]))
    stop = next(state for what, state in states if what == f"stop {OLD}/web")
    assert json.loads(stop.files["apps/shop/deploy.json"])["phase"] == journal.SWITCH


def test_the_policy_comes_back_with_its_number_of_retries() -> None:
    record = inspected("web", Box("running", "on-failure"))
    record["HostConfig"]["RestartPolicy"]["MaximumRetryCount"] = 4
    old = Old.from_inspect(record)
    assert (old.policy, old.retries) == ("on-failure", 4)
