"""The environment can shorten a run, and a typing error in it is told."""

from __future__ import annotations

import pytest

from bench.settings import ROOT, Settings


def test_a_full_run_is_the_default() -> None:
    settings = Settings.from_environment({"BENCH_DEPLOYS": ""})
    assert settings == Settings()
    assert (settings.deploys, settings.rollbacks, settings.rate, settings.out) == (20, 5, 200, ROOT / "docs")


def test_the_environment_changes_each_count() -> None:
    names = ("DEPLOYS", "ROLLBACKS", "PEER_DEPLOYS", "ROUNDS", "RATE")
    environment = {f"BENCH_{name}": str(number) for number, name in enumerate(names, 1)}
    settings = Settings.from_environment({**environment, "BENCH_OUT": ".cache/bench"})
    assert settings == Settings(1, 2, 3, 4, 5, ROOT / ".cache/bench")


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_a_count_that_is_none_is_refused_with_its_name(text: str) -> None:
    with pytest.raises(ValueError, match=rf"BENCH_ROUNDS must be .*'{text}'"):
        Settings.from_environment({"BENCH_ROUNDS": text})


@pytest.mark.parametrize(("deploys", "rollbacks"), [(20, 5), (2, 1), (1, 3), (7, 7), (5, 2)])
def test_rollbacks_are_spread_over_the_deploys(deploys: int, rollbacks: int) -> None:
    settings = Settings(deploys=deploys, rollbacks=rollbacks)
    after = [settings.rollback_after(number) for number in range(1, deploys + 1)]
    assert sum(after) == rollbacks
    assert max(after) - min(after) <= 1
