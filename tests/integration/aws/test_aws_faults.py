"""Faults on the way to AWS: throttling is waited out, what is refused is named, and the next update completes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aws_engine import Engine, Object, Refused, provider_config
from aws_proxy import QUOTA, THROTTLED, Faults, proxy

VPC = "aws:ec2/vpc:Vpc"
GIVEN = {"cidrBlock": "10.77.0.0/16", "enableDnsHostnames": True, "tags": {"team": "faults"}}
Client = Callable[[str], Any]


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def engine(endpoint: str, faults: Faults) -> Iterator[Engine]:
    with proxy(endpoint, faults) as url:
        running = Engine(provider_config(url)).start()
        yield running
        running.stop()


def mine(client: Client, name: str) -> list[str]:
    """VPCs with the tag of one test."""
    found = client("ec2").describe_vpcs(Filters=[{"Name": "tag:test", "Values": [name]}])["Vpcs"]
    return [vpc["VpcId"] for vpc in found]


def given(name: str) -> dict[str, Any]:
    return {**GIVEN, "tags": {"test": name}}


def test_throttling_is_waited_out_and_makes_one_object(engine: Engine, faults: Faults, client: Client) -> None:
    faults.set("CreateVpc", [THROTTLED, THROTTLED])
    made = engine.create(VPC, "throttled", given("throttled"))
    assert faults.seen == 3
    assert mine(client, "throttled") == [made.id]


def test_throttling_that_does_not_end_is_named_and_leaves_nothing(
    engine: Engine, faults: Faults, client: Client
) -> None:
    faults.set("CreateVpc", [THROTTLED] * 50)
    with pytest.raises(Refused, match="endless: CreateVpc was refused: RequestLimitExceeded: slow down"):
        engine.create(VPC, "endless", given("endless"))
    assert mine(client, "endless") == []
    faults.set("CreateVpc")
    made = engine.create(VPC, "endless", given("endless"))
    assert mine(client, "endless") == [made.id]


def test_a_quota_is_named_and_not_tried_again(engine: Engine, faults: Faults) -> None:
    faults.set("CreateVpc", [QUOTA])
    with pytest.raises(Refused, match="many: CreateVpc was refused: VpcLimitExceeded"):
        engine.create(VPC, "many", given("many"))
    assert faults.seen == 1


def test_a_setting_that_fails_after_creation_keeps_the_object_for_the_next_update(
    engine: Engine, faults: Faults, client: Client
) -> None:
    """The object is made by one call; what fails after it is repaired, not made again."""
    faults.set("ModifyVpcAttribute", [THROTTLED] * 50)
    with pytest.raises(Refused):
        engine.create(VPC, "half", given("half"))
    (ident,) = mine(client, "half")
    faults.set("ModifyVpcAttribute")
    live = engine.read(Object(VPC, "half", ident, engine.check(VPC, "half", given("half")), {}))
    assert live is not None
    assert engine.diff(live, given("half")).changes
    repaired = engine.update(live, given("half"))
    assert repaired.outputs["enableDnsHostnames"] is True
    assert mine(client, "half") == [ident]


def test_an_answer_that_is_lost_in_an_update_is_asked_for_again(engine: Engine, faults: Faults, client: Client) -> None:
    made = engine.create(VPC, "lost", given("lost"))
    faults.set("ModifyVpcAttribute", lost=1)
    changed = engine.update(made, {**made.inputs, "enableDnsHostnames": False})
    assert changed.outputs["enableDnsHostnames"] is False
    attribute = client("ec2").describe_vpc_attribute(VpcId=made.id, Attribute="enableDnsHostnames")
    assert attribute["EnableDnsHostnames"] == {"Value": False}
    assert mine(client, "lost") == [made.id]
