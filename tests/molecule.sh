#!/bin/sh
# Run the named Molecule scenarios, or all of them; whatever the end is, their hosts are taken away.
set -eu
cd "$(dirname "$0")/.."
# Colours and the width of a window belong to terminals.
[ -t 1 ] || export NO_COLOR=1 ANSIBLE_FORCE_COLOR=0 COLUMNS=140

if [ $# -eq 0 ]; then
    set -- molecule/*/molecule.yml
    [ -e "$1" ] || { echo 'molecule: there is no scenario in molecule/' >&2; exit 1; }
fi
for scenario in "$@"; do
    scenario=${scenario%/molecule.yml}
    molecule test --destroy always --scenario-name "${scenario##*/}"
done
