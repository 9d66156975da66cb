#!/bin/sh
# Install the named Debian or Ubuntu packages as root or with sudo, or say in one sentence what is missing.
set -eu

say() { printf '%s\n' "davit: $*" >&2; }
die() { say "$*"; exit 1; }

command -v apt-get >/dev/null || die "please install $*, then run this again."
if [ "$(id -u)" -eq 0 ]; then
    as_root() { "$@"; }
elif command -v sudo >/dev/null; then
    as_root() { sudo "$@"; }
else
    die "neither root nor sudo: please have $* installed, then run this again."
fi

say "installing $* with apt-get"
as_root apt-get -qq -o DPkg::Lock::Timeout=300 update >&2
as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
    install --yes --no-install-recommends "$@" >&2 ||
    die "apt-get could not install $*: its message is above."
