"""CloudWatch log groups, and the flow logs of a VPC."""

from __future__ import annotations

from collections.abc import Set

from fullbore_sandbox.plugins.aws.api import Api
from fullbore_sandbox.plugins.aws.convert import pick, tag_map
from fullbore_sandbox.plugins.aws.row import TOKEN_TAG, Map, Row, Tagging
from fullbore_sandbox.plugins.aws.rows.ec2 import TAGGING, by_token, first, tags_for

NO_CALL = "CloudWatch Logs API reference: no Update call takes it"
NO_FLOW_CALL = "EC2 API reference: a flow log is never modified"


def _group_arn(api: Api, name: str) -> str:
    return api.arn("logs", f"log-group:{name}")


def _create_group(api: Api, inputs: Map, token: str) -> str:
    names = {"name": "logGroupName", "kmsKeyId": "kmsKeyId", "logGroupClass": "logGroupClass"}
    api.logs.create_log_group(**pick(inputs, names), tags={**inputs.get("tags", {}), TOKEN_TAG: token})
    return inputs["name"]


def _set_retention(api: Api, ident: str, inputs: Map, changed: Set[str] = frozenset({"retentionInDays"})) -> None:
    if "retentionInDays" not in changed:
        return
    if inputs.get("retentionInDays"):
        api.logs.put_retention_policy(logGroupName=ident, retentionInDays=inputs["retentionInDays"])
    else:
        api.logs.delete_retention_policy(logGroupName=ident)


def _read_group(api: Api, ident: str, known: Map) -> Map | None:
    listed = api.logs.describe_log_groups(logGroupNamePrefix=ident)["logGroups"]
    group = next((each for each in listed if each["logGroupName"] == ident), None)
    if group is None:
        return None
    return {
        "arn": _group_arn(api, ident),
        "name": ident,
        "retentionInDays": group.get("retentionInDays", 0),
        "tags": api.logs.list_tags_for_resource(resourceArn=_group_arn(api, ident))["tags"],
        **pick(group, {"kmsKeyId": "kmsKeyId", "logGroupClass": "logGroupClass"}),
    }


LOG_GROUP = Row(
    type="aws:cloudwatch/logGroup:LogGroup",
    inputs={"name", "retentionInDays", "kmsKeyId", "logGroupClass", "tags"},
    token=lambda inputs: inputs["name"],
    create=_create_group,
    finish=_set_retention,
    read=_read_group,
    update=_set_retention,
    delete=lambda api, ident, known: api.logs.delete_log_group(logGroupName=ident),
    find=lambda api, token: token if _read_group(api, token, {}) else None,
    tagging=Tagging(
        key=lambda ident, outputs: outputs["arn"],
        set=lambda api, arn, tags: api.logs.tag_resource(resourceArn=arn, tags=tags),
        unset=lambda api, arn, keys: api.logs.untag_resource(resourceArn=arn, tagKeys=keys),
    ),
    name="name",
    replace={"name": NO_CALL, "kmsKeyId": NO_CALL, "logGroupClass": NO_CALL},
    unique={"name"},
    computed={"logGroupClass"},
    defaults={"retentionInDays": 0},
    absent={"deletionProtectionEnabled", "logGroupClass", "namePrefix"},
)


_FLOW = {
    "iamRoleArn": "DeliverLogsPermissionArn",
    "logDestination": "LogDestination",
    "logDestinationType": "LogDestinationType",
    "maxAggregationInterval": "MaxAggregationInterval",
    "trafficType": "TrafficType",
}


def _create_flow_log(api: Api, inputs: Map, token: str) -> str:
    answer = api.ec2.create_flow_logs(
        ResourceIds=[inputs["vpcId"]],
        ResourceType="VPC",
        **pick(inputs, _FLOW),
        TagSpecifications=tags_for("vpc-flow-log", inputs, token),
    )
    return answer["FlowLogIds"][0]


def _read_flow_log(api: Api, ident: str, known: Map) -> Map | None:
    found = first(api.ec2.describe_flow_logs(FlowLogIds=[ident]), "FlowLogs")
    if found is None:
        return None
    return {
        "arn": api.arn("ec2", f"vpc-flow-log/{ident}"),
        "vpcId": found["ResourceId"],
        "logFormat": found.get("LogFormat", ""),
        "tags": tag_map(found.get("Tags")),
        **pick(found, {api_name: name for name, api_name in _FLOW.items()}),
    }


FLOW_LOG = Row(
    type="aws:ec2/flowLog:FlowLog",
    inputs={"vpcId", "tags", *_FLOW},
    create=_create_flow_log,
    read=_read_flow_log,
    delete=lambda api, ident, known: api.ec2.delete_flow_logs(FlowLogIds=[ident]),
    find=by_token("describe_flow_logs", "FlowLogs", "FlowLogId"),
    tagging=TAGGING,
    replace=dict.fromkeys(("vpcId", *_FLOW), NO_FLOW_CALL),
    defaults={"maxAggregationInterval": 600, "logDestinationType": "cloud-watch-logs"},
)

ROWS = (LOG_GROUP, FLOW_LOG)
