"""The emulator as a process of a sandbox: started once, and empty after it was lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from aws_engine import REGION, Engine, provider_config

from fullbore_sandbox import cloud
from fullbore_sandbox.emulator import executions
from fullbore_sandbox.state import State

VPC = "aws:ec2/vpc:Vpc"
ACCOUNT = "123456789012"
AGENT = f"arn:aws:datasync:{REGION}:{ACCOUNT}:agent/agent-0a1b2c3d4e5f60718"


def test_the_emulator_knows_its_folder_of_shares_by_one_name() -> None:
    assert cloud.SHARES == executions.SHARES


def test_a_share_of_the_sandbox_is_copied_into_its_bucket(state: State) -> None:
    url = cloud.start(state)
    share = state.data(cloud.NAME) / cloud.SHARES_FOLDER / "nas.example" / "weights"
    share.mkdir(parents=True)
    (share / "shard.bin").write_bytes(b"x" * 100)
    session = boto3.Session("test", "test", region_name=REGION)
    s3, datasync = (session.client(each, endpoint_url=url) for each in ("s3", "datasync"))
    s3.create_bucket(Bucket="weights", CreateBucketConfiguration={"LocationConstraint": REGION})
    source = datasync.create_location_smb(
        ServerHostname="nas.example", Subdirectory="/weights", User="u", Password="p", AgentArns=[AGENT]
    )["LocationArn"]
    target = datasync.create_location_s3(
        S3BucketArn="arn:aws:s3:::weights", S3Config={"BucketAccessRoleArn": f"arn:aws:iam::{ACCOUNT}:role/datasync"}
    )["LocationArn"]
    task = datasync.create_task(SourceLocationArn=source, DestinationLocationArn=target)["TaskArn"]
    run = datasync.start_task_execution(TaskArn=task)["TaskExecutionArn"]
    assert datasync.describe_task_execution(TaskExecutionArn=run)["Status"] == "SUCCESS"
    assert s3.get_object(Bucket="weights", Key="shard.bin")["Body"].read() == b"x" * 100


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State.load_or_create(tmp_path)
    yield state
    cloud.stop(state)


def test_a_lost_emulator_is_an_empty_account_and_everything_in_it_is_gone(state: State) -> None:
    url = cloud.start(state)
    assert cloud.start(state) == url
    engine = Engine(provider_config(url)).start()
    try:
        made = engine.create(VPC, "v", {"cidrBlock": "10.0.0.0/16"})
        assert engine.read(made) is not None
        cloud.stop(state)
        assert cloud.start(state) == url
        assert engine.read(made) is None
        engine.delete(made)
    finally:
        engine.stop()
