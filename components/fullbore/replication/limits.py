"""What a copy may take of the link by the hour of the day: DataSync keeps one limit, so a schedule changes it."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pulumi_aws as aws

from fullbore import policies
from fullbore._aws import Scope
from fullbore.plan.model import LimitPlan, ReplicationPlan
from fullbore.replication.task import options

UPDATE_TASK = "arn:aws:scheduler:::aws-sdk:datasync:updateTask"
"""EventBridge Scheduler calls the API itself (Scheduler user guide, "Using universal targets")."""
RETRIES = 10


def create_limits(scope: Scope, plan: ReplicationPlan, task: aws.datasync.Task) -> Mapping[int, aws.scheduler.Schedule]:
    """A run keeps the limit that it began with; the next one has the new one."""
    if not plan.limits:
        return {}
    trust = scope.account.apply(lambda number: policies.trust("scheduler.amazonaws.com", policies.of_account(number)))
    role = scope.role("limits", trust, inline={"limits-update": task.arn.apply(policies.update_task)})
    return {
        limit.from_hour: aws.scheduler.Schedule(
            scope.part(f"limit-{limit.from_hour:02}"),
            name=scope.physical(f"limit-{limit.from_hour:02}"),
            description="bandwidth of replication from this hour on",
            schedule_expression=f"cron(0 {limit.from_hour} * * ? *)",
            flexible_time_window=aws.scheduler.ScheduleFlexibleTimeWindowArgs(mode="OFF"),
            target=aws.scheduler.ScheduleTargetArgs(
                arn=UPDATE_TASK,
                role_arn=role.role.arn,
                input=task.arn.apply(lambda arn, limit=limit: _request(arn, plan, limit)),
                retry_policy=aws.scheduler.ScheduleTargetRetryPolicyArgs(maximum_retry_attempts=RETRIES),
            ),
            opts=scope.child(depends_on=[*role.grants]),
        )
        for limit in plan.limits
    }


def _request(task_arn: str, plan: ReplicationPlan, limit: LimitPlan) -> str:
    """The whole of UpdateTask: the other options are said again, as they are."""
    given = {name[0].upper() + name[1:]: value for name, value in options(plan, limit.mib_s).items()}
    return json.dumps({"TaskArn": task_arn, "Options": given}, sort_keys=True)
