"""What the base system of a host does, asked of the programs that read its configuration."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Machine


def sshd(machine: Machine) -> set[str]:
    """The settings that sshd works with, all its files together."""
    return set(machine.output("/usr/sbin/sshd -T").splitlines())


def test_passwords_and_root_are_shut_out(default: Machine) -> None:
    assert {"passwordauthentication no", "permitrootlogin no", "kbdinteractiveauthentication no"} <= sshd(default)
    assert default.host.service("ssh").is_running


def test_a_login_by_password_is_not_even_offered(default: Machine) -> None:
    """Asked of the running daemon, which has to have read its files again."""
    options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o PubkeyAuthentication=no -o BatchMode=yes"
    refused = default.host.run(f"ssh {options} ubuntu@127.0.0.1 true")
    assert refused.rc == 255
    assert "Permission denied (publickey)" in refused.stderr


def test_sshd_can_be_left_as_it_was(alternative: Machine) -> None:
    assert not alternative.host.file("/etc/ssh/sshd_config.d/10-davit.conf").exists
    assert "passwordauthentication yes" in sshd(alternative)


def test_security_upgrades_and_no_others_are_installed_every_day(either: Machine) -> None:
    settings = either.output("apt-config dump")
    origins = re.findall(r'^Unattended-Upgrade::Origins-Pattern:: "(.*)";$', settings, re.MULTILINE)
    assert origins == ["origin=Debian,codename=${distro_codename}-security,label=Debian-Security"]
    assert 'APT::Periodic::Unattended-Upgrade "1";' in settings
    # The program itself accepts them.
    either.output("unattended-upgrade --dry-run")
    assert either.host.service("apt-daily-upgrade.timer").is_enabled


def test_a_reboot_comes_only_when_asked_for(default: Machine, alternative: Machine) -> None:
    """And never by unattended-upgrades itself, which does not ask whether a deploy is under way."""
    for machine in (default, alternative):
        assert 'Unattended-Upgrade::Automatic-Reboot "false";' in machine.output("apt-config dump")
    assert default.host.run("systemctl cat davit-reboot.timer").rc != 0
    assert alternative.output("systemctl is-active davit-reboot.timer") == "active"
    assert "OnCalendar=*-*-* 04:15:00" in alternative.output("systemctl cat davit-reboot.timer")


def test_the_running_journal_is_bounded(default: Machine, alternative: Machine) -> None:
    for machine, size, age in ((default, "500M", "30day"), (alternative, "200M", "7day")):
        merged = machine.output("systemd-analyze cat-config systemd/journald.conf")
        assert f"SystemMaxUse={size}\nMaxRetentionSec={age}" in merged
        written = machine.output("stat --format %Y /etc/systemd/journald.conf.d/60-davit.conf")
        started = machine.output(
            'date --date "$(systemctl show systemd-journald --value --property ActiveEnterTimestamp)" +%s'
        )
        assert int(started) >= int(written)


def test_the_kernel_has_what_was_asked_for(default: Machine, alternative: Machine) -> None:
    assert default.output("sysctl --values net.core.somaxconn") == "4096"
    assert default.output("sysctl --values net.ipv4.conf.all.accept_redirects") == "0"
    assert alternative.output("sysctl --values net.core.somaxconn") == "1024"


def test_what_is_the_machine_s_is_left_alone_in_a_container(either: Machine) -> None:
    assert "vm.swappiness" not in either.host.file("/etc/sysctl.d/60-davit.conf").content_string
    assert not either.host.file("/swapfile").exists
    assert "ip_forward" not in either.output("cat /etc/sysctl.d/60-davit.conf")


def test_davit_s_directories_are_for_root_alone(either: Machine) -> None:
    assert either.output("stat --format '%a %U' /opt/davit /opt/davit/apps").splitlines() == ["700 root"] * 2
    assert either.host.run("runuser --user nobody -- ls /opt/davit").rc != 0


def test_the_host_s_key_can_be_pinned(default: Machine, project: Path, tmp_path: Path) -> None:
    """What `make known-hosts` runs, in a copy; git takes the file that comes out."""
    (tmp_path / "requirements").mkdir()
    (tmp_path / "inventories/ssh").mkdir(parents=True)
    script = shutil.copy(project / "requirements/known_hosts.sh", tmp_path / "requirements")
    address = default.output("hostname --all-ip-addresses").split()[0]
    for _twice in range(2):
        said = subprocess.run([script, address], check=True, capture_output=True, text=True).stdout
    key = default.output("cat /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    pinned = (tmp_path / "inventories/ssh/known_hosts").read_text().splitlines()
    assert [line for line in pinned if line.split()[2] == key] == [f"{address} ssh-ed25519 {key}"]
    assert default.output("ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub").split()[1] in said
    for committed in ("inventories/ssh/known_hosts", "inventories/production/known_hosts.txt"):
        ignored = subprocess.run(["git", "check-ignore", committed], cwd=project, check=False)
        assert ignored.returncode == 1, committed
