"""FSx for Lustre: weights are read at the rate of the plan, and loaded from the bucket when they are first read."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from fullbore._aws import Scope
from fullbore.cloud import Cloud
from fullbore.plan.model import LustrePlan
from fullbore.storage.access import create_group, open_ports
from fullbore.storage.bucket import BucketParts

PORTS = ((988, 988), (1018, 1023))
"""Of LNET, between servers and clients, both ways (FSx for Lustre user guide, "File system access control with Amazon
VPC" and "Cannot create a file system because of misconfigured security group")."""
LUSTRE_VERSION = "2.15"
EVENTS = ("NEW", "CHANGED", "DELETED")
"""What happens to the bucket's objects shows in the file system; nothing goes the other way."""


@dataclass(frozen=True, kw_only=True)
class LustreParts:
    """Whoever reads weights should wait for `link`."""

    file_system: aws.fsx.LustreFileSystem
    link: aws.fsx.DataRepositoryAssociation
    group: aws.ec2.SecurityGroup


def create_lustre(
    scope: Scope, plan: LustrePlan, weights: BucketParts, cloud: Cloud, key: aws.kms.Key | None
) -> LustreParts:
    """Encrypted at rest by FSx itself, with the environment's key where there is one, and in transit between it and
    nodes whose type can (FSx API reference, CreateFileSystemLustreConfiguration, DeploymentType)."""
    group, rules = _create_access(scope, cloud)
    system = aws.fsx.LustreFileSystem(
        scope.part("lustre"),
        subnet_ids=cloud.resources.network.subnets[plan.zone].id,
        security_group_ids=[group.id],
        deployment_type="PERSISTENT_2",
        storage_type="SSD",
        storage_capacity=plan.size_gib,
        per_unit_storage_throughput=plan.mb_s_per_tib,
        file_system_type_version=LUSTRE_VERSION,
        kms_key_id=key.arn if key else None,
        tags=scope.named("lustre"),
        # FSx refuses a group that does not let its servers speak to each other.
        opts=scope.child(depends_on=list(rules)),
    )
    link = aws.fsx.DataRepositoryAssociation(
        scope.part("lustre-link"),
        file_system_id=system.id,
        file_system_path=f"/{plan.folder}",
        data_repository_path=weights.bucket.bucket.apply(lambda name: f"s3://{name}/{plan.folder}/"),
        batch_import_meta_data_on_create=True,
        s3=aws.fsx.DataRepositoryAssociationS3Args(
            auto_import_policy=aws.fsx.DataRepositoryAssociationS3AutoImportPolicyArgs(events=list(EVENTS))
        ),
        tags=scope.tags,
        opts=scope.child(depends_on=[weights.policy, weights.versioning]),
    )
    return LustreParts(file_system=system, link=link, group=group)


def _create_access(scope: Scope, cloud: Cloud) -> tuple[aws.ec2.SecurityGroup, tuple[pulumi.Resource, ...]]:
    """Servers and nodes speak to each other, and either may begin; the nodes' own group lets everything out."""
    nodes = cloud.resources.cluster.nodes_group
    group = create_group(scope, "lustre", "FSx for Lustre", cloud)
    ways = (
        ("lustre-between-servers", "in", group.id, group.id),
        ("lustre-from-nodes", "in", group.id, nodes),
        ("lustre-to-servers", "out", group.id, group.id),
        ("lustre-to-nodes", "out", group.id, nodes),
        ("nodes-from-lustre", "in", nodes, group.id),
    )
    rules = [open_ports(scope, part, way, ports, own, other) for part, way, own, other in ways for ports in PORTS]
    return group, tuple(rules)
