"""DataSync: what was given is remembered by ARN and answered again; tags; updates of locations; locations on NFS."""

from __future__ import annotations

import functools
import json
import secrets
from collections.abc import Callable
from typing import Any

from moto.datasync.exceptions import InvalidRequestException
from moto.datasync.models import DataSyncBackend
from moto.datasync.responses import DataSyncResponse

Json = dict[str, Any]


def install() -> None:
    for name, method in _DATASYNC.items():
        setattr(DataSyncResponse, name, method)
    for name, wrap in _REMEMBERED.items():
        setattr(DataSyncResponse, name, wrap(getattr(DataSyncResponse, name)))
    for name in ("_get_task", "delete_task", "delete_location"):
        setattr(DataSyncBackend, name, _saying_what_is_missing(getattr(DataSyncBackend, name)))
    DataSyncBackend.__init__ = _unique_arns(DataSyncBackend.__init__)


def _remembered(self: DataSyncResponse) -> dict[str, Json]:
    backend: Any = self.datasync_backend
    if not hasattr(backend, "given"):
        backend.given = {}
    return backend.given


def _remembering(arn_key: str) -> Callable[[Callable[..., str]], Callable[..., str]]:
    def wrap(create: Callable[..., str]) -> Callable[..., str]:
        @functools.wraps(create)
        def wrapper(self: DataSyncResponse) -> str:
            answer = create(self)
            _remembered(self)[json.loads(answer)[arn_key]] = dict(json.loads(self.body))
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
        given = _remembered(self).get(answer.get("TaskArn") or answer["LocationArn"], {})
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
        merged = _remembered(self).setdefault(arn, {})
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
    given = _remembered(self).setdefault(location.arn, {})
    given |= changes
    location.metadata |= {k: v for k, v in changes.items() if k in location.metadata}
    if "Subdirectory" in changes:
        host = given.get("ServerHostname") or location.uri.split("/")[2]
        location.uri = "/".join(["smb:/", host, changes["Subdirectory"]])
    return json.dumps({})


def _tags(self: DataSyncResponse) -> dict[str, str]:
    arn = self._get_param("ResourceArn")
    backend = self.datasync_backend
    if arn not in backend.locations:
        backend._get_task(arn)  # raises where there is no such task either
    given = _remembered(self).setdefault(arn, {})
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


def _create_location_nfs(self: DataSyncResponse) -> str:
    given = json.loads(self.body)
    uri = "/".join(["nfs:/", given["ServerHostname"], given["Subdirectory"].strip("/"), ""])
    arn = self.datasync_backend.create_location(uri, metadata={}, typ="NFS")
    _remembered(self)[arn] = given
    return json.dumps({"LocationArn": arn})


def _describe_location_nfs(self: DataSyncResponse) -> str:
    location = self._get_location(self._get_param("LocationArn"), typ="NFS")
    given = _remembered(self)[location.arn]
    shown = {k: given[k] for k in ("OnPremConfig", "MountOptions") if given.get(k) is not None}
    return json.dumps({"LocationArn": location.arn, "LocationUri": location.uri, **shown})


def _update_location_nfs(self: DataSyncResponse) -> str:
    changes = json.loads(self.body)
    location = self._get_location(changes.pop("LocationArn"), typ="NFS")
    given = _remembered(self)[location.arn]
    given |= changes
    location.uri = "/".join(["nfs:/", given["ServerHostname"], given["Subdirectory"].strip("/"), ""])
    return json.dumps({})


_DATASYNC = {
    "create_location_nfs": _create_location_nfs,
    "describe_location_nfs": _describe_location_nfs,
    "update_location_nfs": _update_location_nfs,
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
