"""How much is measured, and where the results go; the environment can make a run shorter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BOOT_SECONDS = 10
"""Of the service that is deployed to three hosts: about what loading a model takes."""


@dataclass(frozen=True)
class Settings:
    """The counts of a full run."""

    deploys: int = 20
    rollbacks: int = 5
    peer_deploys: int = 5
    rounds: int = 5
    """Rounds of the timings without load; their medians are compared."""
    rate: int = 200
    """Requests per second."""
    out: Path = ROOT / "docs"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Take BENCH_DEPLOYS, BENCH_ROLLBACKS, BENCH_PEER_DEPLOYS, BENCH_ROUNDS, BENCH_RATE and BENCH_OUT.

        Raises ValueError for a count that is no number or less than one.
        """

        def count(name: str, usual: int) -> int:
            text = environment.get(name) or str(usual)
            if not text.isdecimal() or int(text) < 1:
                raise ValueError(f"{name} must be a whole number from 1 on, and is '{text}'.")
            return int(text)

        return cls(
            deploys=count("BENCH_DEPLOYS", cls.deploys),
            rollbacks=count("BENCH_ROLLBACKS", cls.rollbacks),
            peer_deploys=count("BENCH_PEER_DEPLOYS", cls.peer_deploys),
            rounds=count("BENCH_ROUNDS", cls.rounds),
            rate=count("BENCH_RATE", cls.rate),
            out=ROOT / (environment.get("BENCH_OUT") or "docs"),
        )

    def rollback_after(self, deploy: int) -> int:
        """How many rollbacks follow the deploy of this number, from 1; spread evenly, since few releases are kept."""
        return self.rollbacks * deploy // self.deploys - self.rollbacks * (deploy - 1) // self.deploys
