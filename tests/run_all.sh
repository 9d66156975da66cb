#!/bin/sh
# Run the named make targets in order, stop at the first red one, and print what each took.
# A lab that was not there before is taken away at the end, whatever the end is.
set -u
cd "$(dirname "$0")/.." || exit

lab_runs() { [ -n "$(docker ps --quiet --filter label=davit.lab=true 2>/dev/null)" ]; }

lab_was_up=no
lab_runs && lab_was_up=yes
report=''
now() { date +%s; }

finish() {
    status=$?
    trap - EXIT
    if [ "$lab_was_up" = no ] && lab_runs; then
        make lab-down || { status=1; report="$report  lab-down  failed\n"; }
    fi
    printf '\n%b' "$report"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

for target in "$@"; do
    printf '\n== make %s\n' "$target"
    begin=$(now)
    if ! make "$target"; then
        report="$report  $target  FAILED after $(($(now) - begin)) s\n"
        exit 1
    fi
    report="$report  $target  passed in $(($(now) - begin)) s\n"
done
