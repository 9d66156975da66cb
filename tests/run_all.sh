#!/bin/sh
# Run the named make targets in order, stop at the first red one, and print what each took.
# A lab that was not there before is taken away at the end, whatever the end is.
set -u
cd "$(dirname "$0")/.." || exit

lab_runs() { [ -n "$(docker ps --quiet --filter label=davit.lab=true 2>/dev/null)" ]; }

lab_was_up=no
lab_runs && lab_was_up=yes
lab_log=$(mktemp) || exit
lab_pid=''
report=''
now() { date +%s; }

finish() {
    status=$?
    trap - EXIT
    # Its whole group, or the playbook under make would go on.
    [ -z "$lab_pid" ] || { kill -s TERM -- "-$lab_pid"; wait "$lab_pid"; } 2>/dev/null
    if [ "$lab_was_up" = no ] && lab_runs; then
        make lab-down || { status=1; report="$report  lab-down  failed\n"; }
    fi
    rm -f "$lab_log"
    printf '\n%b' "$report"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# On a new machine the lab takes minutes of one core, which lint and sanity leave idle.
begin_lab() {
    printf '\n== make lab-up, beside what needs no lab\n'
    setsid make lab-up >"$lab_log" 2>&1 &
    lab_pid=$!
}

await_lab() {
    [ -n "$lab_pid" ] || return 0
    wait "$lab_pid"
    up=$?
    lab_pid=''
    printf '\n== make lab-up\n'
    cat "$lab_log"
    return "$up"
}

case " $* " in *' molecule '* | *' e2e '*) begin_lab ;; esac
for target in "$@"; do
    # What measures time is left alone with the machine.
    case $target in
        lint | sanity) ;;
        *) await_lab || { report="$report  lab-up  FAILED\n"; exit 1; } ;;
    esac
    printf '\n== make %s\n' "$target"
    begin=$(now)
    if ! make "$target"; then
        report="$report  $target  FAILED after $(($(now) - begin)) s\n"
        exit 1
    fi
    report="$report  $target  passed in $(($(now) - begin)) s\n"
done
