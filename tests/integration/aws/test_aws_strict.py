"""Check against the SDK's own classes: what is refused, and how it is said."""

from __future__ import annotations

from typing import Any

import pytest
from aws_engine import Engine, Refused

from fullbore.provider.values import UNKNOWN, Secret

VPC = "aws:ec2/vpc:Vpc"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
CLUSTER = "aws:eks/cluster:Cluster"
ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"

REFUSED: tuple[tuple[str, dict[str, Any], str, str], ...] = (
    (VPC, {"cidrBlok": "10.0.0.0/16"}, "cidrBlok", "did you mean cidrBlock"),
    (VPC, {"zzzzzz": 1}, "zzzzzz", "known are assignGenerated"),
    (VPC, {"cidrBlock": 10}, "cidrBlock", "got the integer 10, but only a string is allowed"),
    (VPC, {"enableDnsSupport": "yes"}, "enableDnsSupport", "got the string 'yes', but only a boolean is allowed"),
    (VPC, {"ipv4NetmaskLength": True}, "ipv4NetmaskLength", "got the boolean True, but only a integer is allowed"),
    (VPC, {"tags": ["a"]}, "tags", "got a list, but only a map of string is allowed"),
    (VPC, {"tags": {"a.b": 1}}, 'tags["a.b"]', "got the integer 1"),
    (CLUSTER, {"vpcConfig": {"subnetIds": []}}, "roleArn", "missing; a string is required"),
    (CLUSTER, {"roleArn": "r", "vpcConfig": {}}, "vpcConfig.subnetIds", "missing"),
    (CLUSTER, {"roleArn": "r", "vpcConfig": {"subnetIds": ["a", 7]}}, "vpcConfig.subnetIds[1]", "got the integer 7"),
    (CLUSTER, {"roleArn": "r", "vpcConfig": "subnet-1"}, "vpcConfig", "only a ClusterVpcConfigArgs is allowed"),
    (
        TEMPLATE,
        {"networkInterfaces": [{"deviceIndex": 0}, {"deviceIdx": 1}]},
        "networkInterfaces[1].deviceIdx",
        "did you mean deviceIndex",
    ),
    (
        TEMPLATE,
        {"blockDeviceMappings": [{"ebs": {"encrypted": True}}]},
        "blockDeviceMappings[0].ebs.encrypted",
        "got the boolean True, but only a string is allowed",
    ),
    (
        ENCRYPTION,
        {"bucket": "b", "rules": [{"applyServerSideEncryptionByDefault": {}}]},
        "rules[0].applyServerSideEncryptionByDefault.sseAlgorithm",
        "missing",
    ),
    ("aws:iam/role:Role", {"assumeRolePolicy": 5}, "assumeRolePolicy", "string or PolicyDocumentArgs"),
    (VPC, {"ipv6CidrBlock": "::/56"}, "ipv6CidrBlock", "does not carry it out"),
)


@pytest.mark.parametrize(("token", "news", "path", "reason"), REFUSED, ids=[f"{r[0]}-{r[2]}" for r in REFUSED])
def test_what_the_sdk_does_not_know_is_refused_by_path(
    engine: Engine, token: str, news: dict[str, Any], path: str, reason: str
) -> None:
    failures = engine.failures(token, news)
    assert list(failures) == [path]
    assert reason in failures[path]


def test_all_faults_are_said_at_once(engine: Engine) -> None:
    assert set(engine.failures(CLUSTER, {"vpcConfig": {"subnetId": 1}})) == {
        "roleArn",
        "vpcConfig.subnetId",
        "vpcConfig.subnetIds",
    }


def test_unknown_and_secret_values_pass(engine: Engine) -> None:
    assert engine.failures(CLUSTER, {"roleArn": UNKNOWN, "vpcConfig": {"subnetIds": [UNKNOWN]}}) == {}
    assert engine.failures(VPC, {"cidrBlock": Secret("10.0.0.0/16"), "tags": UNKNOWN}) == {}
    assert list(engine.failures(VPC, {"cidrBlock": Secret(5)})) == ["cidrBlock"]


def test_a_secret_is_not_said_in_a_refusal(engine: Engine) -> None:
    refused = engine.failures(VPC, {"enableDnsSupport": Secret("hunter2")})
    assert refused["enableDnsSupport"] == "a secret that is no boolean"


@pytest.mark.parametrize(
    ("token", "said"),
    [("aws:ec2/vpx:Vpx", "is no type of pulumi_aws"), ("aws:sqs/queue:Queue", "is not covered by this stand-in")],
)
def test_an_unknown_type_is_refused_by_name(engine: Engine, token: str, said: str) -> None:
    with pytest.raises(Refused, match=f"{token}: {said}"):
        engine.check(token, "x", {})
