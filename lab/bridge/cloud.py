"""Reads moto's instances as plain hosts, and tells it what happened inside one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import StateReason

from lab.bridge.model import IMAGES, Host, Rule, State

_STATES = {"running": State.RUNNING, "pending": State.RUNNING, "terminated": State.GONE, "shutting-down": State.GONE}


def _backends() -> Iterator[Any]:
    """The EC2 of every account and region that was asked for so far."""
    for account in list(ec2_backends.values()):
        yield from list(account.values())


def _instances() -> Iterator[Any]:
    for backend in _backends():
        yield from backend.all_instances()


def _rules(instance: Any) -> tuple[Rule, ...]:
    """What the instance's groups let in over TCP from addresses; rules for groups concern the private side."""
    groups = {id(g): g for g in (*instance.security_groups, *instance.nics[0].group_set)}
    found: set[Rule] = set()
    for group in groups.values():
        for rule in group.ingress_rules:
            cidr = (rule.ip_range or {}).get("CidrIp")
            if not cidr or str(rule.ip_protocol) not in {"-1", "tcp", "6"}:
                continue
            everything = str(rule.ip_protocol) == "-1" or rule.from_port is None or int(rule.from_port) < 0
            first, last = (0, 65535) if everything else (int(rule.from_port), int(rule.to_port))
            found.add(Rule(first, last, str(cidr)))
    return tuple(sorted(found, key=lambda r: (r.first, r.last, r.cidr)))


def _host(instance: Any) -> Host:
    key = instance.ec2_backend.key_pairs.get(instance.key_name)
    vpc = instance.ec2_backend.get_vpc(instance.vpc_id)
    material = key.material_public.decode() if key else ""
    return Host(
        instance_id=instance.id,
        state=_STATES.get(instance.state, State.STOPPED),
        private_ip=str(instance.private_ip),
        vpc_cidr=str(vpc.cidr_block) if vpc else "",
        public_ip=instance.public_ip,
        boots=getattr(instance, "davit_boots", 0),
        public_key=material.strip(),
        rules=_rules(instance),
        image=IMAGES.get(instance.image_id, ""),
    )


def hosts() -> list[Host]:
    """Every instance of every region."""
    found = []
    for instance in _instances():
        if instance.state == "terminated":
            found.append(Host(instance.id, State.GONE, "", "", None, 0, "", ()))
        else:
            found.append(_host(instance))
    return found


def vpc_ranges() -> set[str]:
    """The address ranges of every VPC that exists."""
    return {str(vpc.cidr_block) for backend in _backends() for vpc in backend.vpcs.values()}


def _find(instance_id: str) -> Any:
    return next(i for i in _instances() if i.id == instance_id)


def shut_down(instance_id: str) -> None:
    """The host was powered off from inside: AWS stops the instance, which is its default behaviour."""
    instance = _find(instance_id)
    instance.stop()
    instance.state_reason = StateReason(
        "Client.InstanceInitiatedShutdown: Instance initiated shutdown", "Client.InstanceInitiatedShutdown"
    )


def fail_launch(instance_id: str, reason: str) -> None:
    """No host could be made: AWS terminates such an instance and says why in its state reason."""
    instance = _find(instance_id)
    instance.terminate()
    _blame_the_server(instance, reason)


def fail_start(instance_id: str, reason: str) -> None:
    """A host that was stopped does not start: AWS has such an instance stopped again, with its disk."""
    instance = _find(instance_id)
    instance.stop()
    _blame_the_server(instance, reason)


def _blame_the_server(instance: Any, reason: str) -> None:
    instance.state_reason = StateReason(f"Server.InternalError: {reason}", "Server.InternalError")
