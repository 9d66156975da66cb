"""Wall times without load, in rounds, so that whatever else the machine does hits each kind alike."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor

from bench import peers
from bench.figures import Timings
from bench.settings import BOOT_SECONDS, Settings
from bench.target import FIRST, BenchError, Target, check, say, timed
from tests.e2e.support.playbook import Result

SOAK_SECONDS = 60


def measure_timings(target: Target, settings: Settings) -> Timings:
    """All but the three hosts, `rounds` times."""
    peers.prepare(target)
    times: dict[str, list[float]] = {name: [] for name in Timings.__dataclass_fields__}
    for number in range(1, settings.rounds + 1):
        one = round_of(target)
        for name, value in one.items():
            times[name].append(value)
        told = ", ".join(f"{name} {value:.1f} s" for name, value in one.items())
        say(f"round {number} of {settings.rounds}: {told}")
    return Timings(**{name: tuple(round(value, 2) for value in values) for name, values in times.items()})


def round_of(target: Target) -> dict[str, float]:
    """Each kind once."""
    found = {"one_task": timed(target.one_task)}
    found["raw_up"], found["raw_start"] = peers.raw_floor(target)
    found["deploy"] = timed(target.deploy)
    # What goes on after a deploy must not be in the next time.
    target.await_rest()
    found["no_op"] = timed(target.deploy_again)
    found["rollback_stopped"] = timed(target.rollback)
    target.await_rest()
    warm = rollback_warm(target)
    target.await_rest()
    return found if warm is None else {**found, "rollback_warm": warm}


def rollback_warm(target: Target) -> float | None:
    """The seconds of a rollback while a deploy soaks; None when no soak came to be.

    The deploy that is taken back ends with an error, as it should.
    """
    with ThreadPoolExecutor(1) as pool:
        deploy = pool.submit(target.deploy, compose_release_soak_seconds=SOAK_SECONDS)
        if not _soaking(target, deploy):
            check(deploy.result())
            return None
        seconds = timed(target.rollback)
        if deploy.result().rc == 0:
            raise BenchError(f"A deploy that was rolled back in its soak ended well:\n{deploy.result()}")
    return seconds


def _soaking(target: Target, deploy: Future[Result]) -> bool:
    """Wait for the soak of a running deploy; False when it ended without one."""
    while not deploy.done():
        if target.phase() == "soak":
            return True
        time.sleep(0.2)
    return False


def measure_three(target: Target, settings: Settings) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Seconds of deploys to one host of three and to all at once, by turns; the fleet grows for it.

    The service boots for longer here. What takes the time of a real deploy waits for a machine of its own, while the
    lab's hosts share one machine's cores.
    """
    say("three hosts: provision and configure")
    for playbook in ("provision", "configure"):
        check(target.fleet.run(playbook, ec2_instance_count=3))
    only = f"localhost,{FIRST}"

    def took(*arguments: str) -> float:
        target.await_rest()
        return timed(lambda: target.deploy(*arguments, boot_seconds=BOOT_SECONDS, compose_release_batches=["100%"]))

    took()
    pairs = []
    for number in range(1, settings.rounds + 1):
        pairs.append((took("--limit", only), took()))
        say(f"three hosts, {number} of {settings.rounds}: one {pairs[-1][0]:.1f} s, three {pairs[-1][1]:.1f} s")
    one, three = zip(*pairs, strict=True)
    return tuple(round(value, 2) for value in one), tuple(round(value, 2) for value in three)
