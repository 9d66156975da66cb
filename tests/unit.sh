#!/bin/sh
# The tests that need no host: the product, the rules of this repository, the lab's own code and the service.
# The lab and the service have their own dependencies, hence a venv each.
set -u
cd "$(dirname "$0")/.." || exit
status=0

pytest -n 2 tests/unit tests/repo "$@" || status=1

if [ -d tests/lab ]; then
    requirements/venv.sh .cache/venvs/lab requirements/lab-dev.txt || exit
    .cache/venvs/lab/bin/python -m pytest tests/lab "$@" || status=1
fi
if [ -d service/tests ]; then
    requirements/venv.sh .cache/venvs/service service/requirements-dev.txt || exit
    .cache/venvs/service/bin/python -m pytest service/tests "$@" || status=1
fi
requirements/venv.sh .cache/venvs/dashboards requirements/dashboards.txt || exit
.cache/venvs/dashboards/bin/python roles/monitoring/dashboards --check || status=1
exit "$status"
