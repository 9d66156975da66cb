# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""What is a finding, and what is none."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import doctor
from ansible_collections.davit.ec2.plugins.module_utils.doctor import OPEN, REFUSED, SILENT, Finding, Room, Served

KEY = "-----BEGIN KEY-----\nabc\n-----END KEY-----\n"
A, B, RSA = ("ssh-ed25519", "AAA"), ("ssh-ed25519", "BBB"), ("ssh-rsa", "CCC")
NOT_WELL = "is not as it should be"


def judged(begin: float, end: float, *, names_it: bool = True) -> list[Finding]:
    """Of the name `a`, with times in days from now."""
    return doctor.judge_certificates({"a": Served(begin * 86400, end * 86400, names_it)}, 0.0, {})


@pytest.mark.parametrize(
    ("findings", "what"),
    [
        (doctor.judge_key(KEY, 0o600, True, "k"), []),
        (doctor.judge_key(None, 0, False, "k"), ["the SSH key's file is not there"]),
        (
            doctor.judge_key(KEY.replace("\n", "\r\n"), 0o600, False, "k"),
            ["the SSH key was changed when it was copied"],
        ),
        (
            doctor.judge_key(KEY.replace("abc", "abc "), 0o600, False, "k"),
            ["the SSH key was changed when it was copied"],
        ),
        (doctor.judge_key(KEY.strip(), 0o600, False, "k"), ["the SSH key was changed when it was copied"]),
        (doctor.judge_key(KEY.strip(), 0o600, True, "k"), []),
        (doctor.judge_key(KEY, 0o600, False, "k"), ["the SSH key cannot be used"]),
        (doctor.judge_key(KEY, 0o644, True, "k"), ["others may read the SSH key"]),
        (doctor.judge_ssh(OPEN, "h", 22), []),
        (doctor.judge_ssh(REFUSED, "h", 22), ["SSH is refused"]),
        (doctor.judge_ssh(SILENT, "h", 22), ["SSH does not answer"]),
        (doctor.judge_host_key("h", {A}, {"f": {A}}, {"old": {A}}), []),
        (doctor.judge_host_key("h", {A}, {"f": {A, B}}, {}), []),
        (doctor.judge_host_key("h", {A}, {"f": {RSA}}, {"old": {A}}), []),
        (doctor.judge_host_key("h", {A}, {}, {}), []),
        (doctor.judge_host_key("h", {A}, {"f": {B}}, {}), ["the host's SSH key is another one"]),
        (doctor.judge_host_key("h", {A}, {"f": {B}, "g": {A}}, {}), []),
        (doctor.judge_host_key("h", {A}, {}, {"old": {A}}), ["the host's address has changed"]),
        (doctor.judge_host_key("h", {A}, {}, {"old": {B}}), []),
        (doctor.judge_host_key("h", set(), {}, {"old": {A}}), []),
        (doctor.judge_host_key("[h]:2222", {A}, {}, {"h": {A}}), []),
        (doctor.judge_names(["1.2.3.4"], {"a": ["1.2.3.4", "::1"]}), []),
        (doctor.judge_names(["1.2.3.4", "2001:db8::1"], {"a": ["2001:db8::1"]}), []),
        (doctor.judge_names(["1.2.3.4"], {"a": []}), ["DNS does not point here"]),
        (doctor.judge_names(["1.2.3.4"], {"a": ["9.9.9.9"]}), ["DNS does not point here"]),
        (doctor.judge_ports({80: OPEN}, {}, []), []),
        (doctor.judge_ports({80: SILENT}, {80: "traefik"}, [80]), ["the host's own firewall closes port 80"]),
        (doctor.judge_ports({80: REFUSED}, {80: "loopback"}, []), ["port 80 serves the host alone"]),
        (doctor.judge_ports({80: REFUSED}, {}, []), ["nobody listens on port 80"]),
        (doctor.judge_ports({80: SILENT}, {80: "traefik"}, []), ["the security group closes port 80"]),
        (
            doctor.judge_ports({80: SILENT}, {80: "traefik"}, [], "ufw"),
            ["the host's own firewall or the security group closes port 80"],
        ),
        (doctor.judge_ports({80: REFUSED}, {}, [], "ufw"), ["nobody listens on port 80"]),
        (doctor.judge_docker("26.1.5", "2.26.1", ""), []),
        (doctor.judge_docker("", "", ""), ["there is no Docker engine"]),
        (doctor.judge_docker("20.10.5", "2.26.1", ""), ["the Docker engine is old"]),
        (doctor.judge_docker("26.1.5", "", "1.29.2"), ["Compose v2 is missing"]),
        (doctor.judge_disk(30_000, 10_000, "/"), []),
        (doctor.judge_disk(30_000, 1_000, "/"), ["the disk is full"]),
        (doctor.judge_disk(8_000, 4_000, "/"), ["the disk is small"]),
        (doctor.judge_memory(1000, {"shop": 900}, Room()), []),
        (doctor.judge_memory(1000, {"shop": 1001, "b": 1}, Room()), ["there is no room for two copies"]),
        (doctor.judge_memory(1000, {"shop": 1001}, Room("shop")), ["there is no room for two copies"]),
        (doctor.judge_memory(1000, {"shop": 1001}, Room("shop", memory_mb=400)), []),
        (doctor.judge_memory(1000, {"shop": 1}, Room("shop", memory_mb=1001)), ["there is no room for two copies"]),
        (doctor.judge_memory(1000, {"shop": 1001}, Room("shop", stop_first=True)), []),
        (doctor.judge_memory(1000, {"shop": 1001}, Room("b")), []),
        (doctor.judge_clock(5, True), []),
        (doctor.judge_clock(-7200, True), ["the clock is off"]),
        (doctor.judge_clock(7200, True), ["the clock is off"]),
        (doctor.judge_clock(0, False), ["nothing keeps the clock"]),
        (doctor.judge_images("x86_64", {"a": ["amd64"], "b": [], "c": ["amd64", "arm64"]}), []),
        (doctor.judge_images("x86_64", {"a": ["arm64"]}), ["an image is for another architecture"]),
        (doctor.judge_images("aarch64", {"a": ["386", "amd64"]}), ["an image is for another architecture"]),
        (judged(begin=0, end=90), []),
        (judged(begin=-79.5, end=10.5), []),
        (judged(begin=-82, end=8), ["the certificate of a is not renewed"]),
        (judged(begin=-356, end=9), ["the certificate of a is not renewed"]),
        (judged(begin=-41, end=4), []),
        (judged(begin=-43, end=2), ["the certificate of a is not renewed"]),
        (judged(begin=-6.2, end=0.4), []),
        (judged(begin=-6.5, end=0.1), ["the certificate of a is not renewed"]),
        (judged(begin=-0.5, end=0.5), []),
        (judged(begin=-1, end=-0.1), ["the certificate of a has expired"]),
        (judged(begin=0, end=90, names_it=False), ["there is no certificate for a"]),
        (doctor.judge_certificates({"a": None}, 0.0, {"a": "acme: no"}), ["there is no certificate for a"]),
        (doctor.judge_certificates({"": None}, 0.0, {}), ["there is no certificate for routes without hosts"]),
        (doctor.judge_certificates({"": Served(-9, -1)}, 0.0, {}), ["the certificate for any other name has expired"]),
        (doctor.judge_apps({"shop": []}), []),
        (
            doctor.judge_apps({"b": ["x"], "a": [], "shop": ["y", "z"]}),
            [f"the app {a} {NOT_WELL}" for a in ("b", "shop")],
        ),
        (doctor.judge_registry({}), []),
        (doctor.judge_registry({"a": "denied"}), ["the registry does not give the image away"]),
    ],
)
def test_what_is_wrong_is_named(findings: list[Finding], what: list[str]) -> None:
    assert [finding.what for finding in findings] == what
    told: list[dict[str, Any]] = [finding.to_json() for finding in findings]
    assert all(one["evidence"] and one["remedy"] for one in told)


def test_the_stale_key_is_forgotten_in_the_file_that_has_it() -> None:
    (finding,) = doctor.judge_host_key("[h]:2222", {A}, {"a b": {B}, "g": {RSA}}, {})
    assert "ssh-keygen -R '[h]:2222' -f 'a b'. " in finding.remedy


def test_what_acme_said_of_a_name_is_the_evidence() -> None:
    said = {"a": "Unable to obtain ACME certificate: connection refused", "b": "of another name"}
    for served in (None, Served(-9, -1), Served(0, 9e9, names_it=False)):
        assert said["a"] in doctor.judge_certificates({"a": served}, 0.0, said)[0].evidence


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ("-P INPUT ACCEPT\n", ([], "")),
        ("-P INPUT ACCEPT\n-A INPUT -p tcp -m tcp --dport 80 -j DROP\n", ([80], "")),
        ("-P INPUT ACCEPT\n-A INPUT -p tcp -m multiport --dports 80,443 -j REJECT\n", ([80, 443], "")),
        ("-P INPUT DROP\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n", ([], "an INPUT chain that drops by default")),
        ("-P INPUT DROP\n-A INPUT -j ufw-before-input\n", ([], "ufw")),
    ],
)
def test_what_the_host_s_own_firewall_drops(rules: str, told: tuple[list[int], str]) -> None:
    assert doctor.firewall(rules, [80, 443]) == told
