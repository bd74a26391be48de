"""S3 replication with Time Control: what is copied, by which role, with which keys, and who is told of a lag."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_program import Made, environment, made

SOURCE, KEY = "example-source", "arn:aws:kms:eu-west-1:111122223333:key/a"
TOPIC = "arn:aws:sns:eu-west-1:111122223333:late"


def copied(**given: Any) -> Made:
    control = {"region": "eu-west-1", "key_arn": KEY, **given}
    return made(
        environment(
            storage={"bucket": "example-weights", "own_key": True},
            replication={"source": "s3", "server": SOURCE, "time_control": control},
        )
    )


def test_new_objects_and_deletions_are_copied_within_the_time_that_s3_promises() -> None:
    found = copied().one("BucketReplicationConfig")
    (rule,) = found["rules"]
    assert (found["bucket"], rule["filter"], rule["status"]) == (SOURCE, {"prefix": "weights/"}, "Enabled")
    assert rule["deleteMarkerReplication"] == {"status": "Enabled"}
    destination = rule["destination"]
    assert destination["replicationTime"] == {"status": "Enabled", "time": {"minutes": 15}}
    assert destination["metrics"] == {"status": "Enabled", "eventThreshold": {"minutes": 15}}
    assert destination["encryptionConfiguration"] == {"replicaKmsKeyId": "arn:aws:mock:::storage-key"}


def statements(found: Made) -> dict[str, dict[str, Any]]:
    text = found.one("RolePolicy", "replication-copy")["policy"]
    return {each["Sid"]: each for each in json.loads(text)["Statement"]}


def test_the_role_reads_one_bucket_writes_one_and_uses_each_key_through_its_region() -> None:
    said = statements(copied())
    assert said["Read"]["Resource"] == [f"arn:aws:s3:::{SOURCE}/*"]
    assert said["Write"]["Resource"] == ["arn:aws:mock:::storage-bucket/*"]
    keys = {sid: (said[sid]["Resource"], said[sid]["Condition"]) for sid in ("Decrypt", "Encrypt")}
    assert keys["Decrypt"] == ([KEY], {"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}})
    through = {"StringEquals": {"kms:ViaService": "s3.eu-central-1.amazonaws.com"}}
    assert keys["Encrypt"] == (["arn:aws:mock:::storage-key"], through)
    assert "Decrypt" not in statements(copied(key_arn=None))


@pytest.mark.parametrize(("name", "metric"), [("lag", "ReplicationLatency"), ("failed", "OperationsFailedReplication")])
def test_somebody_is_told_of_a_lag_and_of_what_failed(name: str, metric: str) -> None:
    alarm = copied().one("MetricAlarm", f"replication-{name}")
    assert (alarm["namespace"], alarm["metricName"]) == ("AWS/S3", metric)
    assert alarm["dimensions"] == {
        "SourceBucket": SOURCE,
        "DestinationBucket": "example-weights",
        "RuleId": "weights",
    }
    assert alarm["threshold"] == {"lag": 900, "failed": 0}[name]


def test_the_lag_of_s3_is_read_from_its_metrics_and_nothing_else() -> None:
    lag = {"image": "r.example/lag@sha256:" + "1" * 64, "oidc_provider": "oidc.example"}
    found = made(
        environment(
            storage={"bucket": "example-weights", "own_key": True},
            replication={
                "source": "s3",
                "server": SOURCE,
                "time_control": {"region": "eu-west-1", "key_arn": KEY},
            },
            cluster={"kubeconfig": "/etc/kubeconfig"},
            monitoring={"lag": lag},
        )
    )
    (allowed,) = json.loads(found.one("RolePolicy", "replication-lag-read")["policy"])["Statement"]
    assert allowed["Action"] == ["cloudwatch:GetMetricStatistics"]


def test_events_of_single_objects_are_told_where_a_topic_is_given() -> None:
    (topic,) = copied(events_topic_arn=TOPIC).one("BucketNotification")["topics"]
    assert topic["topicArn"] == TOPIC
    assert "s3:Replication:OperationMissedThreshold" in topic["events"]
    assert copied().of("BucketNotification") == {}


def test_s3_copies_in_place_of_datasync_and_from_the_region_of_the_source() -> None:
    found = copied()
    assert found.of("Task") == {}
    (source,) = (each for name, each in found.of("aws").items() if name == "replication-source")
    assert source["region"] == "eu-west-1"
