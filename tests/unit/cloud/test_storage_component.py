"""Buckets: TLS only, every version kept, encrypted; backups held for their time; the account refuses the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_program import ACCOUNT, Made, environment, made

BACKUPS = {"bucket": "example-backups", "retain_days": 35}


def storage(sovereignty: dict[str, Any] | None = None, **given: Any) -> Made:
    declared = {"sovereignty": sovereignty} if sovereignty else {}
    return made(environment(storage={"bucket": "example-weights", **given}, **declared))


def statements(found: Made, name: str = "storage-policy") -> dict[str, dict[str, Any]]:
    return {s["Sid"]: s for s in json.loads(found.one("BucketPolicy", name)["policy"])["Statement"]}


@pytest.mark.parametrize("name", ["storage-policy", "storage-backups-policy"])
def test_requests_without_tls_are_refused(name: str) -> None:
    deny = statements(storage(backups=BACKUPS), name)["TlsOnly"]
    assert (deny["Effect"], deny["Principal"], deny["Action"]) == ("Deny", "*", "s3:*")
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert len(deny["Resource"]) == 2


def test_every_bucket_has_every_setting() -> None:
    found = storage(backups=BACKUPS)
    for kind in (
        "Bucket",
        "BucketVersioning",
        "BucketPublicAccessBlock",
        "BucketPolicy",
        "BucketLifecycleConfiguration",
    ):
        assert len(found.of(kind)) == 2, kind


def test_backups_are_locked_and_the_weights_are_not() -> None:
    found = storage(backups={**BACKUPS, "mode": "compliance"})
    assert found.one("Bucket", "storage-backups-bucket")["objectLockEnabled"] is True
    assert "objectLockEnabled" not in found.one("Bucket", "storage-bucket")
    (lock,) = found.of("BucketObjectLockConfiguration").values()
    assert lock["bucket"] == "example-backups"
    assert lock["rule"] == {"defaultRetention": {"mode": "COMPLIANCE", "days": 35}}


def test_logs_go_after_their_days_and_the_weights_never() -> None:
    rules = storage(logs_days=30).one("BucketLifecycleConfiguration")["rules"]
    expiring = {rule["filter"]["prefix"]: rule["expiration"]["days"] for rule in rules if "expiration" in rule}
    assert expiring == {"logs/": 30}


def test_an_own_key_is_used_through_s3_by_the_account_alone() -> None:
    found = storage(own_key=True, backups=BACKUPS)
    for each in found.of("BucketServerSideEncryptionConfiguration").values():
        (rule,) = each["rules"]
        default = rule["applyServerSideEncryptionByDefault"]
        assert default == {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": "arn:aws:mock:::storage-key"}
    through = {s["Sid"]: s for s in json.loads(found.one("Key")["policy"])["Statement"]}["ThroughS3"]
    narrowed = {"kms:CallerAccount": ACCOUNT, "kms:ViaService": "s3.eu-central-1.amazonaws.com"}
    assert through["Condition"] == {"StringEquals": narrowed}


@pytest.mark.parametrize(
    ("allowed", "refused"),
    [
        ({"regions": ["eu-central-1"]}, True),
        ({"regions": ["eu-central-1", "eu-west-1"]}, False),
        ({"regions": ["eu-central-1"], "countries": ["IE"]}, False),
    ],
)
def test_the_bucket_refuses_to_replicate_where_weights_may_go_nowhere_else(allowed: Any, refused: bool) -> None:
    found = statements(storage({"country": "DE", "classes": {"weights": allowed}}))
    assert ("NoReplication" in found) == refused
    assert found["AccountOnly"]["Condition"]["StringNotEquals"] == {"aws:PrincipalAccount": ACCOUNT}


def test_nothing_but_tls_is_asked_for_where_nothing_says_where_data_may_go() -> None:
    assert statements(storage()).keys() == {"TlsOnly"}


FILES = {"lustre": {"size_gib": 2400, "mb_s_per_tib": 500, "zone": "b"}, "shared": {"idle_days": 30}, "own_key": True}
NODES = "sg-cluster"


def test_lustre_loads_weights_from_their_folder_and_writes_nothing_back() -> None:
    found = storage(**FILES)
    system = found.one("LustreFileSystem")
    assert (system["deploymentType"], system["storageCapacity"], system["perUnitStorageThroughput"]) == (
        "PERSISTENT_2",
        2400,
        500,
    )
    assert (system["subnetIds"], system["kmsKeyId"]) == ("cloud-private-eu-central-1b-id", "arn:aws:mock:::storage-key")
    link = found.one("DataRepositoryAssociation")
    assert (link["dataRepositoryPath"], link["fileSystemPath"]) == ("s3://example-weights/weights/", "/weights")
    assert link["s3"] == {"autoImportPolicy": {"events": ["NEW", "CHANGED", "DELETED"]}}


def test_the_shared_files_are_encrypted_and_mounted_by_tls_in_every_zone() -> None:
    found = storage(**FILES)
    system = found.one("FileSystem")
    assert (system["encrypted"], system["lifecyclePolicies"]) == (True, [{"transitionToIa": "AFTER_30_DAYS"}])
    subnets = {each["subnetId"] for each in found.of("MountTarget").values()}
    assert subnets == {f"cloud-private-eu-central-1{zone}-id" for zone in "ab"}
    said = {s["Sid"]: s for s in json.loads(found.one("FileSystemPolicy")["policy"])["Statement"]}
    assert said["TlsOnly"]["Effect"] == "Deny"
    assert said["TlsOnly"]["Action"] == said["Mounted"]["Action"]
    assert said["Mounted"]["Condition"] == {"Bool": {"elasticfilesystem:AccessedViaMountTarget": "true"}}


def test_file_systems_are_reached_on_their_ports_and_by_the_nodes_alone() -> None:
    found = storage(**FILES)
    rules = {**found.of("SecurityGroupIngressRule"), **found.of("SecurityGroupEgressRule")}
    mine = [rule for name, rule in rules.items() if name.startswith("storage-")]
    groups = {"storage-lustre-id", "storage-shared-id", NODES}
    assert {rule["referencedSecurityGroupId"] for rule in mine} <= groups
    ports = {(rule["fromPort"], rule["toPort"]) for rule in mine if rule["securityGroupId"] == "storage-shared-id"}
    assert ports == {(2049, 2049)}
    lustre = {(rule["fromPort"], rule["toPort"]) for rule in mine if rule["securityGroupId"] != "storage-shared-id"}
    assert lustre == {(988, 988), (1018, 1023)}
    assert all(rule["ipProtocol"] == "tcp" for rule in mine)


def test_no_file_system_is_made_where_none_is_declared() -> None:
    assert storage().of("LustreFileSystem") == {}
    assert storage().of("FileSystem") == {}
