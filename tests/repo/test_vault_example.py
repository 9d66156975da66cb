"""The encrypted example is a vault, and nobody has its password: all that can be proved is that it is well formed."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleError
from ansible.parsing import vault


def test_the_example_is_a_well_formed_vault_that_does_not_open(root: Path) -> None:
    text = (root / "docs/examples/vault").read_bytes()
    assert vault.is_encrypted(text)
    payload, version, _name, _vault_id = vault.parse_vaulttext_envelope(text)
    assert version == b"1.1"
    ciphertext, salt, signature = vault.parse_vaulttext(payload)
    assert (len(salt), len(signature)) == (32, 64)
    assert len(ciphertext) >= 32
    guess = vault.VaultLib([("default", vault.VaultSecret(b"davit"))])
    with pytest.raises(AnsibleError, match="Decryption failed"):
        guess.decrypt(text)


def test_no_password_file_lies_in_the_repository(project_files: list[Path]) -> None:
    assert [str(path) for path in project_files if "vault" in path.name and "pass" in path.name] == []
