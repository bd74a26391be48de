"""How many of each thing an AWS account holds: what a killed run must not make twice and a destroy must remove."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

Client = Callable[[str], Any]
"""boto3's client of a service, by name."""

COUNTED = {
    "aws:cloudwatch/eventRule:EventRule": "event_rules",
    "aws:cloudwatch/logGroup:LogGroup": "log_groups",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "alarms",
    "aws:datasync/agent:Agent": "agents",
    "aws:datasync/efsLocation:EfsLocation": "locations",
    "aws:datasync/locationFsxLustre:LocationFsxLustre": "locations",
    "aws:directconnect/gateway:Gateway": "direct_gateways",
    "aws:directconnect/gatewayAssociation:GatewayAssociation": "direct_associations",
    "aws:directconnect/privateVirtualInterface:PrivateVirtualInterface": "direct_interfaces",
    "aws:efs/fileSystem:FileSystem": "shared_systems",
    "aws:efs/fileSystemPolicy:FileSystemPolicy": "shared_policies",
    "aws:efs/mountTarget:MountTarget": "mount_targets",
    "aws:fsx/dataRepositoryAssociation:DataRepositoryAssociation": "lustre_links",
    "aws:fsx/lustreFileSystem:LustreFileSystem": "lustre_systems",
    "aws:datasync/locationHdfs:LocationHdfs": "locations",
    "aws:datasync/locationObjectStorage:LocationObjectStorage": "locations",
    "aws:datasync/locationSmb:LocationSmb": "locations",
    "aws:datasync/nfsLocation:NfsLocation": "locations",
    "aws:datasync/s3Location:S3Location": "locations",
    "aws:datasync/task:Task": "tasks",
    "aws:ec2/customerGateway:CustomerGateway": "customer_gateways",
    "aws:ec2/flowLog:FlowLog": "flow_logs",
    "aws:ec2/launchTemplate:LaunchTemplate": "launch_templates",
    "aws:ec2/placementGroup:PlacementGroup": "placement_groups",
    "aws:ec2/routeTable:RouteTable": "route_tables",
    "aws:ec2/routeTableAssociation:RouteTableAssociation": "route_table_associations",
    "aws:ec2/securityGroup:SecurityGroup": "security_groups",
    "aws:ec2/subnet:Subnet": "subnets",
    "aws:ec2/vpc:Vpc": "vpcs",
    "aws:ec2/vpcEndpoint:VpcEndpoint": "vpc_endpoints",
    "aws:ec2/vpnConnection:VpnConnection": "vpn_connections",
    "aws:ec2/vpnGateway:VpnGateway": "vpn_gateways",
    "aws:ec2/vpnGatewayRoutePropagation:VpnGatewayRoutePropagation": "route_propagations",
    "aws:eks/addon:Addon": "addons",
    "aws:eks/cluster:Cluster": "clusters",
    "aws:eks/nodeGroup:NodeGroup": "node_groups",
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": "pod_identities",
    "aws:iam/instanceProfile:InstanceProfile": "instance_profiles",
    "aws:iam/policy:Policy": "policies",
    "aws:iam/role:Role": "roles",
    "aws:iam/rolePolicy:RolePolicy": "role_policies",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": "role_policy_attachments",
    "aws:kms/alias:Alias": "key_aliases",
    "aws:kms/key:Key": "keys",
    "aws:s3/bucket:Bucket": "buckets",
    "aws:scheduler/schedule:Schedule": "schedules",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": "security_group_rules",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "security_group_rules",
}
"""Resource type -> what it is counted as. A bucket's settings are not here: each is there once and goes with it."""


def census(aws: Client) -> Counter[str]:
    """Things by kind, a kind of which there is none included; what AWS puts into every account and VPC left out."""
    return Counter(
        {
            **_network(aws("ec2")),
            **_identity(aws("iam")),
            **_clusters(aws("eks")),
            **_data(aws),
            **_files(aws),
            **_watch(aws),
        }
    )


def _network(ec2: Any) -> dict[str, int]:
    groups = {g["GroupId"] for g in _all(ec2, "describe_security_groups") if g["GroupName"] != "default"}
    tables = _all(ec2, "describe_route_tables")
    own = [table for table in tables if not any(each["Main"] for each in table["Associations"])]
    endpoints = _all(ec2, "describe_vpc_endpoints")
    return {
        "vpcs": sum(not vpc["IsDefault"] for vpc in _all(ec2, "describe_vpcs")),
        "subnets": sum(not subnet["DefaultForAz"] for subnet in _all(ec2, "describe_subnets")),
        "route_tables": len(own),
        "route_table_associations": sum(len(table["Associations"]) for table in own),
        "security_groups": len(groups),
        "security_group_rules": sum(rule["GroupId"] in groups for rule in _all(ec2, "describe_security_group_rules")),
        "vpc_endpoints": sum(each["State"].lower() != "deleted" for each in endpoints),
        "launch_templates": len(_all(ec2, "describe_launch_templates")),
        "flow_logs": len(_all(ec2, "describe_flow_logs")),
        "customer_gateways": _there(ec2.describe_customer_gateways()["CustomerGateways"]),
        "vpn_gateways": _there(ec2.describe_vpn_gateways()["VpnGateways"]),
        "vpn_connections": _there(ec2.describe_vpn_connections()["VpnConnections"]),
        "route_propagations": sum(len(table.get("PropagatingVgws", [])) for table in tables),
        "placement_groups": len(ec2.describe_placement_groups()["PlacementGroups"]),
    }


def _there(listed: list[Any]) -> int:
    """How many of what is listed for a while after it was deleted are not."""
    return sum(each["State"] != "deleted" for each in listed)


def _identity(iam: Any) -> dict[str, int]:
    roles = [role["RoleName"] for role in _all(iam, "list_roles")]
    return {
        "roles": len(roles),
        "role_policies": sum(len(_all(iam, "list_role_policies", RoleName=role)) for role in roles),
        "role_policy_attachments": sum(len(_all(iam, "list_attached_role_policies", RoleName=role)) for role in roles),
        "policies": len(_all(iam, "list_policies", Scope="Local")),
        "instance_profiles": len(_all(iam, "list_instance_profiles")),
    }


def _clusters(eks: Any) -> dict[str, int]:
    clusters = _all(eks, "list_clusters")
    return {
        "clusters": len(clusters),
        "node_groups": sum(len(_all(eks, "list_nodegroups", clusterName=each)) for each in clusters),
        "addons": sum(len(_all(eks, "list_addons", clusterName=each)) for each in clusters),
        "pod_identities": sum(len(_all(eks, "list_pod_identity_associations", clusterName=each)) for each in clusters),
    }


def _data(aws: Client) -> dict[str, int]:
    datasync = aws("datasync")
    return {
        "buckets": len(aws("s3").list_buckets()["Buckets"]),
        "tasks": len(_all(datasync, "list_tasks")),
        "locations": len(_all(datasync, "list_locations")),
        "agents": len(_all(datasync, "list_agents")),
    }


def _files(aws: Client) -> dict[str, int]:
    """File systems, and the line to the site."""
    efs, fsx, direct = aws("efs"), aws("fsx"), aws("directconnect")
    shared = [each["FileSystemId"] for each in efs.describe_file_systems()["FileSystems"]]
    return {
        "shared_systems": len(shared),
        "shared_policies": sum(_has_policy(efs, each) for each in shared),
        "mount_targets": sum(len(efs.describe_mount_targets(FileSystemId=each)["MountTargets"]) for each in shared),
        "lustre_systems": len(_all(fsx, "describe_file_systems")),
        "lustre_links": len(fsx.describe_data_repository_associations()["Associations"]),
        "direct_gateways": len(direct.describe_direct_connect_gateways()["directConnectGateways"]),
        "direct_associations": len(
            direct.describe_direct_connect_gateway_associations()["directConnectGatewayAssociations"]
        ),
        "direct_interfaces": len(direct.describe_virtual_interfaces()["virtualInterfaces"]),
    }


def _has_policy(efs: Any, ident: str) -> bool:
    try:
        return bool(efs.describe_file_system_policy(FileSystemId=ident)["Policy"])
    except efs.exceptions.PolicyNotFound:
        return False


def _watch(aws: Client) -> dict[str, int]:
    """A key that waits for its destruction is gone; AWS' own aliases belong to every account."""
    kms = aws("kms")
    keys = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in _all(kms, "list_keys")]
    aliases = [alias["AliasName"] for alias in _all(kms, "list_aliases")]
    return {
        "keys": sum(key["KeyState"] != "PendingDeletion" and key["KeyManager"] == "CUSTOMER" for key in keys),
        "key_aliases": sum(not name.startswith("alias/aws/") for name in aliases),
        "log_groups": len(_all(aws("logs"), "describe_log_groups")),
        "event_rules": len(_all(aws("events"), "list_rules")),
        "alarms": len(_all(aws("cloudwatch"), "describe_alarms")),
        "schedules": len(_all(aws("scheduler"), "list_schedules")),
    }


def _all(client: Any, operation: str, **arguments: Any) -> list[Any]:
    """Every item of a listing, over all its pages."""
    pages = client.get_paginator(operation)
    return [item for page in pages.paginate(**arguments) for item in page[pages.result_keys[0].expression]]
