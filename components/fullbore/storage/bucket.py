"""One bucket and every setting that makes it fit to hold what must not be lost or seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from fullbore._aws import Scope
from fullbore.plan.model import BackupPlan

ABORT_UPLOADS_DAYS = 7
"""Days after which the parts of an upload that never ended are removed; they cost as much as objects."""

Rule = aws.s3.BucketLifecycleConfigurationRuleArgs


@dataclass(frozen=True, kw_only=True)
class BucketParts:
    """Whoever writes to the bucket should wait for `versioning` and `policy`."""

    bucket: aws.s3.Bucket
    versioning: aws.s3.BucketVersioning
    encryption: aws.s3.BucketServerSideEncryptionConfiguration
    public_access: aws.s3.BucketPublicAccessBlock
    policy: aws.s3.BucketPolicy
    lifecycle: aws.s3.BucketLifecycleConfiguration


@dataclass(frozen=True, kw_only=True)
class BucketSpec:
    """`prefix` begins the Pulumi names of the bucket's settings; `policy` is its JSON text."""

    name: str
    prefix: str
    policy: pulumi.Output[str]
    rules: Sequence[Rule]
    key_arn: pulumi.Output[str] | None = None
    locked: bool = False


def create_bucket(scope: Scope, spec: BucketSpec) -> BucketParts:
    bucket = aws.s3.Bucket(
        scope.part(f"{spec.prefix}bucket"),
        bucket=spec.name,
        object_lock_enabled=True if spec.locked else None,
        tags=scope.tags,
        opts=scope.child(),
    )
    versioning = aws.s3.BucketVersioning(
        scope.part(f"{spec.prefix}versioning"),
        bucket=bucket.bucket,
        versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
        opts=scope.child(),
    )
    public_access = _create_public_access_block(scope, spec, bucket)
    return BucketParts(
        bucket=bucket,
        versioning=versioning,
        encryption=_create_encryption(scope, spec, bucket),
        public_access=public_access,
        # S3 refuses two settings of one bucket at the same time, so the policy waits for the block.
        policy=aws.s3.BucketPolicy(
            scope.part(f"{spec.prefix}policy"),
            bucket=bucket.bucket,
            policy=spec.policy,
            opts=scope.child(depends_on=[public_access]),
        ),
        lifecycle=aws.s3.BucketLifecycleConfiguration(
            scope.part(f"{spec.prefix}lifecycle"),
            bucket=bucket.bucket,
            rules=list(spec.rules),
            opts=scope.child(depends_on=[versioning]),
        ),
    )


def _create_encryption(
    scope: Scope, spec: BucketSpec, bucket: aws.s3.Bucket
) -> aws.s3.BucketServerSideEncryptionConfiguration:
    """KMS with the given key, else the account's for S3: each use shows in CloudTrail; a bucket key keeps requests to
    KMS few."""
    default = aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
        sse_algorithm="aws:kms", kms_master_key_id=spec.key_arn
    )
    rule = aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
        apply_server_side_encryption_by_default=default, bucket_key_enabled=True
    )
    return aws.s3.BucketServerSideEncryptionConfiguration(
        scope.part(f"{spec.prefix}encryption"), bucket=bucket.bucket, rules=[rule], opts=scope.child()
    )


def _create_public_access_block(
    scope: Scope, spec: BucketSpec, bucket: aws.s3.Bucket
) -> aws.s3.BucketPublicAccessBlock:
    return aws.s3.BucketPublicAccessBlock(
        scope.part(f"{spec.prefix}public-access"),
        bucket=bucket.bucket,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=scope.child(),
    )


def create_lock(
    scope: Scope, plan: BackupPlan, parts: BucketParts, prefix: str
) -> aws.s3.BucketObjectLockConfiguration:
    """What each new version is held by, for as long as the plan says."""
    retention = aws.s3.BucketObjectLockConfigurationRuleDefaultRetentionArgs(
        mode=plan.mode.upper(), days=plan.retain_days
    )
    return aws.s3.BucketObjectLockConfiguration(
        scope.part(f"{prefix}lock"),
        bucket=parts.bucket.bucket,
        object_lock_enabled="Enabled",
        rule=aws.s3.BucketObjectLockConfigurationRuleArgs(default_retention=retention),
        opts=scope.child(depends_on=[parts.versioning]),
    )


def noncurrent_rule(days: int) -> Rule:
    """Replaced versions go after so many days, and what is left of broken uploads with them."""
    return Rule(
        id="replaced-versions",
        status="Enabled",
        filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
        noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
            noncurrent_days=days
        ),
        abort_incomplete_multipart_upload=aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
            days_after_initiation=ABORT_UPLOADS_DAYS
        ),
    )


def expiry_rule(prefix: str, days: int) -> Rule:
    """Objects below a prefix go after so many days."""
    return Rule(
        id=f"expire-{prefix.strip('/')}",
        status="Enabled",
        filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=prefix),
        expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=days),
    )
