"""How much room a release needs, and what is said when there is not enough."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import capacity

MIB = 1 << 20


def deploy(**settings: Any) -> dict[str, Any]:
    return {"deploy": {"resources": {"limits": {"memory": str(256 * MIB)}}, **settings}}


@pytest.mark.parametrize(
    ("service", "limit"),
    [
        pytest.param({"mem_limit": str(512 * MIB)}, 512, id="text"),
        pytest.param({"mem_limit": 512 * MIB}, 512, id="number"),
        pytest.param({"mem_limit": str(512 * MIB + 1)}, 513, id="rounded up"),
        pytest.param({}, 0, id="none"),
        pytest.param({"mem_limit": "0"}, 0, id="zero is none"),
        pytest.param({"mem_limit": None, "deploy": None}, 0, id="null"),
        pytest.param(deploy(), 256, id="deploy"),
        pytest.param(deploy(resources={"limits": None}), 0, id="deploy without limits"),
        pytest.param({**deploy(), "mem_limit": str(256 * MIB)}, 256, id="both are one"),
        pytest.param(deploy(replicas=3), 768, id="replicas"),
        pytest.param({"mem_limit": str(100 * MIB), "scale": 2}, 200, id="scale"),
        pytest.param({**deploy(replicas=2), "scale": 2}, 512, id="scale and replicas are one"),
        pytest.param({"mem_limit": str(100 * MIB), "deploy": {"replicas": 2}}, 200, id="mem_limit and replicas"),
        pytest.param({"mem_limit": str(100 * MIB), "scale": 0}, 0, id="none at all"),
        pytest.param(None, 0, id="empty service"),
    ],
)
def test_the_limit_of_a_service(service: dict[str, Any] | None, limit: int) -> None:
    assert capacity.memory_needed_mb({"services": {"a": service}}) == limit


def test_limits_are_summed_over_services() -> None:
    model = {"services": {"web": {"mem_limit": str(300 * MIB)}, "side": deploy(replicas=2), "free": {}}}
    assert capacity.memory_needed_mb(model) == 812
    assert capacity.memory_needed_mb({"services": {}}) == capacity.memory_needed_mb({}) == 0


@pytest.mark.parametrize(
    ("needed", "available", "declared", "stop_first", "said"),
    [
        (512, 512, 0, False, None),
        (513, 512, 0, False, ["513 MB (the sum of its memory limits)", "only 512 MB", "lower mem_limit"]),
        (4096, 512, 400, False, None),
        (100, 512, 600, False, ["600 MB (compose_release_memory_mb)", "only 512 MB", "correct that number"]),
        (513, 512, 0, True, None),
        (100, 512, 600, True, None),
        (0, 10, 0, False, None),
    ],
)
def test_memory_for_a_second_copy(
    needed: int, available: int, declared: int, stop_first: bool, said: list[str] | None
) -> None:
    lack = capacity.judge_memory(needed, available, declared, stop_first)
    if said is None:
        assert lack is None
        return
    message = str(lack)
    for part in (*said, "ec2_instance_type", "compose_release_stop_first=true"):
        assert part in message
    assert ("mem_limit" in message) == (declared == 0)


@pytest.mark.parametrize(
    ("free", "minimum", "live", "said"),
    [
        (1024, 1024, 0, None),
        (1023, 1024, 0, ["Only 1023 MB", "1024 MB are wanted: 1024 MB to spare"]),
        (3000, 1024, 1976, None),
        (2999, 1024, 1976, ["Only 2999 MB", "3000 MB are wanted: 1976 MB for the release", "1024 MB to spare"]),
        (0, 0, 0, None),
    ],
)
def test_disk_for_images(free: int, minimum: int, live: int, said: list[str] | None) -> None:
    message = capacity.judge_disk(free, minimum, live)
    if said is None:
        assert message is None
        return
    assert message is not None
    for part in (*said, "compose_release_minimum_disk_mb", "compose_release_keep", "ec2_instance_volume_gib"):
        assert part in message


def test_available_memory_is_read_from_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meminfo = tmp_path / "meminfo"
    monkeypatch.setattr(capacity, "_MEMINFO", meminfo)
    meminfo.write_text("MemTotal:        2000000 kB\nMemFree:          100000 kB\nMemAvailable:    1048576 kB\n")
    assert capacity.available_memory_mb() == 1024
    meminfo.write_text("MemTotal:        2000000 kB\n")
    with pytest.raises(ValueError, match="no line MemAvailable"):
        capacity.available_memory_mb()


def test_this_machine_tells_its_memory() -> None:
    assert capacity.available_memory_mb() > 0
