"""The stores of AWS: how many calls are made, which answer belongs to which secret, and what is made of a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import botocore.exceptions
import pytest

from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.plugin_utils import secret_stores
from ansible_collections.davit.ec2.plugins.plugin_utils.secret_sources import Found, Item

ARN = "arn:aws:ssm:eu-central-1:1:parameter"
SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:1:secret:"


def refused(code: str, call: str) -> botocore.exceptions.ClientError:
    return botocore.exceptions.ClientError({"Error": {"Code": code, "Message": f"words of {code}"}}, call)


class Ssm:
    """Parameter Store as AWS documents it: ten names a call, and one that is denied fails the call."""

    def __init__(self, parameters: Mapping[str, str], denied: frozenset[str] = frozenset()) -> None:
        self.parameters, self.denied = parameters, denied
        self.calls: list[list[str]] = []

    def get_parameters(self, Names: list[str], WithDecryption: bool) -> dict[str, Any]:  # noqa: N803
        assert WithDecryption
        assert 1 <= len(Names) <= 10
        self.calls.append(Names)
        if self.denied & set(Names):
            raise refused("AccessDeniedException", "GetParameters")
        found = []
        for asked in sorted(Names):
            name, _colon, chosen = asked.removeprefix(ARN).partition(":")
            if asked.removeprefix(ARN) in self.parameters:
                value = self.parameters[asked.removeprefix(ARN)]
                version = {"": 7, "prod": 5}.get(chosen) or int(chosen)
                found.append({"Name": name, "ARN": ARN + name, "Value": value, "Version": version})
        return {"Parameters": found, "InvalidParameters": []}


class SecretsManager:
    """Secrets Manager as AWS documents it: a batch tells what it could not get, or is denied as a whole."""

    def __init__(self, values: Mapping[str, Any], denied: frozenset[str] = frozenset(), *, batch: bool = True) -> None:
        self.values, self.denied, self.batch = values, denied, batch
        self.calls: list[tuple[str, Any]] = []

    def _value(self, name: str) -> dict[str, Any]:
        name = name.removeprefix(SECRET_ARN).removesuffix("-Ab12Cd")
        if name in self.denied:
            raise refused("AccessDeniedException", "GetSecretValue")
        if name not in self.values:
            raise refused("ResourceNotFoundException", "GetSecretValue")
        value = self.values[name]
        kind = "SecretBinary" if isinstance(value, bytes) else "SecretString"
        return {"ARN": f"{SECRET_ARN}{name}-Ab12Cd", "Name": name, "VersionId": f"id of {name}", kind: value}

    def batch_get_secret_value(self, SecretIdList: list[str]) -> dict[str, Any]:  # noqa: N803
        assert 1 <= len(SecretIdList) <= 20
        self.calls.append(("batch", SecretIdList))
        if not self.batch:
            raise refused("AccessDeniedException", "BatchGetSecretValue")
        answer: dict[str, Any] = {"SecretValues": [], "Errors": []}
        for name in SecretIdList:
            try:
                answer["SecretValues"].append(self._value(name))
            except botocore.exceptions.ClientError as error:
                answer["Errors"].append({"SecretId": name, "ErrorCode": error.response["Error"]["Code"]})
        return answer

    def get_secret_value(self, SecretId: str, **chosen: str) -> dict[str, Any]:  # noqa: N803
        self.calls.append(("one", SecretId, *chosen.values()))  # type: ignore[arg-type]
        return {**self._value(SecretId), **({"VersionId": chosen["VersionId"]} if "VersionId" in chosen else {})}


def ask(monkeypatch: pytest.MonkeyPatch, items: list[Item], **clients: Any) -> dict[Item, Found | str]:
    monkeypatch.setattr(secret_stores, "client_of", lambda _: clients.__getitem__)
    return secret_stores.ask(items, {})


def test_parameters_come_ten_a_call_with_their_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    ssm = Ssm({f"/p{n}": f"v{n}" for n in range(23)} | {"/p1:2": "old", "/p1:prod": "labelled"})
    items = [Item("ssm", f"/p{n}") for n in range(23)]
    old, labelled, whole = Item("ssm", "/p1", "2"), Item("ssm", "/p1", label="prod"), Item("ssm", f"{ARN}/p2")
    answers = ask(monkeypatch, [*items, old, labelled, whole], ssm=ssm)
    assert [len(call) for call in ssm.calls] == [10, 10, 5, 1]
    assert answers[items[4]] == Found("v4", "7")
    assert (answers[old], answers[labelled], answers[whole]) == (
        Found("old", "2"),
        Found("labelled", "5"),
        Found("v2", "7"),
    )


def test_one_that_is_missing_or_denied_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    ssm = Ssm({"/a": "a", "/c": "c"}, frozenset(["/b"]))
    a, b, c, d = items = [Item("ssm", f"/{name}") for name in "abcd"]
    answers = ask(monkeypatch, items, ssm=ssm)
    assert (answers[a], answers[c]) == (Found("a", "7"), Found("c", "7"))
    assert str(answers[b]).startswith("denied, see docs/aws.md")
    assert "words of AccessDeniedException" in str(answers[b])
    assert str(answers[d]).startswith("there is no such entry")
    assert len(ssm.calls) == 5


def test_secrets_come_in_one_call_but_for_those_of_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = SecretsManager({"a": "1", "b": "2", "raw": b"text", "bin": b"\xff"})
    a, b, raw, binary = (Item("secretsmanager", name) for name in ("a", f"{SECRET_ARN}b-Ab12Cd", "raw", "bin"))
    old, previous = Item("secretsmanager", "a", version="id0"), Item("secretsmanager", "a", label="AWSPREVIOUS")
    answers = ask(monkeypatch, [a, b, raw, binary, old, previous], secretsmanager=manager)
    assert (answers[a], answers[b], answers[raw]) == (
        Found("1", "id of a"),
        Found("2", "id of b"),
        Found("text", "id of raw"),
    )
    assert (answers[old], answers[previous]) == (Found("1", "id0"), Found("1", "id of a"))
    assert str(answers[binary]).startswith("it is binary")
    assert [call[0] for call in manager.calls] == ["batch", "one", "one"]


@pytest.mark.parametrize("batch", [True, False])
def test_secrets_that_cannot_be_had_are_told_apart(monkeypatch: pytest.MonkeyPatch, batch: bool) -> None:
    """Also without the permission for a batch, which costs a call for each instead."""
    manager = SecretsManager({"a": "1", "b": "2"}, frozenset(["b"]), batch=batch)
    a, b, c = items = [Item("secretsmanager", name) for name in "abc"]
    answers = ask(monkeypatch, items, secretsmanager=manager)
    assert answers[a] == Found("1", "id of a")
    assert str(answers[b]).startswith("denied")
    assert str(answers[c]).startswith("there is no such entry")


def test_a_single_secret_needs_no_permission_for_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = SecretsManager({"a": "1"})
    ask(monkeypatch, [Item("secretsmanager", "a")], secretsmanager=manager)
    assert manager.calls == [("one", "a")]


def test_one_store_that_cannot_be_asked_does_not_hide_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        def get_parameters(self, **_: Any) -> None:
            raise botocore.exceptions.NoCredentialsError

    manager = SecretsManager({"a": "1"})
    parameter, secret = Item("ssm", "/a"), Item("secretsmanager", "a")
    answers = ask(monkeypatch, [parameter, secret], ssm=Silent(), secretsmanager=manager)
    assert answers[secret] == Found("1", "id of a")
    assert answers[parameter] == "AWS cannot be asked: Unable to locate credentials See compose_release_secret_aws."


def test_keys_that_are_given_count_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile of the user's own, even one that does not exist, has no part in it."""
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    given = {"region": "eu-central-1", "access_key": "a", "secret_key": "b", "profile": "", "session_token": ""}
    client = secret_stores.client_of({**given, "endpoint_url": "http://127.0.0.1:1"})("ssm")
    assert (client.meta.region_name, client.meta.endpoint_url) == ("eu-central-1", "http://127.0.0.1:1")


def test_an_option_that_aws_does_not_have_is_named_without_its_value() -> None:
    with pytest.raises(DavitError, match="has key; it takes access_key") as caught:
        secret_stores.client_of({"key": "c4n4ry"})
    assert "c4n4ry" not in str(caught.value)


def test_an_argument_that_boto3_refuses_is_the_fault_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Manager(SecretsManager):
        def get_secret_value(self, SecretId: str, **chosen: str) -> dict[str, Any]:  # noqa: N803 # boto3's name
            if chosen.get("VersionId") == "3":
                raise botocore.exceptions.ParamValidationError(report="Invalid length for parameter VersionId")
            return super().get_secret_value(SecretId, **chosen)

    good, bad = Item("secretsmanager", "a"), Item("secretsmanager", "a", version="3")
    answers = ask(monkeypatch, [bad, good], secretsmanager=Manager({"a": "1"}))
    assert answers[good] == Found("1", "id of a")
    assert answers[bad] == "Parameter validation failed: Invalid length for parameter VersionId"


def test_a_name_may_choose_a_version_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    class Selecting(Ssm):
        def get_parameters(self, Names: list[str], WithDecryption: bool) -> dict[str, Any]:  # noqa: N803 # boto3's name
            answer = super().get_parameters(Names, WithDecryption)
            for asked, told in zip(sorted(Names), answer["Parameters"], strict=True):
                _name, colon, chosen = asked.removeprefix(ARN).partition(":")
                told["Selector"] = colon + chosen
            return answer

    ssm = Selecting({"/db": "new", "/db:3": "old", "/db:prod": "labelled"})
    new, old, prod, whole = items = [Item("ssm", name) for name in ("/db", "/db:3", "/db:prod", f"{ARN}/db:3")]
    answers = ask(monkeypatch, items, ssm=ssm)
    assert (answers[new], answers[old]) == (Found("new", "7"), Found("old", "3"))
    assert (answers[prod], answers[whole]) == (Found("labelled", "5"), Found("old", "3"))


def test_what_is_wrong_with_all_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Expired:
        calls = 0

        def refuse(self, **_: Any) -> None:
            self.calls += 1
            raise refused("ExpiredTokenException", "GetParameters")

        get_parameters = batch_get_secret_value = get_secret_value = refuse

    for store in ("ssm", "secretsmanager"):
        client = Expired()
        items = [Item(store, f"/p{number}") for number in range(9)]
        answers = ask(monkeypatch, items, **{store: client})
        assert set(answers.values()) == {"ExpiredTokenException: words of ExpiredTokenException"}
        assert (len(answers), client.calls) == (9, 1)


def test_an_endpoint_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with pytest.raises(DavitError, match="Invalid endpoint: moto:5000"):
        secret_stores.ask([Item("ssm", "/a")], {"region": "eu-central-1", "endpoint_url": "moto:5000"})


def test_nothing_is_asked_without_a_question() -> None:
    assert secret_stores.ask([], {"nonsense": True}) == {}
