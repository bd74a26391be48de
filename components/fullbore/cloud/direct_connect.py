"""Direct Connect: a virtual interface on a line that is there already, and the gateway behind which the VPC is.

The VPC's own gateway is that of the VPN. Of routes to one range it takes those of Direct Connect before those of a VPN
(https://docs.aws.amazon.com/vpn/latest/s2svpn/vpn-route-priority.html), so that the VPN carries what the line does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from fullbore._aws import Scope
from fullbore.cloud.vpn import VpnParts
from fullbore.plan.model import DirectConnectPlan


@dataclass(frozen=True, kw_only=True)
class DirectConnectParts:
    gateway: aws.directconnect.Gateway
    association: aws.directconnect.GatewayAssociation
    interface: aws.directconnect.PrivateVirtualInterface


def create_direct_connect(scope: Scope, plan: DirectConnectPlan, vpn: VpnParts) -> DirectConnectParts:
    """The site learns the VPC's range and nothing else; AWS gives the addresses of the two ends."""
    gateway = aws.directconnect.Gateway(
        scope.part("direct"),
        name=scope.physical("direct"),
        amazon_side_asn=str(plan.gateway_asn),
        tags=scope.tags,
        opts=scope.child(),
    )
    association = aws.directconnect.GatewayAssociation(
        scope.part("direct"),
        dx_gateway_id=gateway.id,
        associated_gateway_id=vpn.gateway.id,
        allowed_prefixes=[plan.cidr],
        opts=scope.child(),
    )
    interface = aws.directconnect.PrivateVirtualInterface(
        scope.part("direct"),
        name=scope.physical("direct"),
        connection_id=plan.connection_id,
        dx_gateway_id=gateway.id,
        vlan=plan.vlan,
        address_family="ipv4",
        bgp_asn=plan.site_asn,
        bgp_auth_key=pulumi.Output.secret(plan.bgp_key) if plan.bgp_key else None,
        mtu=plan.mtu,
        tags=scope.tags,
        # Where none is given, AWS makes a key, which then is an output only.
        opts=scope.child(secret_outputs=["bgpAuthKey"]),
    )
    return DirectConnectParts(gateway=gateway, association=association, interface=interface)
