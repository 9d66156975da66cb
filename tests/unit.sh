#!/bin/sh
# The tests that need no host: the product, the rules of this repository, the lab's own code and the service.
# The lab and the service have their own dependencies, hence a venv each.
set -u
cd "$(dirname "$0")/.." || exit
status=0
lab_log=$(mktemp) || exit
trap 'rm -f "$lab_log"' EXIT

lab() {
    requirements/venv.sh .cache/venvs/lab requirements/lab-dev.txt &&
        .cache/venvs/lab/bin/python -m pytest tests/lab "$@"
}
service() {
    requirements/venv.sh .cache/venvs/service service/requirements-dev.txt &&
        .cache/venvs/service/bin/python -m pytest service/tests "$@"
}
dashboards() {
    requirements/venv.sh .cache/venvs/dashboards requirements/dashboards.txt &&
        .cache/venvs/dashboards/bin/python roles/monitoring/dashboards --check
}

pytest -n 2 tests/unit tests/repo "$@" || status=1
# Each of these two keeps one core busy.
lab "$@" >"$lab_log" 2>&1 &
service "$@" || status=1
wait $! || status=1
cat "$lab_log"
dashboards || status=1
exit "$status"
