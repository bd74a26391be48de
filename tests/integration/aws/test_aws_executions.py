"""A DataSync execution of the sandbox moves real bytes and checks them: from a share (a folder) to a bucket."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aws_cases import AGENT, World
from aws_engine import REGION

from fullbore.plan.model import LagPlan
from fullbore.render.lag import lag_document
from fullbore_lag import Document, LagError, measure
from fullbore_sandbox.emulator import executions

Client = Callable[[str], Any]
LAG = Path(__file__).parents[3] / "images" / "lag"
HOST = "nas.example"
TRANSFERRED = {"VerifyMode": "ONLY_FILES_TRANSFERRED", "TransferMode": "CHANGED", "PreserveDeletedFiles": "PRESERVE"}


class Setup:
    """A share with two shards of weights, a bucket, and a task between them."""

    def __init__(self, client: Client, folder: Path) -> None:
        self.client, self.world, self.share = client, World(client), folder / HOST / "weights"
        self.share.mkdir(parents=True)
        self.put("a/shard-0.bin", b"x" * 1000)
        self.put("a/shard-1.bin", b"y" * 2000)
        self.bucket = self.world.bucket()

    def put(self, name: str, content: bytes) -> None:
        (self.share / name).parent.mkdir(parents=True, exist_ok=True)
        (self.share / name).write_bytes(content)

    def source(self) -> str:
        config = {"AgentArns": [AGENT]}
        return self.client("datasync").create_location_nfs(
            ServerHostname=HOST, Subdirectory="/weights", OnPremConfig=config
        )["LocationArn"]

    def target(self) -> str:
        return self.client("datasync").create_location_s3(
            S3BucketArn=f"arn:aws:s3:::{self.bucket}",
            Subdirectory="/copied",
            S3Config={"BucketAccessRoleArn": self.world.role_arn()},
        )["LocationArn"]

    def task(self, source: str = "", target: str = "", **given: Any) -> str:
        return self.client("datasync").create_task(
            SourceLocationArn=source or self.source(),
            DestinationLocationArn=target or self.target(),
            **{"Options": TRANSFERRED, **given},
        )["TaskArn"]

    def run(self, task: str) -> dict[str, Any]:
        started = self.client("datasync").start_task_execution(TaskArn=task)["TaskExecutionArn"]
        return self.client("datasync").describe_task_execution(TaskExecutionArn=started)

    def copied(self) -> dict[str, bytes]:
        s3 = self.client("s3")
        keys = [each["Key"] for each in s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])]
        return {key: s3.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in keys}


@pytest.fixture
def setup(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    monkeypatch.setenv(executions.SHARES, str(tmp_path))
    return Setup(client, tmp_path)


def test_what_is_on_the_share_is_in_the_bucket_byte_for_byte(setup: Setup) -> None:
    done = setup.run(setup.task())
    assert setup.copied() == {"copied/a/shard-0.bin": b"x" * 1000, "copied/a/shard-1.bin": b"y" * 2000}
    assert (done["Status"], done["FilesTransferred"], done["BytesTransferred"]) == ("SUCCESS", 2, 3000)
    assert done["FilesVerified"] == 2


def test_a_second_run_copies_only_what_changed_and_keeps_what_is_gone(setup: Setup) -> None:
    task = setup.task()
    setup.run(task)
    setup.put("a/shard-1.bin", b"z" * 10)
    (setup.share / "a/shard-0.bin").unlink()
    done = setup.run(task)
    assert (done["FilesTransferred"], done["BytesTransferred"]) == (1, 10)
    assert setup.copied() == {"copied/a/shard-0.bin": b"x" * 1000, "copied/a/shard-1.bin": b"z" * 10}


def test_the_lag_is_that_of_a_run_that_really_copied(setup: Setup, client: Client) -> None:
    """From before the run began: what changed while it ran may not be in it."""
    name = setup.world.name("replication")
    plan = Document(environment="e", method="datasync", region=REGION, task=name)
    task = setup.task(Name=name)
    with pytest.raises(LagError, match="no run has succeeded yet"):
        measure(plan, lambda service, region: client(service), datetime.now(UTC), {})
    before = datetime.now(UTC)
    setup.run(task)
    after = datetime.now(UTC)
    newest = measure(plan, lambda service, region: client(service), after, {})
    assert before - timedelta(seconds=1) <= newest <= after
    setup.share.rename(setup.share.parent / "gone")
    assert setup.run(task)["Status"] == "ERROR"
    assert measure(plan, lambda service, region: client(service), datetime.now(UTC), {}) == newest


def test_the_exporter_serves_the_lag_of_bytes_that_were_moved_by_a_role_that_its_token_gives_it(
    setup: Setup, client: Client, endpoint: str, tmp_path: Path
) -> None:
    """The program as its pod has it: a document, a token and the ARN of a role, and no key of AWS."""
    task = setup.task()
    setup.run(task)
    assert setup.copied()["copied/a/shard-0.bin"] == b"x" * 1000
    document, token = tmp_path / "lag.json", tmp_path / "token"
    plan = LagPlan(environment="e", method="datasync", region=REGION, task="by its name", rpo_s=3600)
    document.write_text(lag_document(plan, task))
    token.write_text("a.b.c")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    role = {"AWS_ROLE_ARN": setup.world.role_arn(), "AWS_WEB_IDENTITY_TOKEN_FILE": str(token)}
    reached = {"AWS_ENDPOINT_URL": endpoint, "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}
    command = (sys.executable, "-m", "fullbore_lag", document, "--address", "127.0.0.1", "--port", "0")
    program = subprocess.Popen(
        [*map(str, command), "--every", "0.1"],
        env={**kept, **role, **reached, "PYTHONPATH": str(LAG), "PYTHONUNBUFFERED": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stderr
        port = int(program.stderr.readline().rpartition(" ")[2])
        said = scraped_until(port, "fullbore_replication_lag_seconds")
        assert (said["fullbore_replication_measured"], said["fullbore_replication_rpo_seconds"]) == (1, 3600)
        assert 0 <= said["fullbore_replication_lag_seconds"] < 3600
    finally:
        program.send_signal(signal.SIGTERM)
        assert program.wait(60) == 0


def scraped_until(port: int, name: str) -> dict[str, float]:
    """The samples by name, once there is one of this name."""
    said: dict[str, float] = {}
    for _ in range(600):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as page:
            found = re.findall(r"^(\w+)\{.*\} (\S+)$", page.read().decode(), re.MULTILINE)
        said = {each: float(value) for each, value in found}
        if name in said:
            return said
        time.sleep(0.1)
    raise AssertionError(f"{name} was never said: {said}")


def test_a_file_system_is_written_to_like_a_bucket(setup: Setup) -> None:
    system = setup.world.shared()
    mounted = setup.share.parents[1] / f"{REGION}.{system}" / "weights"
    mounted.mkdir(parents=True)
    of = f":{REGION}:123456789012:"
    target = setup.client("datasync").create_location_efs(
        EfsFilesystemArn=f"arn:aws:elasticfilesystem{of}file-system/{system}",
        Subdirectory="/weights",
        Ec2Config={
            "SecurityGroupArns": [f"arn:aws:ec2{of}security-group/sg-0a1b2c3d4e5f60718"],
            "SubnetArn": f"arn:aws:ec2{of}subnet/subnet-0a1b2c3d4e5f60718",
        },
    )["LocationArn"]
    assert setup.run(setup.task(target=target))["Status"] == "SUCCESS"
    assert (mounted / "a/shard-1.bin").read_bytes() == b"y" * 2000


def test_it_comes_back_from_the_bucket_to_the_share(setup: Setup) -> None:
    task = setup.task()
    setup.run(task)
    for file in setup.share.rglob("*.bin"):
        file.unlink()
    ends = setup.client("datasync").describe_task(TaskArn=task)
    back = setup.task(ends["DestinationLocationArn"], ends["SourceLocationArn"])
    assert setup.run(back)["Status"] == "SUCCESS"
    assert (setup.share / "a/shard-1.bin").read_bytes() == b"y" * 2000


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"Excludes": "*.tmp|/b"}, {"a/shard-0.bin", "a/shard-1.bin"}),
        ({"Includes": "/b"}, {"b/other.bin"}),
        ({"Includes": "/a|/b", "Excludes": "*-1.bin"}, {"a/shard-0.bin", "a/x.tmp", "b/other.bin"}),
    ],
)
def test_filters_decide_what_is_copied(setup: Setup, filters: dict[str, str], names: set[str]) -> None:
    setup.put("a/x.tmp", b"t")
    setup.put("b/other.bin", b"o")
    rules: dict[str, Any] = {
        kind: [{"FilterType": "SIMPLE_PATTERN", "Value": value}] for kind, value in filters.items()
    }
    setup.run(setup.task(**rules))
    assert {key.removeprefix("copied/") for key in setup.copied()} == names


def test_a_run_whose_copy_differs_fails_by_name_and_the_next_one_mends_it(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = setup.task()
    write = executions.Bucket.write

    def broken(self: executions.Bucket, name: str, content: bytes) -> None:
        write(self, name, content[:-1] if name.endswith("-1.bin") else content)

    with monkeypatch.context() as patched:
        patched.setattr(executions.Bucket, "write", broken)
        failed = setup.run(task)
    assert (failed["Status"], failed["Result"]["ErrorCode"]) == ("ERROR", "VerifyFailed")
    assert failed["Result"]["ErrorDetail"].startswith("a/shard-1.bin: ")
    assert setup.run(task)["Status"] == "SUCCESS"
    assert setup.copied()["copied/a/shard-1.bin"] == b"y" * 2000


def test_a_share_that_nobody_reaches_is_named(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(executions.SHARES)
    failed = setup.run(setup.task())
    assert (failed["Status"], failed["Result"]["ErrorCode"]) == ("ERROR", "LocationUnreachable")
    assert f"nfs://{HOST}/weights/" in failed["Result"]["ErrorDetail"]


def test_a_report_says_what_became_of_each_file(setup: Setup) -> None:
    place = {"S3BucketArn": f"arn:aws:s3:::{setup.bucket}", "BucketAccessRoleArn": setup.world.role_arn()}
    config = {"Destination": {"S3": {**place, "Subdirectory": "/logs"}}, "OutputType": "STANDARD"}
    setup.run(setup.task(TaskReportConfig=config))
    (name,) = [key for key in setup.copied() if key.startswith("logs/Detailed-Reports/exec-")]
    said = json.loads(setup.copied()[name])
    assert said["Transferred"] == ["a/shard-0.bin", "a/shard-1.bin"]
    assert said["Failed"] == []


def test_the_end_of_a_run_is_counted_by_the_rules_that_watch_its_task(setup: Setup) -> None:
    task, other = setup.task(), setup.task()
    rule = setup.world.name("rule")
    pattern = {
        "source": ["aws.datasync"],
        "detail-type": ["DataSync Task Execution State Change"],
        "resources": [{"prefix": f"{task}/execution/"}],
        "detail": {"State": ["SUCCESS"]},
    }
    setup.client("events").put_rule(Name=rule, EventPattern=json.dumps(pattern))
    setup.run(task)
    setup.run(other)
    now = datetime.now(UTC)
    points = setup.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Events",
        MetricName="TriggeredRules",
        Dimensions=[{"Name": "RuleName", "Value": rule}],
        StartTime=now - timedelta(minutes=5),
        EndTime=now + timedelta(minutes=5),
        Period=600,
        Statistics=["Sum"],
    )["Datapoints"]
    assert sum(point["Sum"] for point in points) == 1
