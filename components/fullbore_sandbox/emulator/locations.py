"""DataSync locations that moto lacks: NFS, object stores, HDFS, EFS and FSx. What was given is answered again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.datasync.responses import DataSyncResponse

from fullbore_sandbox.emulator.datasync import remembered

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of location: its word in the API's calls, and in a URI; what it says of itself when asked."""

    call: str
    scheme: str
    place: Callable[[Json], list[str]]
    shown: tuple[str, ...]

    def uri(self, given: Json) -> str:
        """SCHEME://HOST/.../, with a slash at the end, as AWS has it."""
        folder = given.get("Subdirectory", "").strip("/")
        return "/".join([f"{self.scheme}:/", *self.place(given), *([folder] if folder else []), ""])


def _file_system(arn: str) -> list[str]:
    """REGION.ID, as it is named in a URI."""
    return [f"{arn.split(':')[3]}.{arn.rpartition('/')[2]}"]


KINDS = (
    Kind(
        call="efs",
        scheme="efs",
        place=lambda given: _file_system(given["EfsFilesystemArn"]),
        shown=("Ec2Config", "InTransitEncryption"),
    ),
    Kind(
        call="fsx_lustre",
        scheme="fsxl",
        place=lambda given: _file_system(given["FsxFilesystemArn"]),
        shown=("SecurityGroupArns",),
    ),
    Kind(
        call="nfs",
        scheme="nfs",
        place=lambda given: [given["ServerHostname"]],
        shown=("OnPremConfig", "MountOptions"),
    ),
    Kind(
        call="object_storage",
        scheme="object-storage",
        place=lambda given: [given["ServerHostname"], given["BucketName"]],
        shown=("AccessKey", "AgentArns", "ServerPort", "ServerProtocol"),
    ),
    Kind(
        call="hdfs",
        scheme="hdfs",
        place=lambda given: ["{Hostname}:{Port}".format_map(given["NameNodes"][0])],
        shown=("AgentArns", "AuthenticationType", "BlockSize", "NameNodes", "ReplicationFactor", "SimpleUser"),
    ),
)


def install() -> None:
    for kind in KINDS:
        for verb, make in (("create", _creating), ("describe", _describing), ("update", _updating)):
            setattr(DataSyncResponse, f"{verb}_location_{kind.call}", make(kind))


def _creating(kind: Kind) -> Callable[[DataSyncResponse], str]:
    def create(self: DataSyncResponse) -> str:
        given = json.loads(self.body)
        arn = self.datasync_backend.create_location(kind.uri(given), metadata={}, typ=kind.call)
        remembered(self)[arn] = given
        return json.dumps({"LocationArn": arn})

    return create


def _describing(kind: Kind) -> Callable[[DataSyncResponse], str]:
    def describe(self: DataSyncResponse) -> str:
        location = self._get_location(self._get_param("LocationArn"), typ=kind.call)
        given = remembered(self)[location.arn]
        shown = {name: given[name] for name in kind.shown if given.get(name) is not None}
        return json.dumps({"LocationArn": location.arn, "LocationUri": location.uri, **shown})

    return describe


def _updating(kind: Kind) -> Callable[[DataSyncResponse], str]:
    def update(self: DataSyncResponse) -> str:
        changes = json.loads(self.body)
        location = self._get_location(changes.pop("LocationArn"), typ=kind.call)
        given = remembered(self)[location.arn]
        given |= changes
        location.uri = kind.uri(given)
        return json.dumps({})

    return update
