"""Storage as one component: the bucket of the weights, that of backups, and file systems, where the plan has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from fullbore import policies
from fullbore._aws import Scope
from fullbore._component import Component
from fullbore.cloud import Cloud
from fullbore.plan.model import BackupPlan, StoragePlan
from fullbore.storage.bucket import BucketParts, BucketSpec, create_bucket, create_lock, expiry_rule, noncurrent_rule
from fullbore.storage.lustre import LustreParts, create_lustre
from fullbore.storage.shared import SharedParts, create_shared

BACKUPS = "backups-"
LOGS = "logs/"
"""Prefix of what is kept for a time only: dialogue logs and reports of replication."""
DELETION_DAYS = 30
"""Days in which a deleted key can be called back: the most that KMS allows."""


@dataclass(frozen=True, kw_only=True)
class StorageResources:
    """What a `Storage` made; all but the weights' bucket where the plan has it."""

    weights: BucketParts
    key: aws.kms.Key | None
    backups: BucketParts | None
    lock: aws.s3.BucketObjectLockConfiguration | None
    lustre: LustreParts | None
    shared: SharedParts | None


class Storage(Component):
    """Buckets that speak TLS only, keep every version and are encrypted; backups are held for their time. File systems
    are reached from the cloud's nodes."""

    def __init__(
        self,
        name: str,
        plan: StoragePlan,
        *,
        cloud: Cloud,
        tags: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(name, opts)
        self.plan = plan
        self.scope = Scope(self, plan.environment, dict(tags))
        key = self._create_key() if plan.own_key else None
        weights = self._create_weights(key)
        backups = self._create_backups(plan.backups, key) if plan.backups else None
        self.resources = StorageResources(
            weights=weights,
            key=key,
            backups=backups,
            lock=create_lock(self.scope, plan.backups, backups, BACKUPS) if plan.backups and backups else None,
            lustre=create_lustre(self.scope, plan.lustre, weights, cloud, key) if plan.lustre else None,
            shared=create_shared(self.scope, plan.shared, cloud, key) if plan.shared else None,
        )
        self.register_outputs({"bucket": weights.bucket.bucket, "bucketArn": weights.bucket.arn})

    def _create_weights(self, key: aws.kms.Key | None) -> BucketParts:
        logs = [expiry_rule(LOGS, self.plan.logs_days)] if self.plan.logs_days else []
        return create_bucket(
            self.scope,
            BucketSpec(
                name=self.plan.bucket,
                prefix="",
                policy=self._policy(self.plan.bucket),
                rules=[noncurrent_rule(self.plan.expire_noncurrent_days), *logs],
                key_arn=key.arn if key else None,
            ),
        )

    def _create_backups(self, plan: BackupPlan, key: aws.kms.Key | None) -> BucketParts:
        return create_bucket(
            self.scope,
            BucketSpec(
                name=plan.bucket,
                prefix=BACKUPS,
                policy=self._policy(plan.bucket),
                rules=[noncurrent_rule(plan.retain_days)],
                key_arn=key.arn if key else None,
                locked=True,
            ),
        )

    def _policy(self, bucket: str) -> pulumi.Output[str]:
        arn = f"arn:aws:s3:::{bucket}"
        account = self.scope.account if self.plan.confined else pulumi.Output.from_input("")
        return account.apply(
            lambda number: policies.bucket_policy(arn, account=number, may_replicate=self.plan.may_replicate)
        )

    def _create_key(self) -> aws.kms.Key:
        """Used by whoever may use the buckets of the account through S3, so that no role needs the key's name.

        Neither `destroy` nor `own_key: false` deletes it.
        """
        region = self.plan.region
        key = aws.kms.Key(
            self.part("key"),
            description=f"objects of {self.plan.bucket}",
            enable_key_rotation=True,
            deletion_window_in_days=DELETION_DAYS,
            policy=self.scope.account.apply(
                lambda number: policies.document(
                    [policies.key_administration(number), policies.key_through_s3(number, region)]
                )
            ),
            tags=self.scope.tags,
            # What is encrypted with it outlives the stack: locked backups for weeks, and a bucket that is not empty.
            opts=self.child(retain_on_delete=True),
        )
        aws.kms.Alias(
            self.part("key"),
            name=f"alias/{self.scope.physical('key')}",
            target_key_id=key.key_id,
            opts=self.child(retain_on_delete=True),
        )
        return key
