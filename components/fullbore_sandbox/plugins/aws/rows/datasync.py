"""DataSync tasks, and what they share with locations. Their id is their ARN."""

from __future__ import annotations

from collections.abc import Callable, Set

from fullbore_sandbox.plugins.aws.api import Api
from fullbore_sandbox.plugins.aws.convert import camel, pascal, pick, tag_list, tag_map
from fullbore_sandbox.plugins.aws.row import TOKEN_TAG, Map, Row, Tagging, new_tags

NO_CALL = "DataSync API reference: no Update call takes it"


def tags_of(api: Api, arn: str) -> dict[str, str]:
    return tag_map(api.datasync.list_tags_for_resource(ResourceArn=arn)["Tags"])


TAGGING = Tagging(
    key=lambda ident, outputs: ident,
    set=lambda api, arn, tags: api.datasync.tag_resource(ResourceArn=arn, Tags=tag_list(tags)),
    unset=lambda api, arn, keys: api.datasync.untag_resource(ResourceArn=arn, Keys=keys),
)


def by_tag(call: str, listed: str, ident: str) -> Callable[[Api, str], str | None]:
    def find(api: Api, token: str) -> str | None:
        arns = [item[ident] for item in getattr(api.datasync, call)()[listed]]
        return next((arn for arn in arns if tags_of(api, arn).get(TOKEN_TAG) == token), None)

    return find


_TASK = {"name": "Name", "cloudwatchLogGroupArn": "CloudWatchLogGroupArn"}
_TASK_NESTED = {"options": "Options", "schedule": "Schedule", "excludes": "Excludes", "includes": "Includes"}


def _task_values(inputs: Map) -> Map:
    nested = {name: pascal(inputs[name]) for name in _TASK_NESTED if inputs.get(name) is not None}
    for name in ("excludes", "includes"):
        if name in nested:  # one filter rule in the SDK, a list of them in the API
            nested[name] = [nested[name]]
    report = {"TaskReportConfig": _report(inputs["taskReportConfig"])} if inputs.get("taskReportConfig") else {}
    return {**pick({**inputs, **nested}, {**_TASK, **_TASK_NESTED}), **report}


_REPORT = {"outputType": "OutputType", "reportLevel": "ReportLevel", "s3ObjectVersioning": "ObjectVersionIds"}


def _report(given: Map) -> Map:
    return {"Destination": {"S3": pascal(given["s3Destination"])}, **pick(given, _REPORT)}


def _report_read(found: Map) -> Map:
    back = {api_name: name for name, api_name in _REPORT.items()}
    return {"s3Destination": camel(found["Destination"]["S3"]), **pick(found, back)}


def _create_task(api: Api, inputs: Map, token: str) -> str:
    ends = {"sourceLocationArn": "SourceLocationArn", "destinationLocationArn": "DestinationLocationArn"}
    given = pick(inputs, {**ends, "taskMode": "TaskMode"})
    return api.datasync.create_task(**given, **_task_values(inputs), Tags=new_tags(inputs, token))["TaskArn"]


def _read_task(api: Api, ident: str, known: Map) -> Map | None:
    task = api.datasync.describe_task(TaskArn=ident)
    nested = {name: camel(task[api_name]) for name, api_name in _TASK_NESTED.items() if task.get(api_name)}
    for name in ("excludes", "includes"):
        if name in nested:
            nested[name] = nested[name][0]
    names = {api_name: name for name, api_name in _TASK.items()}
    ends = {"SourceLocationArn": "sourceLocationArn", "DestinationLocationArn": "destinationLocationArn"}
    return {
        "arn": ident,
        "taskMode": task.get("TaskMode", "BASIC"),
        "tags": tags_of(api, ident),
        **pick(task, {**names, **ends}),
        **nested,
        **({"taskReportConfig": _report_read(task["TaskReportConfig"])} if task.get("TaskReportConfig") else {}),
    }


def _update_task(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    api.datasync.update_task(TaskArn=ident, **_task_values(inputs))


TASK = Row(
    type="aws:datasync/task:Task",
    inputs={
        "sourceLocationArn",
        "destinationLocationArn",
        "taskMode",
        "taskReportConfig",
        "tags",
        *_TASK,
        *_TASK_NESTED,
    },
    create=_create_task,
    read=_read_task,
    update=_update_task,
    delete=lambda api, ident, known: api.datasync.delete_task(TaskArn=ident),
    find=by_tag("list_tasks", "Tasks", "TaskArn"),
    tagging=TAGGING,
    replace=dict.fromkeys(("sourceLocationArn", "destinationLocationArn", "taskMode"), NO_CALL),
    computed={"taskMode", "options"},
)

_AGENT = {
    "activationKey": "ActivationKey",
    "name": "AgentName",
    "vpcEndpointId": "VpcEndpointId",
    "subnetArns": "SubnetArns",
    "securityGroupArns": "SecurityGroupArns",
}


def _create_agent(api: Api, inputs: Map, token: str) -> str:
    return api.datasync.create_agent(**pick(inputs, _AGENT), Tags=new_tags(inputs, token))["AgentArn"]


def _read_agent(api: Api, ident: str, known: Map) -> Map | None:
    found = api.datasync.describe_agent(AgentArn=ident)
    private = ("VpcEndpointId", "SubnetArns", "SecurityGroupArns")
    return {
        "arn": ident,
        "tags": tags_of(api, ident),
        **pick(found, {"Name": "name"}),
        **camel({name: found.get("PrivateLinkConfig", {}).get(name) for name in private}),
    }


AGENT = Row(
    type="aws:datasync/agent:Agent",
    inputs={*_AGENT, "tags"},
    create=_create_agent,
    read=_read_agent,
    update=lambda api, ident, inputs, changed: api.datasync.update_agent(AgentArn=ident, Name=inputs.get("name", "")),
    delete=lambda api, ident, known: api.datasync.delete_agent(AgentArn=ident),
    find=by_tag("list_agents", "Agents", "AgentArn"),
    tagging=TAGGING,
    replace=dict.fromkeys(("activationKey", "vpcEndpointId", "subnetArns", "securityGroupArns"), NO_CALL),
    unreadable={"activationKey"},  # used up when the agent is made
    # The machine's own address, and that of its endpoint, are asked of the agent where it is activated by address.
    absent={"ipAddress", "privateLinkEndpoint", "activationKey"},
)

ROWS = (AGENT, TASK)
