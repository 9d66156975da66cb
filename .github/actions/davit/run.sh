#!/bin/sh
# Run one playbook with what the workflow says, all of it given by environment variables (see action.yml): on the one host
# EC2_HOST, or with DAVIT_INVENTORY on the hosts that AWS knows, whose port 22 "open" and "close" are for.
# Secrets go into files for this user alone, which are gone at the end; nothing of them is an argument or is printed.
set -eu
davit=$(cd "$(dirname "$0")/../../.." && pwd)
workspace=${GITHUB_WORKSPACE:-$davit}

fail() {
    printf '::error title=Davit::%s\n' "$1"
    exit 2
}

playbook=${DAVIT_PLAYBOOK:-deploy}
access=''
case $playbook in
    deploy | rollback | drill | status | doctor | configure) ;;
    open) playbook=runner_access access=present ;;
    close) playbook=runner_access access=absent ;;
    *) fail "There is no playbook '$playbook' to run here: deploy, rollback, drill, status, doctor, configure, open or close." ;;
esac

# What was tested or approved late must not replace what is newer.
if [ "${DAVIT_ONLY_NEWEST:-}" = true ]; then
    newest=$(printf 'Authorization: Bearer %s\n' "${DAVIT_GITHUB_TOKEN:-}" |
        curl --silent --show-error --fail --retry 3 --max-time 60 --header @- --header 'Accept: application/vnd.github.sha' \
            "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/commits/${GITHUB_REF#refs/}") ||
        fail "GitHub did not say which commit of ${GITHUB_REF#refs/heads/} is the newest, and nothing was touched: curl's message is in the log. Run the job again."
    [ "$newest" = "$GITHUB_SHA" ] || {
        printf '::notice title=Davit::%s has gone on to %s, so %s of %s is left out. To have it nevertheless, run the workflow Deploy with this version.\n' \
            "${GITHUB_REF#refs/heads/}" "$newest" "$playbook" "$GITHUB_SHA"
        exit 0
    }
fi

if [ -n "${DAVIT_INVENTORY:-}" ]; then
    inventory=$workspace/$DAVIT_INVENTORY
    pinned=${DAVIT_KNOWN_HOSTS:-$DAVIT_INVENTORY/known_hosts.txt}
    pin="Run 'ansible-playbook -i $DAVIT_INVENTORY playbooks/provision.yml' where it may be trusted, compare what it has written to known_hosts.txt with the instances' system log, and commit $pinned."
    [ -e "$inventory" ] || fail "There is no inventory $DAVIT_INVENTORY in the repository: name its folder in 'inventory'."
else
    [ -z "$access" ] || fail "Only with an inventory of AWS can port 22 be opened or closed: name its folder in 'inventory'."
    inventory=$davit/inventories/ssh
    pinned=${DAVIT_KNOWN_HOSTS:-inventories/ssh/known_hosts}
    pin="Run 'ssh-keyscan ${EC2_HOST:-} >>$pinned', compare 'ssh-keygen -l -f $pinned' with the instance's system log, and commit it."
    [ -n "${EC2_HOST:-}" ] || fail 'EC2_HOST is empty: set the secret EC2_HOST to the public address of the host.'
    case $EC2_HOST in
        *://*) fail 'EC2_HOST has to be the address alone, without http:// in front.' ;;
        *[!A-Za-z0-9.:-]*) fail 'EC2_HOST holds characters that no address has; mind blanks and line breaks.' ;;
    esac
fi

umask 077
# What a killed run leaves there is emptied by the runner. Sockets are elsewhere: their path may have 108 bytes.
private=$(mktemp -d "${RUNNER_TEMP:-${TMPDIR:-/tmp}}/davit.XXXXXXXX")
sockets=$(mktemp -d)
trap 'rm -rf "$private" "$sockets"' EXIT

# The variables of the reference service are for a repository that has it: another's app is not asked for its answers.
if [ -z "${DAVIT_INVENTORY:-}" ] && [ ! -e "$workspace/inventories/ssh/group_vars/davit/app.yml" ]; then
    cp -R "$inventory" "$private/inventory"
    inventory=$private/inventory
    rm -f "$inventory/group_vars/davit/app.yml"
fi

# GitHub cancels with INT and, 7.5 s later, TERM to this shell alone, and begins the next step when it has ended. So a command
# has a process group of its own here, which is stopped before that: what lived on could open the port after it was closed.
running=''
in_a_group() {
    running=yes
    setsid "$@" &
    code=0
    wait "$!" || code=$?
    running=''
    return "$code"
}

# Without its group when it has just begun and has none yet.
tell() { kill -s "$1" -- "-$!" || kill -s "$1" -- "$!"; } 2>/dev/null

ended_within() {
    tenths=$(($1 * 10))
    while tell 0; do
        [ "$tenths" -gt 0 ] || return 1
        tenths=$((tenths - 1))
        sleep 0.1
    done
}

# INT lets Ansible tidy up; before a play begins it may be deaf to it. GitHub kills after 10 s.
stop() {
    trap '' INT TERM
    if [ -n "$running" ] && [ -n "$!" ]; then
        tell INT || :
        ended_within 4 || { tell TERM || :; ended_within 3; } || tell KILL || :
    fi
    exit "$1"
}
trap 'stop 130' INT
trap 'stop 143' TERM

# To close, nothing is needed that may be wrong.
if [ "$access" != absent ]; then
    [ -n "${DAVIT_SSH_KEY:-}" ] || fail 'EC2_SSH_KEY is empty: set the secret EC2_SSH_KEY to the contents of the .pem file.'
    # A key that was pasted has often lost its last line break, or brought blanks and CRLF along.
    printf '%s\n' "$DAVIT_SSH_KEY" | tr -d '\r' | sed -e 's/^[[:space:]]*//' -e 's/[[:space:]]*$//' -e '/^$/d' >"$private/key"
    ssh-keygen -y -P '' -f "$private/key" >/dev/null 2>&1 ||
        fail 'EC2_SSH_KEY is no private key without a passphrase: paste the whole .pem file, with its first and last line.'
    export EC2_SSH_KEY="$private/key"

    known=$workspace/$pinned
    [ -s "$known" ] || fail "No host key is pinned: $pinned is missing or empty. $pin"
    [ -n "${DAVIT_INVENTORY:-}" ] || ssh-keygen -F "$EC2_HOST" -f "$known" >/dev/null ||
        fail "$pinned has no key of $EC2_HOST. $pin"
    export EC2_KNOWN_HOSTS="$known"
fi

# Milliseconds when all is there; what a cancelled run has left half done is repaired.
in_a_group make --directory "$davit" setup
PATH=$davit/.venv/bin:$PATH

# As JSON by a program that knows how to quote.
DAVIT_ACCESS=$access python - "$private" <<'PYTHON'
import json
import os
import sys
from pathlib import Path


def fail(message):
    sys.exit(f"::error title=Davit::{message}")


def text(value):
    """The value with every string marked as text: what somebody typed into a form is no template."""
    if isinstance(value, str):
        return {"__ansible_unsafe": value}
    if isinstance(value, list):
        return [text(one) for one in value]
    if isinstance(value, dict):
        if any(name.startswith("__ansible_") for name in value):
            fail("'extra' has a name that begins with __ansible_, which is Ansible's own.")
        return {name: text(one) for name, one in value.items()}
    return value


def write(name, variables):
    (Path(sys.argv[1]) / name).write_text(json.dumps(text(variables)))


login = {}
if os.environ.get("DAVIT_REGISTRY_TOKEN"):
    # Where an inventory names another registry, that one must not get GitHub's token.
    login["registry_login_registry"] = "ghcr.io"
    login["registry_login_username"] = os.environ.get("DAVIT_REGISTRY_USERNAME") or "davit"
    login["registry_login_password"] = os.environ["DAVIT_REGISTRY_TOKEN"].strip()
told = {}
if os.environ.get("DAVIT_VERSION"):
    told["compose_release_version"] = os.environ["DAVIT_VERSION"]
try:
    told.update(json.loads(os.environ.get("DAVIT_EXTRA") or "{}"))
except (TypeError, ValueError) as error:
    fail(f"'extra' is no JSON object: {error}")
if os.environ["DAVIT_ACCESS"]:
    # The same for all attempts of a run: what an earlier one has left is closed by the next.
    run = f"{os.environ.get('GITHUB_REPOSITORY', 'local')}/{os.environ.get('GITHUB_RUN_ID', '0')}"
    told.update(runner_access_state=os.environ["DAVIT_ACCESS"], runner_access_run=run)
write("login.json", login)
write("variables.json", told)
PYTHON
# The later file wins: a caller's own registry login over the token given here, and what this run is told over all.
set -- -i "$inventory" "$davit/playbooks/$playbook.yml" -e "@$private/login.json"
[ -z "${DAVIT_VARIABLES:-}" ] || set -- "$@" -e "@$workspace/$DAVIT_VARIABLES"
set -- "$@" -e "@$private/variables.json"

report=${RUNNER_TEMP:-$private}/davit-report
[ -z "${GITHUB_OUTPUT:-}" ] || printf 'report=%s\n' "$report" >>"$GITHUB_OUTPUT"
unset DAVIT_SSH_KEY DAVIT_REGISTRY_TOKEN DAVIT_GITHUB_TOKEN
cd "$davit"
export ANSIBLE_CONFIG="$davit/ansible.cfg" ANSIBLE_HOME="$davit/.ansible" LC_ALL=C.UTF-8
export ANSIBLE_COLLECTIONS_PATH="$davit/.ansible/collections" DAVIT_REPORT_DIR="$report" ANSIBLE_FORCE_COLOR=1
# A connection of its own: one that is still open from another run would not ask for the host's key.
export ANSIBLE_SSH_CONTROL_PATH_DIR="$sockets/cp"
# What a play says of a failure has lines of containers' logs in it, and a command of GitHub's may be anywhere in a line. None
# is obeyed until a word is said that they cannot know; the report says it for its annotation.
DAVIT_RESUME_COMMANDS=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
export DAVIT_RESUME_COMMANDS
status=0
printf '::stop-commands::%s\n' "$DAVIT_RESUME_COMMANDS"
in_a_group ansible-playbook "$@" || status=$?
printf '::%s::\n' "$DAVIT_RESUME_COMMANDS"
[ "$status" = 0 ] || {
    case $access in
        present) printf '::error title=Davit::Port 22 could not be opened for this runner; the log says why.\n' ;;
        absent) printf '::error title=Davit::Port 22 may still be open for this runner; the log says how to close it.\n' ;;
    esac
    exit "$status"
}
