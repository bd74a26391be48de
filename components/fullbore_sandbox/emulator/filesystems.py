"""File systems: what moto lacks of FSx for Lustre (what AWS fills in, updates, and links to S3) and of EFS (updates,
and the removal of a policy)."""

from __future__ import annotations

import functools
import json
import secrets
from collections.abc import Callable
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.ec2.models import ec2_backends
from moto.efs.responses import EFSResponse
from moto.fsx.exceptions import FileSystemNotFound
from moto.fsx.models import FileSystem, FSxBackend
from moto.fsx.responses import FSxResponse

Json = dict[str, Any]
CHUNK_MIB = 1024
"""Most of a file on one disk where nothing is said (FSx API reference, CreateDataRepositoryAssociation)."""


def install() -> None:
    for name, method in _FSX.items():
        setattr(FSxResponse, name, method)
    for name, method in _EFS.items():
        setattr(EFSResponse, name, method)
    FileSystem.__init__ = _filled(FileSystem.__init__)
    FileSystem.to_dict = _with_what_aws_fills(FileSystem.to_dict)
    FSxBackend.describe_file_systems = _naming_the_missing(FSxBackend.describe_file_systems)


def _filled(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def wrapper(self: Any, account_id: str, region_name: str, *args: Any, **kwargs: Any) -> None:
        init(self, account_id, region_name, *args, **kwargs)
        self.account_id = account_id
        self.interfaces = [f"eni-{secrets.token_hex(8)}"]
        self.vpc_id = ec2_backends[account_id][region_name].get_subnet(self.subnet_ids[0]).vpc_id
        self.type_version = (self.lustre_configuration or {}).get("FileSystemTypeVersion")
        self.lustre_configuration = {
            "MountName": secrets.token_hex(4),
            "DataCompressionType": "NONE",
            "WeeklyMaintenanceStartTime": "1:05:00",
            **(self.lustre_configuration or {}),
        }

    return wrapper


def _with_what_aws_fills(to_dict: Callable[..., Json]) -> Callable[..., Json]:
    @functools.wraps(to_dict)
    def wrapper(self: Any) -> Json:
        filled = {
            "Lifecycle": "AVAILABLE",
            "OwnerId": self.account_id,
            "VpcId": self.vpc_id,
            "NetworkInterfaceIds": self.interfaces,
            "FileSystemTypeVersion": self.type_version,
        }
        return {**to_dict(self), **{name: value for name, value in filled.items() if value}}

    return wrapper


def _naming_the_missing(describe: Callable[..., Any]) -> Callable[..., Any]:
    """moto leaves out what is not there; AWS names it."""

    @functools.wraps(describe)
    def wrapper(self: FSxBackend, file_system_ids: list[str] | None = None, **kwargs: Any) -> Any:
        for ident in file_system_ids or ():
            if ident not in self.file_systems:
                raise FileSystemNotFound(ident)
        return describe(self, file_system_ids=file_system_ids, **kwargs)

    return wrapper


def _create_file_system(create: Callable[[FSxResponse], str]) -> Callable[[FSxResponse], str]:
    """moto drops the version of Lustre."""

    @functools.wraps(create)
    def wrapper(self: FSxResponse) -> str:
        made = json.loads(create(self))["FileSystem"]
        system: Any = self.fsx_backend.file_systems[made["FileSystemId"]]
        system.type_version = json.loads(self.body).get("FileSystemTypeVersion", "2.12")
        return json.dumps({"FileSystem": system.to_dict()})

    return wrapper


def _update_file_system(self: FSxResponse) -> str:
    given = json.loads(self.body)
    system: Any = self.fsx_backend.file_systems.get(given["FileSystemId"])
    if system is None:
        raise FileSystemNotFound(given["FileSystemId"])
    wanted = given.get("StorageCapacity", system.storage_capacity)
    if wanted < system.storage_capacity:
        raise JsonRESTError("BadRequest", "StorageCapacity can only grow")
    system.storage_capacity = wanted
    system.type_version = given.get("FileSystemTypeVersion", system.type_version)
    system.lustre_configuration |= given.get("LustreConfiguration") or {}
    return json.dumps({"FileSystem": system.to_dict()})


class Association:
    """A folder of a file system that shows what is below a prefix of a bucket."""

    def __init__(self, backend: FSxBackend, given: Json) -> None:
        self.backend = backend
        self.ident = f"dra-{secrets.token_hex(8)}1"
        self.arn = f"arn:aws:fsx:{backend.region_name}:{backend.account_id}:association/fs/{self.ident}"
        kept = ("FileSystemId", "FileSystemPath", "DataRepositoryPath", "BatchImportMetaDataOnCreate", "S3")
        self.shown = {name: given[name] for name in kept if name in given}
        self.shown["ImportedFileChunkSize"] = given.get("ImportedFileChunkSize", CHUNK_MIB)
        backend.tagger.tag_resource(self.arn, given.get("Tags") or [])

    def to_dict(self) -> Json:
        tags = self.backend.list_tags_for_resource(self.arn)
        named = {"AssociationId": self.ident, "ResourceARN": self.arn, "Lifecycle": "AVAILABLE"}
        return {**named, **self.shown, "Tags": tags}


def _associations(self: FSxResponse) -> dict[str, Association]:
    backend: Any = self.fsx_backend
    if not hasattr(backend, "associations"):
        backend.associations = {}
    return backend.associations


def _association(self: FSxResponse, ident: str) -> Association:
    found = _associations(self).get(ident)
    if found is None:
        raise JsonRESTError("DataRepositoryAssociationNotFound", f"{ident} does not exist")
    return found


def _create_association(self: FSxResponse) -> str:
    """Two links of one file system may not overlap, and one bucket is linked once."""
    given = json.loads(self.body)
    if given["FileSystemId"] not in self.fsx_backend.file_systems:
        raise FileSystemNotFound(given["FileSystemId"])
    every = (each.shown for each in _associations(self).values())
    others = [each for each in every if each["FileSystemId"] == given["FileSystemId"]]
    path = given["FileSystemPath"].rstrip("/") + "/"
    for other in others:
        taken = other["FileSystemPath"].rstrip("/") + "/"
        if path.startswith(taken) or taken.startswith(path):
            raise JsonRESTError("BadRequest", f"{given['FileSystemPath']} overlaps {other['FileSystemPath']}")
    made = Association(self.fsx_backend, given)
    _associations(self)[made.ident] = made
    return json.dumps({"Association": made.to_dict()})


def _describe_associations(self: FSxResponse) -> str:
    wanted = json.loads(self.body).get("AssociationIds")
    found = [_association(self, ident) for ident in wanted] if wanted else list(_associations(self).values())
    return json.dumps({"Associations": [each.to_dict() for each in found]})


def _update_association(self: FSxResponse) -> str:
    given = json.loads(self.body)
    found = _association(self, given["AssociationId"])
    found.shown |= {name: given[name] for name in ("ImportedFileChunkSize", "S3") if name in given}
    return json.dumps({"Association": found.to_dict()})


def _delete_association(self: FSxResponse) -> str:
    found = _association(self, json.loads(self.body)["AssociationId"])
    del _associations(self)[found.ident]
    return json.dumps({"AssociationId": found.ident, "Lifecycle": "DELETING", "DeleteDataInFileSystem": False})


_FSX: dict[str, Any] = {
    "create_file_system": _create_file_system(FSxResponse.create_file_system),
    "update_file_system": _update_file_system,
    "create_data_repository_association": _create_association,
    "describe_data_repository_associations": _describe_associations,
    "update_data_repository_association": _update_association,
    "delete_data_repository_association": _delete_association,
}


def _update_shared(self: EFSResponse) -> tuple[str, Json]:
    found: Any = self.efs_backend.describe_file_systems(file_system_id=self._get_param("FileSystemId"))[1][0]
    found.throughput_mode = self._get_param("ThroughputMode") or found.throughput_mode
    return json.dumps(found.info_json()), {"status": 202, "Content-Type": "application/json"}


def _describe_policy(describe: Callable[..., Any]) -> Callable[..., Any]:
    """moto breaks where there is no such file system; AWS names it."""

    @functools.wraps(describe)
    def wrapper(self: EFSResponse) -> Any:
        self.efs_backend.describe_file_systems(file_system_id=self._get_param("FileSystemId"))
        return describe(self)

    return wrapper


def _delete_policy(self: EFSResponse) -> tuple[str, Json]:
    found: Any = self.efs_backend.describe_file_systems(file_system_id=self._get_param("FileSystemId"))[1][0]
    found.file_system_policy = None
    return "{}", {"Content-Type": "application/json"}


_EFS: dict[str, Any] = {
    "update_file_system": _update_shared,
    "describe_file_system_policy": _describe_policy(EFSResponse.describe_file_system_policy),
    "delete_file_system_policy": _delete_policy,
}
