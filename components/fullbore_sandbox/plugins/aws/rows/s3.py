"""S3 buckets and their settings. A setting's id is its bucket's name; making one overwrites what was there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any

from fullbore_sandbox.plugins.aws.api import Api
from fullbore_sandbox.plugins.aws.convert import as_text, camel, pascal, tag_list, tag_map
from fullbore_sandbox.plugins.aws.row import TOKEN_TAG, Map, Row, Tagging

NO_CALL = "S3 API reference: it belongs to the bucket named at creation"
NO_LOCATION = "us-east-1"
"""The region that CreateBucket wants left out (S3 API reference, CreateBucketConfiguration)."""


def _create_bucket(api: Api, inputs: Map, token: str) -> str:
    place = {} if api.region == NO_LOCATION else {"CreateBucketConfiguration": {"LocationConstraint": api.region}}
    lock = {"ObjectLockEnabledForBucket": True} if inputs.get("objectLockEnabled") else {}
    api.s3.create_bucket(Bucket=inputs["bucket"], **place, **lock)
    return inputs["bucket"]


def _tag_bucket(api: Api, ident: str, inputs: Map) -> None:
    _put_tags(api, ident, inputs.get("tags", {}) | {TOKEN_TAG: ident})


def _bucket_tags(api: Api, bucket: str) -> dict[str, str]:
    return tag_map(_or_none(api.s3.get_bucket_tagging, Bucket=bucket).get("TagSet"))


def _put_tags(api: Api, bucket: str, tags: dict[str, str]) -> None:
    """S3 replaces all tags at once, so what is there already goes in again."""
    api.s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tag_list(_bucket_tags(api, bucket) | tags)})


def _remove_tags(api: Api, bucket: str, keys: list[str]) -> None:
    left = {k: v for k, v in _bucket_tags(api, bucket).items() if k not in keys}
    api.s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tag_list(left)})


_UNSET = ("NoSuch", "ServerSideEncryptionConfigurationNotFound", "ObjectLockConfigurationNotFound")
"""How the codes begin by which S3 says that a setting is not there."""


def _or_none(call: Callable[..., Map], **parameters: object) -> Map:
    """The answer, or nothing where the bucket is there and the setting is not; a missing bucket still raises."""
    from botocore.exceptions import ClientError

    try:
        return call(**parameters)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code.startswith(_UNSET) and code != "NoSuchBucket":
            return {}
        raise


def _read_bucket(api: Api, ident: str, known: Map) -> Map | None:
    api.s3.head_bucket(Bucket=ident)
    region = api.s3.get_bucket_location(Bucket=ident).get("LocationConstraint") or NO_LOCATION
    return {
        "bucket": ident,
        "arn": f"arn:aws:s3:::{ident}",
        "bucketRegion": region,
        "bucketDomainName": f"{ident}.s3.amazonaws.com",
        "bucketRegionalDomainName": f"{ident}.s3.{region}.amazonaws.com",
        "objectLockEnabled": bool(_lock(api, ident)),
        "tags": _bucket_tags(api, ident),
    }


def _lock(api: Api, bucket: str) -> Map:
    """The lock of a bucket that was made with one; the emulator says `Disabled` where AWS says that there is none."""
    found = _or_none(api.s3.get_object_lock_configuration, Bucket=bucket).get("ObjectLockConfiguration", {})
    return found if found.get("ObjectLockEnabled") == "Enabled" else {}


def _delete_bucket(api: Api, ident: str, known: Map) -> None:
    if known.get("forceDestroy"):
        _empty(api, ident)
    api.s3.delete_bucket(Bucket=ident)


def _empty(api: Api, bucket: str) -> None:
    for page in api.s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for item in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            api.s3.delete_object(Bucket=bucket, Key=item["Key"], VersionId=item["VersionId"])


BUCKET = Row(
    type="aws:s3/bucket:Bucket",
    inputs={"bucket", "forceDestroy", "objectLockEnabled", "tags"},
    token=lambda inputs: inputs["bucket"],
    create=_create_bucket,
    finish=_tag_bucket,
    read=_read_bucket,
    update=lambda api, ident, inputs, changed: None,
    delete=_delete_bucket,
    find=lambda api, token: api.s3.head_bucket(Bucket=token) and token,
    tagging=Tagging(key=lambda ident, outputs: ident, set=_put_tags, unset=_remove_tags),
    name="bucket",
    name_case=str.lower,
    replace={
        "bucket": "S3 API reference: a bucket cannot be renamed",
        "objectLockEnabled": "terraform-provider-aws: object_lock_enabled of aws_s3_bucket forces a new one",
    },
    unique={"bucket"},
    unreadable={"forceDestroy"},
    defaults={"objectLockEnabled": False},
    # Settings that have resources of their own, and what an emulator on loopback has no names for.
    absent={
        "accelerationStatus",
        "acl",
        "bucketNamespace",
        "bucketPrefix",
        "corsRules",
        "grants",
        "hostedZoneId",
        "lifecycleRules",
        "logging",
        "objectLockConfiguration",
        "policy",
        "replicationConfiguration",
        "requestPayer",
        "serverSideEncryptionConfiguration",
        "versioning",
        "website",
        "websiteDomain",
        "websiteEndpoint",
    },
)


def _setting(
    kind: str,
    inputs: Set[str],
    put: Callable[[Api, str, Map], None],
    get: Callable[[Api, str], Map | None],
    remove: Callable[[Api, str], None],
    absent: Set[str] = frozenset(),
    defaults: Mapping[str, Any] = {},
) -> Row:
    """A row of one setting of a bucket: `put` writes it whole, `get` is None where it is not set."""

    def create(api: Api, given: Map, token: str) -> str:
        put(api, given["bucket"], given)
        return given["bucket"]

    def read(api: Api, ident: str, known: Map) -> Map | None:
        found = get(api, ident)
        return None if found is None else {"bucket": ident, **found}

    return Row(
        type=f"aws:s3/{kind[0].lower()}{kind[1:]}:{kind}",
        inputs={"bucket", *inputs},
        token=lambda given: given["bucket"],
        create=create,
        read=read,
        update=lambda api, ident, given, changed: put(api, ident, given),
        delete=lambda api, ident, known: remove(api, ident),
        find=lambda api, token: token if get(api, token) is not None else None,
        replace={"bucket": NO_CALL},
        unique={"bucket"},
        absent=absent,
        defaults=defaults,
    )


def _get_versioning(api: Api, bucket: str) -> Map | None:
    status = api.s3.get_bucket_versioning(Bucket=bucket).get("Status")
    return {"versioningConfiguration": {"status": status}} if status else None


def _put_versioning(api: Api, bucket: str, inputs: Map) -> None:
    status = inputs["versioningConfiguration"]["status"]
    api.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})


def _suspend_versioning(api: Api, bucket: str) -> None:
    """Versioning cannot be taken away again, only suspended (S3 API reference, PutBucketVersioning)."""
    api.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


_ENCRYPTION = {"sseAlgorithm": "SSEAlgorithm", "kmsMasterKeyId": "KMSMasterKeyID"}


def _get_encryption(api: Api, bucket: str) -> Map | None:
    found = _or_none(api.s3.get_bucket_encryption, Bucket=bucket).get("ServerSideEncryptionConfiguration")
    return found and {"rules": camel(found["Rules"], _ENCRYPTION)}


def _put_encryption(api: Api, bucket: str, inputs: Map) -> None:
    rules = pascal(inputs["rules"], _ENCRYPTION)
    api.s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})


_BLOCKS = ("blockPublicAcls", "ignorePublicAcls", "blockPublicPolicy", "restrictPublicBuckets")


def _get_public_access(api: Api, bucket: str) -> Map | None:
    found = _or_none(api.s3.get_public_access_block, Bucket=bucket).get("PublicAccessBlockConfiguration")
    return found and camel(found)


def _put_public_access(api: Api, bucket: str, inputs: Map) -> None:
    blocks = pascal({name: inputs.get(name, False) for name in _BLOCKS})
    api.s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=blocks)


def _get_lifecycle(api: Api, bucket: str) -> Map | None:
    found = _or_none(api.s3.get_bucket_lifecycle_configuration, Bucket=bucket).get("Rules")
    return found and {"rules": [_rule_read(rule) for rule in found]}


def _rule_read(rule: Map) -> Map:
    given = camel(rule, {"id": "ID"})
    for holder in (given.get("filter") or {}, (given.get("filter") or {}).get("and") or {}):
        if "tags" in holder:
            holder["tags"] = {tag["key"]: tag["value"] for tag in holder["tags"]}
    return given


def _put_lifecycle(api: Api, bucket: str, inputs: Map) -> None:
    rules = [_rule_written(rule) for rule in inputs.get("rules", [])]
    api.s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})


def _rule_written(rule: Map) -> Map:
    """One rule as the API takes it; without a filter it would be refused, an empty one means every object."""
    given = pascal(rule, {"id": "ID"}) | {"Filter": pascal(rule.get("filter") or {"prefix": ""})}
    both = given["Filter"].get("And", {})
    if "Tags" in both:
        both["Tags"] = tag_list(rule["filter"]["and"]["tags"])
    return given


def _get_policy(api: Api, bucket: str) -> Map | None:
    found = _or_none(api.s3.get_bucket_policy, Bucket=bucket).get("Policy")
    return found and {"policy": found}


def _put_lock(api: Api, bucket: str, inputs: Map) -> None:
    """Lock is on since the bucket was made; what is set is how long it holds new versions by default."""
    rule = {"Rule": pascal(inputs["rule"])} if inputs.get("rule") else {}
    lock = {"ObjectLockEnabled": "Enabled", **rule}
    api.s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=lock)


def _get_lock(api: Api, bucket: str) -> Map | None:
    retention = _lock(api, bucket).get("Rule", {}).get("DefaultRetention")
    given = {k: v for k, v in (retention or {}).items() if v}
    return {"objectLockEnabled": "Enabled", "rule": {"defaultRetention": camel(given)}} if given else None


_REPLICATION = {"id": "ID", "replicaKmsKeyId": "ReplicaKmsKeyID"}


def _put_replication(api: Api, bucket: str, inputs: Map) -> None:
    given = {"Role": inputs["role"], "Rules": pascal(inputs["rules"], _REPLICATION)}
    api.s3.put_bucket_replication(Bucket=bucket, ReplicationConfiguration=given)


def _get_replication(api: Api, bucket: str) -> Map | None:
    found = _or_none(api.s3.get_bucket_replication, Bucket=bucket).get("ReplicationConfiguration")
    return found and {"role": found["Role"], "rules": camel(found["Rules"], _REPLICATION)}


def _put_topics(api: Api, bucket: str, inputs: Map) -> None:
    topics = pascal(inputs.get("topics") or [])
    api.s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"TopicConfigurations": topics} if topics else {}
    )


def _get_topics(api: Api, bucket: str) -> Map | None:
    """A bucket without notifications has none of these settings; S3 names each topic that was given no id."""
    found = _or_none(api.s3.get_bucket_notification_configuration, Bucket=bucket).get("TopicConfigurations")
    return {"topics": camel(found)} if found else None


ROWS = (
    BUCKET,
    _setting(
        "BucketReplicationConfig",
        {"role", "rules"},
        _put_replication,
        _get_replication,
        lambda api, bucket: api.s3.delete_bucket_replication(Bucket=bucket),
    ),
    _setting(
        "BucketNotification",
        {"topics"},
        _put_topics,
        _get_topics,
        lambda api, bucket: _put_topics(api, bucket, {}),
    ),
    _setting(
        "BucketObjectLockConfiguration",
        {"objectLockEnabled", "rule"},
        _put_lock,
        _get_lock,
        # Without a rule: lock itself can never be taken off (S3 user guide, Object Lock).
        lambda api, bucket: _put_lock(api, bucket, {}),
        defaults={"objectLockEnabled": "Enabled"},
    ),
    _setting("BucketVersioning", {"versioningConfiguration"}, _put_versioning, _get_versioning, _suspend_versioning),
    _setting(
        "BucketServerSideEncryptionConfiguration",
        {"rules"},
        _put_encryption,
        _get_encryption,
        lambda api, bucket: api.s3.delete_bucket_encryption(Bucket=bucket),
    ),
    _setting(
        "BucketPublicAccessBlock",
        {*_BLOCKS},
        _put_public_access,
        _get_public_access,
        lambda api, bucket: api.s3.delete_public_access_block(Bucket=bucket),
    ),
    _setting(
        "BucketLifecycleConfiguration",
        {"rules"},
        _put_lifecycle,
        _get_lifecycle,
        lambda api, bucket: api.s3.delete_bucket_lifecycle(Bucket=bucket),
        absent={"expectedBucketOwner", "transitionDefaultMinimumObjectSize"},
    ),
    _setting(
        "BucketPolicy",
        {"policy"},
        lambda api, bucket, inputs: api.s3.put_bucket_policy(Bucket=bucket, Policy=as_text(inputs["policy"])),
        _get_policy,
        lambda api, bucket: api.s3.delete_bucket_policy(Bucket=bucket),
    ),
)
