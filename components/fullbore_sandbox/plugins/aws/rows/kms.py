"""KMS keys and their aliases."""

from __future__ import annotations

from collections.abc import Set

from fullbore_sandbox.plugins.aws.api import Api
from fullbore_sandbox.plugins.aws.convert import as_text, pick
from fullbore_sandbox.plugins.aws.row import TOKEN_TAG, Map, Row, Tagging

NO_CALL = "KMS API reference: no Update call takes it"
POLICY = "default"
"""The only name that a key policy may have (KMS API reference, PutKeyPolicy)."""
WINDOW_DAYS = 30
"""Days until a key is destroyed where none are given (KMS API reference, ScheduleKeyDeletion)."""


def _tags(given: dict[str, str]) -> list[Map]:
    return [{"TagKey": key, "TagValue": value} for key, value in given.items()]


def _tags_of(api: Api, ident: str) -> dict[str, str]:
    return {tag["TagKey"]: tag["TagValue"] for tag in api.kms.list_resource_tags(KeyId=ident)["Tags"]}


def _create_key(api: Api, inputs: Map, token: str) -> str:
    names = {"description": "Description", "keyUsage": "KeyUsage", "multiRegion": "MultiRegion"}
    policy = {"Policy": as_text(inputs["policy"])} if inputs.get("policy") else {}
    tags = _tags({**inputs.get("tags", {}), TOKEN_TAG: token})
    return api.kms.create_key(**pick(inputs, names), **policy, Tags=tags)["KeyMetadata"]["KeyId"]


def _finish_key(api: Api, ident: str, inputs: Map) -> None:
    if inputs.get("enableKeyRotation"):
        api.kms.enable_key_rotation(KeyId=ident, **pick(inputs, {"rotationPeriodInDays": "RotationPeriodInDays"}))


def _read_key(api: Api, ident: str, known: Map) -> Map | None:
    """A key that waits for its destruction is gone: nothing can be done with it."""
    key = api.kms.describe_key(KeyId=ident)["KeyMetadata"]
    if key["KeyState"] == "PendingDeletion":
        return None
    rotation = api.kms.get_key_rotation_status(KeyId=ident)
    return {
        "arn": key["Arn"],
        "keyId": ident,
        "description": key.get("Description", ""),
        "keyUsage": key.get("KeyUsage", "ENCRYPT_DECRYPT"),
        "customerMasterKeySpec": key.get("KeySpec", "SYMMETRIC_DEFAULT"),
        "isEnabled": key["Enabled"],
        "multiRegion": key.get("MultiRegion", False),
        "enableKeyRotation": rotation["KeyRotationEnabled"],
        "policy": api.kms.get_key_policy(KeyId=ident, PolicyName=POLICY)["Policy"],
        "tags": _tags_of(api, ident),
        **pick(rotation, {"RotationPeriodInDays": "rotationPeriodInDays"}),
    }


def _update_key(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    if "description" in changed:
        api.kms.update_key_description(KeyId=ident, Description=inputs.get("description", ""))
    if "policy" in changed and inputs.get("policy"):
        api.kms.put_key_policy(KeyId=ident, PolicyName=POLICY, Policy=as_text(inputs["policy"]))
    if changed & {"enableKeyRotation", "rotationPeriodInDays"}:
        if inputs.get("enableKeyRotation"):
            _finish_key(api, ident, inputs)
        else:
            api.kms.disable_key_rotation(KeyId=ident)


def _delete_key(api: Api, ident: str, known: Map) -> None:
    """A key is never destroyed at once, only after the days that it may be called back."""
    if _read_key(api, ident, known) is not None:
        days = known.get("deletionWindowInDays", WINDOW_DAYS)
        api.kms.schedule_key_deletion(KeyId=ident, PendingWindowInDays=days)


def _find_key(api: Api, token: str) -> str | None:
    keys = [key["KeyId"] for page in api.kms.get_paginator("list_keys").paginate() for key in page["Keys"]]
    mine = (key for key in keys if _tags_of(api, key).get(TOKEN_TAG) == token)
    return next((key for key in mine if _read_key(api, key, {}) is not None), None)


KEY = Row(
    type="aws:kms/key:Key",
    inputs={
        *("description", "keyUsage", "multiRegion", "policy", "enableKeyRotation", "rotationPeriodInDays"),
        *("deletionWindowInDays", "tags"),
    },
    create=_create_key,
    finish=_finish_key,
    read=_read_key,
    update=_update_key,
    delete=_delete_key,
    find=_find_key,
    tagging=Tagging(
        key=lambda ident, outputs: ident,
        set=lambda api, ident, tags: api.kms.tag_resource(KeyId=ident, Tags=_tags(tags)),
        unset=lambda api, ident, keys: api.kms.untag_resource(KeyId=ident, TagKeys=keys),
    ),
    replace={"keyUsage": NO_CALL, "multiRegion": NO_CALL},
    unreadable={"deletionWindowInDays"},
    computed={"description", "policy", "rotationPeriodInDays"},
    defaults={"keyUsage": "ENCRYPT_DECRYPT"},
    absent={"rotationPeriodInDays"},
)


def _create_alias(api: Api, inputs: Map, token: str) -> str:
    api.kms.create_alias(AliasName=inputs["name"], TargetKeyId=inputs["targetKeyId"])
    return inputs["name"]


def _read_alias(api: Api, ident: str, known: Map) -> Map | None:
    pages = api.kms.get_paginator("list_aliases").paginate()
    alias = next((a for page in pages for a in page["Aliases"] if a["AliasName"] == ident), None)
    if alias is None or not alias.get("TargetKeyId"):
        return None
    return {
        "arn": alias["AliasArn"],
        "name": ident,
        "targetKeyId": alias["TargetKeyId"],
        "targetKeyArn": api.arn("kms", f"key/{alias['TargetKeyId']}"),
    }


def _update_alias(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    api.kms.update_alias(AliasName=ident, TargetKeyId=inputs["targetKeyId"])


ALIAS = Row(
    type="aws:kms/alias:Alias",
    inputs={"name", "targetKeyId"},
    token=lambda inputs: inputs["name"],
    create=_create_alias,
    read=_read_alias,
    update=_update_alias,
    delete=lambda api, ident, known: api.kms.delete_alias(AliasName=ident),
    find=lambda api, token: token if _read_alias(api, token, {}) else None,
    replace={"name": NO_CALL},
    unique={"name"},
    absent={"namePrefix"},
)

ROWS = (KEY, ALIAS)
