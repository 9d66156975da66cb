"""Everything the environment may say to the service, read and checked once at start."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


class SettingsError(ValueError):
    """An environment variable holds a value that the service cannot use."""


@dataclass(frozen=True)
class Settings:
    """The service's configuration; every field names the variable that sets it.

    `drain_seconds` is how long the service goes on accepting after SIGTERM, so that a proxy that
    has not noticed yet loses nothing; `stop_seconds` bounds the wait for requests after that.
    """

    model_dir: Path = Path("/opt/model")
    version: str = "dev"
    commit: str = "unknown"
    deploy_label: str = ""
    host: str = "127.0.0.1"
    port: int = 8000
    drain_seconds: float = 3.0
    stop_seconds: float = 15.0
    keep_alive_seconds: int = 120
    max_body_bytes: int = 16_384
    max_concurrency: int = 64
    search_threads: int = 2
    golden_seconds: float = 3600.0
    log_level: str = "info"
    log_hash_key: str = ""
    log_queries: bool = False

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Read settings from `env` (the process's by default).

        An unset or empty variable means the default. Raises SettingsError naming the variable.
        """
        source = os.environ if env is None else env
        default = cls()
        level = source.get("LOG_LEVEL", "").lower() or default.log_level
        if level not in {"debug", "info", "warning", "error"}:
            raise SettingsError(f"LOG_LEVEL={level!r}: use debug, info, warning or error")
        return cls(
            model_dir=Path(source.get("MODEL_DIR") or default.model_dir),
            version=source.get("VERSION") or default.version,
            commit=source.get("COMMIT") or default.commit,
            deploy_label=source.get("DEPLOY_LABEL", ""),
            host=source.get("HOST") or default.host,
            port=_number(source, "PORT", int, default.port, 1, 65_535),
            drain_seconds=_number(source, "DRAIN_SECONDS", float, default.drain_seconds, 0, 300),
            stop_seconds=_number(source, "STOP_SECONDS", float, default.stop_seconds, 0, 300),
            keep_alive_seconds=_number(source, "KEEP_ALIVE_SECONDS", int, default.keep_alive_seconds, 1, 3600),
            max_body_bytes=_number(source, "MAX_BODY_BYTES", int, default.max_body_bytes, 64, 10_000_000),
            max_concurrency=_number(source, "MAX_CONCURRENCY", int, default.max_concurrency, 1, 10_000),
            search_threads=_number(source, "SEARCH_THREADS", int, default.search_threads, 1, 64),
            golden_seconds=_number(source, "GOLDEN_SECONDS", float, default.golden_seconds, 1, 86_400),
            log_level=level,
            log_hash_key=source.get("LOG_HASH_KEY", ""),
            log_queries=_switch(source, "LOG_QUERIES"),
        )


def _switch(env: Mapping[str, str], name: str) -> bool:
    """Return whether variable `name` is "true"; unset and "false" are off."""
    text = env.get(name, "").lower()
    if text not in {"", "true", "false"}:
        raise SettingsError(f"{name}={text!r}: use true or false")
    return text == "true"


def _number[N: (int, float)](
    env: Mapping[str, str], name: str, kind: Callable[[str], N], default: N, low: N, high: N
) -> N:
    """Return the number in variable `name`, or `default`; refuse what is outside [low, high]."""
    text = env.get(name, "")
    if not text:
        return default
    try:
        value = kind(text)
    except ValueError:
        raise SettingsError(f"{name}={text!r}: not a number") from None
    if not low <= value <= high:
        raise SettingsError(f"{name}={text}: must be between {low} and {high}")
    return value
