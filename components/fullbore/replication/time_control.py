"""S3 replication across regions with Time Control, as one component: the role, the rule, and who is told of a lag.

The source bucket is there already, keeps versions, and has no other replication: its configuration becomes this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from fullbore import policies
from fullbore._aws import Role, Scope, aws_provider
from fullbore._component import Component
from fullbore.plan.model import TimeControlPlan
from fullbore.plan.parts import REPLICATION_RULE
from fullbore.replication.reader import LagReader, create_reader
from fullbore.storage import Storage

MINUTES = 15
"""The only time that S3 takes (S3 API reference, ReplicationTimeValue)."""
EVENTS = ("OperationFailedReplication", "OperationMissedThreshold", "OperationReplicatedAfterThreshold")
"""What is told of single objects (S3 user guide, "Receiving replication failure events with Amazon S3 Event
Notifications", "S3 RTC")."""
NAMESPACE = "AWS/S3"
PERIOD_S = 60
ON = "Enabled"


@dataclass(frozen=True, kw_only=True)
class TimeControlResources:
    """What a `TimeControl` made, all but the role in the source's region."""

    provider: aws.Provider
    role: Role
    replication: aws.s3.BucketReplicationConfig
    events: aws.s3.BucketNotification | None
    lag: aws.cloudwatch.MetricAlarm
    failed: aws.cloudwatch.MetricAlarm
    reader: LagReader | None


class TimeControl(Component):
    """New objects of the source bucket, and their deletions, reach the bucket of the weights, each within 15 minutes
    as long as no more is written than the promise is for."""

    def __init__(
        self,
        name: str,
        plan: TimeControlPlan,
        *,
        storage: Storage,
        tags: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(name, opts)
        provider = aws_provider(
            self.part("source"), plan.source_region, plan.endpoint_url, tags=tags, opts=self.child()
        )
        scope = Scope(self, plan.environment, dict(tags), provider)
        target = storage.resources.weights.bucket
        role = _create_role(scope, plan, storage)
        self.resources = TimeControlResources(
            provider=provider,
            role=role,
            replication=_create_replication(scope, plan, storage, role),
            events=_create_events(scope, plan, plan.events_topic_arn) if plan.events_topic_arn else None,
            lag=_create_lag_alarm(scope, plan, target),
            failed=_create_failed_alarm(scope, plan, target),
            reader=create_reader(scope, plan.reader, policies.read_metrics()) if plan.reader else None,
        )
        self.register_outputs({"sourceBucket": plan.source_bucket})


def _key_arn(storage: Storage) -> pulumi.Output[str]:
    """The key of the copies. Raises ValueError where there is none, which a rule of the plan refuses."""
    if storage.resources.key is None:
        raise ValueError("storage.own_key: Replication Time Control needs a key of the environment's own")
    return storage.resources.key.arn


def _create_role(scope: Scope, plan: TimeControlPlan, storage: Storage) -> Role:
    grants = pulumi.Output.all(storage.resources.weights.bucket.arn, _key_arn(storage)).apply(
        lambda given: policies.replicate(
            f"arn:aws:s3:::{plan.source_bucket}",
            given[0],
            (plan.source_region, plan.region),
            (plan.source_key_arn, given[1]),
        )
    )
    return scope.role("s3", policies.trust("s3.amazonaws.com"), inline={"copy": grants})


def _create_replication(
    scope: Scope, plan: TimeControlPlan, storage: Storage, role: Role
) -> aws.s3.BucketReplicationConfig:
    weights = storage.resources.weights
    return aws.s3.BucketReplicationConfig(
        scope.part("rule"),
        bucket=plan.source_bucket,
        role=role.role.arn,
        rules=[_rule(plan, weights.bucket.arn, _key_arn(storage))],
        # S3 refuses a destination that keeps no versions, and a role that may not write there.
        opts=scope.child(depends_on=[*role.grants, weights.versioning, weights.policy]),
    )


def _rule(
    plan: TimeControlPlan, target_arn: pulumi.Output[str], key_arn: pulumi.Output[str]
) -> aws.s3.BucketReplicationConfigRuleArgs:
    return aws.s3.BucketReplicationConfigRuleArgs(
        id=REPLICATION_RULE,
        priority=1,
        status=ON,
        filter=aws.s3.BucketReplicationConfigRuleFilterArgs(prefix=plan.prefix),
        # The bucket keeps every version: what is deleted at the source can be read by its version here.
        delete_marker_replication=aws.s3.BucketReplicationConfigRuleDeleteMarkerReplicationArgs(status=ON),
        source_selection_criteria=aws.s3.BucketReplicationConfigRuleSourceSelectionCriteriaArgs(
            sse_kms_encrypted_objects=aws.s3.BucketReplicationConfigRuleSourceSelectionCriteriaSseKmsEncryptedObjectsArgs(
                status=ON
            )
        ),
        destination=aws.s3.BucketReplicationConfigRuleDestinationArgs(
            bucket=target_arn,
            encryption_configuration=aws.s3.BucketReplicationConfigRuleDestinationEncryptionConfigurationArgs(
                replica_kms_key_id=key_arn
            ),
            metrics=aws.s3.BucketReplicationConfigRuleDestinationMetricsArgs(
                status=ON,
                event_threshold=aws.s3.BucketReplicationConfigRuleDestinationMetricsEventThresholdArgs(minutes=MINUTES),
            ),
            replication_time=aws.s3.BucketReplicationConfigRuleDestinationReplicationTimeArgs(
                status=ON,
                time=aws.s3.BucketReplicationConfigRuleDestinationReplicationTimeTimeArgs(minutes=MINUTES),
            ),
        ),
    )


def _create_events(scope: Scope, plan: TimeControlPlan, topic_arn: str) -> aws.s3.BucketNotification:
    topic = aws.s3.BucketNotificationTopicArgs(
        id="replication", topic_arn=topic_arn, events=[f"s3:Replication:{event}" for event in EVENTS]
    )
    return aws.s3.BucketNotification(
        scope.part("events"), bucket=plan.source_bucket, topics=[topic], opts=scope.child()
    )


def _create_lag_alarm(scope: Scope, plan: TimeControlPlan, target: aws.s3.Bucket) -> aws.cloudwatch.MetricAlarm:
    return _create_alarm(
        scope,
        plan,
        target,
        "lag",
        f"the copy of the weights is more than {plan.lag_s} s behind its source",
        ("ReplicationLatency", "Maximum", "GreaterThanThreshold", plan.lag_s),
    )


def _create_failed_alarm(scope: Scope, plan: TimeControlPlan, target: aws.s3.Bucket) -> aws.cloudwatch.MetricAlarm:
    return _create_alarm(
        scope,
        plan,
        target,
        "failed",
        "S3 could not copy an object",
        ("OperationsFailedReplication", "Sum", "GreaterThanThreshold", 0),
    )


def _create_alarm(
    scope: Scope,
    plan: TimeControlPlan,
    target: aws.s3.Bucket,
    part: str,
    description: str,
    watched: tuple[str, str, str, int],
) -> aws.cloudwatch.MetricAlarm:
    """Over what a rule publishes each minute (S3 user guide, "Metrics and dimensions", S3 Replication metrics)."""
    metric, statistic, comparison, threshold = watched
    actions = [plan.alarm_topic_arn] if plan.alarm_topic_arn else []
    return aws.cloudwatch.MetricAlarm(
        scope.part(part),
        name=scope.physical(part),
        alarm_description=description,
        namespace=NAMESPACE,
        metric_name=metric,
        dimensions={"SourceBucket": plan.source_bucket, "DestinationBucket": target.bucket, "RuleId": REPLICATION_RULE},
        statistic=statistic,
        comparison_operator=comparison,
        threshold=threshold,
        evaluation_periods=1,
        period=PERIOD_S,
        # Nothing is published where nothing waits to be copied.
        treat_missing_data="notBreaching",
        alarm_actions=actions,
        ok_actions=actions,
        tags=scope.tags,
        opts=scope.child(),
    )
