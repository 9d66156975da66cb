#!/bin/sh
# Install the pinned tools into .venv and the third-party collections into .ansible/collections.
# Runs in milliseconds when nothing changed; killed half-way, the next run repairs what it left.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "davit: $*" >&2; }
die() { say "$*"; exit 1; }

digest() { cat "$@" | sha256sum | cut -d ' ' -f 1; }

# apt packages are only asked for when a command is missing, so an unprivileged user who has them all needs no root.
apt_install() {
    command -v apt-get >/dev/null || die "please install: $*, then run this again."
    if [ "$(id -u)" -eq 0 ]; then sudo=''; elif command -v sudo >/dev/null; then sudo=sudo
    else die "please install as root: apt-get install $*, then run this again."; fi
    say "installing $* with apt-get"
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 update >&2
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
        install --yes --no-install-recommends "$@" >&2 ||
        die "apt-get could not install $*; its message is above."
}

# Prints the first Python that really runs and is new enough: pyenv's shims are on PATH but may refuse to run.
# An activated .venv is what is about to be replaced, so its base is taken.
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

install_tools() {
    python=$(find_python)
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    "$python" -c 'import ensurepip, venv' 2>/dev/null || apt_install "python$version-venv"
    say "installing the tools into .venv with $python ($version)"
    "$python" -m venv --clear .venv
    .venv/bin/python -m pip --quiet --quiet --disable-pip-version-check install \
        --require-hashes --no-deps --only-binary :all: -r requirements/tools.txt ||
        die "the tools could not be installed: pip's message is above; run this again when the cause is gone."
    printf '%s\n' "$tools" >.venv/complete
}

install_collections() {
    say "taking the collections out of the ansible wheel"
    .venv/bin/python -m pip --quiet --quiet --disable-pip-version-check download --dest .cache/wheels \
        --require-hashes --no-deps --only-binary :all: -r requirements/collections.txt ||
        die "the collections could not be downloaded: pip's message is above; run this again when the cause is gone."
    .venv/bin/python requirements/unpack_collections.py .cache/wheels/ansible-*.whl .ansible/collections
    rm -f .cache/wheels/ansible-*.whl
    printf '%s\n' "$collections" >.ansible/collections/complete
}

missing=''
command -v ssh >/dev/null && command -v ssh-keygen >/dev/null || missing="$missing openssh-client"
command -v git >/dev/null || missing="$missing git"
command -v curl >/dev/null || missing="$missing curl ca-certificates"
# shellcheck disable=SC2086  # a list of package names
[ -z "$missing" ] || apt_install $missing

# Two set-ups at once (two terminals, one checkout) would clear each other's half-made folders.
mkdir -p .cache
exec 9>.cache/install.lock
flock 9

tools=$(digest requirements/tools.txt)
if [ "$(cat .venv/complete 2>/dev/null)" != "$tools" ] || ! .venv/bin/python -c '' 2>/dev/null; then
    install_tools
fi
collections=$(digest requirements/collections.txt requirements/unpack_collections.py)
if [ "$(cat .ansible/collections/complete 2>/dev/null)" != "$collections" ] ||
    [ ! -d .ansible/collections/ansible_collections/amazon/aws ]; then
    install_collections
fi
