"""Starts the service: `python -m restaurant_search`."""

from __future__ import annotations

import sys

from restaurant_search.settings import Settings, SettingsError


def main() -> int:
    """Read the settings and serve; return the exit code."""
    try:
        settings = Settings.from_env()
    except SettingsError as error:
        sys.stderr.write(f"restaurant_search: {error}\n")
        return 2
    from restaurant_search.server import run

    return run(settings)


if __name__ == "__main__":
    sys.exit(main())
