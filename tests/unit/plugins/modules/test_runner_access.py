"""Opening and closing in AWS: what is true is looked at again when an answer was lost, or somebody else was faster."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.modules import runner_access
from ansible_collections.davit.ec2.plugins.modules.runner_access import Group, asked_address, converge

RUN, HERE = "octo/shop/1", "203.0.113.7"


class Ec2:
    """A security group as EC2 keeps it: one rule for each network, and an answer that may be lost."""

    def __init__(self, lose: int = 0) -> None:
        self.groups = [{"GroupId": "sg-1"}]
        self.rules: dict[str, str] = {"192.0.2.0/24": "SSH from the declared networks"}
        self.lose = lose
        self.calls: list[str] = []

    def describe_security_groups(self, Filters: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 # boto3's name
        assert {"Name": "tag:davit_fleet", "Values": ["davit"]} in Filters
        ranges = [{"CidrIp": cidr, "Description": text} for cidr, text in self.rules.items()]
        rules = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": ranges}]
        return {"SecurityGroups": [{**group, "IpPermissions": rules} for group in self.groups]}

    def authorize_security_group_ingress(self, GroupId: str, IpPermissions: list[dict[str, Any]]) -> None:  # noqa: N803
        assert GroupId == "sg-1"
        self._call("authorize")
        (network,) = IpPermissions[0]["IpRanges"]
        if network["CidrIp"] in self.rules:
            raise ClientError({"Error": {"Code": "InvalidPermission.Duplicate"}}, "AuthorizeSecurityGroupIngress")
        self.rules[network["CidrIp"]] = network["Description"]
        self._answer()

    def revoke_security_group_ingress(self, GroupId: str, IpPermissions: list[dict[str, Any]]) -> None:  # noqa: N803
        assert GroupId == "sg-1"
        self._call("revoke")
        cidrs = [network["CidrIp"] for one in IpPermissions for network in one["IpRanges"]]
        if not set(cidrs) <= set(self.rules):
            raise ClientError({"Error": {"Code": "InvalidPermission.NotFound"}}, "RevokeSecurityGroupIngress")
        for cidr in cidrs:
            del self.rules[cidr]
        self._answer()

    def _call(self, name: str) -> None:
        self.calls.append(name)

    def _answer(self) -> None:
        """As when the answer was lost and botocore has asked again."""
        if self.lose:
            self.lose -= 1
            code = "InvalidPermission.Duplicate" if self.calls[-1] == "authorize" else "InvalidPermission.NotFound"
            raise ClientError({"Error": {"Code": code}}, self.calls[-1])


def run(client: Ec2, address: str, check: bool = False) -> None:
    converge(Group(client, "davit"), RUN, address, 7200, check=check, pause=0)


@pytest.mark.parametrize("lose", [0, 1])
def test_it_is_open_and_then_closed_again(lose: int) -> None:
    client = Ec2(lose)
    run(client, HERE)
    assert client.rules[f"{HERE}/32"].startswith(f"davit runner {RUN} since ")
    run(client, HERE)
    assert client.calls == ["authorize"], "a second time nothing is asked for"
    client.lose = lose
    run(client, "")
    assert list(client.rules) == ["192.0.2.0/24"]
    run(client, "")
    assert client.calls == ["authorize", "revoke"]


def test_check_mode_changes_nothing() -> None:
    client = Ec2()
    before, after = converge(Group(client, "davit"), RUN, HERE, 7200, check=True)
    assert (len(before), len(after), client.calls) == (1, 2, [])


def test_it_does_not_argue_for_ever() -> None:
    client = Ec2(lose=99)
    client.rules[f"{HERE}/32"] = "davit runner octo/shop/2 since 2026-01-01T00:00:00Z"

    def back(*_: Any, **__: Any) -> None:
        raise ClientError({"Error": {"Code": "InvalidPermission.NotFound"}}, "RevokeSecurityGroupIngress")

    client.revoke_security_group_ingress = back  # type: ignore[method-assign]
    with pytest.raises(DavitError, match="sg-1 were changed by others 5 times"):
        run(client, HERE)


def test_what_aws_refuses_is_told() -> None:
    client = Ec2()

    def refuse(*_: Any, **__: Any) -> None:
        raise ClientError({"Error": {"Code": "UnauthorizedOperation"}}, "AuthorizeSecurityGroupIngress")

    client.authorize_security_group_ingress = refuse  # type: ignore[method-assign]
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        run(client, HERE)
    said = runner_access.unfinished({"state": "absent", "fleet": "davit", "run": RUN, "max_age": 7200})
    assert f"-e runner_access_state=absent -e runner_access_run={RUN}" in said


@pytest.mark.parametrize("groups", [[], [{"GroupId": "sg-1"}, {"GroupId": "sg-2"}]])
def test_the_one_group_has_to_be_there(groups: list[dict[str, str]]) -> None:
    client = Ec2()
    client.groups = groups
    with pytest.raises(DavitError, match=r"playbooks/provision\.yml"):
        run(client, HERE)


@pytest.fixture
def service() -> Iterator[tuple[str, list[bytes]]]:
    """A service that says an address, and the bodies that it gives one after the other; none is an error."""
    bodies: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = bodies.pop(0)
            self.send_response(200 if body else 503)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", bodies
        server.shutdown()


def test_the_service_is_asked_again(service: tuple[str, list[bytes]]) -> None:
    url, bodies = service
    bodies += [b"", b"", b"203.0.113.7\n"]
    assert asked_address(url, pause=0) == HERE


def test_a_service_that_fails_is_named(service: tuple[str, list[bytes]]) -> None:
    url, bodies = service
    bodies += [b""] * 5
    with pytest.raises(DavitError, match="Set runner_access_address instead"):
        asked_address(url, pause=0)
    bodies += [b"203.0.113.7" * 9_000]
    with pytest.raises(DavitError, match="no public IPv4 address"):
        asked_address(url, pause=0)


def test_a_file_is_no_service() -> None:
    with pytest.raises(DavitError, match="has to begin with https"):
        asked_address("file:///etc/passwd")
