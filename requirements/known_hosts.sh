#!/bin/sh
# Pin the SSH host keys of EC2_HOST for the workflows: what is written is to be compared with the instance's console.
set -eu
cd "$(dirname "$0")/.."
host=${1:-}
file=inventories/ssh/known_hosts
[ -n "$host" ] || { echo 'davit: say which host: make known-hosts EC2_HOST=<address>' >&2; exit 2; }
found=$(mktemp)
trap 'rm -f "$found"' EXIT
ssh-keyscan -T 10 -- "$host" >"$found" 2>/dev/null || :
[ -s "$found" ] || { echo "davit: nothing answers SSH at $host; is port 22 open for this machine?" >&2; exit 1; }
touch "$file"
ssh-keygen -q -R "$host" -f "$file" >/dev/null 2>&1 || :
rm -f "$file.old"
grep -v '^#' "$found" >>"$file"
echo "Pinned in $file. Compare with the fingerprints in the instance's system log (EC2, Monitor and troubleshoot), then commit:"
ssh-keygen -l -f "$found"
