"""The AWS side: a private network, an EKS cluster and its GPU node groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from fullbore._aws import aws_provider, physical_name, trust_policy
from fullbore._component import Component
from fullbore._launch import interfaces, is_placed, launched_tags, market, reservation, root_volume
from fullbore.plan.model import CloudPlan, NodeGroupPlan

__all__ = ["Cloud", "CloudResources", "aws_provider"]

PRIVATE_SERVICES = ("ec2", "ecr.api", "ecr.dkr", "eks", "logs", "sts")
"""What nodes without a way to the internet must reach (EKS user guide, private clusters); S3 has its gateway."""

CLUSTER_POLICIES = ("AmazonEKSClusterPolicy",)
NODE_POLICIES = ("AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly")
LOG_TYPES = ("api", "audit", "authenticator")
CAPACITY_TYPES = {"on-demand": "ON_DEMAND", "spot": "SPOT", "capacity-block": "CAPACITY_BLOCK"}


@dataclass(frozen=True, kw_only=True)
class CloudResources:
    """What a `Cloud` made, for whoever builds on it."""

    vpc: aws.ec2.Vpc
    subnets: tuple[aws.ec2.Subnet, ...]
    route_table: aws.ec2.RouteTable
    fabric_group: aws.ec2.SecurityGroup
    endpoints: tuple[aws.ec2.VpcEndpoint, ...]
    cluster_role: aws.iam.Role
    node_role: aws.iam.Role
    cluster: aws.eks.Cluster
    launch_templates: Mapping[str, aws.ec2.LaunchTemplate]
    placement_groups: Mapping[str, aws.ec2.PlacementGroup]
    node_groups: Mapping[str, aws.eks.NodeGroup]


class Cloud(Component):
    """A VPC without a way in, an EKS cluster in it, and a managed node group for each group of the plan."""

    def __init__(
        self,
        name: str,
        plan: CloudPlan,
        *,
        tags: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(name, opts)
        self.plan = plan
        self.tags = dict(tags)
        vpc = self._create_vpc()
        subnets = self._create_subnets(vpc)
        route_table = self._create_routes(vpc, subnets)
        fabric = self._create_fabric_group(vpc)
        endpoints = self._create_endpoints(vpc, subnets, route_table)
        cluster_role, cluster_grants = self._create_role("cluster", "eks.amazonaws.com", CLUSTER_POLICIES)
        node_role, node_grants = self._create_role("node", "ec2.amazonaws.com", NODE_POLICIES)
        cluster = self._create_cluster(subnets, cluster_role, cluster_grants)
        placements = {g.name: self._create_placement(g) for g in plan.node_groups if is_placed(g)}
        templates = {
            g.name: self._create_template(g, fabric, cluster, placements.get(g.name)) for g in plan.node_groups
        }
        after = [*node_grants, *endpoints]
        groups = {
            g.name: self._create_node_group(g, cluster, node_role, subnets, templates[g.name], after)
            for g in plan.node_groups
        }
        self.resources = CloudResources(
            vpc=vpc,
            subnets=subnets,
            route_table=route_table,
            fabric_group=fabric,
            endpoints=endpoints,
            cluster_role=cluster_role,
            node_role=node_role,
            cluster=cluster,
            launch_templates=templates,
            placement_groups=placements,
            node_groups=groups,
        )
        self.register_outputs({"vpcId": vpc.id, "clusterName": cluster.name, "clusterEndpoint": cluster.endpoint})

    def _named(self, part: str) -> dict[str, str]:
        """Tags of an object whose only name is a tag."""
        return {**self.tags, "Name": self._physical(part)}

    def _physical(self, part: str) -> str:
        return physical_name(self.plan.environment, self.part(part))

    def _create_vpc(self) -> aws.ec2.Vpc:
        return aws.ec2.Vpc(
            self.part("vpc"),
            cidr_block=self.plan.cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags=self._named("vpc"),
            opts=self.child(),
        )

    def _create_subnets(self, vpc: aws.ec2.Vpc) -> tuple[aws.ec2.Subnet, ...]:
        return tuple(
            aws.ec2.Subnet(
                self.part(f"private-{subnet.zone}"),
                vpc_id=vpc.id,
                cidr_block=subnet.cidr,
                availability_zone=subnet.zone
                if subnet.zone.startswith(self.plan.region)
                else self.plan.region + subnet.zone,
                tags={**self._named(f"private-{subnet.zone}"), "kubernetes.io/role/internal-elb": "1"},
                opts=self.child(),
            )
            for subnet in self.plan.subnets
        )

    def _create_routes(self, vpc: aws.ec2.Vpc, subnets: tuple[aws.ec2.Subnet, ...]) -> aws.ec2.RouteTable:
        """One table for all private subnets: the local route, and the one that the S3 gateway adds."""
        table = aws.ec2.RouteTable(self.part("private"), vpc_id=vpc.id, tags=self._named("private"), opts=self.child())
        for planned, subnet in zip(self.plan.subnets, subnets, strict=True):
            aws.ec2.RouteTableAssociation(
                self.part(f"route-{planned.zone}"),
                route_table_id=table.id,
                subnet_id=subnet.id,
                opts=self.child(),
            )
        return table

    def _create_fabric_group(self, vpc: aws.ec2.Vpc) -> aws.ec2.SecurityGroup:
        """EFA traffic passes only where a group allows all traffic to and from itself (EC2 user guide, EFA)."""
        group = aws.ec2.SecurityGroup(
            self.part("fabric"),
            name=self._physical("fabric"),
            description="EFA between GPU nodes",
            vpc_id=vpc.id,
            tags=self.tags,
            opts=self.child(),
        )
        for kind, rule in (("in", aws.vpc.SecurityGroupIngressRule), ("out", aws.vpc.SecurityGroupEgressRule)):
            rule(
                self.part(f"fabric-{kind}"),
                security_group_id=group.id,
                referenced_security_group_id=group.id,
                ip_protocol="-1",
                description="all traffic within the fabric",
                tags=self.tags,
                opts=self.child(),
            )
        return group

    def _create_endpoints(
        self, vpc: aws.ec2.Vpc, subnets: tuple[aws.ec2.Subnet, ...], table: aws.ec2.RouteTable
    ) -> tuple[aws.ec2.VpcEndpoint, ...]:
        gateway = aws.ec2.VpcEndpoint(
            self.part("endpoint-s3"),
            vpc_id=vpc.id,
            service_name=f"com.amazonaws.{self.plan.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id],
            tags=self.tags,
            opts=self.child(),
        )
        group = self._create_endpoint_group(vpc)
        interfaces = [
            aws.ec2.VpcEndpoint(
                self.part(f"endpoint-{service.replace('.', '-')}"),
                vpc_id=vpc.id,
                service_name=f"com.amazonaws.{self.plan.region}.{service}",
                vpc_endpoint_type="Interface",
                subnet_ids=[subnet.id for subnet in subnets],
                security_group_ids=[group.id],
                private_dns_enabled=True,
                tags=self.tags,
                opts=self.child(),
            )
            for service in PRIVATE_SERVICES
        ]
        return (gateway, *interfaces)

    def _create_endpoint_group(self, vpc: aws.ec2.Vpc) -> aws.ec2.SecurityGroup:
        group = aws.ec2.SecurityGroup(
            self.part("endpoints"),
            name=self._physical("endpoints"),
            description="AWS endpoints of the VPC",
            vpc_id=vpc.id,
            tags=self.tags,
            opts=self.child(),
        )
        aws.vpc.SecurityGroupIngressRule(
            self.part("endpoints-in"),
            security_group_id=group.id,
            cidr_ipv4=self.plan.cidr,
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            description="HTTPS from the VPC",
            tags=self.tags,
            opts=self.child(),
        )
        return group

    def _create_role(
        self, part: str, service: str, policies: tuple[str, ...]
    ) -> tuple[aws.iam.Role, list[pulumi.Resource]]:
        """A role for one service, with policies that AWS maintains; whoever uses it waits for the grants too."""
        role = aws.iam.Role(
            self.part(part),
            name=self._physical(part),
            assume_role_policy=trust_policy(service),
            tags=self.tags,
            opts=self.child(),
        )
        grants: list[pulumi.Resource] = [
            aws.iam.RolePolicyAttachment(
                self.part(policy.removeprefix("Amazon").replace("_", "-").lower()),
                role=role.name,
                policy_arn=f"arn:aws:iam::aws:policy/{policy}",
                opts=self.child(),
            )
            for policy in policies
        ]
        return role, grants

    def _create_cluster(
        self, subnets: tuple[aws.ec2.Subnet, ...], role: aws.iam.Role, grants: list[pulumi.Resource]
    ) -> aws.eks.Cluster:
        """Reached from the site over its public endpoint, behind IAM; nodes stay on the private one."""
        return aws.eks.Cluster(
            self.part("eks"),
            name=self._physical("eks"),
            role_arn=role.arn,
            version=self.plan.kubernetes_version,
            vpc_config=aws.eks.ClusterVpcConfigArgs(
                subnet_ids=[subnet.id for subnet in subnets],
                endpoint_private_access=True,
                endpoint_public_access=True,
            ),
            access_config=aws.eks.ClusterAccessConfigArgs(authentication_mode="API"),
            enabled_cluster_log_types=list(LOG_TYPES),
            tags=self.tags,
            # A role without its policies cannot delete what the cluster made: they must outlive it.
            opts=self.child(depends_on=grants),
        )

    def _create_placement(self, group: NodeGroupPlan) -> aws.ec2.PlacementGroup:
        return aws.ec2.PlacementGroup(
            self.part(group.name),
            name=self._physical(group.name),
            strategy="cluster",
            tags=self.tags,
            opts=self.child(),
        )

    def _create_template(
        self,
        group: NodeGroupPlan,
        fabric: aws.ec2.SecurityGroup,
        cluster: aws.eks.Cluster,
        placement: aws.ec2.PlacementGroup | None,
    ) -> aws.ec2.LaunchTemplate:
        cluster_group = cluster.vpc_config.apply(lambda config: config.cluster_security_group_id or "")
        part = f"{group.name}-template"
        return aws.ec2.LaunchTemplate(
            self.part(part),
            name=self._physical(part),
            instance_type=group.instance_type,
            update_default_version=True,
            block_device_mappings=[root_volume()],
            network_interfaces=interfaces(group, [fabric.id, cluster_group]),
            metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
                http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
            ),
            placement=placement and aws.ec2.LaunchTemplatePlacementArgs(group_name=placement.name),
            instance_market_options=market(group),
            capacity_reservation_specification=reservation(group),
            tag_specifications=launched_tags(self._named(group.name)),
            tags=self.tags,
            opts=self.child(),
        )

    def _create_node_group(
        self,
        group: NodeGroupPlan,
        cluster: aws.eks.Cluster,
        role: aws.iam.Role,
        subnets: tuple[aws.ec2.Subnet, ...],
        template: aws.ec2.LaunchTemplate,
        after: list[pulumi.Resource],
    ) -> aws.eks.NodeGroup:
        return aws.eks.NodeGroup(
            self.part(group.name),
            cluster_name=cluster.name,
            node_group_name=self.part(group.name),
            node_role_arn=role.arn,
            # A cluster placement group, and a capacity block, are in one zone.
            subnet_ids=[subnet.id for subnet in (subnets[:1] if group.efa_interfaces else subnets)],
            ami_type="AL2023_x86_64_NVIDIA",
            capacity_type=CAPACITY_TYPES[group.capacity],
            scaling_config=aws.eks.NodeGroupScalingConfigArgs(
                min_size=group.min_nodes, max_size=group.max_nodes, desired_size=group.desired_nodes
            ),
            update_config=aws.eks.NodeGroupUpdateConfigArgs(max_unavailable=1),
            launch_template=aws.eks.NodeGroupLaunchTemplateArgs(
                id=template.id, version=template.latest_version.apply(str)
            ),
            labels={"fullbore.io/accelerator": group.accelerator, "fullbore.io/group": group.name},
            taints=[aws.eks.NodeGroupTaintArgs(key="nvidia.com/gpu", value="present", effect="NO_SCHEDULE")],
            tags=self.tags,
            # The number of nodes is asked for once; from then on it belongs to the autoscaler.
            opts=self.child(depends_on=after, ignore_changes=["scalingConfig.desiredSize"]),
        )
