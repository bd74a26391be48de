"""Replication: what the task copies and checks, what it may take by the hour, and who is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_program import ACCOUNT, Made, environment, made
from pulumi.runtime import rpc

from fullbore.config import parse
from fullbore.plan import make_plan
from fullbore.plan.recovery import link_mib_s

SECRET, SECRET_VALUE = rpc._special_sig_key, rpc._special_secret_sig
AGENT = "arn:aws:datasync:eu-central-1:111122223333:agent/agent-0c0c0c0c0c0c0c0c0"
TASK = "arn:aws:mock:::replication-task"


def document(**given: Any) -> dict[str, Any]:
    source = {"source": "nfs", "server": "192.0.2.1", "agent_arns": [AGENT], **given}
    return environment(storage={"bucket": "example-weights"}, replication=source)


def replication(**given: Any) -> Made:
    return made(document(**given))


def task(**given: Any) -> dict[str, Any]:
    return replication(**given).one("Task")


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({}, "NfsLocation"),
        ({"source": "smb", "user": "u", "password": "p"}, "LocationSmb"),
        ({"source": "s3", "server": "example-source", "agent_arns": []}, "S3Location"),
        ({"source": "object-store", "bucket": "weights", "user": "k", "password": "s"}, "LocationObjectStorage"),
        ({"source": "hdfs", "user": "u"}, "LocationHdfs"),
    ],
)
def test_the_source_is_of_its_kind_and_the_destination_a_bucket(given: dict[str, Any], kind: str) -> None:
    found = replication(**given)
    assert "replication-source" in found.of(kind)
    destination = found.one("S3Location", "replication-destination")
    assert destination["s3BucketArn"] == "arn:aws:mock:::storage-bucket"
    assert found.one("Task")["destinationLocationArn"] == "arn:aws:mock:::replication-destination"


@pytest.mark.parametrize(
    ("asked", "mode"),
    [("transferred", "ONLY_FILES_TRANSFERRED"), ("all", "POINT_IN_TIME_CONSISTENT"), ("none", "NONE")],
)
def test_what_was_copied_is_checked_as_asked(asked: str, mode: str) -> None:
    assert task(verify=asked)["options"]["verifyMode"] == mode


def test_what_is_gone_at_the_site_stays_in_the_bucket() -> None:
    assert task()["options"]["preserveDeletedFiles"] == "PRESERVE"


def written(found: Made) -> set[str]:
    """Objects that DataSync's role may write."""
    statements = json.loads(found.one("RolePolicy", "replication-bucket-access")["policy"])["Statement"]
    return {arn for each in statements if "s3:PutObject" in each["Action"] for arn in each["Resource"]}


@pytest.mark.parametrize(("failback", "more"), [(False, set[str]()), (True, {"arn:aws:s3:::example-source/*"})])
def test_a_bucket_that_is_copied_from_is_written_only_on_the_way_back(failback: bool, more: set[str]) -> None:
    found = replication(source="s3", server="example-source", agent_arns=[], failback=failback)
    assert written(found) == {"arn:aws:mock:::storage-bucket/*"} | more
    task = found.of("Task").get("replication-failback")
    assert (task is not None) == failback
    if task:
        assert task["sourceLocationArn"] == "arn:aws:mock:::replication-destination"
        assert "schedule" not in task


def test_an_object_store_is_reached_over_tls_and_keeps_its_secret() -> None:
    given = {"source": "object-store", "bucket": "weights", "user": "k", "password": "s", "port": 9000}
    store = replication(**given).one("LocationObjectStorage")
    assert (store["serverProtocol"], store["serverPort"], store["bucketName"]) == ("HTTPS", 9000, "weights")
    assert store["secretKey"] == {SECRET: SECRET_VALUE, "value": "s"}


def test_a_name_node_listens_where_hadoop_has_it() -> None:
    (node,) = replication(source="hdfs", user="u").one("LocationHdfs")["nameNodes"]
    assert node == {"hostname": "192.0.2.1", "port": 8020}


def test_the_way_back_is_a_task_that_nothing_starts() -> None:
    found = replication(failback=True)
    there, back = found.one("Task", "replication-task"), found.one("Task", "replication-failback")
    assert (back["sourceLocationArn"], back["destinationLocationArn"]) == (
        there["destinationLocationArn"],
        there["sourceLocationArn"],
    )
    assert "schedule" not in back
    assert replication().of("Task").keys() == {"replication-task"}


def test_patterns_are_one_rule_each_way() -> None:
    found = task(include=["/a*", "/b*"], exclude=["*.tmp"])
    assert found["includes"] == {"filterType": "SIMPLE_PATTERN", "value": "/a*|/b*"}
    assert found["excludes"] == {"filterType": "SIMPLE_PATTERN", "value": "*.tmp"}
    assert "includes" not in task()


def test_a_report_goes_below_the_logs_of_the_bucket() -> None:
    report = task(report=True)["taskReportConfig"]
    assert report["s3Destination"]["s3BucketArn"] == "arn:aws:mock:::storage-bucket"
    assert report["s3Destination"]["subdirectory"].startswith("/logs/")
    assert "taskReportConfig" not in task()


def test_each_hour_with_a_limit_has_a_schedule_that_sets_it() -> None:
    found = replication(limits=[{"from_hour": 20}, {"from_hour": 8, "mib_s": 100}])
    schedules = found.of("Schedule")
    said = {each["scheduleExpression"]: json.loads(each["target"]["input"]) for each in schedules.values()}
    assert said.keys() == {"cron(0 8 * * ? *)", "cron(0 20 * * ? *)"}
    assert {each["TaskArn"] for each in said.values()} == {TASK}
    assert said["cron(0 8 * * ? *)"]["Options"]["BytesPerSecond"] == 100 * 1024 * 1024
    assert said["cron(0 20 * * ? *)"]["Options"]["BytesPerSecond"] == -1
    # A call says all options: the others stay as the task has them.
    options = found.one("Task")["options"]
    named = {name[0].upper() + name[1:]: value for name, value in options.items()}
    assert said["cron(0 8 * * ? *)"]["Options"] == named, "the task begins with the slowest limit"


def test_the_role_that_changes_limits_may_update_one_task() -> None:
    found = replication(limits=[{"from_hour": 8, "mib_s": 100}])
    (statement,) = json.loads(found.one("RolePolicy", "replication-limits-update")["policy"])["Statement"]
    assert (statement["Action"], statement["Resource"]) == (["datasync:UpdateTask"], [TASK])
    (trust,) = json.loads(found.one("Role", "replication-limits")["assumeRolePolicy"])["Statement"]
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


def test_the_slowest_limit_is_what_a_copy_is_counted_on() -> None:
    given = document(limits=[{"from_hour": 20}, {"from_hour": 8, "mib_s": 100}])
    assert link_mib_s(parse({**given, "standby": {"rpo_s": 7200, "rto_s": 300}, "recovery": {"link_gbps": 10}})) == 100


def test_failures_and_lag_are_told_from_the_ends_of_runs() -> None:
    found = replication(alarm={"topic_arn": "arn:aws:sns:eu-central-1:111122223333:ops"})
    patterns = {name: json.loads(rule["eventPattern"]) for name, rule in found.of("EventRule").items()}
    assert patterns["replication-failed"]["detail"] == {"State": ["ERROR"]}
    assert patterns["replication-succeeded"]["detail"] == {"State": ["SUCCESS"]}
    assert patterns["replication-failed"]["resources"] == [{"prefix": f"{TASK}/execution/"}]
    failed, lag = found.one("MetricAlarm", "replication-failed"), found.one("MetricAlarm", "replication-lag")
    assert failed["dimensions"] == {"RuleName": "example-replication-failed"}
    assert lag["dimensions"] == {"RuleName": "example-replication-succeeded"}
    assert (failed["treatMissingData"], lag["treatMissingData"]) == ("notBreaching", "breaching")
    assert failed["alarmActions"] == lag["okActions"] == ["arn:aws:sns:eu-central-1:111122223333:ops"]


@pytest.mark.parametrize(
    ("given", "rpo_s", "hours"),
    [
        ({}, None, 2),
        ({"schedule": "cron(15 */4 * * ? *)"}, None, 8),
        ({}, 5 * 3600, 5),
        ({}, 3600, 2),
        ({"schedule": "rate(7 days)"}, None, 168),
        ({"alarm": {"lag_hours": 3}}, 5 * 3600, 3),
    ],
)
def test_lag_is_told_when_the_rpo_is_broken(given: dict[str, Any], rpo_s: int | None, hours: int) -> None:
    declared = document(**{"alarm": {}, **given})
    if rpo_s:
        declared["standby"] = {"rpo_s": rpo_s, "rto_s": 300}
    plan = make_plan(parse(declared)).replication
    assert plan
    assert plan.alarm
    assert plan.alarm.lag_hours == hours


def test_nobody_is_told_where_nobody_is_named() -> None:
    assert replication().of("MetricAlarm") == {}


def test_the_lag_is_measured_of_the_task_that_is_made() -> None:
    plan = make_plan(parse(document())).lag
    assert plan is not None
    assert (plan.method, plan.task, plan.region) == ("datasync", task()["name"], "eu-central-1")


KEYS = {"rack-1": {"activation_key": "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"}}


def measured(found: Made) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The trust of the role that measures the lag, and what it may do."""
    (trust,) = json.loads(found.one("Role", "replication-lag-reader")["assumeRolePolicy"])["Statement"]
    return trust, json.loads(found.one("RolePolicy", "replication-lag-read")["policy"])["Statement"]


LAG = {
    "cluster": {"kubeconfig": "/etc/kubeconfig", "namespace": "models"},
    "monitoring": {"lag": {"image": "r.example/lag@sha256:" + "1" * 64, "oidc_provider": "oidc.example/one"}},
}


def test_the_lag_is_measured_by_pods_of_one_account_who_may_ask_for_the_runs_of_one_task() -> None:
    trust, allowed = measured(made({**document(), **LAG}))
    assert trust["Principal"] == {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/oidc.example/one"}
    assert trust["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert trust["Condition"]["StringEquals"] == {
        "oidc.example/one:sub": "system:serviceaccount:models:replication-lag",
        "oidc.example/one:aud": "sts.amazonaws.com",
    }
    assert [(each["Action"], each["Resource"]) for each in allowed] == [
        (["datasync:ListTaskExecutions"], [TASK]),
        (["datasync:DescribeTaskExecution"], [f"{TASK}/execution/*"]),
    ]


def test_nobody_may_ask_where_nothing_is_measured() -> None:
    assert "replication-lag-reader" not in replication().of("Role")


def test_agents_are_activated_by_their_keys_and_read_the_store_with_those_that_are_there() -> None:
    found = replication(agents=KEYS)
    agent = found.one("Agent", "replication-agent-rack-1")
    assert agent["activationKey"] == {SECRET: SECRET_VALUE, "value": KEYS["rack-1"]["activation_key"]}
    assert "vpcEndpointId" not in agent
    arns = found.one("NfsLocation")["onPremConfig"]["agentArns"]
    assert arns == [AGENT, "arn:aws:mock:::replication-agent-rack-1"]


def test_an_agent_speaks_with_the_endpoint_of_the_vpc_where_it_has_one() -> None:
    given = document(agents=KEYS)
    agent = made({**given, "cloud": {**given["cloud"], "datasync_endpoint": True}}).one("Agent")
    assert agent["vpcEndpointId"] == "cloud-endpoint-datasync-id"
    assert agent["subnetArns"] == ["arn:aws:mock:::cloud-private-eu-central-1a"]
    assert agent["securityGroupArns"] == ["arn:aws:mock:::cloud-endpoints"]


@pytest.mark.parametrize(
    ("to", "kind", "group"),
    [("shared", "EfsLocation", "storage-shared"), ("lustre", "LocationFsxLustre", "storage-lustre")],
)
def test_a_file_system_is_written_to_from_within_its_own_group_and_back(to: str, kind: str, group: str) -> None:
    given = document(destination=to, failback=True)
    files = {"shared": {}, "lustre": {"size_gib": 1200}}
    found = made({**given, "storage": {**given["storage"], **files}})
    location = found.one(kind, "replication-destination")
    groups = location.get("securityGroupArns") or location["ec2Config"]["securityGroupArns"]
    assert groups == [f"arn:aws:mock:::{group}"]
    assert location.get("inTransitEncryption", "TLS1_2") == "TLS1_2"
    task, back = found.one("Task", "replication-task"), found.one("Task", "replication-failback")
    assert task["destinationLocationArn"] == back["sourceLocationArn"] == "arn:aws:mock:::replication-destination"
