"""The lag of replication: measured from answers of AWS, growing where nothing new is known, beside the RPO."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fullbore.lag import LagCollector, LagError, measure
from fullbore.plan.model import LagPlan

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
RUN = LagPlan(environment="e", method="datasync", region="eu-central-1", task="e-replication-task", rpo_s=3600)
RULE = LagPlan(environment="e", method="s3-rtc", region="eu-west-1", dimensions={"RuleId": "weights"})


class DataSync:
    """Runs of one task: when each began, and how it ended; two a page."""

    def __init__(self, *runs: tuple[int, str]) -> None:
        self.runs = {f"run-{number}": run for number, run in enumerate(runs)}
        self.described: list[str] = []

    def list_tasks(self) -> dict[str, Any]:
        return {"Tasks": [{"Name": "other", "TaskArn": "other"}, {"Name": RUN.task, "TaskArn": "task"}]}

    def list_task_executions(self, TaskArn: str, NextToken: str = "0") -> dict[str, Any]:
        assert TaskArn == "task"
        first = int(NextToken)
        page = list(self.runs.items())[first : first + 2]
        more = {"NextToken": str(first + 2)} if first + 2 < len(self.runs) else {}
        return {"TaskExecutions": [{"TaskExecutionArn": arn, "Status": status} for arn, (_, status) in page], **more}

    def describe_task_execution(self, TaskExecutionArn: str) -> dict[str, Any]:
        self.described.append(TaskExecutionArn)
        began = NOW - timedelta(minutes=self.runs[TaskExecutionArn][0])
        return {"StartTime": began - timedelta(minutes=5), "LaunchTime": began}


class CloudWatch:
    def __init__(self, *points: tuple[int, float]) -> None:
        self.points = points

    def get_metric_statistics(self, **asked: Any) -> dict[str, Any]:
        assert (asked["Namespace"], asked["Dimensions"]) == ("AWS/S3", [{"Name": "RuleId", "Value": "weights"}])
        points = ((NOW - timedelta(minutes=age), behind) for age, behind in self.points)
        return {"Datapoints": [{"Timestamp": when, "Maximum": behind} for when, behind in points]}


def age(plan: LagPlan, client: Any) -> float:
    return (NOW - measure(plan, lambda service, region: client, NOW, {})).total_seconds()


@pytest.mark.parametrize(
    ("runs", "minutes"),
    [
        ([(90, "SUCCESS"), (30, "SUCCESS")], 30),
        ([(90, "SUCCESS"), (30, "ERROR")], 90),
        ([(150, "SUCCESS"), (90, "SUCCESS"), (30, "ERROR"), (1, "TRANSFERRING")], 90),
    ],
)
def test_a_copy_is_as_old_as_the_beginning_of_the_last_run_that_succeeded(runs: Any, minutes: int) -> None:
    assert age(RUN, DataSync(*runs)) == minutes * 60


def test_a_run_that_is_over_is_asked_for_once() -> None:
    datasync, known = DataSync((90, "SUCCESS"), (30, "SUCCESS")), dict[str, datetime]()
    for _ in range(3):
        measure(RUN, lambda service, region: datasync, NOW, known)
    assert datasync.described == ["run-0", "run-1"]


@pytest.mark.parametrize(("points", "behind"), [([], 0), ([(1, 20.0)], 80), ([(5, 0.0), (2, 600.0)], 720)])
def test_s3_says_by_how_much_it_is_behind_and_nothing_where_nothing_waits(points: Any, behind: float) -> None:
    assert age(RULE, CloudWatch(*points)) == behind


@pytest.mark.parametrize("datasync", [DataSync(), DataSync((30, "ERROR"))])
def test_without_a_copy_there_is_no_lag_to_tell(datasync: DataSync) -> None:
    with pytest.raises(LagError, match="no run has succeeded yet"):
        age(RUN, datasync)


def samples(collector: LagCollector) -> dict[str, float]:
    return {sample.name: sample.value for family in collector.collect() for sample in family.samples}


def test_the_lag_grows_while_nothing_new_is_known() -> None:
    times = iter([NOW, NOW, NOW + timedelta(hours=2)])
    collector = LagCollector(RUN, lambda service, region: DataSync((30, "SUCCESS")), lambda: next(times))
    assert samples(collector)["fullbore_replication_measured"] == 0
    collector.update()
    first, later = samples(collector), samples(collector)
    assert (first["fullbore_replication_lag_seconds"], later["fullbore_replication_lag_seconds"]) == (1800, 9000)
    assert first["fullbore_replication_rpo_seconds"] == 3600


def test_what_cannot_be_measured_is_said_and_the_last_copy_is_remembered() -> None:
    clients = iter([DataSync((30, "SUCCESS"))])

    def client(service: str, region: str) -> Any:
        found = next(clients, None)
        if found is None:
            raise LagError("no way there")
        return found

    collector = LagCollector(RUN, client, lambda: NOW)
    collector.update()
    collector.update()
    said = samples(collector)
    assert (said["fullbore_replication_measured"], said["fullbore_replication_lag_seconds"]) == (0, 1800)
