"""GPU nodes: for each group of the plan a launch template, a placement group where one is made, and a node group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from fullbore._aws import Scope
from fullbore.cloud import launch
from fullbore.cloud.cluster import ClusterParts
from fullbore.cloud.identity import IdentityParts
from fullbore.cloud.network import NetworkParts
from fullbore.plan.model import CloudPlan, NodeGroupPlan

CAPACITY_TYPES = {"on-demand": "ON_DEMAND", "spot": "SPOT", "capacity-block": "CAPACITY_BLOCK"}
TAINT = "nvidia.com/gpu"
AMI_TYPE = "AL2023_x86_64_NVIDIA"


@dataclass(frozen=True, kw_only=True)
class NodeParts:
    """By name of the node group; only groups whose placement group is made here have one."""

    launch_templates: Mapping[str, aws.ec2.LaunchTemplate]
    placement_groups: Mapping[str, aws.ec2.PlacementGroup]
    node_groups: Mapping[str, aws.eks.NodeGroup]


def create_nodes(
    scope: Scope, plan: CloudPlan, network: NetworkParts, cluster: ClusterParts, identity: IdentityParts
) -> NodeParts:
    """Nodes come after what they need to become ready: their role, the endpoints, and the network plugin's role."""
    after = [*cluster.node_role.grants, *network.endpoints, *identity.associations.values()]
    placements = {g.name: _create_placement(scope, g) for g in plan.node_groups if g.placement == "create"}
    templates = {g.name: _create_template(scope, g, network, cluster, placements.get(g.name)) for g in plan.node_groups}
    groups = {g.name: _create_group(scope, g, network, cluster, templates[g.name], after) for g in plan.node_groups}
    return NodeParts(launch_templates=templates, placement_groups=placements, node_groups=groups)


def _create_placement(scope: Scope, group: NodeGroupPlan) -> aws.ec2.PlacementGroup:
    return aws.ec2.PlacementGroup(
        scope.part(group.name),
        name=scope.physical(group.name),
        strategy="cluster",
        tags=scope.tags,
        opts=scope.child(),
    )


def _create_template(
    scope: Scope,
    group: NodeGroupPlan,
    network: NetworkParts,
    cluster: ClusterParts,
    placement: aws.ec2.PlacementGroup | None,
) -> aws.ec2.LaunchTemplate:
    part = f"{group.name}-template"
    return aws.ec2.LaunchTemplate(
        scope.part(part),
        name=scope.physical(part),
        instance_type=group.instance_type,
        update_default_version=True,
        block_device_mappings=[launch.root_volume()],
        network_interfaces=launch.interfaces(group, [network.fabric_group.id, cluster.nodes_group]),
        metadata_options=launch.metadata_options(),
        placement=launch.placement(placement.name if placement else group.placement_group),
        instance_market_options=launch.market(group),
        capacity_reservation_specification=launch.reservation(group),
        user_data=launch.user_data(group),
        tag_specifications=launch.launched_tags(scope.named(group.name)),
        tags=scope.tags,
        opts=scope.child(),
    )


def _create_group(
    scope: Scope,
    group: NodeGroupPlan,
    network: NetworkParts,
    cluster: ClusterParts,
    template: aws.ec2.LaunchTemplate,
    after: list[pulumi.Resource],
) -> aws.eks.NodeGroup:
    return aws.eks.NodeGroup(
        scope.part(group.name),
        cluster_name=cluster.cluster.name,
        node_group_name=scope.part(group.name),
        node_role_arn=cluster.node_role.role.arn,
        subnet_ids=[network.subnets[zone].id for zone in group.zones if zone in network.subnets],
        ami_type=AMI_TYPE,
        release_version=group.image_release,
        capacity_type=CAPACITY_TYPES[group.capacity],
        scaling_config=aws.eks.NodeGroupScalingConfigArgs(
            min_size=group.min_nodes, max_size=group.max_nodes, desired_size=group.desired_nodes
        ),
        update_config=aws.eks.NodeGroupUpdateConfigArgs(max_unavailable=1),
        launch_template=aws.eks.NodeGroupLaunchTemplateArgs(id=template.id, version=template.latest_version.apply(str)),
        labels={"fullbore.io/accelerator": group.accelerator, "fullbore.io/group": group.name},
        taints=[aws.eks.NodeGroupTaintArgs(key=TAINT, value="present", effect="NO_SCHEDULE")],
        tags=scope.tags,
        # The number of nodes is asked for once; from then on it belongs to the autoscaler.
        opts=scope.child(depends_on=after, ignore_changes=["scalingConfig.desiredSize"]),
    )
