#!/bin/sh
# Install the named Debian or Ubuntu packages as root or with sudo, or say in one sentence what is missing.
set -eu
cd "$(dirname "$0")/.."

# Two set-ups at once would meet at a lock of apt's that it does not wait for. What apt starts must not keep ours.
mkdir -p .cache
exec 7>.cache/apt.lock
flock 7

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
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1 7>&-; }
{ apt update && apt install --yes --no-install-recommends "$@"; } || {
    cat "$log" >&2
    die "apt-get could not install $*: its message is above."
}
