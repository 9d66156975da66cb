"""What a start makes sure of before the containers of a release itself."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import candidate, gates, store
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.gates import Container
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from tests.unit.support.host import release


class WithDatabase(Engine):
    """Has one container, which owns data and has ``policy``."""

    def __init__(self, policy: str) -> None:
        super().__init__()
        self.policy = policy

    def docker(self, *_: Any, **__: Any) -> str:
        return ""

    def ensure_network(self, *_: Any) -> None:
        """There is one."""

    def containers(self, project: str) -> list[Container]:
        return [Container("c1", f"{project}-db-1", "db", "running", policy=self.policy)]

    def restart_policy(self, ids: Sequence[str], policy: str, *_: Any) -> None:
        for _identity in ids:
            assert self.policy != policy, "told for nothing"
            self.policy = policy


@pytest.mark.parametrize("policy", ["no", "on-failure", "always", "unless-stopped"])
@pytest.mark.parametrize("update", [True, False])
def test_what_owns_data_outlives_a_reboot_whatever_its_file_says(tmp_path: Path, policy: str, update: bool) -> None:
    """Also what a version before this one has started; its file is the same, so that it is not started anew."""
    layout, wanted, engine = AppLayout("shop", str(tmp_path)), release(3, stateful=("db",)), WithDatabase(policy)
    layout.release(wanted.id).mkdir(parents=True)
    store.write_json(layout.release(wanted.id) / store.STATEFUL, {"services": {}})
    candidate.start_stateful(layout, wanted, engine, 5, update=update)
    assert engine.policy == "unless-stopped"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [({}, "davit-gate"), ({"X-Key": "k"}, "davit-gate"), ({"user-agent": "Mozilla/5.0"}, "Mozilla/5.0")],
)
def test_a_gate_says_who_asks(headers: dict[str, str], expected: str) -> None:
    class Echo(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(self.headers.get_all("user-agent")).encode())

        def log_message(self, *_: object) -> None:
            """Keep the output of the tests clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        declared = {"name": "who", "path": "/", "headers": headers}
        check = gates.parse_http(declared, f"http://127.0.0.1:{server.server_port}")
        answer = candidate.ask(gates.Gate(http=(check,)), check)
        server.shutdown()
    assert json.loads(answer.body) == [expected]
