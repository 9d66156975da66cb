"""A login that fails says whose matter it is: the password's or the registry's."""

from __future__ import annotations

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import registry


@pytest.mark.parametrize(
    ("reason", "refused"),
    [
        ('Error response from daemon: Get "https://ghcr.io/v2/": denied: denied', True),
        ('Error response from daemon: Get "https://ghcr.io/v2/": unauthorized: authentication required', True),
        ("Error: login attempt to https://ghcr.io/v2/ failed with status: 401 Unauthorized", True),
        ("Error response from daemon: login attempt failed with status: 403 Forbidden", True),
        ("unauthorized: incorrect username or password", True),
        ('Get "https://ghcr.io/v2/": dial tcp 198.18.0.3:443: connect: connection refused', False),
        ('Get "https://ghcr.io/v2/": dial tcp: lookup ghcr.io: no such host', False),
        ("login attempt to https://ghcr.io/v2/ failed with status: 500 Internal Server Error", False),
        ("'docker login --username you ...' did not end within 60 s.", False),
    ],
)
def test_a_refusal_is_told_from_a_registry_that_is_away(reason: str, refused: bool) -> None:
    told = registry.no_login("ghcr.io", "you", reason)
    assert reason in told
    assert ("registry_login_password" in told, "Check that it is up" in told) == (refused, not refused)
