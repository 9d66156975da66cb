#!/bin/sh
# Run one playbook over SSH with what the workflow says, all of it given by environment variables (see action.yml).
# Secrets go into files for this user alone, which are gone at the end; nothing of them is an argument or is printed.
set -eu
davit=$(cd "$(dirname "$0")/../../.." && pwd)
workspace=${GITHUB_WORKSPACE:-$davit}

fail() {
    printf '::error title=Davit::%s\n' "$1"
    exit 2
}

case ${DAVIT_PLAYBOOK:-deploy} in
    deploy | rollback | drill | status | configure) playbook=${DAVIT_PLAYBOOK:-deploy} ;;
    *) fail "There is no playbook '$DAVIT_PLAYBOOK' to run here: deploy, rollback, drill, status or configure." ;;
esac
[ -n "${EC2_HOST:-}" ] || fail 'EC2_HOST is empty: set the secret EC2_HOST to the public address of the host.'
case $EC2_HOST in
    *://*) fail 'EC2_HOST has to be the address alone, without http:// in front.' ;;
    *[!A-Za-z0-9.:-]*) fail 'EC2_HOST holds characters that no address has; mind blanks and line breaks.' ;;
esac
[ -n "${DAVIT_SSH_KEY:-}" ] || fail 'EC2_SSH_KEY is empty: set the secret EC2_SSH_KEY to the contents of the .pem file.'

umask 077
# Not below RUNNER_TEMP: the path of a socket may have 108 bytes.
private=$(mktemp -d)
trap 'rm -rf "$private"' EXIT
trap 'exit 143' INT TERM

# A key that was pasted has often lost its last line break, or brought blanks and CRLF along.
printf '%s\n' "$DAVIT_SSH_KEY" | tr -d '\r' | sed -e 's/^[[:space:]]*//' -e 's/[[:space:]]*$//' -e '/^$/d' >"$private/key"
ssh-keygen -y -P '' -f "$private/key" >/dev/null 2>&1 ||
    fail 'EC2_SSH_KEY is no private key without a passphrase: paste the whole .pem file, with its first and last line.'
export EC2_SSH_KEY="$private/key"

known=$workspace/${DAVIT_KNOWN_HOSTS:-inventories/ssh/known_hosts}
[ -s "$known" ] ||
    fail "The key of $EC2_HOST is not pinned: run 'make known-hosts EC2_HOST=$EC2_HOST', compare it with the instance's console, and commit ${DAVIT_KNOWN_HOSTS:-inventories/ssh/known_hosts}."
ssh-keygen -F "$EC2_HOST" -f "$known" >/dev/null ||
    fail "${DAVIT_KNOWN_HOSTS:-inventories/ssh/known_hosts} has no key of $EC2_HOST: run 'make known-hosts EC2_HOST=$EC2_HOST' again."
export EC2_KNOWN_HOSTS="$known"

[ -x "$davit/.venv/bin/ansible-playbook" ] || make --directory "$davit" setup
PATH=$davit/.venv/bin:$PATH

# As JSON by a program that knows how to quote.
python - "$private/variables.json" <<'PYTHON'
import json
import os
import sys

told = {}
if os.environ.get("DAVIT_VERSION"):
    told["compose_release_version"] = os.environ["DAVIT_VERSION"]
if os.environ.get("DAVIT_REGISTRY_TOKEN"):
    told["registry_login_username"] = os.environ.get("DAVIT_REGISTRY_USERNAME") or "davit"
    told["registry_login_password"] = os.environ["DAVIT_REGISTRY_TOKEN"].strip()
try:
    extra = json.loads(os.environ.get("DAVIT_EXTRA") or "{}")
except ValueError as error:
    sys.exit(f"::error title=Davit::'extra' is no JSON object: {error}")
with open(sys.argv[1], "w") as stream:
    json.dump({**told, **extra}, stream)
PYTHON
set -- -i "$davit/inventories/ssh" "$davit/playbooks/$playbook.yml"
[ -z "${DAVIT_VARIABLES:-}" ] || set -- "$@" -e "@$workspace/$DAVIT_VARIABLES"
set -- "$@" -e "@$private/variables.json"

report=${RUNNER_TEMP:-$private}/davit-report
[ -z "${GITHUB_OUTPUT:-}" ] || printf 'report=%s\n' "$report" >>"$GITHUB_OUTPUT"
unset DAVIT_SSH_KEY DAVIT_REGISTRY_TOKEN
cd "$davit"
export ANSIBLE_CONFIG="$davit/ansible.cfg" ANSIBLE_HOME="$davit/.ansible" LC_ALL=C.UTF-8
export ANSIBLE_COLLECTIONS_PATH="$davit/.ansible/collections" DAVIT_REPORT_DIR="$report" ANSIBLE_FORCE_COLOR=1
# A connection of its own: one that is still open from another run would not ask for the host's key.
export ANSIBLE_SSH_CONTROL_PATH_DIR="$private/cp"
ansible-playbook "$@"
