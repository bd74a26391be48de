"""The DataSync task: what it copies, how it checks, when it runs and what it reports."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_aws as aws

from fullbore._aws import Role, Scope
from fullbore.plan.model import ReplicationPlan
from fullbore.replication.locations import Location

UNLIMITED = -1
MIB = 1024 * 1024
VERIFY = {"transferred": "ONLY_FILES_TRANSFERRED", "all": "POINT_IN_TIME_CONSISTENT", "none": "NONE"}
REPORTS = "/logs/replication"
"""Below the prefix that the bucket forgets after a time."""


def create_task(
    scope: Scope,
    plan: ReplicationPlan,
    source: Location,
    destination: Location,
    role: Role,
    bucket_arn: pulumi.Output[str],
) -> aws.datasync.Task:
    return aws.datasync.Task(
        scope.part("task"),
        name=scope.physical("task"),
        source_location_arn=source.arn,
        destination_location_arn=destination.arn,
        schedule=aws.datasync.TaskScheduleArgs(schedule_expression=plan.schedule),
        includes=_filter(aws.datasync.TaskIncludesArgs, plan.include),
        excludes=_filter(aws.datasync.TaskExcludesArgs, plan.exclude),
        options=_options(plan),
        task_report_config=_report(bucket_arn, role) if plan.report else None,
        tags=scope.tags,
        # Where hours have limits, their schedules change this option of the task: it is no drift.
        opts=scope.child(ignore_changes=["options.bytesPerSecond"] if plan.limits else None),
    )


def create_failback(scope: Scope, plan: ReplicationPlan, source: Location, destination: Location) -> aws.datasync.Task:
    """The way back, for a site that was lost and stands again: nothing starts it by itself."""
    return aws.datasync.Task(
        scope.part("failback"),
        name=scope.physical("failback"),
        source_location_arn=destination.arn,
        destination_location_arn=source.arn,
        includes=_filter(aws.datasync.TaskIncludesArgs, plan.include),
        excludes=_filter(aws.datasync.TaskExcludesArgs, plan.exclude),
        options=_options(plan),
        tags=scope.tags,
        opts=scope.child(),
    )


def options(plan: ReplicationPlan, limit_mib_s: int | None) -> dict[str, str | int]:
    """The task's options by the names that they have in the API, but for the first letter."""
    return {
        "verifyMode": VERIFY[plan.verify],
        "overwriteMode": "ALWAYS",
        "transferMode": "CHANGED",
        # What is gone at the site stays in the bucket: a loss there must not become a loss here.
        "preserveDeletedFiles": "PRESERVE",
        "bytesPerSecond": UNLIMITED if limit_mib_s is None else limit_mib_s * MIB,
    }


def _options(plan: ReplicationPlan) -> aws.datasync.TaskOptionsArgs:
    given: Any = options(plan, plan.slowest_mib_s)
    return aws.datasync.TaskOptionsArgs(
        verify_mode=given["verifyMode"],
        overwrite_mode=given["overwriteMode"],
        transfer_mode=given["transferMode"],
        preserve_deleted_files=given["preserveDeletedFiles"],
        bytes_per_second=given["bytesPerSecond"],
    )


def _filter(kind: Any, patterns: tuple[str, ...]) -> Any:
    """All patterns in one rule, as DataSync takes them (DataSync API reference, FilterRule)."""
    return kind(filter_type="SIMPLE_PATTERN", value="|".join(patterns)) if patterns else None


def _report(bucket_arn: pulumi.Output[str], role: Role) -> aws.datasync.TaskTaskReportConfigArgs:
    """What was copied, skipped, verified or failed, file by file."""
    return aws.datasync.TaskTaskReportConfigArgs(
        s3_destination=aws.datasync.TaskTaskReportConfigS3DestinationArgs(
            bucket_access_role_arn=role.role.arn, s3_bucket_arn=bucket_arn, subdirectory=REPORTS
        ),
        output_type="STANDARD",
        report_level="SUCCESSES_AND_ERRORS",
        s3_object_versioning="INCLUDE",
    )
