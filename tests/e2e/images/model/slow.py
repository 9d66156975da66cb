"""The service with a search that sleeps."""

from __future__ import annotations

import sys
import time
from typing import Any

from restaurant_search.__main__ import main
from restaurant_search.engine import Engine

find = Engine.find


def slow_find(*arguments: Any) -> Any:
    """As `find`, 300 ms later."""
    time.sleep(0.3)
    return find(*arguments)


Engine.find = slow_find
sys.exit(main())
