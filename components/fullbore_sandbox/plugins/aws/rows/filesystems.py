"""File systems: FSx for Lustre and its links to S3; EFS, where it is mounted from, and its policy."""

from __future__ import annotations

from collections.abc import Set

from fullbore_sandbox.plugins.aws.api import Api
from fullbore_sandbox.plugins.aws.convert import as_text, camel, pascal, pick, tag_list, tag_map
from fullbore_sandbox.plugins.aws.row import TOKEN_TAG, Map, Row, Tagging, new_tags

NO_FSX_CALL = "FSx API reference: no Update call takes it"
NO_EFS_CALL = "EFS API reference: no Update call takes it"

_FSX_TAGGING = Tagging(
    key=lambda ident, outputs: outputs["arn"],
    set=lambda api, arn, tags: api.fsx.tag_resource(ResourceARN=arn, Tags=tag_list(tags)),
    unset=lambda api, arn, keys: api.fsx.untag_resource(ResourceARN=arn, TagKeys=keys),
)
_LUSTRE = {
    "deploymentType": "DeploymentType",
    "perUnitStorageThroughput": "PerUnitStorageThroughput",
    "dataCompressionType": "DataCompressionType",
    "weeklyMaintenanceStartTime": "WeeklyMaintenanceStartTime",
    "metadataConfiguration": "MetadataConfiguration",
}
_LUSTRE_CHANGED = _LUSTRE.keys() - {"deploymentType"}
_SYSTEM = {"storageCapacity": "StorageCapacity", "fileSystemTypeVersion": "FileSystemTypeVersion"}


def _lustre(inputs: Map, names: Set[str]) -> Map:
    given = {**inputs, "metadataConfiguration": pascal(inputs.get("metadataConfiguration"))}
    return pick(given, {name: api_name for name, api_name in _LUSTRE.items() if name in names})


def _create_lustre(api: Api, inputs: Map, token: str) -> str:
    names = {**_SYSTEM, "securityGroupIds": "SecurityGroupIds", "kmsKeyId": "KmsKeyId", "storageType": "StorageType"}
    answer = api.fsx.create_file_system(
        FileSystemType="LUSTRE",
        SubnetIds=[inputs["subnetIds"]],
        **pick(inputs, names),
        LustreConfiguration=_lustre(inputs, _LUSTRE.keys()),
        Tags=new_tags(inputs, token),
        ClientRequestToken=token,
    )
    return answer["FileSystem"]["FileSystemId"]


def _read_lustre(api: Api, ident: str, known: Map) -> Map | None:
    """The groups of its interfaces are not answered: `securityGroupIds` is unreadable."""
    found = api.fsx.describe_file_systems(FileSystemIds=[ident])["FileSystems"][0]
    config = found["LustreConfiguration"]
    names = {"StorageCapacity": "storageCapacity", "StorageType": "storageType", "KmsKeyId": "kmsKeyId"}
    filled = {"DNSName": "dnsName", "NetworkInterfaceIds": "networkInterfaceIds", "OwnerId": "ownerId"}
    back = {api_name: name for name, api_name in _LUSTRE.items()}
    return {
        "arn": found["ResourceARN"],
        "subnetIds": found["SubnetIds"][0],
        "tags": tag_map(found.get("Tags")),
        **pick(found, {**names, **filled, "VpcId": "vpcId", "FileSystemTypeVersion": "fileSystemTypeVersion"}),
        **pick({**config, "MetadataConfiguration": camel(config.get("MetadataConfiguration"))}, back),
        **pick(config, {"MountName": "mountName"}),
        "efaEnabled": config.get("EfaEnabled", False),
        "automaticBackupRetentionDays": config.get("AutomaticBackupRetentionDays", 0),
    }


def _update_lustre(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    config = _lustre(inputs, changed & _LUSTRE_CHANGED)
    given = pick(inputs, {name: api_name for name, api_name in _SYSTEM.items() if name in changed})
    api.fsx.update_file_system(FileSystemId=ident, **given, **({"LustreConfiguration": config} if config else {}))


def _find_lustre(api: Api, token: str) -> str | None:
    systems = api.fsx.describe_file_systems()["FileSystems"]
    return next((each["FileSystemId"] for each in systems if _marked(each, token)), None)


def _marked(found: Map, token: str) -> bool:
    return tag_map(found.get("Tags")).get(TOKEN_TAG) == token


LUSTRE = Row(
    type="aws:fsx/lustreFileSystem:LustreFileSystem",
    inputs={"subnetIds", "securityGroupIds", "kmsKeyId", "storageType", "tags", *_LUSTRE, *_SYSTEM},
    create=_create_lustre,
    read=_read_lustre,
    update=_update_lustre,
    delete=lambda api, ident, known: api.fsx.delete_file_system(FileSystemId=ident),
    find=_find_lustre,
    tagging=_FSX_TAGGING,
    replace=dict.fromkeys(("subnetIds", "securityGroupIds", "kmsKeyId", "storageType", "deploymentType"), NO_FSX_CALL),
    unreadable={"securityGroupIds"},
    computed={*_LUSTRE, "fileSystemTypeVersion", "kmsKeyId", "storageType"},
    # What belongs to links of another kind, to logs, and the account's key where none is given.
    absent={
        *("autoImportPolicy", "exportPath", "importedFileChunkSize", "logConfiguration", "metadataConfiguration"),
        *("dailyAutomaticBackupStartTime", "kmsKeyId"),
    },
)

_LINK = {
    "fileSystemId": "FileSystemId",
    "fileSystemPath": "FileSystemPath",
    "dataRepositoryPath": "DataRepositoryPath",
    "batchImportMetaDataOnCreate": "BatchImportMetaDataOnCreate",
}
_LINK_CHANGED = {"importedFileChunkSize": "ImportedFileChunkSize", "s3": "S3"}


def _link(inputs: Map, names: Map) -> Map:
    return pick({**inputs, "s3": pascal(inputs.get("s3"))}, names)


def _create_link(api: Api, inputs: Map, token: str) -> str:
    answer = api.fsx.create_data_repository_association(
        **_link(inputs, {**_LINK, **_LINK_CHANGED}), Tags=new_tags(inputs, token), ClientRequestToken=token
    )
    return answer["Association"]["AssociationId"]


def _read_link(api: Api, ident: str, known: Map) -> Map | None:
    found = api.fsx.describe_data_repository_associations(AssociationIds=[ident])["Associations"][0]
    back = {api_name: name for name, api_name in {**_LINK, **_LINK_CHANGED}.items()}
    return {
        "arn": found["ResourceARN"],
        "associationId": ident,
        "tags": tag_map(found.get("Tags")),
        **pick({**found, "S3": camel(found.get("S3"))}, back),
    }


def _update_link(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    given = _link(inputs, {name: api_name for name, api_name in _LINK_CHANGED.items() if name in changed})
    if given:
        api.fsx.update_data_repository_association(AssociationId=ident, **given)


def _delete_link(api: Api, ident: str, known: Map) -> None:
    gone_too = bool(known.get("deleteDataInFilesystem"))
    api.fsx.delete_data_repository_association(AssociationId=ident, DeleteDataInFileSystem=gone_too)


def _find_link(api: Api, token: str) -> str | None:
    links = api.fsx.describe_data_repository_associations()["Associations"]
    return next((each["AssociationId"] for each in links if _marked(each, token)), None)


DATA_REPOSITORY = Row(
    type="aws:fsx/dataRepositoryAssociation:DataRepositoryAssociation",
    inputs={*_LINK, *_LINK_CHANGED, "deleteDataInFilesystem", "tags"},
    create=_create_link,
    read=_read_link,
    update=_update_link,
    delete=_delete_link,
    find=_find_link,
    tagging=_FSX_TAGGING,
    replace=dict.fromkeys(_LINK, NO_FSX_CALL),
    unreadable={"deleteDataInFilesystem"},
    computed={"importedFileChunkSize", "batchImportMetaDataOnCreate", "s3"},
    absent={"s3"},
)

_SHARED = {
    "encrypted": "Encrypted",
    "kmsKeyId": "KmsKeyId",
    "performanceMode": "PerformanceMode",
    "throughputMode": "ThroughputMode",
}


def _create_shared(api: Api, inputs: Map, token: str) -> str:
    answer = api.efs.create_file_system(CreationToken=token, **pick(inputs, _SHARED), Tags=new_tags(inputs, token))
    return answer["FileSystemId"]


def _set_lifecycle(api: Api, ident: str, inputs: Map) -> None:
    """One policy in the SDK has one transition, as in the API."""
    policies = [pascal(each, {"transitionToIa": "TransitionToIA"}) for each in inputs.get("lifecyclePolicies") or []]
    api.efs.put_lifecycle_configuration(FileSystemId=ident, LifecyclePolicies=policies)


def _finish_shared(api: Api, ident: str, inputs: Map) -> None:
    if inputs.get("lifecyclePolicies"):
        _set_lifecycle(api, ident, inputs)


def _read_shared(api: Api, ident: str, known: Map) -> Map | None:
    found = api.efs.describe_file_systems(FileSystemId=ident)["FileSystems"][0]
    held = api.efs.describe_lifecycle_configuration(FileSystemId=ident)["LifecyclePolicies"]
    policies = [camel(each, {"transitionToIa": "TransitionToIA"}) for each in held]
    filled = {"CreationToken": "creationToken", "OwnerId": "ownerId", "NumberOfMountTargets": "numberOfMountTargets"}
    sizes = {"Value": "value", "ValueInIA": "valueInIa", "ValueInStandard": "valueInStandard"}
    tags = tag_map(found.get("Tags"))
    return {
        "arn": found["FileSystemArn"],
        "dnsName": f"{ident}.efs.{api.region}.amazonaws.com",
        "name": tags.get("Name", ""),
        "sizeInBytes": [pick(found["SizeInBytes"], sizes)],
        "tags": tags,
        **pick(found, {**filled, **{api_name: name for name, api_name in _SHARED.items()}}),
        **({"lifecyclePolicies": policies} if policies else {}),
    }


def _update_shared(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    if "throughputMode" in changed:
        api.efs.update_file_system(FileSystemId=ident, ThroughputMode=inputs["throughputMode"])
    if "lifecyclePolicies" in changed:
        _set_lifecycle(api, ident, inputs)


def _find_shared(api: Api, token: str) -> str | None:
    found = api.efs.describe_file_systems(CreationToken=token)["FileSystems"]
    return found[0]["FileSystemId"] if found else None


SHARED = Row(
    type="aws:efs/fileSystem:FileSystem",
    inputs={"lifecyclePolicies", "tags", *_SHARED},
    create=_create_shared,
    finish=_finish_shared,
    read=_read_shared,
    update=_update_shared,
    delete=lambda api, ident, known: api.efs.delete_file_system(FileSystemId=ident),
    find=_find_shared,
    tagging=Tagging(
        key=lambda ident, outputs: ident,
        set=lambda api, ident, tags: api.efs.tag_resource(ResourceId=ident, Tags=tag_list(tags)),
        unset=lambda api, ident, keys: api.efs.untag_resource(ResourceId=ident, TagKeys=keys),
    ),
    replace=dict.fromkeys(("encrypted", "kmsKeyId", "performanceMode"), NO_EFS_CALL),
    computed={"kmsKeyId", "performanceMode", "throughputMode", "encrypted"},
    moving={"name", "numberOfMountTargets"},
    # It lies in a region, not in one zone; moto has neither the account's key nor protection from replication.
    absent={"availabilityZoneId", "availabilityZoneName", "kmsKeyId", "protection"},
)


def _create_target(api: Api, inputs: Map, token: str) -> str:
    names = {"fileSystemId": "FileSystemId", "subnetId": "SubnetId", "securityGroups": "SecurityGroups"}
    return api.efs.create_mount_target(**pick(inputs, names))["MountTargetId"]


def _read_target(api: Api, ident: str, known: Map) -> Map | None:
    found = api.efs.describe_mount_targets(MountTargetId=ident)["MountTargets"][0]
    system = found["FileSystemId"]
    groups = api.efs.describe_mount_target_security_groups(MountTargetId=ident)["SecurityGroups"]
    names = {
        **{"FileSystemId": "fileSystemId", "SubnetId": "subnetId", "IpAddress": "ipAddress", "OwnerId": "ownerId"},
        **{"AvailabilityZoneId": "availabilityZoneId", "AvailabilityZoneName": "availabilityZoneName"},
        "NetworkInterfaceId": "networkInterfaceId",
    }
    host = f"{system}.efs.{api.region}.amazonaws.com"
    return {
        "dnsName": host,
        "mountTargetDnsName": f"{found['AvailabilityZoneName']}.{host}",
        "fileSystemArn": api.arn("elasticfilesystem", f"file-system/{system}"),
        "ipAddressType": "IPV4_ONLY",
        "securityGroups": groups,
        **pick(found, names),
    }


def _update_target(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    groups = inputs.get("securityGroups") or []
    api.efs.modify_mount_target_security_groups(MountTargetId=ident, SecurityGroups=groups)


def _find_target(api: Api, token: str) -> str | None:
    """It takes no tags; a file system has one in a subnet."""
    system, _, subnet = token.partition("/")
    targets = api.efs.describe_mount_targets(FileSystemId=system)["MountTargets"]
    return next((each["MountTargetId"] for each in targets if each["SubnetId"] == subnet), None)


MOUNT_TARGET = Row(
    type="aws:efs/mountTarget:MountTarget",
    inputs={"fileSystemId", "subnetId", "securityGroups"},
    token=lambda inputs: f"{inputs['fileSystemId']}/{inputs['subnetId']}",
    create=_create_target,
    read=_read_target,
    update=_update_target,
    delete=lambda api, ident, known: api.efs.delete_mount_target(MountTargetId=ident),
    find=_find_target,
    replace={"fileSystemId": NO_EFS_CALL, "subnetId": NO_EFS_CALL},
    unique={"fileSystemId", "subnetId"},
    computed={"securityGroups"},
    absent={"ipv6Address"},
)


def _put_policy(api: Api, ident: str, inputs: Map) -> None:
    api.efs.put_file_system_policy(FileSystemId=ident, Policy=as_text(inputs["policy"]))


def _create_policy(api: Api, inputs: Map, token: str) -> str:
    _put_policy(api, inputs["fileSystemId"], inputs)
    return inputs["fileSystemId"]


def _read_policy(api: Api, ident: str, known: Map) -> Map | None:
    found = api.efs.describe_file_system_policy(FileSystemId=ident)
    return {"fileSystemId": ident, "policy": found["Policy"]}


FILE_SYSTEM_POLICY = Row(
    type="aws:efs/fileSystemPolicy:FileSystemPolicy",
    inputs={"fileSystemId", "policy"},
    token=lambda inputs: inputs["fileSystemId"],
    create=_create_policy,
    read=_read_policy,
    update=lambda api, ident, inputs, changed: _put_policy(api, ident, inputs),
    delete=lambda api, ident, known: api.efs.delete_file_system_policy(FileSystemId=ident),
    find=lambda api, token: token if _read_policy(api, token, {}) else None,
    replace={"fileSystemId": NO_EFS_CALL},
    unique={"fileSystemId"},
)

ROWS = (LUSTRE, DATA_REPOSITORY, SHARED, MOUNT_TARGET, FILE_SYSTEM_POLICY)
