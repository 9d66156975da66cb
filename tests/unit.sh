#!/bin/sh
# The tests that need no host: the product, the rules of this repository, the lab's own code and the service.
# The lab and the service have their own dependencies, hence a venv each.
set -eu
cd "$(dirname "$0")/.."

pytest tests/unit tests/repo "$@"

if [ -d tests/lab ]; then
    requirements/venv.sh .cache/venvs/lab requirements/lab-dev.txt
    .cache/venvs/lab/bin/python -m pytest tests/lab "$@"
fi
if [ -d service/tests ]; then
    requirements/venv.sh .cache/venvs/service service/requirements-dev.txt
    .cache/venvs/service/bin/python -m pytest service/tests "$@"
fi
