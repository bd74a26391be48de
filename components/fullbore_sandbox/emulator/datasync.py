"""DataSync: what was given is remembered by ARN and answered again; tags; updates of locations; and executions
that copy."""

from __future__ import annotations

import functools
import json
import secrets
import time
from collections.abc import Callable
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.datasync.exceptions import InvalidRequestException
from moto.datasync.models import DataSyncBackend
from moto.datasync.responses import DataSyncResponse
from moto.events.models import events_backends
from moto.s3.models import s3_backends

from fullbore_sandbox.emulator import executions

Json = dict[str, Any]


def install() -> None:
    for name, method in _DATASYNC.items():
        setattr(DataSyncResponse, name, method)
    for name, wrap in _REMEMBERED.items():
        setattr(DataSyncResponse, name, wrap(getattr(DataSyncResponse, name)))
    for name in ("_get_task", "delete_task", "delete_location"):
        setattr(DataSyncBackend, name, _saying_what_is_missing(getattr(DataSyncBackend, name)))
    DataSyncBackend.__init__ = _unique_arns(DataSyncBackend.__init__)


def remembered(self: DataSyncResponse) -> dict[str, Json]:
    backend: Any = self.datasync_backend
    if not hasattr(backend, "given"):
        backend.given = {}
    return backend.given


def _remembering(arn_key: str) -> Callable[[Callable[..., str]], Callable[..., str]]:
    def wrap(create: Callable[..., str]) -> Callable[..., str]:
        @functools.wraps(create)
        def wrapper(self: DataSyncResponse) -> str:
            answer = create(self)
            remembered(self)[json.loads(answer)[arn_key]] = dict(json.loads(self.body))
            return answer

        return wrapper

    return wrap


_SHOWN = (
    *("Schedule", "Includes", "Excludes", "TaskMode", "Options", "S3StorageClass", "MountOptions"),
    "TaskReportConfig",
)


def _answering(describe: Callable[..., str]) -> Callable[..., str]:
    @functools.wraps(describe)
    def wrapper(self: DataSyncResponse) -> str:
        answer = json.loads(describe(self))
        given = remembered(self).get(answer.get("TaskArn") or answer["LocationArn"], {})
        answer |= {name: given[name] for name in _SHOWN if given.get(name) is not None}
        return json.dumps({k: v for k, v in answer.items() if v is not None})

    return wrapper


def _merging(update: Callable[..., str]) -> Callable[..., str]:
    """UpdateTask leaves what is not named as it was."""

    @functools.wraps(update)
    def wrapper(self: DataSyncResponse) -> str:
        changes = json.loads(self.body)
        arn = changes.pop("TaskArn")
        task = self.datasync_backend._get_task(arn)
        merged = remembered(self).setdefault(arn, {})
        merged |= changes
        metadata = {**task.metadata, **{k: v for k, v in changes.items() if k in task.metadata}}
        self.datasync_backend.update_task(arn, name=changes.get("Name", task.name), metadata=metadata)
        return json.dumps({})

    return wrapper


_REMEMBERED = {
    "create_location_smb": _remembering("LocationArn"),
    "create_location_s3": _remembering("LocationArn"),
    "create_task": _remembering("TaskArn"),
    "describe_location_smb": _answering,
    "describe_location_s3": _answering,
    "describe_task": _answering,
    "update_task": _merging,
}


def _update_location_smb(self: DataSyncResponse) -> str:
    changes = json.loads(self.body)
    location = self._get_location(changes.pop("LocationArn"), typ="SMB")
    given = remembered(self).setdefault(location.arn, {})
    given |= changes
    location.metadata |= {k: v for k, v in changes.items() if k in location.metadata}
    if "Subdirectory" in changes:
        host = given.get("ServerHostname") or location.uri.split("/")[2]
        location.uri = "/".join(["smb:/", host, changes["Subdirectory"]])
    return json.dumps({})


def _tags(self: DataSyncResponse) -> dict[str, str]:
    arn = self._get_param("ResourceArn")
    backend = self.datasync_backend
    if arn not in backend.locations and not (":agent/" in arn and arn in remembered(self)):
        backend._get_task(arn)  # raises where there is no such task either
    given = remembered(self).setdefault(arn, {})
    if isinstance(given.get("Tags"), list):
        given["Tags"] = {tag["Key"]: tag["Value"] for tag in given["Tags"]}
    return given.setdefault("Tags", {})


def _list_tags(self: DataSyncResponse) -> str:
    return json.dumps({"Tags": [{"Key": k, "Value": v} for k, v in _tags(self).items()]})


def _tag(self: DataSyncResponse) -> str:
    _tags(self).update({tag["Key"]: tag["Value"] for tag in self._get_param("Tags")})
    return json.dumps({})


def _untag(self: DataSyncResponse) -> str:
    tags = _tags(self)
    for key in self._get_param("Keys"):
        tags.pop(key, None)
    return json.dumps({})


def _start(self: DataSyncResponse) -> str:
    """The run is over when the call returns; two of one task at a time, which AWS refuses, cannot be."""
    backend = self.datasync_backend
    arn, began = backend.start_task_execution(self._get_param("TaskArn")), time.time()
    task: Any = backend.tasks[self._get_param("TaskArn")]
    outcome = _outcome(self, task, arn)
    backend.task_executions[arn].status = outcome.status
    task.status, task.current_task_execution_arn = "AVAILABLE", None
    remembered(self)[arn] = {"outcome": outcome, "began": began, "ended": time.time()}
    _tell(self, executions.event(outcome, arn, self.current_account, self.region))
    return json.dumps({"TaskExecutionArn": arn})


def _outcome(self: DataSyncResponse, task: Any, arn: str) -> executions.Outcome:
    locations = self.datasync_backend.locations
    ends = (locations[task.source_location_arn].uri, locations[task.destination_location_arn].uri)
    s3: Any = s3_backends[self.current_account]["aws"]
    given = remembered(self).get(task.arn, {})
    try:
        source, destination = (executions.store_of(uri, s3) for uri in ends)
    except executions.Unreachable as error:
        return executions.Outcome(error="LocationUnreachable", detail=str(error))
    outcome = executions.execute(source, destination, given)
    if given.get("TaskReportConfig"):
        executions.write_report(s3, given["TaskReportConfig"], outcome, arn)
    return outcome


def _tell(self: DataSyncResponse, event: Json) -> None:
    """Each rule that matches counts one (EventBridge user guide, metric TriggeredRules)."""
    events: Any = events_backends[self.current_account][self.region]
    matching = [rule.name for rule in events.list_rules()[0] if rule.event_pattern.matches_event(event)]
    metrics = [
        {"MetricName": "TriggeredRules", "Value": 1, "Dimensions": [{"Name": "RuleName", "Value": name}]}
        for name in matching
    ]
    cloudwatch: Any = cloudwatch_backends[self.current_account][self.region]
    if metrics:
        cloudwatch.put_metric_data("AWS/Events", metrics)


def _describe_execution(self: DataSyncResponse) -> str:
    execution: Any = self.datasync_backend._get_task_execution(self._get_param("TaskExecutionArn"))
    kept = remembered(self)[execution.arn]
    outcome = kept["outcome"]
    failed = {"ErrorCode": outcome.error, "ErrorDetail": outcome.detail} if outcome.error else {}
    return json.dumps(
        {
            "TaskExecutionArn": execution.arn,
            "Status": execution.status,
            "StartTime": kept["began"],
            "LaunchTime": kept["began"],
            "EndTime": kept["ended"],
            "FilesTransferred": len(outcome.copied),
            "FilesSkipped": len(outcome.skipped),
            "FilesVerified": outcome.verified,
            "BytesTransferred": outcome.bytes_copied,
            "BytesWritten": outcome.bytes_copied,
            "Result": {"TransferStatus": outcome.status, "VerifyStatus": outcome.status, **failed},
        }
    )


def _list_executions(self: DataSyncResponse) -> str:
    """Of one task, or of all."""
    runs: Any = self.datasync_backend.task_executions.values()
    task = self._get_param("TaskArn")
    found = [{"TaskExecutionArn": run.arn, "Status": run.status} for run in runs if task in (None, run.task_arn)]
    return json.dumps({"TaskExecutions": found})


_DATASYNC = {
    "list_task_executions": _list_executions,
    "start_task_execution": _start,
    "describe_task_execution": _describe_execution,
    "update_location_smb": _update_location_smb,
    "list_tags_for_resource": _list_tags,
    "tag_resource": _tag,
    "untag_resource": _untag,
}


def _unique_arns(init: Callable[..., None]) -> Callable[..., None]:
    """moto numbers DataSync objects from one, so those of a server started again would be taken for the lost ones."""

    @functools.wraps(init)
    def wrapper(self: DataSyncBackend, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self.arn_counter = secrets.randbelow(10**15)

    return wrapper


def _saying_what_is_missing(call: Callable[..., Any]) -> Callable[..., Any]:
    """moto says "the request is not valid" of a task that is not there; AWS names it."""

    @functools.wraps(call)
    def wrapper(self: DataSyncBackend, arn: str | None = None, **kwargs: Any) -> Any:
        wanted = arn or kwargs.get("task_arn") or kwargs.get("location_arn")
        if wanted not in self.tasks and wanted not in self.locations:
            raise InvalidRequestException(f"{wanted} is not found.")
        return call(self, wanted)

    return wrapper
