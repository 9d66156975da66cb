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

    LOCK = r"""
options:
  owner:
    description: Who wants the lock, for whoever meets it.
    type: str
    default: ''
  reason:
    description: What for.
    type: str
    default: ''
  lease:
    description:
      - Seconds after the end of a step for which the lock is held for the next one. Once they are over, the next deploy
        takes the lock over, or the host completes or undoes what is unfinished.
    type: float
    default: 60.0
  takeover:
    description: Take the lock over although its lease has not ended. A step at work still excludes.
    type: bool
    default: false
  settings:
    description: Times in seconds, and numbers, which also hold for whoever recovers this deploy.
    type: dict
    default: {}
    suboptions:
      keep:
        description: Good releases to keep beside the live one. Live and last good always stay.
        type: int
        default: 3
      start_timeout:
        description: For jobs and for containers to be created and started.
        type: float
        default: 120.0
      switch_timeout:
        description: For the edge to answer with the wanted release.
        type: float
        default: 10.0
      drain_seconds:
        description: Between the end of the deploy and the stop of the old release, for requests under way.
        type: float
        default: 2.0
      stop_timeout:
        description: For containers to stop.
        type: float
        default: 60.0
      soak_seconds:
        description: For the new release to be watched while it serves.
        type: float
        default: 0.0
      probe_rate:
        description: Requests in a second of the load probe; 0 for none.
        type: float
        default: 20.0
      stop_first:
        description: Stop the live release before the candidate starts, for hosts that are too small for both.
        type: bool
        default: false
      fleet:
        description: Whether other hosts take part. A host that is then left alone goes back and does not judge itself.
        type: bool
        default: false
"""

    HARDENING = r"""
options:
  hardening:
    description:
      - What the containers of the release may not do, services that own data left out. What the Compose file says
        itself on the same matter wins.
      - Values other than the defaults are content of the release. The defaults are not.
    type: dict
    default: {}
    suboptions:
      no_new_privileges:
        description: Whether no program may gain privileges over its caller, as by setuid.
        type: bool
        default: true
      cap_drop:
        description: Capabilities that a container does not get.
        type: list
        elements: str
        default: [AUDIT_WRITE, MKNOD, NET_RAW]
      pids_limit:
        description: Processes and threads of a container; 0 means no limit.
        type: int
        default: 2048
      mem_limit:
        description: Memory of a container, such as C(512m); empty means no limit.
        type: str
        default: ''
"""

    STEP = r"""
options:
  token:
    description: Token of the deploy, as M(davit.ec2.release_preflight) returns it.
    type: str
    required: true
  lease:
    description: Seconds after this step for which the lock is held; as before if left out.
    type: float
"""

    RELEASE = r"""
options:
  release:
    description: Id of the release.
    type: str
    required: true
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
