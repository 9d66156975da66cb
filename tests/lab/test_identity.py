"""The lab's secrets are made once, fit each other, and are made anew when they no longer do."""

from __future__ import annotations

import stat
from pathlib import Path

from cryptography import x509

from lab import identity


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_everything_is_made_once(tmp_path: Path) -> None:
    assert identity.make_authority(tmp_path)
    assert identity.make_authority(tmp_path) == []
    assert identity.make_server(tmp_path, "ghcr.io")
    assert identity.make_server(tmp_path, "ghcr.io") == []


def test_a_certificate_is_the_authoritys_and_names_its_server(tmp_path: Path) -> None:
    identity.make_authority(tmp_path)
    identity.make_server(tmp_path, "ghcr.io")
    certificate = load(tmp_path / "ghcr.io/tls.crt")
    certificate.verify_directly_issued_by(load(tmp_path / "ca.crt"))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "ghcr.io" in names.get_values_for_type(x509.DNSName)


def test_another_authority_means_other_certificates(tmp_path: Path) -> None:
    identity.make_authority(tmp_path)
    identity.make_server(tmp_path, "ghcr.io")
    (tmp_path / "ca.crt").unlink()
    identity.make_authority(tmp_path)
    assert identity.make_server(tmp_path, "ghcr.io")
    load(tmp_path / "ghcr.io/tls.crt").verify_directly_issued_by(load(tmp_path / "ca.crt"))


def test_a_folder_that_docker_put_where_a_file_was_makes_room(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").mkdir()
    assert identity.make_authority(tmp_path)
    load(tmp_path / "ca.crt")


def test_keys_are_their_owners_alone(tmp_path: Path) -> None:
    identity.make_authority(tmp_path / "ca")
    identity.make_server(tmp_path / "ca", "ghcr.io")
    identity.make_ssh_key(tmp_path / "ssh")
    for path in ("ca/ca.key", "ca/ghcr.io/tls.key", "ssh/id_ed25519"):
        assert stat.S_IMODE((tmp_path / path).stat().st_mode) == 0o600


def test_an_ssh_key_is_kept(tmp_path: Path) -> None:
    assert identity.make_ssh_key(tmp_path)
    before = (tmp_path / "id_ed25519.pub").read_text()
    assert identity.make_ssh_key(tmp_path) == []
    assert (tmp_path / "id_ed25519.pub").read_text() == before
