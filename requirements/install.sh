#!/bin/sh
# Install the pinned tools into .venv and the third-party collections into .ansible/collections.
# Runs in milliseconds when nothing changed; killed half-way, the next run repairs what it left.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "davit: $*" >&2; }
die() { say "$*"; exit 1; }

# apt is only asked when a command is missing, so a user who has them all needs no root here.
missing=''
{ command -v ssh && command -v ssh-keygen; } >/dev/null || missing="$missing openssh-client"
command -v git >/dev/null || missing="$missing git"
command -v curl >/dev/null || missing="$missing curl ca-certificates"
# shellcheck disable=SC2086  # a list of package names
[ -z "$missing" ] || requirements/apt.sh $missing

requirements/venv.sh .venv requirements/tools.txt

exec 9>.cache/collections.lock
flock 9
place=.ansible/collections
# A clone has the collection's self-link, an archive has not (.gitattributes).
self=$place/ansible_collections/davit/ec2
[ -L "$self" ] || { mkdir -p "${self%/*}" && ln -s ../../../.. "$self"; }
wanted=$(cat requirements/collections.txt requirements/unpack_collections.py | sha256sum | cut -d ' ' -f 1)
[ "$(cat "$place/complete" 2>/dev/null)" = "$wanted" ] && [ -d "$place/ansible_collections/amazon/aws" ] && exit

say "taking the collections out of the ansible wheel"
.venv/bin/python -m pip --quiet --quiet --disable-pip-version-check download --dest .cache/wheels \
    --require-hashes --no-deps --only-binary :all: -r requirements/collections.txt ||
    die "the collections could not be downloaded: pip's message is above; run this again when the cause is gone."
rm -f "$place/complete"
.venv/bin/python requirements/unpack_collections.py .cache/wheels/ansible-*.whl "$place"
rm -f .cache/wheels/ansible-*.whl
printf '%s\n' "$wanted" >"$place/complete"
