"""Who is told when a run fails, or when none has succeeded for too long.

DataSync says the end of each run to EventBridge, as a best effort; a rule counts the failed and one the successful
ones, and an alarm watches each count (EventBridge events reference, "AWS DataSync events"; EventBridge user guide,
"Monitoring Amazon EventBridge", metric TriggeredRules). A failure whose event is lost shows as a lag.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi_aws as aws

from fullbore._aws import Scope
from fullbore.plan.model import AlarmPlan

NAMESPACE, METRIC = "AWS/Events", "TriggeredRules"
HOUR_S = 3600
FAILED_WITHIN_S = 300


@dataclass(frozen=True, kw_only=True)
class AlarmParts:
    failed_rule: aws.cloudwatch.EventRule
    succeeded_rule: aws.cloudwatch.EventRule
    failed: aws.cloudwatch.MetricAlarm
    lag: aws.cloudwatch.MetricAlarm


def create_alarms(scope: Scope, plan: AlarmPlan, task: aws.datasync.Task) -> AlarmParts:
    failed_rule = _create_rule(scope, task, "failed", "ERROR")
    succeeded_rule = _create_rule(scope, task, "succeeded", "SUCCESS")
    actions = [plan.topic_arn] if plan.topic_arn else []
    return AlarmParts(
        failed_rule=failed_rule,
        succeeded_rule=succeeded_rule,
        failed=_create_failed_alarm(scope, failed_rule, actions),
        lag=_create_lag_alarm(scope, succeeded_rule, plan.lag_hours, actions),
    )


def _create_failed_alarm(
    scope: Scope, rule: aws.cloudwatch.EventRule, actions: list[str]
) -> aws.cloudwatch.MetricAlarm:
    return aws.cloudwatch.MetricAlarm(
        scope.part("failed"),
        name=scope.physical("failed"),
        alarm_description="a run of replication failed, or what it copied did not verify",
        namespace=NAMESPACE,
        metric_name=METRIC,
        dimensions={"RuleName": rule.name},
        statistic="Sum",
        comparison_operator="GreaterThanOrEqualToThreshold",
        threshold=1,
        evaluation_periods=1,
        period=FAILED_WITHIN_S,
        treat_missing_data="notBreaching",
        alarm_actions=actions,
        tags=scope.tags,
        opts=scope.child(),
    )


def _create_lag_alarm(
    scope: Scope, rule: aws.cloudwatch.EventRule, hours: int, actions: list[str]
) -> aws.cloudwatch.MetricAlarm:
    return aws.cloudwatch.MetricAlarm(
        scope.part("lag"),
        name=scope.physical("lag"),
        alarm_description=f"no run of replication has succeeded for {hours} h",
        namespace=NAMESPACE,
        metric_name=METRIC,
        dimensions={"RuleName": rule.name},
        statistic="Sum",
        comparison_operator="LessThanThreshold",
        threshold=1,
        evaluation_periods=hours,
        datapoints_to_alarm=hours,
        period=HOUR_S,
        # A rule that matches nothing reports nothing.
        treat_missing_data="breaching",
        alarm_actions=actions,
        ok_actions=actions,
        tags=scope.tags,
        opts=scope.child(),
    )


def _create_rule(scope: Scope, task: aws.datasync.Task, part: str, state: str) -> aws.cloudwatch.EventRule:
    def pattern(arn: str) -> str:
        return json.dumps(
            {
                "source": ["aws.datasync"],
                "detail-type": ["DataSync Task Execution State Change"],
                "resources": [{"prefix": f"{arn}/execution/"}],
                "detail": {"State": [state]},
            },
            sort_keys=True,
        )

    return aws.cloudwatch.EventRule(
        scope.part(part),
        name=scope.physical(part),
        description=f"runs of replication that {part}",
        event_pattern=task.arn.apply(pattern),
        tags=scope.tags,
        opts=scope.child(),
    )
