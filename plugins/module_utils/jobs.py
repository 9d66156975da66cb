# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Which services are jobs, which run once before a release starts, and in what order they run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError

JOB_DONE = "service_completed_successfully"

Services = Mapping[str, Mapping[str, Any]]


def jobs_of(services: Services) -> frozenset[str]:
    """Services that others wait for until they have *completed*, such as migrations."""
    return frozenset(
        target
        for service in services.values()
        for target, how in (service.get("depends_on") or {}).items()
        if (how or {}).get("condition") == JOB_DONE
    )


def order_of_jobs(jobs: Services) -> tuple[str, ...]:
    """The names of ``jobs``, each after those among them that it waits for, beyond that by the alphabet.

    They run one by one, so a job that waits for another one's start waits for its end. The order of the mapping does
    not count: it is lost where a model is written to the disk. Raises DavitError for jobs that wait for each other.
    """
    order: list[str] = []
    left = sorted(jobs)
    while left:
        ready = next((name for name in left if not set(jobs[name].get("depends_on") or ()) & set(left)), None)
        if ready is None:
            raise DavitError(
                f"Of the jobs {', '.join(left)} none can run first, since some wait for each other. Remove one of their"
                " depends_on."
            )
        order.append(ready)
        left.remove(ready)
    return tuple(order)


def waits_of_jobs(jobs: Services) -> dict[str, dict[str, Any]]:
    """By name what each of ``jobs`` waits for among them. Nothing where the alphabet is order enough: the content hash
    of an app whose jobs ran in the right order before there was any other stays."""
    if order_of_jobs(jobs) == tuple(sorted(jobs)):
        return {}
    return {
        name: {target: how for target, how in (job.get("depends_on") or {}).items() if target in jobs}
        for name, job in jobs.items()
    }


def refuse_early_jobs(jobs: Services, release: Collection[str]) -> None:
    """Raise DavitError for a job that waits for a service of the ``release``, which starts after all jobs. One that
    it can do without (``required: false``) it does without."""
    for name, job in sorted(jobs.items()):
        wanted = job.get("depends_on") or {}
        for target in sorted(t for t in wanted if t in release and (wanted[t] or {}).get("required", True)):
            raise DavitError(
                f"services.{name}.depends_on: '{name}' is a job, since another service waits until it has completed."
                f" Jobs run before each release is started, so it cannot wait for '{target}', which is part of it."
                f" Remove the dependency; or, if the job needs '{target}', add '{target}' to compose_release_stateful"
                " (one copy, which runs before the jobs and is not restarted by a release)."
            )
