"""Each guard over resources: what it finds, and what it lets pass."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from fullbore.guard import CHECKS, GUARDS, Registered, judge
from fullbore.guard.model import UNKNOWN

Map = dict[str, Any]
TYPES = {guard.id: guard.type for guard in GUARDS}


def policy(**statement: Any) -> str:
    whole = {
        "Sid": "Mine",
        "Effect": "Allow",
        "Action": ["s3:GetObject"],
        "Resource": ["arn:aws:s3:::a/*"],
        **statement,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [whole]})


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def sse(algorithm: str | None) -> Map:
    return {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": algorithm}}]}


TLS = policy(Effect="Deny", Action="s3:*", Condition={"Bool": {"aws:SecureTransport": "false"}})
IMDS = {"httpTokens": "required", "httpPutResponseHopLimit": 1.0}
KEY = {"enableKeyRotation": True, "policy": policy(Principal={"AWS": "arn:aws:iam::1:root"})}
PUBLIC: Map = dict.fromkeys(("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True)
ANYBODY = policy(Principal="*")
CASES: dict[str, tuple[Map, Map]] = {
    "s3-public": ({**PUBLIC, "blockPublicPolicy": False}, PUBLIC),
    "s3-versions-off": (
        {"versioningConfiguration": {"status": "Suspended"}},
        {"versioningConfiguration": {"status": "Enabled"}},
    ),
    "s3-encryption": (sse(None), sse("aws:kms")),
    "s3-tls": ({"policy": policy(Effect="Deny", Action="s3:*")}, {"policy": TLS}),
    "s3-uploads": (
        {"rules": [{"id": "old"}]},
        {"rules": [{"id": "old"}, {"abortIncompleteMultipartUpload": {"daysAfterInitiation": 7}}]},
    ),
    "efs-encryption": ({}, {"encrypted": True}),
    "efs-tls": (
        {"policy": policy(Action=["elasticfilesystem:ClientMount"])},
        {"policy": TLS.replace('"s3:*"', '["elasticfilesystem:ClientMount"]')},
    ),
    "file-system-wide": ({"policy": policy(Resource="*")}, {"policy": policy()}),
    "kms-key": ({**KEY, "enableKeyRotation": False}, KEY),
    "logs-retention": ({}, {"retentionInDays": 30}),
    "copy-unverified": ({"options": {"verifyMode": "NONE"}}, {"options": {"verifyMode": "ONLY_FILES_TRANSFERRED"}}),
    "copy-plain": ({"serverProtocol": "HTTP"}, {"serverProtocol": "HTTPS"}),
    "alarm-off": ({"actionsEnabled": False}, {}),
    "open-ingress": ({"cidrIpv4": "0.0.0.0/0"}, {"cidrIpv4": "10.0.0.0/8"}),
    "open-egress": ({"cidrIpv6": "::/0"}, {"referencedSecurityGroupId": "sg-1"}),
    "group-inline": ({"ingress": [{"cidrBlocks": ["10.0.0.0/8"]}]}, {"ingress": []}),
    "group-undescribed": ({}, {"description": "EFA"}),
    "ingress-undescribed": ({}, {"description": "EFA"}),
    "egress-undescribed": ({}, {"description": "EFA"}),
    "subnet-public": ({"mapPublicIpOnLaunch": True}, {}),
    "imds": ({"metadataOptions": {**IMDS, "httpPutResponseHopLimit": 2.0}}, {"metadataOptions": IMDS}),
    "volume-plain": (
        {"blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": {}}]},
        {"blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": {"encrypted": "true"}}]},
    ),
    "machine-public": ({"networkInterfaces": [{"associatePublicIpAddress": "true"}]}, {"networkInterfaces": [{}]}),
    "user-data-secret": ({"userData": encoded("export password=x")}, {"userData": encoded("--fullbore\n---\n{}")}),
    "eks-secrets": ({}, {"encryptionConfig": {"provider": {"keyArn": "a"}, "resources": ["secrets"]}}),
    "eks-logs": ({"enabledClusterLogTypes": ["api"]}, {"enabledClusterLogTypes": ["audit", "authenticator"]}),
    "eks-endpoint": (
        {"vpcConfig": {"publicAccessCidrs": ["0.0.0.0/0"]}},
        {"vpcConfig": {"publicAccessCidrs": ["203.0.113.0/24"]}},
    ),
    "node-ssh": ({"remoteAccess": {"ec2SshKey": "k"}}, {}),
    "role-wide": ({"policy": policy(Action=["s3:*"])}, {"policy": policy()}),
    "key-wide": ({"policy": policy(Resource="*")}, {"policy": policy(Resource="*", Sid="KeyAdministration")}),
    "bucket-wide": ({"policy": policy(Action="s3:*")}, {"policy": TLS.replace("Mine", "TlsOnly")}),
    "endpoint-wide": ({"policy": policy(Action="*")}, {"policy": ANYBODY}),
    "key-anybody": ({"policy": policy(Principal={"AWS": "*"})}, {"policy": policy(Principal="*", Condition={"a": 1})}),
    "bucket-anybody": ({"policy": ANYBODY}, {"policy": policy(Principal="*", Effect="Deny")}),
    "role-anybody": (
        {"assumeRolePolicy": policy(Principal={"AWS": ["*"]})},
        {"assumeRolePolicy": policy(Principal={"Service": "ec2.amazonaws.com"})},
    ),
    "role-admin": (
        {"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
        {"policyArn": "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"},
    ),
}
"""By guard: inputs that it finds, and inputs just beside that it lets pass."""
COMPANIONS = {
    "s3-no-public-block": "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "s3-no-versions": "aws:s3/bucketVersioning:BucketVersioning",
    "s3-no-policy": "aws:s3/bucketPolicy:BucketPolicy",
    "s3-no-lifecycle": "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "s3-no-encryption": ("aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"),
    "vpc-unlogged": "aws:ec2/flowLog:FlowLog",
}
"""Guards that miss another resource, and its type."""


def found(*resources: Registered) -> set[str]:
    return {problem.rule for problem in judge(resources)}


def one(guard: str, inputs: Map) -> Registered:
    return Registered(type=TYPES[guard], name="mine", inputs=inputs)


@pytest.mark.parametrize("guard", CASES)
def test_a_guard_finds_what_it_is_for_and_lets_the_rest_pass(guard: str) -> None:
    bad, good = CASES[guard]
    assert guard in found(one(guard, bad))
    assert guard not in found(one(guard, good))


@pytest.mark.parametrize(("guard", "companion"), COMPANIONS.items())
def test_what_is_bare_is_found_until_its_companion_is_there(guard: str, companion: str) -> None:
    mine = one(guard, {"bucket": "a"})
    other = Registered(type=companion, name="other", inputs={"bucket": "b"})
    its = Registered(type=companion, name="its", inputs={"bucket": "a"})
    later = Registered(type=companion, name="later", inputs={"bucket": UNKNOWN})
    assert guard in found(mine)
    assert guard not in found(mine, its)
    assert guard not in found(mine, later)
    if guard != "vpc-unlogged":
        assert guard in found(mine, other)


def test_every_guard_has_a_case() -> None:
    assert {*CASES, *COMPANIONS} == set(TYPES)
    assert len(TYPES) == len(GUARDS)


def test_a_policy_that_is_not_known_yet_is_no_finding() -> None:
    assert found(one("bucket-wide", {"policy": UNKNOWN})) == set()


def test_each_rule_of_checkov_is_covered_by_guards_that_exist_or_says_why_not() -> None:
    assert len({check.id for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert bool(check.by) != bool(check.why), check.id
        assert set(check.by) <= set(TYPES), check.id
