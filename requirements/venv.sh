#!/bin/sh
# Make a venv that holds exactly the given hashed requirements: venv.sh FOLDER FILE...
# Costs milliseconds when the files have not changed; killed half-way, the next run starts it anew.
set -eu
cd "$(dirname "$0")/.."
folder=$1
shift

say() { printf '%s\n' "davit: $*" >&2; }
die() { say "$*"; exit 1; }

# Two set-ups at once (two terminals, one checkout) would clear each other's half-made folders.
mkdir -p .cache "$(dirname "$folder")"
exec 8>".cache/$(printf '%s' "$folder" | tr '/' '_').lock"
flock 8

wanted=$(cat "$@" | sha256sum | cut -d ' ' -f 1)
[ "$(cat "$folder/complete" 2>/dev/null)" = "$wanted" ] && "$folder/bin/python" -c '' 2>/dev/null && exit

# The first Python that really runs and is new enough: pyenv's shims are on PATH but may refuse to run.
# An activated .venv may be what is about to be replaced, so its base is taken.
find_python() {
    for candidate in "${PYTHON:-}" python3.14 python3.13 python3.12 python3 \
        "$HOME"/.pyenv/versions/3.1[2-9]*/bin/python3; do
        [ -n "$candidate" ] || continue
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null || continue
        "$candidate" -c 'import sys; print(sys._base_executable)'
        return
    done
    die "Python 3.12 or newer is needed, and none was found on PATH or under ~/.pyenv/versions:" \
        "install one, or name it with PYTHON=/path/to/python3."
}

python=$(find_python)
# Debian and Ubuntu keep these two apart from Python itself.
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    requirements/apt.sh "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"

say "making $folder with $python"
"$python" -m venv --clear "$folder"
for file in "$@"; do
    "$folder/bin/python" -m pip --quiet --quiet --disable-pip-version-check install \
        --require-hashes --no-deps --only-binary :all: -r "$file" ||
        die "$folder could not be filled: pip's message is above; run this again when the cause is gone."
done
printf '%s\n' "$wanted" >"$folder/complete"
