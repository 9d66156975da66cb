#!/bin/sh
# Compile every requirements/*.in into pinned and hashed *.txt that name no index: each machine uses its own.
set -eu
cd "$(dirname "$0")/.."

# Only this script needs uv, so it lives in a venv of its own.
if [ ! -x .cache/uv/bin/uv ]; then
    .venv/bin/python -m venv --clear .cache/uv
    .cache/uv/bin/python -m pip --quiet --quiet --disable-pip-version-check install uv
fi
for source in requirements/*.in; do
    .cache/uv/bin/uv pip compile --quiet --no-header --generate-hashes --no-emit-index-url --universal \
        --python-version 3.12 "$@" --output-file "${source%.in}.txt" "$source"
done
