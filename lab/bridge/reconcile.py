"""Keeps hosts and public addresses as the fake AWS has them, whatever call changed it."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Protocol, cast

from docker.errors import APIError, DockerException

from lab.bridge.containers import REBOOTED, Containers, Settings
from lab.bridge.model import Host, Route, State, conflicts, routes

APPLY_SECONDS = 10.0
STOP_SECONDS = 3.0


class Cloud(Protocol):
    """What the bridge asks of the fake AWS; lab.bridge.cloud is one."""

    def hosts(self) -> list[Host]: ...
    def vpc_ranges(self) -> set[str]: ...
    def shut_down(self, instance_id: str) -> None: ...
    def fail_launch(self, instance_id: str, reason: str) -> None: ...
    def fail_start(self, instance_id: str, reason: str) -> None: ...


def _log(message: str) -> None:
    print(f"bridge: {message}", flush=True)


class Keeper(threading.Thread):
    """Brings one instance's container to what the instance is, one step after the other."""

    def __init__(self, containers: Containers, cloud: Cloud, host: Host, changed: Callable[[], None]) -> None:
        super().__init__(daemon=True, name=host.instance_id)
        self._containers = containers
        self._cloud = cloud
        self._changed = changed
        self._condition = threading.Condition()
        self._wanted = host
        self._pending = True
        self._boots = host.boots
        self._booted = self._made = False

    def want(self, host: Host) -> None:
        """Follow ``host`` from now on."""
        with self._condition:
            if host != self._wanted:
                self._wanted, self._pending = host, True
                self._condition.notify()

    def look(self) -> None:
        """Compare again: the container's own state may have changed."""
        with self._condition:
            self._pending = True
            self._condition.notify()

    def run(self) -> None:
        """Until the instance is gone."""
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._pending)
                self._pending, host = False, self._wanted
            try:
                if host.state is State.GONE:
                    self._containers.remove(host.instance_id)
                    self._containers.remove_networks(self._cloud.vpc_ranges())
                    return
                self._converge(host)
            except (DockerException, OSError) as error:
                reason = error.explanation if isinstance(error, APIError) else str(error)
                _log(f"{host.instance_id}: {reason}")
                if not self._made:
                    self._cloud.fail_launch(host.instance_id, str(reason))
                    self._changed()
                elif host.state is State.RUNNING and not self._booted:
                    # A start can be asked for again; a disk cannot.
                    self._cloud.fail_start(host.instance_id, str(reason))
                    self._changed()

    def _converge(self, host: Host) -> None:
        name, containers = host.instance_id, self._containers
        state = containers.state(name)
        if state is None:
            containers.create(host)
            state = (False, 0)
        running, exit_code = state
        if host.state is State.STOPPED:
            if running:
                containers.stop(name)
            self._booted = False
        elif running and host.boots != self._boots:
            containers.stop(name)
            containers.start(name)
        elif not running:
            if self._booted and host.boots == self._boots and exit_code not in REBOOTED:
                self._cloud.shut_down(name)
                self._changed()
                return
            containers.start(name)
            self._booted = self._made = True
        self._boots = host.boots


class FrontProcess:
    """The front in its process, told by lines."""

    def __init__(self, peer: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lab.bridge.front", peer],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._condition = threading.Condition()
        self._sent = self._applied = 0
        self._last: list[Route] | None = None
        self._stopping = False
        self._listener = threading.Thread(target=self._listen, daemon=True, name="front")
        self._listener.start()

    def _listen(self) -> None:
        with cast("IO[str]", self._process.stdout) as answers:
            for line in answers:
                answer = json.loads(line)
                for problem in answer["problems"]:
                    _log(f"cannot listen on {problem}")
                with self._condition:
                    self._applied = int(answer["applied"])
                    self._condition.notify_all()
        if not self._stopping:
            _log("the front has ended; the lab cannot go on without it")
            os._exit(1)

    def apply(self, table: list[Route]) -> None:
        """Give the front its table, and wait until its listeners are so."""
        orders = cast("IO[str]", self._process.stdin)
        with self._condition:
            if table == self._last:
                return
            self._last = table
            self._sent += 1
            order = self._sent
            line = json.dumps({"seq": order, "routes": [route.as_json() for route in table]})
            orders.write(line + "\n")
            orders.flush()
            if not self._condition.wait_for(lambda: self._applied >= order, APPLY_SECONDS):
                _log(f"the front did not take its table within {APPLY_SECONDS:.0f} s")

    def stop(self) -> None:
        """End it and all connections: it ends with its input."""
        self._stopping = True
        cast("IO[str]", self._process.stdin).close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._listener.join(STOP_SECONDS)


class Bridge:
    """Ties the fake AWS, the containers and the front together."""

    def __init__(self, cloud: Cloud, containers: Containers, front: FrontProcess) -> None:
        self._cloud = cloud
        self._containers = containers
        self._front = front
        self._lock = threading.Lock()
        self._keepers: dict[str, Keeper] = {}
        self._ranges: set[str] = set()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Bridge:
        """With the settings of the container it runs in."""
        from lab.aws.patches import PUBLIC_RANGE
        from lab.bridge import cloud

        settings = Settings(
            image=environment.get("DAVIT_LAB_HOST_IMAGE", Settings.image),
            authority=Path(environment.get("DAVIT_LAB_CA", str(Settings.authority))),
        )
        _own(PUBLIC_RANGE)
        return cls(cloud, Containers(settings), FrontProcess(environment.get("DAVIT_LAB_PEER", "203.0.113.10")))

    def start(self) -> None:
        """Take away what an earlier run left, then watch for hosts that end by themselves."""
        self._containers.remove_orphans()
        threading.Thread(target=self._watch, daemon=True, name="deaths").start()

    def follow(self) -> None:
        """Make everything as the fake AWS has it: addresses at once, hosts in the background."""
        with self._lock:
            hosts = self._cloud.hosts()
            for instance_id, owner in conflicts(hosts).items():
                reason = f"{owner} of another VPC has this address, and the lab has one network per address range"
                _log(f"{instance_id}: {reason}")
                self._cloud.fail_launch(instance_id, reason)
                hosts = self._cloud.hosts()
            self._front.apply(routes(hosts))
            for host in hosts:
                keeper = self._keepers.get(host.instance_id)
                if keeper is not None:
                    keeper.want(host)
                elif host.state is not State.GONE:
                    keeper = Keeper(self._containers, self._cloud, host, self.follow)
                    self._keepers[host.instance_id] = keeper
                    keeper.start()
            ranges = self._cloud.vpc_ranges()
            if self._ranges - ranges:
                threading.Thread(target=self._containers.remove_networks, args=(ranges,), daemon=True).start()
            self._ranges = ranges

    def _watch(self) -> None:
        for instance_id in self._containers.happenings():
            if instance_id is None:
                self._containers.restore_networks()
            elif (keeper := self._keepers.get(instance_id)) is not None:
                keeper.look()

    def stop(self) -> None:
        """The fake AWS forgets everything when it ends, so its hosts end with it."""
        self._front.stop()
        self._containers.remove_orphans()


def _own(addresses: ipaddress.IPv4Network) -> None:
    """Let this network namespace answer for a whole range of addresses."""
    subprocess.run(["ip", "route", "replace", "local", str(addresses), "dev", "lo"], check=True)
