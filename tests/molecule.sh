#!/bin/sh
# Run the named Molecule scenarios, or all of them, three at a time; whatever the end is, their hosts are taken away.
set -eu
cd "$(dirname "$0")/.."
# Colours and the width of a window belong to terminals.
[ -t 1 ] && [ $# -eq 1 ] || export NO_COLOR=1 ANSIBLE_FORCE_COLOR=0 COLUMNS=140

# One alone is watched while it runs.
[ $# -ne 1 ] || exec molecule test --destroy always --scenario-name "$1"

if [ $# -eq 0 ]; then
    # Those that do most come first, so that none of them runs alone at the end.
    set -- docker_engine upgrade ec2_instance
    for file in molecule/*/molecule.yml; do
        name=$(basename "$(dirname "$file")")
        case " $* " in *" $name "*) ;; *) set -- "$@" "$name" ;; esac
    done
fi

# Of three at once nobody could read either, so each tells what it did when it is done.
MOLECULE_LOGS=$(mktemp -d)
export MOLECULE_LOGS
trap 'rm -rf "$MOLECULE_LOGS"' EXIT
trap 'exit 130' INT TERM HUP
# shellcheck disable=SC2016  # expanded by the shell that xargs starts
printf '%s\n' "$@" | xargs -n 1 -P 3 sh -c '
    begin=$(date +%s)
    status=0
    molecule test --destroy always --scenario-name "$1" >"$MOLECULE_LOGS/$1" 2>&1 || status=$?
    word=passed
    [ "$status" -eq 0 ] || word=FAILED
    printf "== %s %s in %s s\n" "$1" "$word" "$(($(date +%s) - begin))" >>"$MOLECULE_LOGS/$1"
    flock "$MOLECULE_LOGS" cat "$MOLECULE_LOGS/$1"
    exit "$status"' sh || failed=yes
grep --no-filename '^== ' "$MOLECULE_LOGS"/*
[ -z "${failed:-}" ]
