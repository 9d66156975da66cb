#!/bin/sh
# Every check of style and types; all of them run, and any finding is red.
set -u
cd "$(dirname "$0")/.." || exit
# Some of these tools take CI for a terminal.
export NO_COLOR=1
results=$(mktemp -d) || exit
trap 'rm -rf "$results"' EXIT
names=''

# They share nothing, so all run at once; each says what it found when all are done.
check() {
    name=$1
    shift
    names="$names $name"
    { "$@" >"$results/$name" 2>&1 || : >"$results/$name.failed"; } &
}

shell_files() { git ls-files --cached --others --exclude-standard -z -- '*.sh' .ci/run | xargs -0 ls -1 2>/dev/null; }

check ruff ruff check --quiet .
check ruff-format ruff format --quiet --check --diff .
# The lab and the service have dependencies of their own, and their types are known in their own venvs.
lab_mypy() {
    requirements/venv.sh .cache/venvs/lab requirements/lab-dev.txt &&
        .cache/venvs/lab/bin/python -m mypy --cache-dir .cache/mypy-lab lab tests/lab
}
service_mypy() {
    requirements/venv.sh .cache/venvs/service service/requirements-dev.txt &&
        (cd service && ../.cache/venvs/service/bin/python -m mypy)
}

# The collection is reached through the self-link, so that each file has one name: the one that it is imported by.
check mypy mypy .ansible/collections/ansible_collections/davit/ec2/plugins bench tests requirements docs --exclude "^tests/(browser|lab|e2e/images)/"
check mypy-lab lab_mypy
check mypy-service service_mypy
workflows() {
    requirements/venv.sh .cache/venvs/workflows requirements/workflows.txt &&
        .cache/venvs/workflows/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml &&
        .cache/venvs/workflows/bin/check-jsonschema --builtin-schema vendor.github-actions .github/actions/*/action.yml &&
        .cache/venvs/workflows/bin/zizmor --offline --persona auditor --quiet .github &&
        .cache/venvs/workflows/bin/actionlint -no-color .github/workflows/*.yml
}
check workflows workflows
# The fragments by themselves, and that CHANGELOG.md is what the recorded entries make.
changelog() {
    requirements/venv.sh .cache/venvs/changelog requirements/changelog.txt || return
    tool=.cache/venvs/changelog/bin/antsibull-changelog
    "$tool" lint && "$tool" lint-changelog-yaml --strict changelogs/changelog.yaml &&
        "$tool" generate --output "$results/CHANGELOG.md" &&
        { diff -u CHANGELOG.md "$results/CHANGELOG.md" || { echo 'CHANGELOG.md: run make changelog'; false; }; }
}
check changelog changelog
check yamllint yamllint --strict .
# shellcheck disable=SC2046  # names of tracked scripts hold no blanks
check shellcheck shellcheck $(shell_files)
# Without an inventory of AWS: lint has to work where no lab and no cloud is.
check ansible-lint env ANSIBLE_INVENTORY=tests/repo/inventory.yml ansible-lint --offline --strict

wait
failed=''
for name in $names; do
    printf -- '-- %s\n' "$name"
    cat "$results/$name"
    [ ! -e "$results/$name.failed" ] || failed="$failed $name"
done
if [ -n "$failed" ]; then
    printf 'lint: failed:%s\n' "$failed" >&2
    exit 1
fi
