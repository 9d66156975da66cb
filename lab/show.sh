#!/bin/sh
# Show what the lab serves: one search through the edge, asked at each host's public address.
set -eu
cd "$(dirname "$0")/.."
PATH=$PWD/.venv/bin:$PATH

query='date night'
inventory=$(ansible-inventory --list 2>/dev/null) ||
    { echo 'lab: the inventory cannot be read; is the lab up? (make lab-up)' >&2; exit 1; }
# Ansible wraps what comes from outside, as an address from AWS does.
addresses=$(printf %s "$inventory" | python -c '
import json, sys
inventory = json.load(sys.stdin)
for name in inventory.get("davit", {}).get("hosts", []):
    address = inventory["_meta"]["hostvars"][name]["ansible_host"]
    print(address["__ansible_unsafe"] if isinstance(address, dict) else address)')
[ -n "$addresses" ] || { echo 'lab: there is no host yet; run ansible-playbook playbooks/site.yml' >&2; exit 1; }

for address in $addresses; do
    printf '\n$ curl -G http://%s/search --data-urlencode "q=%s"\n' "$address" "$query"
    curl --silent --show-error --fail --max-time 10 --noproxy '*' --include \
        --get "http://$address/search" --data-urlencode "q=$query"
    printf '\n\nServed at http://%s/search until "make lab-down".\n' "$address"
    printf 'Status page: http://%s/davit/user/status.html (user davit, password davit-lab).\n' "$address"
done
for report in .lab/report/*.html; do
    [ ! -e "$report" ] || printf 'Report of the deploy: file://%s\n' "$PWD/$report"
done
