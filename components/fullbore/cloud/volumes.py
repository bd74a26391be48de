"""The driver by which pods mount a file system: an add-on of the cluster.

Its pods on the nodes call no API of AWS for a volume that is there already (kubernetes-sigs/aws-fsx-csi-driver and
aws-efs-csi-driver, pkg/driver/node.go), and nothing else asks it for one: it has no role.
"""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

from fullbore._aws import Scope
from fullbore.cloud.cluster import ClusterParts
from fullbore.cloud.nodes import TAINT, NodeParts
from fullbore.plan.model import CloudPlan

DRIVERS = {"lustre": "aws-fsx-csi-driver", "shared": "aws-efs-csi-driver"}
"""Add-ons by kind of file system (EKS user guide, "AWS add-ons")."""
TOLERATIONS = ({"key": TAINT, "operator": "Exists", "effect": "NoSchedule"},)
"""Its controller may stand on GPU nodes, for there may be no others; on every node it tolerates all (values.yaml of
both charts: controller.tolerations, node.tolerations)."""


def create_driver(scope: Scope, plan: CloudPlan, cluster: ClusterParts, nodes: NodeParts) -> aws.eks.Addon | None:
    """After the nodes: without any, an add-on with a Deployment never becomes active."""
    if plan.volumes is None:
        return None
    after: list[pulumi.Resource] = [*nodes.node_groups.values()]
    return aws.eks.Addon(
        scope.part("volumes"),
        cluster_name=cluster.cluster.name,
        addon_name=DRIVERS[plan.volumes],
        configuration_values=json.dumps({"controller": {"tolerations": list(TOLERATIONS)}}),
        tags=scope.tags,
        opts=scope.child(depends_on=after),
    )
