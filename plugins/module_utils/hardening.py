# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""What the containers of a release may not do unless their Compose file says so. Pure.

It is added to the file that runs, not to the content of a release: another default is no reason to deploy everything
anew, and a kept release comes back as it ran. Services that own data are left as their Compose file has them, since
each change to them stops the only copy.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError

_SIZE = re.compile(r"(?P<number>\d+)(?P<unit>[bkmg]?)b?", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}

Model = dict[str, Any]

ARGUMENTS: dict[str, Any] = {
    "no_new_privileges": {"type": "bool", "default": True},
    "cap_drop": {"type": "list", "elements": "str", "default": ["AUDIT_WRITE", "MKNOD", "NET_RAW"]},
    "pids_limit": {"type": "int", "default": 2048},
    "mem_limit": {"type": "str", "default": ""},
}
"""As the modules take it; doc_fragments/app.py describes it."""


@dataclass(frozen=True)
class Hardening:
    """The defaults are those that Podman gives every container, and that images are therefore known to bear.

    ``pids_limit`` counts threads, 0 is none; ``mem_limit`` is in bytes, 0 is none.
    """

    no_new_privileges: bool = True
    cap_drop: tuple[str, ...] = ("AUDIT_WRITE", "MKNOD", "NET_RAW")
    pids_limit: int = 2048
    mem_limit: int = 0

    @classmethod
    def of(cls, wanted: Mapping[str, Any]) -> Hardening:
        """From the role's variable; what it leaves out stays at its default. Raises DavitError for a wrong number."""
        default = cls()
        return cls(
            bool(wanted.get("no_new_privileges", default.no_new_privileges)),
            tuple(sorted({_capability(str(name)) for name in wanted.get("cap_drop", default.cap_drop)})),
            _not_negative(wanted.get("pids_limit", default.pids_limit)),
            _bytes(str(wanted.get("mem_limit") or "0")),
        )

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "cap_drop": list(self.cap_drop)}

    @property
    def is_default(self) -> bool:
        return self == DEFAULT


DEFAULT = Hardening()


def _not_negative(limit: Any) -> int:
    if int(limit) < 0:
        raise DavitError(
            f"compose_release_hardening: pids_limit is {limit}; write a number of threads, or 0 for no limit."
        )
    return int(limit)


def _bytes(size: str) -> int:
    """Bytes of a size as Compose writes it, such as ``512m``."""
    found = _SIZE.fullmatch(size)
    if found is None:
        raise DavitError(f"compose_release_hardening: mem_limit is '{size}'; write a size such as 512m or 2g.")
    return int(found["number"]) * _UNITS[found["unit"].lower()]


def harden(model: Model, wanted: Hardening) -> Model:
    """``model`` with ``wanted`` added to each of its services, wherever the service does not say otherwise itself."""
    hardened = copy.deepcopy(model)
    for service in hardened["services"].values():
        if not service.get("privileged"):
            _restrict(service, wanted)
        _limit(service, "pids_limit", "pids", wanted.pids_limit)
        # As Compose itself prints it, so that it counts where the memory of a release is summed up.
        _limit(service, "mem_limit", "memory", str(wanted.mem_limit) if wanted.mem_limit else 0)
    return hardened


def _restrict(service: Model, wanted: Hardening) -> None:
    options: list[str] = service.get("security_opt") or []
    if wanted.no_new_privileges and not any(option.startswith("no-new-privileges") for option in options):
        service["security_opt"] = [*options, "no-new-privileges:true"]
    added = {_capability(name) for name in service.get("cap_add") or []}
    dropped = [name for name in wanted.cap_drop if name not in added]
    if dropped and "cap_drop" not in service and "ALL" not in added:
        service["cap_drop"] = dropped


def _capability(name: str) -> str:
    return name.upper().removeprefix("CAP_")


def _limit(service: Model, key: str, deploy_key: str, limit: Any) -> None:
    """Add a limit in the place where Compose looks: with limits under ``deploy``, it refuses those beside it."""
    limits = ((service.get("deploy") or {}).get("resources") or {}).get("limits")
    if not limit or key in service or (limits or {}).get(deploy_key):
        return
    if limits is None:
        service[key] = limit
    else:
        limits[deploy_key] = limit
