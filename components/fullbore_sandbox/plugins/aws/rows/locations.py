"""DataSync locations: shares, object stores, HDFS, buckets and file systems. Their id is their ARN."""

from __future__ import annotations

from collections.abc import Set
from urllib.parse import urlsplit

from fullbore_sandbox.plugins.aws.api import Api
from fullbore_sandbox.plugins.aws.convert import camel, pascal, pick
from fullbore_sandbox.plugins.aws.row import Map, Row, new_tags
from fullbore_sandbox.plugins.aws.rows.datasync import TAGGING, by_tag, tags_of

_find_location = by_tag("list_locations", "Locations", "LocationArn")


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


def _seen(api: Api, found: Map, known: Map, folder: str) -> Map:
    """What every location that was described has; `folder` as AWS stores it."""
    return {
        "arn": found["LocationArn"],
        "uri": found["LocationUri"],
        "subdirectory": _folder(known, folder),
        "tags": tags_of(api, found["LocationArn"]),
    }


_SMB = {"agentArns": "AgentArns", "user": "User", "domain": "Domain", "mountOptions": "MountOptions"}


def _smb(inputs: Map) -> Map:
    names = {**_SMB, "subdirectory": "Subdirectory", "password": "Password"}
    return pick({**inputs, "mountOptions": pascal(inputs.get("mountOptions"))}, names)


def _create_smb(api: Api, inputs: Map, token: str) -> str:
    host = pick(inputs, {"serverHostname": "ServerHostname"})
    return api.datasync.create_location_smb(**host, **_smb(inputs), Tags=new_tags(inputs, token))["LocationArn"]


def _read_smb(api: Api, ident: str, known: Map) -> Map | None:
    found = api.datasync.describe_location_smb(LocationArn=ident)
    host, folder = _address(found["LocationUri"])
    return {
        **_seen(api, found, known, folder),
        "serverHostname": host,
        "mountOptions": camel(found.get("MountOptions")),
        **pick(found, {"AgentArns": "agentArns", "User": "user", "Domain": "domain"}),
    }


def _update_smb(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    api.datasync.update_location_smb(LocationArn=ident, **_smb(inputs))


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
        **_seen(api, found, known, folder),
        "serverHostname": host,
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


_STORE = {
    "serverHostname": "ServerHostname",
    "bucketName": "BucketName",
    "serverPort": "ServerPort",
    "serverProtocol": "ServerProtocol",
    "subdirectory": "Subdirectory",
    "accessKey": "AccessKey",
    "agentArns": "AgentArns",
}


def _create_store(api: Api, inputs: Map, token: str) -> str:
    given = pick(inputs, {**_STORE, "secretKey": "SecretKey"})
    return api.datasync.create_location_object_storage(**given, Tags=new_tags(inputs, token))["LocationArn"]


def _read_store(api: Api, ident: str, known: Map) -> Map | None:
    """The URI is object-storage://HOST/BUCKET/FOLDER/."""
    found = api.datasync.describe_location_object_storage(LocationArn=ident)
    host, path = _address(found["LocationUri"])
    bucket, _, folder = path.strip("/").partition("/")
    back = {"AccessKey": "accessKey", "ServerPort": "serverPort", "ServerProtocol": "serverProtocol"}
    return {
        **_seen(api, found, known, f"/{folder}/" if folder else "/"),
        "serverHostname": host,
        "bucketName": bucket,
        **pick(found, {**back, "AgentArns": "agentArns"}),
    }


def _update_store(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    names = {name: api_name for name, api_name in _STORE.items() if name not in ("serverHostname", "bucketName")}
    api.datasync.update_location_object_storage(LocationArn=ident, **pick(inputs, {**names, "secretKey": "SecretKey"}))


LOCATION_OBJECT_STORAGE = Row(
    type="aws:datasync/locationObjectStorage:LocationObjectStorage",
    inputs={"secretKey", "tags", *_STORE},
    create=_create_store,
    read=_read_store,
    update=_update_store,
    delete=_delete_location,
    find=_find_location,
    tagging=TAGGING,
    replace=dict.fromkeys(
        ("serverHostname", "bucketName"),
        "terraform-provider-aws: forces a new aws_datasync_location_object_storage",
    ),
    unreadable={"secretKey"},  # the API never gives it back
    computed={"serverPort", "serverProtocol"},
)

_HDFS = {
    "agentArns": "AgentArns",
    "authenticationType": "AuthenticationType",
    "simpleUser": "SimpleUser",
    "blockSize": "BlockSize",
    "replicationFactor": "ReplicationFactor",
}


def _hdfs(inputs: Map) -> Map:
    nodes = pascal(inputs["nameNodes"])
    return {**pick(inputs, {**_HDFS, "subdirectory": "Subdirectory"}), "NameNodes": nodes}


def _create_hdfs(api: Api, inputs: Map, token: str) -> str:
    return api.datasync.create_location_hdfs(**_hdfs(inputs), Tags=new_tags(inputs, token))["LocationArn"]


def _read_hdfs(api: Api, ident: str, known: Map) -> Map | None:
    found = api.datasync.describe_location_hdfs(LocationArn=ident)
    _, folder = _address(found["LocationUri"])
    return {
        **_seen(api, found, known, folder),
        "nameNodes": camel(found["NameNodes"]),
        **pick(found, {api_name: name for name, api_name in _HDFS.items()}),
    }


LOCATION_HDFS = Row(
    type="aws:datasync/locationHdfs:LocationHdfs",
    inputs={"nameNodes", "subdirectory", "tags", *_HDFS},
    create=_create_hdfs,
    read=_read_hdfs,
    update=lambda api, ident, inputs, changed: api.datasync.update_location_hdfs(LocationArn=ident, **_hdfs(inputs)),
    delete=_delete_location,
    find=_find_location,
    tagging=TAGGING,
    replace={},
    computed={"blockSize", "replicationFactor", "authenticationType"},
    absent={"qopConfiguration"},
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
        **_seen(api, found, known, folder),
        "s3BucketArn": f"arn:aws:s3:::{bucket}",
        "s3Config": camel(found["S3Config"]),
        "s3StorageClass": found.get("S3StorageClass", "STANDARD"),
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

FORCES_NEW = "terraform-provider-aws: each of its arguments forces a new location"


def _system_arn(api: Api, service: str, host: str) -> str:
    """From REGION.ID of a URI."""
    return api.arn(service, f"file-system/{host.partition('.')[2]}")


_EFS = {
    "efsFileSystemArn": "EfsFilesystemArn",
    "subdirectory": "Subdirectory",
    "inTransitEncryption": "InTransitEncryption",
    "ec2Config": "Ec2Config",
}


def _create_efs(api: Api, inputs: Map, token: str) -> str:
    given = pick({**inputs, "ec2Config": pascal(inputs["ec2Config"])}, _EFS)
    return api.datasync.create_location_efs(**given, Tags=new_tags(inputs, token))["LocationArn"]


def _read_efs(api: Api, ident: str, known: Map) -> Map | None:
    found = api.datasync.describe_location_efs(LocationArn=ident)
    host, folder = _address(found["LocationUri"])
    return {
        **_seen(api, found, known, folder),
        "efsFileSystemArn": _system_arn(api, "elasticfilesystem", host),
        "ec2Config": camel(found["Ec2Config"]),
        **pick(found, {"InTransitEncryption": "inTransitEncryption"}),
    }


EFS_LOCATION = Row(
    type="aws:datasync/efsLocation:EfsLocation",
    inputs={"tags", *_EFS},
    create=_create_efs,
    read=_read_efs,
    delete=_delete_location,
    find=_find_location,
    tagging=TAGGING,
    replace=dict.fromkeys(_EFS, FORCES_NEW),
    computed={"inTransitEncryption", "subdirectory"},
)

_LUSTRE = {
    "fsxFilesystemArn": "FsxFilesystemArn",
    "securityGroupArns": "SecurityGroupArns",
    "subdirectory": "Subdirectory",
}


def _create_lustre(api: Api, inputs: Map, token: str) -> str:
    answer = api.datasync.create_location_fsx_lustre(**pick(inputs, _LUSTRE), Tags=new_tags(inputs, token))
    return answer["LocationArn"]


def _read_lustre(api: Api, ident: str, known: Map) -> Map | None:
    found = api.datasync.describe_location_fsx_lustre(LocationArn=ident)
    host, folder = _address(found["LocationUri"])
    return {
        **_seen(api, found, known, folder),
        "fsxFilesystemArn": _system_arn(api, "fsx", host),
        **pick(found, {"SecurityGroupArns": "securityGroupArns"}),
    }


LOCATION_FSX_LUSTRE = Row(
    type="aws:datasync/locationFsxLustre:LocationFsxLustre",
    inputs={"tags", *_LUSTRE},
    create=_create_lustre,
    read=_read_lustre,
    delete=_delete_location,
    find=_find_location,
    tagging=TAGGING,
    replace=dict.fromkeys(_LUSTRE, FORCES_NEW),
    computed={"subdirectory"},
    absent={"creationTime"},
)

ROWS = (
    EFS_LOCATION,
    LOCATION_FSX_LUSTRE,
    LOCATION_SMB,
    NFS_LOCATION,
    LOCATION_OBJECT_STORAGE,
    LOCATION_HDFS,
    S3_LOCATION,
)
