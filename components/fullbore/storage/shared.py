"""EFS: one file system for all nodes, mounted in each zone by TLS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi_aws as aws

from fullbore import policies
from fullbore._aws import Scope
from fullbore.cloud import Cloud
from fullbore.plan.model import SharedPlan
from fullbore.storage.access import create_group, open_ports

NFS = (2049, 2049)
"""Port of a mount target (EFS user guide, "Using VPC security groups for Amazon EC2 instances and mount targets")."""


@dataclass(frozen=True, kw_only=True)
class SharedParts:
    """`targets` are by zone; whoever mounts it waits for them and for `policy`."""

    file_system: aws.efs.FileSystem
    policy: aws.efs.FileSystemPolicy
    targets: Mapping[str, aws.efs.MountTarget]
    group: aws.ec2.SecurityGroup


def create_shared(scope: Scope, plan: SharedPlan, cloud: Cloud, key: aws.kms.Key | None) -> SharedParts:
    idle = aws.efs.FileSystemLifecyclePolicyArgs(transition_to_ia=f"AFTER_{plan.idle_days}_DAYS")
    system = aws.efs.FileSystem(
        scope.part("shared"),
        encrypted=True,
        kms_key_id=key.arn if key else None,
        throughput_mode=plan.throughput,
        lifecycle_policies=[idle] if plan.idle_days else None,
        tags=scope.named("shared"),
        opts=scope.child(),
    )
    policy = aws.efs.FileSystemPolicy(
        scope.part("shared"),
        file_system_id=system.id,
        policy=system.arn.apply(policies.shared_files),
        opts=scope.child(),
    )
    group = create_group(scope, "shared", "EFS of the nodes", cloud)
    open_ports(scope, "shared-from-nodes", "in", NFS, group.id, cloud.resources.cluster.nodes_group)
    for part, way in (("shared-from-datasync", "in"), ("shared-by-datasync", "out")):
        # The interfaces of DataSync's tasks are in this group, too.
        open_ports(scope, part, way, NFS, group.id, group.id)
    targets = {
        zone: aws.efs.MountTarget(
            scope.part(f"shared-{zone}"),
            file_system_id=system.id,
            subnet_id=subnet.id,
            security_groups=[group.id],
            # Nobody mounts it before its policy says how.
            opts=scope.child(depends_on=[policy]),
        )
        for zone, subnet in cloud.resources.network.subnets.items()
    }
    return SharedParts(file_system=system, policy=policy, targets=targets, group=group)
