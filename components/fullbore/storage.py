"""Where model weights live in the cloud: one private, versioned, encrypted bucket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from fullbore._component import Component
from fullbore.plan.model import StoragePlan

ABORT_UPLOADS_DAYS = 7
"""Days after which the parts of an upload that never ended are removed; they cost as much as objects."""


@dataclass(frozen=True, kw_only=True)
class StorageResources:
    """What a `Storage` made. Whoever writes to the bucket should wait for `versioning` and `policy`."""

    bucket: aws.s3.Bucket
    versioning: aws.s3.BucketVersioning
    encryption: aws.s3.BucketServerSideEncryptionConfiguration
    public_access: aws.s3.BucketPublicAccessBlock
    policy: aws.s3.BucketPolicy
    lifecycle: aws.s3.BucketLifecycleConfiguration


class Storage(Component):
    """The bucket, and every setting that makes it fit to hold weights."""

    def __init__(
        self,
        name: str,
        plan: StoragePlan,
        *,
        tags: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(name, opts)
        self.plan = plan
        self.tags = dict(tags)
        bucket = aws.s3.Bucket(self.part("bucket"), bucket=plan.bucket, tags=self.tags, opts=self.child())
        versioning = self._create_versioning(bucket)
        public_access = self._create_public_access_block(bucket)
        self.resources = StorageResources(
            bucket=bucket,
            versioning=versioning,
            encryption=self._create_encryption(bucket),
            public_access=public_access,
            policy=self._create_policy(bucket, public_access),
            lifecycle=self._create_lifecycle(bucket, versioning),
        )
        self.register_outputs({"bucket": bucket.bucket, "bucketArn": bucket.arn})

    def _create_versioning(self, bucket: aws.s3.Bucket) -> aws.s3.BucketVersioning:
        return aws.s3.BucketVersioning(
            self.part("versioning"),
            bucket=bucket.bucket,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=self.child(),
        )

    def _create_encryption(self, bucket: aws.s3.Bucket) -> aws.s3.BucketServerSideEncryptionConfiguration:
        """KMS with the account's S3 key: each use shows in CloudTrail; a bucket key keeps requests to KMS few."""
        default = aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
            sse_algorithm="aws:kms"
        )
        rule = aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
            apply_server_side_encryption_by_default=default, bucket_key_enabled=True
        )
        return aws.s3.BucketServerSideEncryptionConfiguration(
            self.part("encryption"), bucket=bucket.bucket, rules=[rule], opts=self.child()
        )

    def _create_public_access_block(self, bucket: aws.s3.Bucket) -> aws.s3.BucketPublicAccessBlock:
        return aws.s3.BucketPublicAccessBlock(
            self.part("public-access"),
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self.child(),
        )

    def _create_policy(self, bucket: aws.s3.Bucket, after: pulumi.Resource) -> aws.s3.BucketPolicy:
        # S3 refuses two settings of one bucket at the same time, so the policy waits for the block.
        return aws.s3.BucketPolicy(
            self.part("policy"),
            bucket=bucket.bucket,
            policy=bucket.arn.apply(tls_only_policy),
            opts=self.child(depends_on=[after]),
        )

    def _create_lifecycle(
        self, bucket: aws.s3.Bucket, versioning: aws.s3.BucketVersioning
    ) -> aws.s3.BucketLifecycleConfiguration:
        rule = aws.s3.BucketLifecycleConfigurationRuleArgs(
            id="replaced-versions",
            status="Enabled",
            filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
            noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                noncurrent_days=self.plan.expire_noncurrent_days
            ),
            abort_incomplete_multipart_upload=aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                days_after_initiation=ABORT_UPLOADS_DAYS
            ),
        )
        return aws.s3.BucketLifecycleConfiguration(
            self.part("lifecycle"),
            bucket=bucket.bucket,
            rules=[rule],
            opts=self.child(depends_on=[versioning]),
        )


def tls_only_policy(bucket_arn: str) -> str:
    """A bucket policy that refuses every request made without TLS."""
    statement = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [bucket_arn, f"{bucket_arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, sort_keys=True)
