"""Where the service is in its life: loading, ready, draining, or failed; and what it has loaded."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from restaurant_search.engine import Engine


class State(StrEnum):
    """The states, as `/readyz` names them."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


class Lifecycle:
    """Holds the state. Draining is final: a load that ends later does not undo it."""

    def __init__(self, on_change: Callable[[State], None] = lambda _: None) -> None:
        """Start as loading; `on_change` is called with each new state."""
        self.state = State.LOADING
        self.engine: Engine | None = None
        self._on_change = on_change

    def loaded(self, engine: Engine) -> None:
        """Take the loaded engine into service."""
        self.engine = engine
        if self.state is State.LOADING:
            self._to(State.READY)

    def fail(self) -> None:
        """Record that the model cannot be loaded."""
        self._to(State.FAILED)

    def drain(self) -> None:
        """Stop being ready; requests are still answered."""
        self._to(State.DRAINING)

    def _to(self, state: State) -> None:
        self.state = state
        self._on_change(state)
