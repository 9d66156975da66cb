# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The stores of AWS: Parameter Store and Secrets Manager, asked from the controller in as few calls as they allow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.plugin_utils.secret_sources import (
    SECRETS_MANAGER,
    SSM,
    Found,
    Item,
    batches,
)

SSM_BATCH, SECRETS_MANAGER_BATCH = 10, 20
"""The most that one call of GetParameters and of BatchGetSecretValue takes."""

_CONNECTION = {
    "access_key": "aws_access_key_id",
    "secret_key": "aws_secret_access_key",
    "session_token": "aws_session_token",
    "profile": "profile_name",
    "region": "region_name",
}
_DENIED = {"AccessDeniedException", "AccessDenied", "UnrecognizedClientException"}
_OF_ONE = {
    *("AccessDeniedException", "AccessDenied", "ValidationException", "InvalidParameterException", "InvalidKeyId"),
    *("InvalidRequestException", "DecryptionFailure", "ParamValidationError"),
}
"""What may be the fault of one entry of a batch. Anything else is said of all, such as that the keys have expired."""
_MISSING = {"ParameterNotFound", "ParameterVersionNotFound", "ResourceNotFoundException"}


def client_of(connection: Mapping[str, Any]) -> Callable[[str], Any]:
    """Makes a client by the name of its service. Raises DavitError without boto3 and for an unknown option."""
    try:
        import boto3
        import botocore.config
        import botocore.session
    except ImportError as error:
        raise DavitError("Secrets from AWS need boto3 on the controller: pip install boto3") from error
    unknown = sorted(set(connection) - set(_CONNECTION) - {"endpoint_url"})
    if unknown:
        known = ", ".join([*_CONNECTION, "endpoint_url"])
        raise DavitError(f"compose_release_secret_aws has {', '.join(unknown)}; it takes {known}.")
    given = {theirs: connection[ours] for ours, theirs in _CONNECTION.items() if connection.get(ours)}
    below = None
    if "aws_access_key_id" in given:
        # Keys that are given count alone: a profile of the user's environment has no part in it.
        below = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
    # One that does not answer must not keep a deploy waiting for minutes.
    patience = botocore.config.Config(connect_timeout=5, read_timeout=15, retries={"mode": "standard"})

    def make(service: str) -> Any:
        session = boto3.session.Session(botocore_session=below, **given)
        try:
            return session.client(service, endpoint_url=connection.get("endpoint_url") or None, config=patience)
        except ValueError as error:
            raise DavitError(f"compose_release_secret_aws cannot be used: {error}") from error

    return make


def ask(items: Sequence[Item], connection: Mapping[str, Any]) -> dict[Item, Found | str]:
    """What the stores have of ``items``, or why it cannot be had."""
    if not items:
        return {}
    import botocore.exceptions

    client = client_of(connection)
    answers: dict[Item, Found | str] = {}
    for store, asked in ((SSM, _ask_ssm), (SECRETS_MANAGER, _ask_secrets_manager)):
        own = [item for item in items if item.store == store]
        if not own:
            continue
        try:
            answers.update(asked(client(store), own))
        except botocore.exceptions.BotoCoreError as error:
            why = f"AWS cannot be asked: {error} See compose_release_secret_aws."
            answers.update({item: why for item in own if item not in answers})
    return answers


def _ask_ssm(client: Any, items: Sequence[Item]) -> dict[Item, Found | str]:
    answers: dict[Item, Found | str] = {}
    for batch in batches(items, SSM_BATCH):
        answers.update(_ssm_batch(client, batch))
    return answers


def _ssm_batch(client: Any, batch: Sequence[Item]) -> dict[Item, Found | str]:
    answer, code, why = _call(client.get_parameters, Names=[_ssm_name(item) for item in batch], WithDecryption=True)
    if code and (len(batch) == 1 or code not in _OF_ONE):
        return dict.fromkeys(batch, why)
    if code:
        # One that is denied, or a name that cannot be, fails all of them: each alone tells which.
        return {item: told for one in batch for item, told in _ssm_batch(client, [one]).items()}
    named = [(key, p) for p in answer["Parameters"] for key in (p["Name"], p.get("ARN")) if key]
    # A name may choose a version itself, as in /shop/db:3.
    by_name = {**dict(named), **{key + str(p.get("Selector") or ""): p for key, p in named}}
    found: dict[Item, Found | str] = {}
    for item in batch:
        parameter = by_name.get(_ssm_name(item)) or by_name.get(item.name)
        missing = explain("ParameterNotFound", "")
        found[item] = Found(parameter["Value"], str(parameter["Version"])) if parameter else missing
    return found


def _ssm_name(item: Item) -> str:
    chosen = item.version or item.label
    return f"{item.name}:{chosen}" if chosen else item.name


def _ask_secrets_manager(client: Any, items: Sequence[Item]) -> dict[Item, Found | str]:
    answers: dict[Item, Found | str] = {}
    current = [item for item in items if not (item.version or item.label)]
    # One call for one needs a permission less.
    for batch in batches(current, SECRETS_MANAGER_BATCH) if len(current) > 1 else []:
        answers.update(_secrets_batch(client, batch))
    for item in items:
        if item not in answers:
            answers[item] = _secret(client, item)
    return answers


def _secrets_batch(client: Any, batch: Sequence[Item]) -> dict[Item, Found | str]:
    """What one call tells; without the permission for it nothing, and whatever is left is asked for by itself."""
    answer, code, why = _call(client.batch_get_secret_value, SecretIdList=[item.name for item in batch])
    if code:
        return {} if code in _OF_ONE else dict.fromkeys(batch, why)
    by_name = {key: one for one in answer.get("SecretValues", []) for key in (one["Name"], one["ARN"])}
    return {item: _text_of(by_name[item.name]) for item in batch if item.name in by_name}


def _secret(client: Any, item: Item) -> Found | str:
    chosen = {"VersionId": item.version, "VersionStage": item.label}
    answer, code, why = _call(client.get_secret_value, SecretId=item.name, **{k: v for k, v in chosen.items() if v})
    return why if code else _text_of(answer)


def _text_of(value: Mapping[str, Any]) -> Found | str:
    if value.get("SecretString") is not None:
        return Found(str(value["SecretString"]), str(value["VersionId"]))
    try:
        return Found(bytes(value.get("SecretBinary") or b"").decode(), str(value["VersionId"]))
    except UnicodeDecodeError:
        return "it is binary, and an environment variable holds text"


def _call(method: Callable[..., Any], **arguments: Any) -> tuple[Any, str, str]:
    """An answer; or the code of the error, and why in words, also when boto3 itself refuses an argument."""
    import botocore.exceptions

    try:
        return method(**arguments), "", ""
    except botocore.exceptions.ClientError as error:
        code, words = _words(error)
        return None, code or "Unknown", explain(code, words)
    except botocore.exceptions.ParamValidationError as error:
        return None, "ParamValidationError", " ".join(str(error).split())


def _words(error: Any) -> tuple[str, str]:
    told = error.response.get("Error", {})
    return str(told.get("Code", "")), " ".join(str(told.get("Message", "")).split())


def explain(code: str, words: str) -> str:
    """Why AWS did not give a secret, in words that say what to do."""
    if code in _MISSING:
        return "there is no such entry, or no such version of it; mind the name, the region and the account"
    if code in _DENIED:
        return f"denied, see docs/aws.md for the permissions that it needs: {words}"
    return f"{code}: {words}"
