"""EKS clusters and managed node groups."""

from __future__ import annotations

from collections.abc import Set

from fullbore_sandbox.plugins.aws.api import Api
from fullbore_sandbox.plugins.aws.convert import pick
from fullbore_sandbox.plugins.aws.row import TOKEN_TAG, Map, Row, Tagging

NO_CALL = "EKS API reference: no Update call takes it"

TAGGING = Tagging(
    key=lambda ident, outputs: outputs["arn"],
    set=lambda api, arn, tags: api.eks.tag_resource(resourceArn=arn, tags=tags),
    unset=lambda api, arn, keys: api.eks.untag_resource(resourceArn=arn, tagKeys=keys),
)

_CLUSTER = {
    "name": "name",
    "roleArn": "roleArn",
    "version": "version",
    "vpcConfig": "resourcesVpcConfig",
    "accessConfig": "accessConfig",
    "kubernetesNetworkConfig": "kubernetesNetworkConfig",
}
_LOG_TYPES = {"api", "audit", "authenticator", "controllerManager", "scheduler"}


def _logging(enabled: list[str]) -> Map:
    switches = [(sorted(enabled), True), (sorted(_LOG_TYPES - set(enabled)), False)]
    return {"clusterLogging": [{"types": types, "enabled": on} for types, on in switches if types]}


def _create_cluster(api: Api, inputs: Map, token: str) -> str:
    logs = {"logging": _logging(inputs["enabledClusterLogTypes"])} if inputs.get("enabledClusterLogTypes") else {}
    tags = {**inputs.get("tags", {}), TOKEN_TAG: token}
    # One object in the SDK, a list of one in the API.
    secrets = {"encryptionConfig": [inputs["encryptionConfig"]]} if inputs.get("encryptionConfig") else {}
    api.eks.create_cluster(**pick(inputs, _CLUSTER), **secrets, **logs, tags=tags)
    return inputs["name"]


def _await_cluster(api: Api, ident: str, inputs: Map) -> None:
    api.eks.get_waiter("cluster_active").wait(name=ident)


def _read_cluster(api: Api, ident: str, known: Map) -> Map | None:
    cluster = api.eks.describe_cluster(name=ident)["cluster"]
    switches = cluster.get("logging", {}).get("clusterLogging", [])
    issuer = cluster.get("identity", {}).get("oidc", {}).get("issuer")
    return {
        "createdAt": cluster["createdAt"].isoformat(),
        "enabledClusterLogTypes": [t for switch in switches if switch["enabled"] for t in switch["types"]],
        "identities": [{"oidcs": [{"issuer": issuer}]}],
        "clusterId": cluster.get("id") or ident,
        "tags": cluster.get("tags", {}),
        **({"encryptionConfig": cluster["encryptionConfig"][0]} if cluster.get("encryptionConfig") else {}),
        **pick(
            cluster,
            {
                "name": "name",
                "arn": "arn",
                "roleArn": "roleArn",
                "version": "version",
                "platformVersion": "platformVersion",
                "status": "status",
                "endpoint": "endpoint",
                "certificateAuthority": "certificateAuthority",
                "resourcesVpcConfig": "vpcConfig",
                "kubernetesNetworkConfig": "kubernetesNetworkConfig",
            },
        ),
    }


def _update_cluster(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    """One kind of change a call, as UpdateClusterConfig demands."""
    if "version" in changed:
        api.eks.update_cluster_version(name=ident, version=inputs["version"])
    if "vpcConfig" in changed:
        api.eks.update_cluster_config(name=ident, resourcesVpcConfig=inputs["vpcConfig"])
    if "enabledClusterLogTypes" in changed:
        api.eks.update_cluster_config(name=ident, logging=_logging(inputs.get("enabledClusterLogTypes", [])))
    if "accessConfig" in changed:
        mode = {"authenticationMode": inputs["accessConfig"]["authenticationMode"]}
        api.eks.update_cluster_config(name=ident, accessConfig=mode)
    _await_cluster(api, ident, inputs)


def _delete_cluster(api: Api, ident: str, known: Map) -> None:
    api.eks.delete_cluster(name=ident)
    api.eks.get_waiter("cluster_deleted").wait(name=ident)


CLUSTER = Row(
    type="aws:eks/cluster:Cluster",
    inputs={"enabledClusterLogTypes", "encryptionConfig", "tags", "bootstrapSelfManagedAddons", *_CLUSTER},
    token=lambda inputs: inputs["name"],
    create=_create_cluster,
    finish=_await_cluster,
    read=_read_cluster,
    update=_update_cluster,
    delete=_delete_cluster,
    find=lambda api, token: api.eks.describe_cluster(name=token)["cluster"]["name"],
    tagging=TAGGING,
    name="name",
    replace={
        "name": NO_CALL,
        "roleArn": NO_CALL,
        "encryptionConfig": "EKS user guide: the key of a cluster's secrets cannot be changed or taken away",
        "kubernetesNetworkConfig": NO_CALL,
        "bootstrapSelfManagedAddons": NO_CALL,
        "accessConfig.bootstrapClusterCreatorAdminPermissions": NO_CALL,
    },
    unique={"name"},
    # The emulator neither keeps nor returns the access configuration.
    unreadable={"accessConfig", "bootstrapSelfManagedAddons"},
    computed={"version", "kubernetesNetworkConfig"},
    defaults={"vpcConfig.endpointPublicAccess": True, "vpcConfig.publicAccessCidrs": ["0.0.0.0/0"]},
    filled={"vpcConfig": {"clusterSecurityGroupId", "vpcId"}},
    absent={
        "accessConfig",
        "computeConfig",
        "controlPlaneScalingConfig",
        "deletionProtection",
        "kubeApiServerConfig",
        "kubeControllerManagerConfig",
        "kubeSchedulerConfig",
        "storageConfig",
        "upgradePolicy",
    },
)

_GROUP = {
    "clusterName": "clusterName",
    "nodeGroupName": "nodegroupName",
    "nodeRoleArn": "nodeRole",
    "subnetIds": "subnets",
    "scalingConfig": "scalingConfig",
    "instanceTypes": "instanceTypes",
    "amiType": "amiType",
    "capacityType": "capacityType",
    "diskSize": "diskSize",
    "labels": "labels",
    "taints": "taints",
    "launchTemplate": "launchTemplate",
    "updateConfig": "updateConfig",
    "version": "version",
    "releaseVersion": "releaseVersion",
}


def _split(ident: str) -> Map:
    """The id is CLUSTER:NAME, as in terraform-provider-aws."""
    cluster, _, name = ident.partition(":")
    return {"clusterName": cluster, "nodegroupName": name}


def _create_group(api: Api, inputs: Map, token: str) -> str:
    api.eks.create_nodegroup(**pick(inputs, _GROUP), tags={**inputs.get("tags", {}), TOKEN_TAG: token})
    return f"{inputs['clusterName']}:{inputs['nodeGroupName']}"


def _finish_group(api: Api, ident: str, inputs: Map) -> None:
    api.eks.get_waiter("nodegroup_active").wait(**_split(ident))
    live = _group(api, ident)
    if inputs.get("updateConfig") and not live.get("updateConfig"):  # the emulator drops it at creation
        api.eks.update_nodegroup_config(**_split(ident), updateConfig=inputs["updateConfig"])


def _group(api: Api, ident: str) -> Map:
    return api.eks.describe_nodegroup(**_split(ident))["nodegroup"]


def _read_group(api: Api, ident: str, known: Map) -> Map | None:
    group = _group(api, ident)
    scaling = [{"name": g["name"]} for g in group.get("resources", {}).get("autoScalingGroups", [])]
    remote = group.get("resources", {}).get("remoteAccessSecurityGroup")
    return {
        "arn": group["nodegroupArn"],
        "status": group["status"],
        "resources": [{"autoscalingGroups": scaling, **({"remoteAccessSecurityGroupId": remote} if remote else {})}],
        "tags": group.get("tags", {}),
        **pick(group, {api_name: name for name, api_name in _GROUP.items()}),
    }


def _update_group(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    """UpdateNodegroupVersion for the version and template, UpdateNodegroupConfig for the rest."""
    if changed & {"version", "releaseVersion", "launchTemplate"}:
        names = {"version": "version", "releaseVersion": "releaseVersion", "launchTemplate": "launchTemplate"}
        api.eks.update_nodegroup_version(**_split(ident), **pick(inputs, names))
    live = _group(api, ident)
    change: Map = {k: inputs[k] for k in ("scalingConfig", "updateConfig") if k in changed and k in inputs}
    if "labels" in changed:
        want, have = inputs.get("labels", {}), live.get("labels", {})
        change["labels"] = {"addOrUpdateLabels": want, "removeLabels": sorted(have.keys() - want.keys())}
    if "taints" in changed:
        taints, old = inputs.get("taints", []), live.get("taints", [])
        change["taints"] = {"addOrUpdateTaints": taints, "removeTaints": [t for t in old if t not in taints]}
    if change:
        api.eks.update_nodegroup_config(**_split(ident), **change)
    api.eks.get_waiter("nodegroup_active").wait(**_split(ident))


def _delete_group(api: Api, ident: str, known: Map) -> None:
    api.eks.delete_nodegroup(**_split(ident))
    api.eks.get_waiter("nodegroup_deleted").wait(**_split(ident))


NODE_GROUP = Row(
    type="aws:eks/nodeGroup:NodeGroup",
    inputs={"tags", *_GROUP},
    token=lambda inputs: f"{inputs['clusterName']}:{inputs['nodeGroupName']}",
    create=_create_group,
    finish=_finish_group,
    read=_read_group,
    update=_update_group,
    delete=_delete_group,
    find=lambda api, token: token if _group(api, token) else None,
    tagging=TAGGING,
    name="nodeGroupName",
    replace={
        "clusterName": NO_CALL,
        "nodeGroupName": NO_CALL,
        "nodeRoleArn": NO_CALL,
        "subnetIds": NO_CALL,
        "instanceTypes": NO_CALL,
        "amiType": NO_CALL,
        "capacityType": NO_CALL,
        "diskSize": NO_CALL,
        "launchTemplate.id": "UpdateNodegroupVersion takes another version of the same template only",
        "launchTemplate.name": "UpdateNodegroupVersion takes another version of the same template only",
    },
    unique={"clusterName", "nodeGroupName"},
    computed={"amiType", "capacityType", "diskSize", "instanceTypes", "version", "releaseVersion", "updateConfig"},
    absent={"nodeGroupNamePrefix", "nodeRepairConfig", "updateConfig"},
)

ROWS = (CLUSTER, NODE_GROUP)
