"""Every command of the documents works: it is checked against what it calls, or run by the test that is named here."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml
from ansible.cli.playbook import PlaybookCLI
from ansible.parsing.splitter import parse_kv

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path.relative_to(ROOT)
    for pattern in ("*.md", "docs/*.md", "roles/*/README.md", "lab/README.md", "service/README.md")
    for path in ROOT.glob(pattern)
)
BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:make|ansible-playbook) [^`]+)`")
PROGRAMS = "ansible|cat|cp|curl|docker|git|journalctl|make|mount|pip|python3?|readlink|ssh|sudo|tail"

# What cannot be run here, as the documents write it, and the test that runs it.
RUNBOOK = "molecule/compose_release/tests/test_compose_release.py::test_the_runbook_s_commands_work"
SILENCE = "molecule/monitoring/tests/test_monitoring.py::test_an_alert_can_be_silenced_as_the_runbook_says"
SERVICE = "molecule/compose_release/tests/test_compose_release.py::test_the_service_s_own_commands_work"
IMAGES = "tests/e2e/conftest.py::_fill_registry"
PINNING = "molecule/host_baseline/tests/test_host_baseline.py::test_the_host_s_key_can_be_pinned"
RUN_BY = {
    "make demo": "tests/e2e/test_deploy.py::test_the_first_release_answers_searches_at_the_elastic_ip",
    "make test": ".ci/run::make test",
    "make lab-up": "Makefile::e2e: lab-up",
    "make lab-down": "tests/run_all.sh::make lab-down",
    "make known-hosts EC2_HOST=203.0.113.7": PINNING,
    "git add inventories/ssh/known_hosts": PINNING,
    "git add inventories/production/known_hosts.txt": PINNING,
    "ssh-keygen -l -f inventories/production/known_hosts.txt": PINNING,
    "tail -n 3 /opt/davit/apps/<app>/history.jsonl": RUNBOOK,
    "readlink /opt/davit/apps/<app>/live": RUNBOOK,
    "docker compose -f /opt/davit/apps/<app>/releases/<id>/compose.yaml logs --tail 100": RUNBOOK,
    "curl -si -H 'Host: <host>' http://127.0.0.1/ | grep -i davit-release": RUNBOOK,
    "journalctl -u davit-recover -u 'davit-tidy-*' -n 50": RUNBOOK,
    "cat /opt/davit/apps/<app>/deploy.json": RUNBOOK,
    "python3 /opt/davit/lib/davit.pyz recover /opt/davit": RUNBOOK,
    "docker exec davit-monitoring-alertmanager-1 amtool silence add alertname=<name>"
    " --alertmanager.url=http://127.0.0.1:9093/davit/alerts --comment why": SILENCE,
    "curl 'localhost:8000/search?q=somewhere+to+bring+my+puppy&cuisine=Thai&limit=3'": SERVICE,
    "curl localhost:8000/search -H 'content-type: application/json' "
    '-d \'{"query": "food without meat or dairy", "max_price": 2}\'': SERVICE,
    "docker compose up": SERVICE,
    "docker build --build-arg VERSION=v1 -t ghcr.io/davit-ec2/restaurant-search:v1 .": "lab/images.py::stock",
    "python -m lab.images push --context service --build-arg VERSION=v3 ghcr.io/davit-ec2/restaurant-search:v3": IMAGES,
    "python -m lab.images push ghcr.io/someone/something:1": "lab/images.py::push",
}

NOT_RUN = {
    "sgdisk --randomize-guids /dev/nvme1n1",
    "wipefs --all /dev/nvme1n1p15 /dev/nvme1n1p16",
    "e2fsck -fy /dev/nvme1n1p1 && tune2fs -U random -L restored /dev/nvme1n1p1",
    "mount -o ro /dev/nvme1n1p1 /mnt",
    "docker volume create restored",
    "cp -a /mnt/var/lib/docker/volumes/<volume>/_data/. /var/lib/docker/volumes/restored/_data/",
    "umount /mnt",
    "docker run --rm -it -v restored:/var/lib/postgresql/data <the database image>",
    "docker ps --all --filter label=davit.app=<app> --format '{{.Label \"com.docker.compose.project\"}}' | sort -u",
    "docker compose -p <each of these projects> down",
    "docker compose -p davit-edge down",
    "docker update --restart unless-stopped $(docker ps --all --quiet --filter label=com.docker.compose.project=shop)",
    "docker compose -p shop start",
}
"""What nothing here runs: the lab has no blocks in its volumes, and the way back from an adoption has not been tried.
The runbook says so as well."""


def commands_of(text: str) -> Iterator[str]:
    """The commands of a document's `sh` blocks: continued lines joined, comments and blanks at the end gone."""
    for language, block in BLOCK.findall(text):
        if language == "sh":
            for line in re.sub(r"\\\n\s*", "", block).splitlines():
                if command := re.sub(r"(^|\s+)# .*$", "", line).strip():
                    yield command


@cache
def commands() -> dict[str, list[str]]:
    """Each command of all documents, with the documents that have it."""
    found: dict[str, list[str]] = {}
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8")
        for command in [*commands_of(text), *(span for span in INLINE.findall(text) if "…" not in span)]:
            found.setdefault(command, []).append(str(document))
    return found


@cache
def targets() -> set[str]:
    """The targets of the Makefile."""
    return set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@cache
def variables() -> set[str]:
    """What may be given with -e: the options of all roles, and what a playbook reads by itself or must be given."""
    names: set[str] = set()
    for specs in ROOT.glob("roles/*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(specs.read_text())["argument_specs"].values():
            names |= set(entry.get("options", {}))
    for playbook in ROOT.glob("playbooks/**/*.yml"):
        text = playbook.read_text()
        names |= set(re.findall(r"(?<![\w.])([a-z]\w*) \| default\(", text))
        # The head of a playbook says what it cannot do without.
        names |= set(re.findall(r"^# .*?-e ([a-z]\w*)=", text, re.MULTILINE))
    return names


def extra_variables(words: list[str]) -> set[str]:
    """The names that Ansible reads in `-e name=value`, `-e '{"name": ...}'` or `-e @file`, a file having none here.

    A value with a blank in it ends there, and the rest appears as `_raw_params`.
    """
    names: set[str] = set()
    for word in words:
        if word.startswith(("{", "[")):
            names |= set(yaml.safe_load(word))
        elif not word.startswith("@"):
            names |= set(parse_kv(word))
    return names


def problems_of_playbook(command: str) -> list[str]:
    """What is wrong with a call of ansible-playbook: a file, an option or a variable that there is not."""
    # Not by parse(), which keeps the first call's answer for the whole process.
    line = PlaybookCLI(shlex.split(command))
    line.init_parser()
    try:
        given = line.parser.parse_args(shlex.split(command)[1:])
    except SystemExit:
        return ["its options cannot be parsed"]
    playbooks = [name for name in given.args if not (ROOT / name).is_file()]
    inventories = [name for name in given.inventory or [] if not (ROOT / name).exists()]
    unknown = extra_variables(given.extra_vars) - variables()
    return [f"there is no {name}" for name in [*playbooks, *inventories, *sorted(unknown)]]


def problems_of_make(command: str) -> list[str]:
    """What is wrong with a call of make: a target that there is not, or one that make cannot plan."""
    words = [word for word in shlex.split(command)[1:] if "=" not in word]
    if unknown := [word for word in words if word not in targets()]:
        return [f"there is no target {', '.join(unknown)}"]
    plan = ["make", "--dry-run", *shlex.split(command)[1:]]
    done = subprocess.run(plan, cwd=ROOT, check=False, capture_output=True, text=True)
    return [] if done.returncode == 0 else [done.stderr.strip()]


def in_blocks() -> list[str]:
    """The commands of the blocks alone: a reader copies them."""
    texts = [(ROOT / document).read_text(encoding="utf-8") for document in DOCUMENTS]
    return list(dict.fromkeys(command for text in texts for command in commands_of(text)))


@pytest.mark.parametrize("command", [name for name in commands() if name.startswith("ansible-playbook ")])
def test_a_playbook_is_called_as_it_can_be(command: str) -> None:
    assert problems_of_playbook(command) == [], commands()[command]


@pytest.mark.parametrize("command", [name for name in commands() if name.startswith("make ")])
def test_make_has_what_it_is_asked_for(command: str) -> None:
    assert problems_of_make(command) == [], commands()[command]


def test_every_other_command_is_run_by_a_test() -> None:
    """A new command in a document needs a line in RUN_BY, and a command that went takes its line along."""
    others = {name for name in in_blocks() if not name.startswith("ansible-playbook ")}
    assert {name: commands()[name] for name in others - set(RUN_BY) - NOT_RUN} == {}
    assert (set(RUN_BY) | NOT_RUN) - others == set()


@pytest.mark.parametrize("proof", sorted(set(RUN_BY.values())))
def test_the_test_that_runs_it_is_there(proof: str) -> None:
    file, _, name = proof.partition("::")
    text = (ROOT / file).read_text(encoding="utf-8")
    assert (f"def {name}(" if file.endswith(".py") else name) in text


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_no_command_hides_in_a_block_without_a_language(document: Path) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    plain = [block for language, block in BLOCK.findall(text) if not language]
    indented = re.findall(r"(?:^\n|\A)(?:^    \S.*\n)+", text, re.MULTILINE)
    starts = re.compile(rf"^\s*(?:\$ )?(?:{PROGRAMS})\b[ -]", re.MULTILINE)
    assert [block for block in [*plain, *indented] if starts.search(block)] == []


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("ansible-playbook playbooks/undeploy.yml", "there is no playbooks/undeploy.yml"),
        ("ansible-playbook playbooks/site.yml -e compose_release_versoin=v1", "there is no compose_release_versoin"),
        ("ansible-playbook playbooks/rollback.yml -e compose_release_commit='a b'", "there is no _raw_params"),
        ("ansible-playbook -i inventories/moon playbooks/site.yml", "there is no inventories/moon"),
        ("ansible-playbook playbooks/site.yml --no-such-option", "its options cannot be parsed"),
    ],
)
def test_a_wrong_call_of_a_playbook_is_seen(command: str, problem: str) -> None:
    assert problem in problems_of_playbook(command)


def test_a_wrong_target_is_seen() -> None:
    assert problems_of_make("make undeploy") == ["there is no target undeploy"]


def test_commands_are_read_as_a_shell_reads_them() -> None:
    text = "```sh\n# first\nmake a  # why\ncurl x \\\n     -d '# no'\n```\n\n```yaml\nmake: b\n```\n"
    assert list(commands_of(text)) == ["make a", "curl x -d '# no'"]
