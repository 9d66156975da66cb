"""What is added to the containers of a release, and what their Compose file keeps from being added."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.davit.ec2.plugins.module_utils import fetch, preflight, store
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.hardening import ARGUMENTS, Hardening, harden
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.running_file import Split

ROOT = Path(__file__).parents[4]
IMAGE = f"shop@sha256:{'1' * 64}"
DROPPED = ["AUDIT_WRITE", "MKNOD", "NET_RAW"]
NNP = ["no-new-privileges:true"]
PIDS = {"pids_limit": 2048}
ALL = {"security_opt": NNP, "cap_drop": DROPPED, **PIDS}


def hardened(service: dict[str, Any], **wanted: Any) -> dict[str, Any]:
    model = {"services": {"web": service}}
    before = copy.deepcopy(model)
    after = harden(model, Hardening.of(wanted))
    assert model == before, "its input is another's"
    made: dict[str, Any] = after["services"]["web"]
    return made


@pytest.mark.parametrize(
    ("service", "made"),
    [
        pytest.param({}, ALL, id="says nothing"),
        pytest.param(
            {"security_opt": ["seccomp:unconfined"]},
            {**ALL, "security_opt": ["seccomp:unconfined", *NNP]},
            id="another option",
        ),
        *[
            pytest.param({"security_opt": [own]}, {**ALL, "security_opt": [own]}, id=own)
            for own in ("no-new-privileges:false", "no-new-privileges=true", "no-new-privileges")
        ],
        pytest.param({"cap_drop": ["ALL"]}, {**ALL, "cap_drop": ["ALL"]}, id="drops by itself"),
        pytest.param(
            {"cap_add": ["CAP_net_raw"]},
            {**ALL, "cap_add": ["CAP_net_raw"], "cap_drop": ["AUDIT_WRITE", "MKNOD"]},
            id="adds one of them",
        ),
        pytest.param(
            {"cap_add": ["ALL"]}, {"cap_add": ["ALL"], "security_opt": NNP, **PIDS}, id="adds every capability"
        ),
        pytest.param({"privileged": True}, {"privileged": True, **PIDS}, id="privileged"),
        pytest.param({"pids_limit": -1}, {**ALL, "pids_limit": -1}, id="no limit by itself"),
        pytest.param(
            {"deploy": {"resources": {"limits": {"memory": "67108864"}}}},
            {
                "security_opt": NNP,
                "cap_drop": DROPPED,
                "deploy": {"resources": {"limits": {"memory": "67108864", "pids": 2048}}},
            },
            id="Compose refuses pids_limit beside limits under deploy",
        ),
        pytest.param(
            {"deploy": {"resources": {"limits": {"pids": 9}}}},
            {
                "security_opt": NNP,
                "cap_drop": DROPPED,
                "deploy": {"resources": {"limits": {"pids": 9}}},
            },
            id="limited under deploy",
        ),
        pytest.param({"deploy": {"replicas": 1}}, {**ALL, "deploy": {"replicas": 1}}, id="deploy without limits"),
    ],
)
def test_what_is_added_by_default(service: dict[str, Any], made: dict[str, Any]) -> None:
    assert hardened(service) == made


@pytest.mark.parametrize(
    ("service", "wanted", "made"),
    [
        ({}, {"no_new_privileges": False, "cap_drop": [], "pids_limit": 0}, {}),
        ({}, {"no_new_privileges": False}, {"cap_drop": DROPPED, **PIDS}),
        ({}, {"cap_drop": ["cap_setfcap"]}, {**ALL, "cap_drop": ["SETFCAP"]}),
        ({}, {"mem_limit": "512m"}, {**ALL, "mem_limit": "536870912"}),
        ({"mem_limit": "1024"}, {"mem_limit": "512m"}, {**ALL, "mem_limit": "1024"}),
        (
            {"deploy": {"resources": {"limits": {"cpus": 1}}}},
            {"mem_limit": "2GB", "pids_limit": 0},
            {
                "security_opt": NNP,
                "cap_drop": DROPPED,
                "deploy": {"resources": {"limits": {"cpus": 1, "memory": "2147483648"}}},
            },
        ),
    ],
    ids=str,
)
def test_what_is_asked_for(service: dict[str, Any], wanted: dict[str, Any], made: dict[str, Any]) -> None:
    assert hardened(service, **wanted) == made


@pytest.mark.parametrize(
    ("wanted", "message"),
    [({"mem_limit": "much"}, "'much'; write a size such as 512m"), ({"pids_limit": -1}, "0 for no limit")],
)
def test_a_wrong_number_is_refused(wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(DavitError, match=message):
        Hardening.of(wanted)


def test_role_and_module_have_the_same_defaults() -> None:
    role = yaml.safe_load((ROOT / "roles/compose_release/defaults/main.yml").read_text())["compose_release_hardening"]
    module = {name: option["default"] for name, option in ARGUMENTS.items()}
    assert role == module
    for wanted in (role, {}, Hardening().to_json()):
        assert Hardening.of(wanted).is_default


def staged(**wanted: Any) -> preflight.Staged:
    part = {"services": {"web": {"image": IMAGE}}}
    split = Split(part, {"services": {"db": {"image": IMAGE}}}, part, {"web": IMAGE, "db": IMAGE})
    return preflight.Staged("v1", split, (), {"routes": []}, {}, {}, Hardening.of(wanted))


def test_the_content_of_a_release_does_not_depend_on_the_defaults(tmp_path: Path) -> None:
    """Else every app would be deployed anew by the next version of this collection."""
    plain = fetch.pin_stage(staged(no_new_privileges=False, cap_drop=[], pids_limit=0), tmp_path, {})
    made = fetch.pin_stage(staged(), tmp_path, {})
    assert made.content_hash == plain.content_hash
    assert made.release["services"]["web"] == made.jobs["services"]["web"] == {"image": IMAGE, **ALL}
    # Any change of it would be refused, or would stop the only copy.
    assert made.stateful == plain.stateful == {"services": {"db": {"image": IMAGE}}}


def test_what_is_staged_is_read_again_as_it_was(tmp_path: Path) -> None:
    request = preflight.Request(layout=AppLayout("shop", str(tmp_path)), files={}, compose_file="")
    wanted = staged(pids_limit=64, mem_limit="1g")
    store.write_json(tmp_path / "stage.json", preflight._to_json(wanted, request))
    assert preflight.load_stage(tmp_path)[0] == replace(wanted, split=preflight.load_stage(tmp_path)[0].split)
