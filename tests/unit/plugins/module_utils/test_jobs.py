"""In what order jobs run, what that means for the content of a release, and what a job cannot wait for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import running_file as rf
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.jobs import JOB_DONE, order_of_jobs

DONE = {"condition": JOB_DONE, "required": True}
STARTED = {"condition": "service_started", "required": True}
IMAGE = f"a@sha256:{'a' * 64}"


def model(**waits: str) -> dict[str, Any]:
    """A web service that waits for each job, a database, a cache; ``waits`` says of each job what else it waits for,
    a name with a question mark for what it can do without."""

    def dependency(wanted: str) -> dict[str, Any]:
        return {**(DONE if wanted.rstrip("?") in waits else STARTED), "required": not wanted.endswith("?")}

    jobs = {
        name: {"depends_on": {one.rstrip("?"): dependency(one) for one in wanted.split()}}
        for name, wanted in waits.items()
    }
    web = {"depends_on": {**dict.fromkeys(waits, DONE), "cache": STARTED}}
    services = {**jobs, "web": web, "cache": {}, "db": {}}
    return {"services": {name: {"image": IMAGE, **service} for name, service in services.items()}}


def split(**waits: str) -> rf.Split:
    return rf.split(model(**waits), "/stage/files", frozenset({"db"}))


def hash_of(parts: rf.Split) -> str:
    return rf.content_hash([parts.release, parts.stateful, parts.jobs], {}, {})


@pytest.mark.parametrize(
    ("waits", "order"),
    [
        ({"b": "", "a": ""}, "a b"),
        ({"backfill": "migrate", "migrate": "db"}, "migrate backfill"),
        ({"a": "b", "b": "c", "c": ""}, "c b a"),  # a chain against the alphabet
        ({"a": "b c", "b": "d", "c": "d", "d": ""}, "d b c a"),  # a diamond
        ({"a": "c", "b": "", "c": ""}, "b c a"),  # the alphabet among equals
        ({"a": "", "b": "a", "c": ""}, "a b c"),
        ({"a": "b?", "b": "cache?"}, "b a"),
        ({}, ""),
    ],
)
def test_each_job_runs_after_those_that_it_waits_for(waits: dict[str, str], order: str) -> None:
    stored = json.loads(json.dumps(split(**waits).jobs, sort_keys=True))
    assert " ".join(order_of_jobs(stored["services"])) == order


def test_a_job_that_waits_for_another_one_s_start_comes_later_too() -> None:
    given = model(a="", b="")
    given["services"]["a"]["depends_on"] = {"b": STARTED}
    assert order_of_jobs(rf.split(given, "/stage/files", frozenset()).jobs["services"]) == ("b", "a")


def test_jobs_that_wait_for_each_other_are_refused() -> None:
    """Compose refuses them first; without an end here there would be none at all."""
    with pytest.raises(DavitError, match="Of the jobs a, b, c none can run first"):
        split(a="b", b="c", c="a", d="")


@pytest.mark.parametrize("waits", [{"a": "", "b": "a"}, {"a": "db", "b": "a db"}, {"a": "db", "b": "cache?"}])
def test_the_order_is_no_content_where_the_alphabet_gives_it(waits: dict[str, str]) -> None:
    """Else an upgrade of Davit would deploy such apps anew, and run their jobs once more."""
    assert hash_of(split(**waits)) == hash_of(split(a="", b=""))


def test_another_order_is_another_content() -> None:
    """Else the cure of jobs that failed for their order would be taken for what failed."""
    assert hash_of(split(a="b", b="")) != hash_of(split(a="", b=""))


def test_the_engine_is_not_told_of_the_order() -> None:
    made = rf.name_jobs(split(a="b", b="").jobs, "shop", "shop-1-0a1b2c3", None, "/R")
    assert not [name for name, job in made["services"].items() if "depends_on" in job]


def test_a_job_cannot_wait_for_what_starts_after_it() -> None:
    with pytest.raises(DavitError) as error:
        split(migrate="cache")
    for words in ("services.migrate.depends_on", "cannot wait for 'cache'", "add 'cache' to compose_release_stateful"):
        assert words in str(error.value)
