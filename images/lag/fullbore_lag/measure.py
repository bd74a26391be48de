"""Asking AWS how old the newest whole copy is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from fullbore_lag.document import Document

Client = Callable[[str, str], Any]
"""A client by service and region, e.g. ("datasync", "eu-central-1")."""
LOOK_BACK = timedelta(minutes=15)
PERIOD_S = 60
"""S3 publishes its replication metrics each minute (S3 user guide, "Metrics and dimensions")."""


class LagError(Exception):
    """The lag cannot be told; the message says why."""


def measure(document: Document, client: Client, now: datetime, known: dict[str, datetime]) -> datetime:
    """When the data of the newest whole copy was read at its source. `known` keeps runs that were asked for before.

    Raises LagError where there is no such copy.
    """
    if document.method == "s3-rtc":
        return _newest_object(document, client("cloudwatch", document.region), now)
    return _newest_run(document, client("datasync", document.region), known)


def _newest_run(document: Document, datasync: Any, known: dict[str, datetime]) -> datetime:
    """A run copies what there is when it begins, and counts when all of it was copied and verified (DataSync API
    reference, DescribeTaskExecution, LaunchTime and Status)."""
    for arn in _ended_well(datasync, _task_arn(document, datasync)):
        if arn not in known:
            run = datasync.describe_task_execution(TaskExecutionArn=arn)
            known[arn] = run.get("LaunchTime") or run["StartTime"]
    if not known:
        raise LagError(f"{document.task}: no run has succeeded yet")
    return max(known.values())


def _task_arn(document: Document, datasync: Any) -> str:
    """By its ARN a task is asked for alone; finding it by name takes the right to list all of them."""
    if document.task.startswith("arn:"):
        return document.task
    tasks = _pages(datasync.list_tasks, "Tasks")
    found = next((task["TaskArn"] for task in tasks if task.get("Name") == document.task), None)
    if found is None:
        raise LagError(f"{document.task}: {document.region} has no such task; bring the stack up")
    return found


def _ended_well(datasync: Any, task_arn: str) -> Iterator[str]:
    for run in _pages(datasync.list_task_executions, "TaskExecutions", TaskArn=task_arn):
        if run["Status"] == "SUCCESS":
            yield run["TaskExecutionArn"]


def _pages(call: Callable[..., Mapping[str, Any]], listed: str, **given: str) -> Iterator[Mapping[str, Any]]:
    token: str | None = None
    while True:
        answer = call(**given, **({"NextToken": token} if token else {}))
        yield from answer[listed]
        token = answer.get("NextToken")
        if not token:
            return


def _newest_object(document: Document, cloudwatch: Any, now: datetime) -> datetime:
    """By how much the destination is behind, at most, as S3 says it; it says nothing where nothing waits."""
    answer = cloudwatch.get_metric_statistics(
        Namespace="AWS/S3",
        MetricName="ReplicationLatency",
        Dimensions=[{"Name": name, "Value": value} for name, value in document.dimensions.items()],
        StartTime=now - LOOK_BACK,
        EndTime=now,
        Period=PERIOD_S,
        Statistics=["Maximum"],
    )
    points = answer["Datapoints"]
    if not points:
        return now
    newest = max(points, key=lambda point: point["Timestamp"])
    return newest["Timestamp"] - timedelta(seconds=newest["Maximum"])
