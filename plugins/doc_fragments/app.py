# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Options that the modules of this collection share."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  app:
    description:
      - Name of the app. It becomes a directory, a Compose project and a route, so it is lower case
        and at most 30 characters long.
    type: str
    required: true
  root:
    description:
      - Directory that holds everything of Davit on the host.
    type: path
    default: /opt/davit
author:
  - The Davit maintainers (@davit-ec2)
"""

    PATIENCE = r"""
options:
  start_timeout:
    description: Seconds for containers to be created and started.
    type: float
    default: 120.0
  switch_timeout:
    description: Seconds within which the edge has to answer with the wanted release.
    type: float
    default: 10.0
  drain_seconds:
    description: Seconds between the switch and the stop of the old release, for requests under way.
    type: float
    default: 2.0
  stop_timeout:
    description: Seconds for the old release to stop.
    type: float
    default: 60.0
"""

    STANDARD = r"""
attributes:
  check_mode:
    support: full
    description: Says what it would do, and changes nothing.
  diff_mode:
    support: none
    description: A release is compared as a whole, by the hash of its content.
  platform:
    platforms: posix
    support: full
    description: Hosts with Docker, Compose v2 and Python 3.9 or newer; the standard library is enough.
requirements:
  - Docker Engine and Compose v2 on the host
"""
