"""DataSync locations and tasks. Their id is their ARN."""

from __future__ import annotations

from collections.abc import Callable, Set
from urllib.parse import urlsplit

from fullbore_sandbox.plugins.aws.api import Api
from fullbore_sandbox.plugins.aws.convert import camel, pascal, pick, tag_list, tag_map
from fullbore_sandbox.plugins.aws.row import TOKEN_TAG, Map, Row, Tagging, new_tags

NO_CALL = "DataSync API reference: no Update call takes it"


def _tags_of(api: Api, arn: str) -> dict[str, str]:
    return tag_map(api.datasync.list_tags_for_resource(ResourceArn=arn)["Tags"])


TAGGING = Tagging(
    key=lambda ident, outputs: ident,
    set=lambda api, arn, tags: api.datasync.tag_resource(ResourceArn=arn, Tags=tag_list(tags)),
    unset=lambda api, arn, keys: api.datasync.untag_resource(ResourceArn=arn, Keys=keys),
)


def _by_tag(call: str, listed: str, ident: str) -> Callable[[Api, str], str | None]:
    def find(api: Api, token: str) -> str | None:
        arns = [item[ident] for item in getattr(api.datasync, call)()[listed]]
        return next((arn for arn in arns if _tags_of(api, arn).get(TOKEN_TAG) == token), None)

    return find


_find_location = _by_tag("list_locations", "Locations", "LocationArn")


def _delete_location(api: Api, ident: str, known: Map) -> None:
    api.datasync.delete_location(LocationArn=ident)


def _address(uri: str) -> tuple[str, str]:
    """Host and folder of a location's URI; the folder as AWS stores it, with a slash at both ends."""
    parts = urlsplit(uri)
    folder = "/" + parts.path.strip("/")
    return parts.netloc, folder if folder == "/" else f"{folder}/"


def _folder(known: Map, live: str) -> str:
    """AWS adds slashes to a folder: that is no drift."""
    given = str(known.get("subdirectory", live.rstrip("/") or "/"))
    return given if given.strip("/") == live.strip("/") else live


_SMB = {"agentArns": "AgentArns", "user": "User", "domain": "Domain", "mountOptions": "MountOptions"}


def _create_smb(api: Api, inputs: Map, token: str) -> str:
    names = {**_SMB, "serverHostname": "ServerHostname", "subdirectory": "Subdirectory", "password": "Password"}
    given = pick({**inputs, "mountOptions": pascal(inputs.get("mountOptions"))}, names)
    return api.datasync.create_location_smb(**given, Tags=new_tags(inputs, token))["LocationArn"]


def _read_smb(api: Api, ident: str, known: Map) -> Map | None:
    found = api.datasync.describe_location_smb(LocationArn=ident)
    host, folder = _address(found["LocationUri"])
    return {
        "arn": ident,
        "uri": found["LocationUri"],
        "serverHostname": host,
        "subdirectory": _folder(known, folder),
        "mountOptions": camel(found.get("MountOptions")),
        "tags": _tags_of(api, ident),
        **pick(found, {"AgentArns": "agentArns", "User": "user", "Domain": "domain"}),
    }


def _update_smb(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    names = {**_SMB, "subdirectory": "Subdirectory", "password": "Password"}
    given = pick({**inputs, "mountOptions": pascal(inputs.get("mountOptions"))}, names)
    api.datasync.update_location_smb(LocationArn=ident, **given)


LOCATION_SMB = Row(
    type="aws:datasync/locationSmb:LocationSmb",
    inputs={"serverHostname", "subdirectory", "password", "tags", *_SMB},
    create=_create_smb,
    read=_read_smb,
    update=_update_smb,
    delete=_delete_location,
    find=_find_location,
    tagging=TAGGING,
    replace={"serverHostname": "terraform-provider-aws: server_hostname of aws_datasync_location_smb forces a new one"},
    unreadable={"password"},  # the API never gives it back
    computed={"mountOptions", "domain"},
    absent={"domain"},
)


def _create_nfs(api: Api, inputs: Map, token: str) -> str:
    names = {"serverHostname": "ServerHostname", "subdirectory": "Subdirectory"}
    answer = api.datasync.create_location_nfs(
        **pick(inputs, names), **_nfs_config(inputs), Tags=new_tags(inputs, token)
    )
    return answer["LocationArn"]


def _nfs_config(inputs: Map) -> Map:
    names = {"onPremConfig": "OnPremConfig", "mountOptions": "MountOptions"}
    return pick({name: pascal(inputs.get(name)) for name in names}, names)


def _read_nfs(api: Api, ident: str, known: Map) -> Map | None:
    found = api.datasync.describe_location_nfs(LocationArn=ident)
    host, folder = _address(found["LocationUri"])
    return {
        "arn": ident,
        "uri": found["LocationUri"],
        "serverHostname": host,
        "subdirectory": _folder(known, folder),
        "tags": _tags_of(api, ident),
        **pick(camel(found), {"onPremConfig": "onPremConfig", "mountOptions": "mountOptions"}),
    }


def _update_nfs(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    folder = pick(inputs, {"subdirectory": "Subdirectory"})
    api.datasync.update_location_nfs(LocationArn=ident, **folder, **_nfs_config(inputs))


NFS_LOCATION = Row(
    type="aws:datasync/nfsLocation:NfsLocation",
    inputs={"serverHostname", "subdirectory", "onPremConfig", "mountOptions", "tags"},
    create=_create_nfs,
    read=_read_nfs,
    update=_update_nfs,
    delete=_delete_location,
    find=_find_location,
    tagging=TAGGING,
    replace={"serverHostname": "terraform-provider-aws: server_hostname of aws_datasync_location_nfs forces a new one"},
    computed={"mountOptions"},
)


def _create_s3(api: Api, inputs: Map, token: str) -> str:
    names = {"s3BucketArn": "S3BucketArn", "subdirectory": "Subdirectory", "s3StorageClass": "S3StorageClass"}
    config = pascal(inputs["s3Config"])
    answer = api.datasync.create_location_s3(**pick(inputs, names), S3Config=config, Tags=new_tags(inputs, token))
    return answer["LocationArn"]


def _read_s3(api: Api, ident: str, known: Map) -> Map | None:
    found = api.datasync.describe_location_s3(LocationArn=ident)
    bucket, folder = _address(found["LocationUri"])
    return {
        "arn": ident,
        "uri": found["LocationUri"],
        "s3BucketArn": f"arn:aws:s3:::{bucket}",
        "subdirectory": _folder(known, folder),
        "s3Config": camel(found["S3Config"]),
        "s3StorageClass": found.get("S3StorageClass", "STANDARD"),
        "tags": _tags_of(api, ident),
    }


S3_LOCATION = Row(
    type="aws:datasync/s3Location:S3Location",
    inputs={"s3BucketArn", "subdirectory", "s3Config", "s3StorageClass", "tags"},
    create=_create_s3,
    read=_read_s3,
    delete=_delete_location,
    find=_find_location,
    tagging=TAGGING,
    replace=dict.fromkeys(
        ("s3BucketArn", "subdirectory", "s3Config", "s3StorageClass"),
        "terraform-provider-aws: forces a new aws_datasync_location_s3",
    ),
    computed={"s3StorageClass"},
)

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
        "tags": _tags_of(api, ident),
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
    find=_by_tag("list_tasks", "Tasks", "TaskArn"),
    tagging=TAGGING,
    replace=dict.fromkeys(("sourceLocationArn", "destinationLocationArn", "taskMode"), NO_CALL),
    computed={"taskMode", "options"},
)

ROWS = (LOCATION_SMB, NFS_LOCATION, S3_LOCATION, TASK)
