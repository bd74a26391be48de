"""A site-to-site VPN: two tunnels to the site's router, and the routes that it announces by BGP."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_aws as aws

from fullbore._aws import Scope
from fullbore.cloud.network import NetworkParts
from fullbore.plan.model import VpnPlan

KIND = "ipsec.1"
"""The only kind that there is (EC2 API reference, CreateVpnConnection)."""


@dataclass(frozen=True, kw_only=True)
class VpnParts:
    customer: aws.ec2.CustomerGateway
    gateway: aws.ec2.VpnGateway
    connection: aws.ec2.VpnConnection


def create_vpn(scope: Scope, plan: VpnPlan, network: NetworkParts) -> VpnParts:
    """The site learns the VPC's range and the VPC the site's, and each stops when the other does."""
    customer = aws.ec2.CustomerGateway(
        scope.part("site"),
        bgp_asn=str(plan.site_asn),
        ip_address=plan.site_address,
        type=KIND,
        tags=scope.named("site"),
        opts=scope.child(),
    )
    gateway = aws.ec2.VpnGateway(
        scope.part("vpn"),
        vpc_id=network.vpc.id,
        amazon_side_asn=str(plan.cloud_asn),
        tags=scope.named("vpn"),
        opts=scope.child(),
    )
    aws.ec2.VpnGatewayRoutePropagation(
        scope.part("vpn-routes"),
        route_table_id=network.route_table.id,
        vpn_gateway_id=gateway.id,
        opts=scope.child(),
    )
    connection = aws.ec2.VpnConnection(
        scope.part("vpn"),
        customer_gateway_id=customer.id,
        vpn_gateway_id=gateway.id,
        type=KIND,
        static_routes_only=False,
        tags=scope.named("vpn"),
        opts=scope.child(),
    )
    return VpnParts(customer=customer, gateway=gateway, connection=connection)
