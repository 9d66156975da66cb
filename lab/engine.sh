#!/bin/sh
# Make sure that a Docker engine answers and can build images: install it, start it, or say in one sentence what is missing.
set -eu
PATH=$PATH:/usr/sbin:/sbin
log=/var/log/dockerd.log
started=

say() { printf '%s\n' "davit: $*" >&2; }
die() { say "$*"; exit 1; }

if [ "$(id -u)" -eq 0 ]; then
    as_root() { "$@"; }
elif command -v sudo >/dev/null; then
    as_root() {
        # Without a terminal nobody can type a password.
        [ -t 0 ] || sudo -n true 2>/dev/null ||
            die "sudo wants a password and there is no terminal to type it on: please run lab/engine.sh in a terminal, or as root."
        sudo "$@"
    }
else
    as_root() { die "neither root nor sudo: please have Docker installed, started and opened to $(id -un), then run this again."; }
fi

answers() { docker info >/dev/null 2>&1; }

# A client builds with BuildKit when it has buildx, or is older than buildx. More than one client may be installed.
builds() {
    for client in "$(command -v docker 2>/dev/null)" /usr/bin/docker; do
        [ -x "$client" ] || continue
        "$client" buildx version >/dev/null 2>&1 && return 0
        case $("$client" --version) in *' version 19.'* | *' version 20.'*) return 0 ;; esac
    done
    return 1
}

# Distributions cut Docker into packages differently: take those of the named ones that this one has.
install() {
    command -v apt-get >/dev/null || die "Docker is missing and this is no Debian or Ubuntu: please install $*, then run this again."
    as_root true
    as_root apt-get -qq -o DPkg::Lock::Timeout=300 update >&2 || say "apt-get update failed; going on with the lists at hand"
    wanted=
    for package in "$@"; do
        if apt-cache policy "$package" | grep -q 'Candidate: [0-9]'; then wanted="$wanted $package"; fi
    done
    [ -n "$wanted" ] || die "apt knows none of $*: please install Docker, then run this again."
    say "installing$wanted"
    # shellcheck disable=SC2086  # a list of words
    output=$(as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
        install --yes --no-install-recommends $wanted 2>&1) ||
        { printf '%s\n' "$output" >&2; die "apt-get could not install$wanted: its message is above."; }
}

# Whether the process that a pid file names is the program it should be, and more than a zombie: where PID 1 reaps
# none, a killed containerd stays one, and dockerd takes it for alive.
lives() {
    [ -r "$1" ] && [ "$(cat "/proc/$(cat "$1")/comm" 2>/dev/null)" = "$2" ] &&
        ! grep -q '^State:.*zombie' "/proc/$(cat "$1")/status"
}

# Where PID 1 is not systemd nobody starts the engine, and nobody cleans up after one that was killed.
start_by_hand() {
    if ! lives /var/run/docker.pid dockerd; then
        as_root rm -f /var/run/docker.pid /var/run/docker.sock
        if ! lives /var/run/docker/containerd/containerd.pid containerd; then
            as_root rm -f /var/run/docker/containerd/containerd.pid /var/run/docker/containerd/containerd.sock
        fi
        if ! pgrep -x -r D,R,S containerd >/dev/null; then as_root rm -f /run/containerd/containerd.sock; fi
        say "starting dockerd; its log is $log"
        # Nothing of ours stays open in it, or whoever reads our output would wait for it to end.
        (as_root setsid sh -c "exec dockerd >$log 2>&1") </dev/null >/dev/null 2>&1 &
        started=$!
    fi
}

allow_me() {
    [ "$(id -u)" -eq 0 ] || [ ! -S /var/run/docker.sock ] || [ -w /var/run/docker.sock ] && return 0
    say "letting $(id -un) use Docker: as a member of the group docker from the next login on, and by the socket until then"
    as_root usermod -aG docker "$(id -un)"
    as_root chown "$(id -un)" /var/run/docker.sock
}

if ! command -v dockerd >/dev/null && ! answers; then install docker.io docker-cli docker-buildx iptables; fi

if ! answers; then
    allow_me
    if ! answers; then
        if [ "$(cat /proc/1/comm)" = systemd ]; then
            say "starting docker.service"
            as_root systemctl start docker.service ||
                { as_root journalctl -u docker.service -n 20 --no-pager >&2; die "docker.service did not start: the end of its journal is above."; }
        else
            start_by_hand
        fi
        deadline=$(($(date +%s) + 60))
        until { allow_me && answers; }; do
            if [ -n "$started" ] && ! kill -0 "$started" 2>/dev/null; then
                as_root tail -n 20 "$log" >&2
                die "dockerd ended at once: the end of its log is above."
            elif [ "$(date +%s)" -gt "$deadline" ]; then
                as_root tail -n 20 "$log" >&2 || true
                die "the Docker engine did not answer within 60 s: the end of its log is above."
            fi
            sleep 0.2
        done
    fi
fi

builds || install docker-buildx
builds || die "no Docker client here can build with BuildKit: please install Docker's buildx plugin, then run this again."
