"""The VPC: private subnets, the group that EFA needs, and the endpoints by which nodes reach AWS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi_aws as aws

from fullbore import policies
from fullbore._aws import Scope
from fullbore.plan.model import CloudPlan

Ports = tuple[int, int]
HTTPS: Ports = (443, 443)
AGENT_CONTROL: Ports = (1024, 1064)
"""Ports on which an agent of DataSync speaks with its endpoint, besides HTTPS (DataSync user guide, "AWS DataSync
network requirements"; aws/modern-data-architecture-accelerator, VpcProps of its DataSync construct)."""


@dataclass(frozen=True, kw_only=True)
class NetworkParts:
    """What the network consists of. `subnets` are by zone, e.g. eu-central-1a; `interfaces` are the endpoints by their
    service, e.g. ecr.api, and `gateway` is that of S3."""

    vpc: aws.ec2.Vpc
    subnets: Mapping[str, aws.ec2.Subnet]
    route_table: aws.ec2.RouteTable
    fabric_group: aws.ec2.SecurityGroup
    gateway: aws.ec2.VpcEndpoint
    interfaces: Mapping[str, aws.ec2.VpcEndpoint]
    endpoint_group: aws.ec2.SecurityGroup

    @property
    def endpoints(self) -> tuple[aws.ec2.VpcEndpoint, ...]:
        return (self.gateway, *self.interfaces.values())


def create_network(scope: Scope, plan: CloudPlan) -> NetworkParts:
    vpc = aws.ec2.Vpc(
        scope.part("vpc"),
        cidr_block=plan.cidr,
        enable_dns_support=True,
        enable_dns_hostnames=True,
        tags=scope.named("vpc"),
        opts=scope.child(),
    )
    subnets = _create_subnets(scope, plan, vpc)
    route_table = _create_routes(scope, vpc, subnets)
    group = _create_endpoint_group(scope, plan, vpc)
    return NetworkParts(
        vpc=vpc,
        subnets=subnets,
        route_table=route_table,
        fabric_group=_create_fabric_group(scope, vpc),
        gateway=_create_gateway(scope, plan, vpc, route_table),
        interfaces=_create_interfaces(scope, plan, vpc, subnets, group),
        endpoint_group=group,
    )


def _create_subnets(scope: Scope, plan: CloudPlan, vpc: aws.ec2.Vpc) -> Mapping[str, aws.ec2.Subnet]:
    return {
        subnet.zone: aws.ec2.Subnet(
            scope.part(f"private-{subnet.zone}"),
            vpc_id=vpc.id,
            cidr_block=subnet.cidr,
            availability_zone=subnet.zone,
            tags={**scope.named(f"private-{subnet.zone}"), "kubernetes.io/role/internal-elb": "1"},
            opts=scope.child(),
        )
        for subnet in plan.subnets
    }


def _create_routes(scope: Scope, vpc: aws.ec2.Vpc, subnets: Mapping[str, aws.ec2.Subnet]) -> aws.ec2.RouteTable:
    """One table for all private subnets: the local route, and the one that the S3 gateway adds."""
    table = aws.ec2.RouteTable(scope.part("private"), vpc_id=vpc.id, tags=scope.named("private"), opts=scope.child())
    for zone, subnet in subnets.items():
        aws.ec2.RouteTableAssociation(
            scope.part(f"route-{zone}"), route_table_id=table.id, subnet_id=subnet.id, opts=scope.child()
        )
    return table


def _create_fabric_group(scope: Scope, vpc: aws.ec2.Vpc) -> aws.ec2.SecurityGroup:
    """EFA traffic passes only where a group allows all traffic to and from itself
    (https://docs.aws.amazon.com/pcs/latest/userguide/working-with_networking_efa_create-sg.html)."""
    group = aws.ec2.SecurityGroup(
        scope.part("fabric"),
        name=scope.physical("fabric"),
        description="EFA between GPU nodes",
        vpc_id=vpc.id,
        tags=scope.tags,
        opts=scope.child(),
    )
    for kind, rule in (("in", aws.vpc.SecurityGroupIngressRule), ("out", aws.vpc.SecurityGroupEgressRule)):
        rule(
            scope.part(f"fabric-{kind}"),
            security_group_id=group.id,
            referenced_security_group_id=group.id,
            ip_protocol="-1",
            description="all traffic within the fabric",
            tags=scope.tags,
            opts=scope.child(),
        )
    return group


def _create_gateway(scope: Scope, plan: CloudPlan, vpc: aws.ec2.Vpc, table: aws.ec2.RouteTable) -> aws.ec2.VpcEndpoint:
    """The way to S3, which is a route. Where the plan names the buckets that nodes may reach, it is none to others."""
    return aws.ec2.VpcEndpoint(
        scope.part("endpoint-s3"),
        vpc_id=vpc.id,
        service_name=f"com.amazonaws.{plan.region}.s3",
        vpc_endpoint_type="Gateway",
        route_table_ids=[table.id],
        policy=policies.own_buckets(plan.own_buckets, plan.region) if plan.own_buckets else None,
        tags=scope.tags,
        opts=scope.child(),
    )


def _create_interfaces(
    scope: Scope,
    plan: CloudPlan,
    vpc: aws.ec2.Vpc,
    subnets: Mapping[str, aws.ec2.Subnet],
    group: aws.ec2.SecurityGroup,
) -> Mapping[str, aws.ec2.VpcEndpoint]:
    """An interface in every subnet for each service of the plan; where data may not go anywhere, for the account's own
    principals alone."""
    return {
        service: aws.ec2.VpcEndpoint(
            scope.part(f"endpoint-{service.replace('.', '-')}"),
            vpc_id=vpc.id,
            service_name=f"com.amazonaws.{plan.region}.{service}",
            vpc_endpoint_type="Interface",
            subnet_ids=[subnet.id for subnet in subnets.values()],
            security_group_ids=[group.id],
            private_dns_enabled=True,
            policy=scope.account.apply(policies.own_account) if plan.own_buckets else None,
            tags=scope.tags,
            opts=scope.child(),
        )
        for service in plan.private_services
    }


def _create_endpoint_group(scope: Scope, plan: CloudPlan, vpc: aws.ec2.Vpc) -> aws.ec2.SecurityGroup:
    """Reached by HTTPS from the VPC, and over a VPN from the site, whose agents of DataSync speak on more ports."""
    group = aws.ec2.SecurityGroup(
        scope.part("endpoints"),
        name=scope.physical("endpoints"),
        description="AWS endpoints of the VPC",
        vpc_id=vpc.id,
        tags=scope.tags,
        opts=scope.child(),
    )
    ways = {"endpoints-in": (plan.cidr, HTTPS, "HTTPS from the VPC")}
    site = plan.vpn.site_cidr if plan.vpn else None
    if site:
        ways["endpoints-from-site"] = (site, HTTPS, "HTTPS from the site")
    if site and "datasync" in plan.private_services:
        ways["endpoints-from-agents"] = (site, AGENT_CONTROL, "control of DataSync agents")
    for part, (cidr, (first, last), description) in ways.items():
        aws.vpc.SecurityGroupIngressRule(
            scope.part(part),
            security_group_id=group.id,
            cidr_ipv4=cidr,
            ip_protocol="tcp",
            from_port=first,
            to_port=last,
            description=description,
            tags=scope.tags,
            opts=scope.child(),
        )
    return group
