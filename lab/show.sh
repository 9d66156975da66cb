#!/bin/sh
# Show what the lab serves: one search through the edge, asked at each host's public address.
set -eu
cd "$(dirname "$0")/.."

query='noodle soup late at night'
addresses=$(ansible-inventory --list | python -c '
import json, sys
inventory = json.load(sys.stdin)
hosts = inventory["_meta"]["hostvars"]
print("\n".join(hosts[name]["ansible_host"] for name in inventory["davit"]["hosts"]))')

for address in $addresses; do
    printf '\n$ curl -G http://%s/search --data-urlencode "q=%s"\n' "$address" "$query"
    curl --silent --show-error --fail --max-time 10 --noproxy '*' --include \
        --get "http://$address/search" --data-urlencode "q=$query"
    printf '\n\nServed at http://%s/search until "make lab-down".\n' "$address"
done
