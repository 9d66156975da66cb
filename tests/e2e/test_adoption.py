"""A stack that somebody started by hand is taken over with its data, or goes on as it was; snapshots of the data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import fill_registry, one_host
from tests.e2e.support.controller import Controller
from tests.e2e.support.fleet import Fleet, ec2_client
from tests.e2e.support.host import Host, stack
from tests.e2e.support.load import Load
from tests.e2e.support.playbook import ROOT, Result
from tests.e2e.support.wait import until
from tests.e2e.support.watch import Watch

APP, OLD = "store", "shop"
"""Not the same: the folder's name is the old project's, and says nothing of the app's."""

READY = {"path": "/readyz", "readiness": True}
GATE = {"http": [READY], "interval": 0.2, "stable_seconds": 1}
BAD = {**GATE, "http": [READY, {"path": "/answer", "json": {"answer": 43}}]}
LEASE = 15
MOST_SECONDS = 15.0
"""For how long nothing may answer, on a machine that does much else."""

# Written by hand, as a README of some years ago says it.
SEED = """
set -e
export DEBIAN_FRONTEND=noninteractive
mkdir -p /etc/docker /home/ubuntu/shop
echo '{"default-address-pools": [{"base": "10.201.0.0/16", "size": 24}]}' > /etc/docker/daemon.json
apt-get -qq update < /dev/null
apt-get -qq install -y --no-install-recommends docker.io docker-cli docker-compose < /dev/null > /dev/null
docker login ghcr.io -u davit --password-stdin > /dev/null 2>&1 <<'END'
PASSWORD
END
cat > /home/ubuntu/shop/compose.yaml <<'END'
COMPOSE
END
cd /home/ubuntu/shop && docker compose up --detach --quiet-pull < /dev/null
"""


def variables(**more: Any) -> dict[str, Any]:
    """Of a deploy that takes the old stack over."""
    return stack(
        OLD,
        **{
            "compose_release_app": APP,
            "compose_release_stateful": ["db"],
            "compose_release_adopt": {"project": OLD},
            "compose_release_gate": GATE,
            "compose_release_lease_seconds": LEASE,
            "compose_release_created_by": "tests",
            **more,
        },
    )


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host that knows nothing of Davit, with a stack that somebody uses."""
    fill_registry()
    fleet = Fleet.declare("e2e-adoption", tmp_path_factory.mktemp("inventory"), one_host("10.95"))
    if fleet.rest():
        fleet.destroy()
    made = fleet.run("provision")
    assert made.rc == 0, str(made)
    host = Host(fleet, next(iter(fleet.addresses().values())), made)
    password = (ROOT / ".lab/registry/password").read_text().strip()
    compose = (ROOT / "tests/e2e/stacks" / OLD / "compose.yaml").read_text()
    host.shell(SEED.replace("PASSWORD", password).replace("COMPOSE", compose), 600)
    host.shell(f"curl -sf -X PUT -d 'of the old days' http://{database(host)}:5000/kv/witness")
    until(lambda: old_serves(host), 30)
    yield host
    result = fleet.destroy()
    assert (result.rc, fleet.rest()) == (0, {}), str(result)


def database(host: Host) -> str:
    inspect = "docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'"
    return host.shell(f"{inspect} {OLD}-db-1").strip()


def witness(host: Host) -> str:
    """What the database says that the user of the site sees; also proves that web and database are together."""
    answer = host.ask("/call?url=http://db:5000/kv/witness")
    return (
        str(answer.json()["answer"].get("value")) if answer.status == 200 else f"status {answer.status}: {answer.body}"
    )


def old_serves(host: Host) -> bool:
    answer = host.ask("/readyz")
    return answer.status == 200 and answer.release is None and witness(host) == "of the old days"


def containers(host: Host) -> dict[str, tuple[str, str]]:
    """State and restart policy of each container of the old stack."""
    listed = f"docker ps --all --quiet --filter label=com.docker.compose.project={OLD}"
    template = "{{.Name}} {{.State.Status}} {{.HostConfig.RestartPolicy.Name}}"
    told = host.shell(f"docker inspect --format '{template}' $({listed})")
    lines = [line.split() for line in told.splitlines()]
    return {name.lstrip("/"): (status, policy) for name, status, policy in lines}


AS_BEFORE = {f"{OLD}-web-1": ("running", "always"), f"{OLD}-db-1": ("running", "no")}
STOPPED = dict.fromkeys(AS_BEFORE, ("exited", "no"))


def require_as_before(host: Host) -> None:
    """The old stack serves with its data, and nothing of the release is left."""
    assert old_serves(host), host.ask("/readyz")
    assert containers(host) == AS_BEFORE
    running = host.shell("docker ps --format '{{.Label \"com.docker.compose.project\"}}'").split()
    assert set(running) == {OLD}, running
    host.shell(f"test ! -e /opt/davit/apps/{APP}/deploy.json -a ! -e /opt/davit/apps/{APP}/adoption.json")


def test_configure_leaves_the_stack_its_ports_until_it_is_adopted(host: Host) -> None:
    refused = host.fleet.run("configure")
    assert refused.rc != 0
    assert f"compose_release_adopt: {{project: {OLD}}}" in refused.output, str(refused)
    require_serving_without_davit(host)
    with Load(host.address, "/readyz", threads=4) as load:
        configured = host.fleet.run("configure", compose_release_adopt={"project": OLD})
    assert configured.rc == 0, str(configured)
    assert "Edge: wait" in configured.output, str(configured)
    assert load.requests > 100
    assert load.lost == {}, "the engine was restarted, and its containers with it"
    again = host.fleet.run("configure", compose_release_adopt={"project": OLD})
    assert (again.rc, again.changed) == (0, {}), str(again)
    require_as_before(host)


def require_serving_without_davit(host: Host) -> None:
    assert old_serves(host), host.ask("/readyz")


def test_a_deploy_that_does_not_mean_to_adopt_is_told_how(host: Host) -> None:
    result = host.deploy(**variables(compose_release_adopt={}))
    assert result.rc != 0
    assert f"compose_release_adopt: {{project: {OLD}}}" in result.output, str(result)
    mistyped = host.deploy(**variables(compose_release_adopt={"project": "shopp"}))
    assert mistyped.rc != 0
    require_as_before(host)


def test_a_check_tells_what_would_be_taken_over(host: Host) -> None:
    result = host.fleet.run("deploy", "--check", "--diff", **variables())
    assert result.rc == 0, str(result)
    assert f"would take over the stack '{OLD}' with the data in {OLD}_data" in result.output, str(result)
    require_as_before(host)


def test_a_bad_first_candidate_leaves_the_old_stack_serving(host: Host) -> None:
    result = host.deploy(**variables(compose_release_gate=BAD))
    assert result.rc != 0
    assert f"The stack '{OLD}' of before was started again" in result.output, str(result)
    require_as_before(host)
    assert host.history(APP)[-1]["adopted"]["returned"] is True


@pytest.mark.parametrize("phase", ["start", "gate"])
def test_a_killed_controller_leaves_exactly_one_of_the_two_serving(host: Host, phase: str) -> None:
    instance = next(iter(host.fleet.instances().values()))["InstanceId"]
    given = variables(compose_release_gate={**GATE, "stable_seconds": 8})
    with Watch(f"davit-lab-{instance}", APP) as watch, Controller("deploy", host.fleet.inventory, given) as controller:
        watch.until(phase)
        if phase == "start":
            until(lambda: containers(host) == STOPPED, 30)
        controller.kill()
        host.shell(
            f'for fd in /proc/[0-9]*/fd/*; do [ "$(readlink $fd)" = /opt/davit/apps/{APP}/lock ] || continue; '
            "pid=${fd#/proc/}; kill -9 ${pid%%/*} || true; done"
        )
    until(lambda: not host.shell(f"cat /opt/davit/apps/{APP}/deploy.json 2>/dev/null || true").strip(), LEASE + 60)
    assert host.history(APP)[-1]["recovered_by"] == "the host's timer"
    require_as_before(host)


@pytest.fixture(scope="module")
def adopted(host: Host) -> Result:
    """The deploy that takes the stack over."""
    with Load(host.address, "/whoami", threads=4) as load:
        result = host.deploy(**variables())
    assert result.rc == 0, str(result)
    assert load.longest_gap_ms < MOST_SECONDS * 1000, load.longest_gap_ms
    return result


def test_the_stack_is_taken_over_with_its_data(host: Host, adopted: Result) -> None:
    assert host.ask("/readyz").release == host.live(APP)
    assert witness(host) == "of the old days"
    assert containers(host) == STOPPED
    (line,) = [line for line in host.history(APP) if line["result"] == "succeeded"]
    assert line["adopted"]["volumes"] == {"data": f"{OLD}_data"}
    assert 0 < line["adopted"]["gap_seconds"] < MOST_SECONDS
    told = re.search(rf"took over the stack '{OLD}'.*nothing answered for ([0-9.]+) s", adopted.output)
    assert told is not None, str(adopted)
    assert float(told[1]) == line["adopted"]["gap_seconds"]
    assert "Edge: none" in host.fleet.run("configure", compose_release_adopt={"project": OLD}).output


def test_a_second_run_changes_nothing(host: Host, adopted: Result) -> None:
    assert adopted.rc == 0
    asked: list[dict[str, Any]] = [{}, {"compose_release_adopt": {}}]
    for more in asked:
        again = host.deploy(**variables(**more))
        assert (again.rc, again.changed) == (0, {}), str(again)


def test_the_next_version_and_the_way_back_lose_nothing(host: Host, adopted: Result) -> None:
    assert adopted.rc == 0
    first = host.live(APP)
    with Load(host.address, "/whoami", threads=4) as load:
        # The variable may go: the data is the app's.
        result = host.deploy(**variables(compose_release_version="v2", compose_release_adopt={}))
        assert result.rc == 0, str(result)
        assert host.ask("/version").json()["version"] == "v2"
        assert witness(host) == "of the old days"
        back = host.fleet.run("rollback", **variables())
        assert back.rc == 0, str(back)
    assert load.lost == {}
    assert host.live(APP) == first
    assert witness(host) == "of the old days"
    assert containers(host) == STOPPED
    mounted = host.shell(f"docker inspect --format '{{{{json .Mounts}}}}' {APP}-stateful-db-1")
    assert [mount["Name"] for mount in json.loads(mounted)] == [f"{OLD}_data"]


def attached(host: Host) -> dict[str, str]:
    """Device to volume of the host, as AWS has it."""
    (instance,) = host.fleet.instances().values()
    return {mapping["DeviceName"]: mapping["Ebs"]["VolumeId"] for mapping in instance["BlockDeviceMappings"]}


def test_snapshots_are_taken_kept_by_number_and_restored(host: Host) -> None:
    name, before = next(iter(host.fleet.instances())), attached(host)
    for _ in range(3):
        result = host.fleet.run("snapshot", ec2_instance_snapshots_keep=2)
        assert result.rc == 0, str(result)
    kept = list(host.fleet.snapshots())
    assert len(kept) == 2
    wanted = {"ec2_instance_restore_host": name}
    restored = host.fleet.run("restore", **wanted)
    assert restored.rc == 0, str(restored)
    (volume,) = set(attached(host).values()) - set(before.values())
    (described,) = ec2_client().describe_volumes(VolumeIds=[volume])["Volumes"]
    assert (described["SnapshotId"], attached(host)["/dev/sdf"]) == (kept[-1], volume)
    again = host.fleet.run("restore", **wanted)
    assert (again.rc, again.changed) == (0, {}), str(again)
    other = host.fleet.run("restore", **wanted, ec2_instance_restore_snapshot=kept[0])
    assert other.rc != 0, "data of another day was taken for what was asked for"
    gone = host.fleet.run("restore", **wanted, ec2_instance_restore_state="absent")
    assert gone.rc == 0, str(gone)
    assert attached(host) == before
    for snapshot in kept:
        ec2_client().delete_snapshot(SnapshotId=snapshot)
