"""Where moto 5.2.5 answers otherwise than AWS, and a module or a test of Davit would notice.

Each function restores one behaviour and can be applied more than once. A test in
tests/lab/ fails without each of them.
"""

from __future__ import annotations

import functools
import ipaddress
import secrets
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2 import utils as ec2_utils
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import elastic_block_store, elastic_ip_addresses, elastic_network_interfaces, instances
from moto.ec2.responses import security_groups

PUBLIC_RANGE = ipaddress.IPv4Network("198.19.0.0/16")
"""Half of the range that RFC 2544 sets aside for benchmarks: it is routed nowhere."""


def answer_rule_description_updates() -> None:
    """A: UpdateSecurityGroupRuleDescriptions* answers ``Return: true``; moto leaves it out.

    amazon.aws.ec2_security_group reads that key and fails without it.
    """

    def answering(original: Any) -> Any:
        @functools.wraps(original)
        def update(self: Any) -> ActionResult:
            original(self)
            return ActionResult({"Return": True})

        return update

    for way in ("ingress", "egress"):
        name = f"update_security_group_rule_descriptions_{way}"
        setattr(
            security_groups.SecurityGroups,
            name,
            answering(getattr(security_groups.SecurityGroups, name)),
        )


def tag_elastic_addresses() -> None:
    """B: DescribeTags knows an Elastic IP as ``elastic-ip``; moto calls it ``vpc-elastic-ip``.

    With moto's name amazon.aws.ec2_eip finds no tags and reports a change at every run.
    """
    ec2_utils.EC2_PREFIX_TO_RESOURCE["eipalloc"] = "elastic-ip"


def show_whole_volumes() -> None:
    """C: a volume of no snapshot has ``SnapshotId: ""``, and each has ``MultiAttachEnabled``; moto leaves both out.

    amazon.aws.ec2_vol_info reads the first, ec2_vol the second when it attaches.
    """
    volume = elastic_block_store.Volume
    original = volume.__init__

    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.snapshot_id = self.snapshot_id or ""
        self.multi_attach_enabled = False

    volume.__init__ = init  # type: ignore[method-assign]


def _elastic_address(nic: Any) -> str | None:
    """The Elastic IP that is associated with a network interface."""
    return next((a.public_ip for a in nic.ec2_backend.addresses if a.eni is nic), None)


def keep_elastic_addresses() -> None:
    """D: an Elastic IP stays with a stopped instance and is there when it starts; moto drops it."""
    interface = elastic_network_interfaces.NetworkInterface
    original_stop, original_start = interface.stop, interface.start

    @functools.wraps(original_stop)
    def stop(self: Any) -> None:
        if _elastic_address(self) is None:
            original_stop(self)

    @functools.wraps(original_start)
    def start(self: Any) -> None:
        address = _elastic_address(self)
        if address is None:
            original_start(self)
        else:
            self.public_ip = address

    interface.stop, interface.start = stop, start  # type: ignore[method-assign]


def free_addresses_of_the_terminated() -> None:
    """E: terminating an instance disassociates its Elastic IP; moto leaves it with the dead instance."""
    instance = instances.Instance
    original = instance.terminate

    @functools.wraps(original)
    def terminate(self: Any) -> Any:
        previous = original(self)
        for address in list(self.ec2_backend.addresses):
            if address.instance is self or (address.eni is not None and address.eni.instance is self):
                self.ec2_backend.disassociate_address(address=address.public_ip)
        return previous

    instance.terminate = terminate  # type: ignore[method-assign]


def refuse_the_terminated() -> None:
    """H: starting, stopping or rebooting a terminated instance is an error; moto brings it back to life."""

    def refusing(original: Any) -> Any:
        @functools.wraps(original)
        def act(self: Any) -> Any:
            if self.state == "terminated":
                message = f"This instance '{self.id}' is not in a state from which it can be {done[original.__name__]}."
                raise EC2ClientError("IncorrectInstanceState", message)
            return original(self)

        return act

    done = {"start": "started", "stop": "stopped", "reboot": "rebooted"}
    for name in done:
        setattr(instances.Instance, name, refusing(getattr(instances.Instance, name)))


def count_boots() -> None:
    """F: a reboot is something that happened; moto keeps no trace of it, so the bridge could not follow."""
    instance = instances.Instance
    original = instance.reboot

    @functools.wraps(original)
    def reboot(self: Any) -> None:
        original(self)
        self.davit_boots = getattr(self, "davit_boots", 0) + 1

    instance.reboot = reboot  # type: ignore[method-assign]


def allocate_public_addresses(pool: ipaddress.IPv4Network = PUBLIC_RANGE) -> None:
    """G: public addresses lead to the instance. moto's are strangers' or any of 127/8; these come from the
    range on which the bridge answers, and none is given twice.
    """
    given: set[str] = set()

    def allocate() -> str:
        while True:
            address = str(pool[256 + secrets.randbelow(pool.num_addresses - 512)])
            if address not in given:
                given.add(address)
                return address

    for module, name in ((elastic_network_interfaces, "random_public_ip"), (elastic_ip_addresses, "random_ip")):
        setattr(module, name, allocate)


ALL = (
    answer_rule_description_updates,
    tag_elastic_addresses,
    show_whole_volumes,
    keep_elastic_addresses,
    free_addresses_of_the_terminated,
    refuse_the_terminated,
    count_boots,
    allocate_public_addresses,
)


def apply_all() -> None:
    """Put all of them in place."""
    for patch in ALL:
        patch()
