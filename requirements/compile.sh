#!/bin/sh
# Compile every requirements/*.in, and the service's, into pinned and hashed *.txt that name no index: each machine uses its own.
set -eu
cd "$(dirname "$0")/.."

# Only this script needs uv, so it lives in a venv of its own.
if [ ! -x .cache/uv/bin/uv ]; then
    .venv/bin/python -m venv --clear .cache/uv
    .cache/uv/bin/python -m pip --quiet --quiet --disable-pip-version-check install uv
fi
compile() { "$uv" pip compile --quiet --no-header --generate-hashes --no-emit-index-url --python-version 3.12 "$@"; }
uv=$PWD/.cache/uv/bin/uv

for source in requirements/*.in; do
    compile --universal "$@" --output-file "${source%.in}.txt" "$source"
done
# The service runs on Linux alone, and without what its packages declare and never use.
cd service
for source in requirements*.in; do
    compile --python-platform linux --override requirements-overrides.txt "$@" --output-file "${source%.in}.txt" "$source"
done
