"""Guards of what keeps data: buckets, keys, logs and copies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

from fullbore.guard.model import Guard, Inputs, Registered, block, is_true, is_unknown, items

BUCKET = "aws:s3/bucket:Bucket"
PUBLIC = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
ALGORITHMS = ("AES256", "aws:kms", "aws:kms:dsse")
Find = Callable[[Inputs, Sequence[Registered]], Iterator[str]]


def _has(companion: str, what: str) -> Find:
    """A bucket is bare until others say how it is kept; where a name is not known yet, one counts for each bucket."""

    def find(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
        of = [each.inputs.get("bucket") for each in resources if each.type == companion]
        name = inputs.get("bucket")
        if name not in of and not any(is_unknown(each) for each in (*of, name) if of):
            yield f"the bucket has no {what}; add one"

    return find


def _public(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    for name in PUBLIC:
        if not is_true(inputs.get(name)):
            yield f"{name}: got {inputs.get(name)}, allowed true; block every way to make it public"


def _versioned(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    status = block(inputs, "versioningConfiguration").get("status")
    if status != "Enabled":
        yield f"versioningConfiguration.status: got {status}, allowed Enabled; what is overwritten would be lost"


def _encrypted(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    for rule in items(inputs.get("rules")):
        algorithm = rule.get("applyServerSideEncryptionByDefault", {}).get("sseAlgorithm")
        if algorithm not in ALGORITHMS:
            yield f"rules: got {algorithm}, allowed {', '.join(ALGORITHMS)}; encrypt what is written"


def _tls(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    if not _denies_plain(inputs.get("policy"), "s3:*"):
        yield "policy: no statement denies requests without TLS; deny s3:* where aws:SecureTransport is false"


def _denies_plain(text: object, action: str) -> bool:
    """Whether a policy denies an action without TLS; one that is not known yet may."""
    if is_unknown(text) or not isinstance(text, str):
        return True
    for statement in json.loads(text)["Statement"]:
        plain = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
        if statement["Effect"] == "Deny" and plain == "false" and action in items(statement["Action"]):
            return True
    return False


def _uploads(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    if not any(rule.get("abortIncompleteMultipartUpload") for rule in items(inputs.get("rules"))):
        yield "rules: broken uploads stay for ever; abort them after some days"


def _key(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    if not is_true(inputs.get("enableKeyRotation")):
        yield f"enableKeyRotation: got {inputs.get('enableKeyRotation')}, allowed true; let the key turn over"
    if not inputs.get("policy"):
        yield "policy: missing; say who may use and manage the key"
    if inputs.get("isEnabled") is False:
        yield "isEnabled: got false, allowed true; what it encrypts could not be read"


def _retention(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    if not inputs.get("retentionInDays"):
        yield "retentionInDays: missing; say for how many days logs are kept"


def _verified(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    mode = block(inputs, "options").get("verifyMode")
    if mode in (None, "NONE"):
        yield f"options.verifyMode: got {mode}, which checks nothing; check what was transferred, or all"


def _store_tls(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    if inputs.get("serverProtocol") == "HTTP":
        yield "serverProtocol: got HTTP, allowed HTTPS; keys and weights would pass in clear"


def _system_encrypted(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    if not is_true(inputs.get("encrypted")):
        yield f"encrypted: got {inputs.get('encrypted')}, allowed true; what is written would lie in clear"


def _system_tls(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    if not _denies_plain(inputs.get("policy"), "elasticfilesystem:ClientMount"):
        yield "policy: no statement denies mounts without TLS; deny them where aws:SecureTransport is false"


def _alarm(inputs: Inputs, resources: Sequence[Registered]) -> Iterator[str]:
    if inputs.get("actionsEnabled") is False:
        yield "actionsEnabled: got false, allowed true; nobody would be told"


GUARDS = (
    *(
        Guard(id=f"s3-{part}", type=BUCKET, summary=f"a bucket without {what}", find=_has(companion, what))
        for part, what, companion in (
            ("no-public-block", "public access block", "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"),
            ("no-versions", "versioning", "aws:s3/bucketVersioning:BucketVersioning"),
            ("no-policy", "policy", "aws:s3/bucketPolicy:BucketPolicy"),
            ("no-lifecycle", "lifecycle", "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"),
            (
                "no-encryption",
                "encryption by default",
                "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
            ),
        )
    ),
    Guard(
        id="s3-public",
        type="aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        summary="a bucket that can become public",
        find=_public,
    ),
    Guard(
        id="s3-versions-off",
        type="aws:s3/bucketVersioning:BucketVersioning",
        summary="a bucket that forgets what is overwritten",
        find=_versioned,
    ),
    Guard(
        id="s3-encryption",
        type="aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        summary="a bucket whose objects are not encrypted",
        find=_encrypted,
    ),
    Guard(
        id="s3-tls",
        type="aws:s3/bucketPolicy:BucketPolicy",
        summary="a bucket that answers without TLS",
        find=_tls,
    ),
    Guard(
        id="s3-uploads",
        type="aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        summary="broken uploads that stay",
        find=_uploads,
    ),
    Guard(
        id="efs-encryption",
        type="aws:efs/fileSystem:FileSystem",
        summary="a file system that is not encrypted",
        find=_system_encrypted,
    ),
    Guard(
        id="efs-tls",
        type="aws:efs/fileSystemPolicy:FileSystemPolicy",
        summary="a file system that is mounted without TLS",
        find=_system_tls,
    ),
    Guard(id="kms-key", type="aws:kms/key:Key", summary="a key that never turns over, or nobody's", find=_key),
    Guard(
        id="logs-retention",
        type="aws:cloudwatch/logGroup:LogGroup",
        summary="logs that are kept for ever",
        find=_retention,
    ),
    Guard(id="copy-unverified", type="aws:datasync/task:Task", summary="copies that nobody checks", find=_verified),
    Guard(
        id="copy-plain",
        type="aws:datasync/locationObjectStorage:LocationObjectStorage",
        summary="a store that is read without TLS",
        find=_store_tls,
    ),
    Guard(
        id="alarm-off",
        type="aws:cloudwatch/metricAlarm:MetricAlarm",
        summary="an alarm that tells nobody",
        find=_alarm,
    ),
)
