"""The lag of replication: measured from answers of AWS, growing where nothing new is known, beside the RPO."""

from __future__ import annotations

import json
import re
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fullbore.config import load_file
from fullbore.plan import make_plan
from fullbore.render.lag import lag_document
from fullbore_lag import Document, DocumentError, LagCollector, LagError, measure, read_document
from fullbore_lag.measure import Client

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
RUN = Document(environment="e", method="datasync", region="eu-central-1", task="e-replication-task", rpo_s=3600)
RULE = Document(environment="e", method="s3-rtc", region="eu-west-1", dimensions={"RuleId": "weights"})


class DataSync:
    """Runs of one task: when each began, and how it ended; two a page."""

    def __init__(self, *runs: tuple[int, str]) -> None:
        self.runs = {f"run-{number}": run for number, run in enumerate(runs)}
        self.described: list[str] = []

    def list_tasks(self) -> dict[str, Any]:
        return {"Tasks": [{"Name": "other", "TaskArn": "other"}, {"Name": RUN.task, "TaskArn": "task"}]}

    def list_task_executions(self, TaskArn: str, NextToken: str = "0") -> dict[str, Any]:
        assert TaskArn in ("task", "arn:task")
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


def age(document: Document, client: Any) -> float:
    return (NOW - measure(document, lambda service, region: client, NOW, {})).total_seconds()


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


def once(datasync: DataSync) -> Client:
    """A way to AWS that is there once."""
    clients = iter([datasync])

    def client(service: str, region: str) -> Any:
        found = next(clients, None)
        if found is None:
            raise LagError("no way there")
        return found

    return client


def test_what_cannot_be_measured_is_said_and_the_last_copy_is_remembered() -> None:
    collector = LagCollector(RUN, once(DataSync((30, "SUCCESS"))), lambda: NOW)
    collector.update()
    collector.update()
    said = samples(collector)
    assert (said["fullbore_replication_measured"], said["fullbore_replication_lag_seconds"]) == (0, 1800)


def test_a_task_whose_arn_is_known_is_asked_for_alone() -> None:
    class Alone(DataSync):
        def list_tasks(self) -> dict[str, Any]:
            raise AssertionError("it takes the right to list every task")

    assert age(Document("e", "datasync", "eu-central-1", task="arn:task"), Alone((30, "SUCCESS"))) == 1800


def test_it_says_when_it_last_knew_and_how_often_it_asks() -> None:
    times = iter([NOW, NOW + timedelta(minutes=1), NOW + timedelta(minutes=2)])
    collector = LagCollector(RUN, once(DataSync((30, "SUCCESS"))), lambda: next(times), every_s=5)
    assert "fullbore_replication_measured_timestamp_seconds" not in samples(collector)
    collector.update()
    collector.update()
    said = samples(collector)
    assert said["fullbore_replication_measured_timestamp_seconds"] == NOW.timestamp()
    assert said["fullbore_replication_interval_seconds"] == 5


def test_it_measures_at_once_and_ends_when_it_is_told_to() -> None:
    stop, asked = threading.Event(), list[str]()

    def client(service: str, region: str) -> Any:
        asked.append(service)
        if len(asked) == 3:
            stop.set()
        return DataSync((30, "SUCCESS"))

    LagCollector(RUN, client, lambda: NOW, every_s=0).keep_measuring(stop)
    assert asked == ["datasync"] * 3


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_what_the_plan_writes_is_what_the_program_reads(name: str) -> None:
    plan = make_plan(load_file(ROOT / "stacks" / f"Pulumi.{name}.yaml")).lag
    assert plan
    document = read_document(lag_document(plan, "arn:task" if plan.task else ""))
    assert document.task == ("arn:task" if plan.method == "datasync" else "")
    assert (document.environment, document.rpo_s, document.dimensions) == (name, plan.rpo_s, plan.dimensions)


GOOD: dict[str, Any] = {"environment": "e", "method": "datasync", "region": "r", "task": "t", "version": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[]", "no JSON object"),
        (json.dumps({**GOOD, "rpo": 1}), "unknown: rpo"),
        (json.dumps({"environment": "e"}), "missing: method, region"),
        (json.dumps({**GOOD, "version": 2}), "version: got 2, allowed 1"),
        (json.dumps({**GOOD, "method": "rsync"}), "method: got rsync, allowed datasync, s3-rtc"),
        (json.dumps({**GOOD, "task": ""}), "neither task nor dimensions"),
    ],
)
def test_a_document_that_cannot_be_used_is_refused(text: str, said: str) -> None:
    with pytest.raises(DocumentError, match=said):
        read_document(text)


def test_the_image_holds_the_versions_that_are_tested_here() -> None:
    pins = {
        name: re.findall(r"^([a-z0-9-]+==.*?)(?=^\S|\Z)", (ROOT / name).read_text(encoding="utf-8"), re.M | re.S)
        for name in ("images/lag/requirements.txt", "requirements/sandbox.txt", "requirements/dev.txt")
    }
    image, sandbox, dev = map(set, pins.values())
    assert len(image) == 8
    assert image <= sandbox
    assert image <= dev
