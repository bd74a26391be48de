"""The way to the site: customer and VPN gateways, the tunnels between them, and the routes that BGP brings."""

from __future__ import annotations

from collections.abc import Set

from fullbore_sandbox.plugins.aws.api import Api
from fullbore_sandbox.plugins.aws.convert import pick, tag_map
from fullbore_sandbox.plugins.aws.row import TOKEN_TAG, Map, Row
from fullbore_sandbox.plugins.aws.rows.ec2 import TAGGING, by_token, first, tags_for

NO_CALL = "EC2 API reference: no Modify call takes it"


def _create_customer(api: Api, inputs: Map, token: str) -> str:
    answer = api.ec2.create_customer_gateway(
        BgpAsn=int(inputs["bgpAsn"]),
        Type=inputs["type"],
        **pick(inputs, {"ipAddress": "IpAddress"}),
        TagSpecifications=tags_for("customer-gateway", inputs, token),
    )
    return answer["CustomerGateway"]["CustomerGatewayId"]


def _read_customer(api: Api, ident: str, known: Map) -> Map | None:
    found = first(api.ec2.describe_customer_gateways(CustomerGatewayIds=[ident]), "CustomerGateways")
    if found is None or found["State"] == "deleted":
        return None
    return {
        "arn": api.arn("ec2", f"customer-gateway/{ident}"),
        "bgpAsn": str(found["BgpAsn"]),
        "tags": tag_map(found.get("Tags")),
        **pick(found, {"IpAddress": "ipAddress", "Type": "type"}),
    }


def _find_customer(api: Api, token: str) -> str | None:
    """The emulator knows no filter by tag here, and lists what was deleted."""
    listed = api.ec2.describe_customer_gateways()["CustomerGateways"]
    mine = (each for each in listed if {"Key": TOKEN_TAG, "Value": token} in each.get("Tags", []))
    return next((each["CustomerGatewayId"] for each in mine if each["State"] != "deleted"), None)


CUSTOMER_GATEWAY = Row(
    type="aws:ec2/customerGateway:CustomerGateway",
    inputs={"bgpAsn", "ipAddress", "type", "tags"},
    create=_create_customer,
    read=_read_customer,
    delete=lambda api, ident, known: api.ec2.delete_customer_gateway(CustomerGatewayId=ident),
    find=_find_customer,
    tagging=TAGGING,
    replace={"bgpAsn": NO_CALL, "ipAddress": NO_CALL, "type": NO_CALL},
)


def _create_gateway(api: Api, inputs: Map, token: str) -> str:
    asn = {"AmazonSideAsn": int(inputs["amazonSideAsn"])} if inputs.get("amazonSideAsn") else {}
    answer = api.ec2.create_vpn_gateway(Type="ipsec.1", **asn, TagSpecifications=tags_for("vpn-gateway", inputs, token))
    return answer["VpnGateway"]["VpnGatewayId"]


def _attach(api: Api, ident: str, inputs: Map, changed: Set[str] = frozenset()) -> None:
    have, want = _attached(_gateway(api, ident) or {}), inputs.get("vpcId")
    if have and have != want:
        api.ec2.detach_vpn_gateway(VpnGatewayId=ident, VpcId=have)
    if want and have != want:
        api.ec2.attach_vpn_gateway(VpnGatewayId=ident, VpcId=want)


def _gateway(api: Api, ident: str) -> Map | None:
    found = first(api.ec2.describe_vpn_gateways(VpnGatewayIds=[ident]), "VpnGateways")
    return None if found is None or found["State"] == "deleted" else found


def _attached(gateway: Map) -> str:
    held = [each["VpcId"] for each in gateway.get("VpcAttachments", []) if each["State"] in ("attached", "attaching")]
    return held[0] if held else ""


def _read_gateway(api: Api, ident: str, known: Map) -> Map | None:
    found = _gateway(api, ident)
    if found is None:
        return None
    return {
        "arn": api.arn("ec2", f"vpn-gateway/{ident}"),
        "amazonSideAsn": str(found.get("AmazonSideAsn", "")),
        "tags": tag_map(found.get("Tags")),
        **({"vpcId": _attached(found)} if _attached(found) else {}),
    }


def _delete_gateway(api: Api, ident: str, known: Map) -> None:
    _attach(api, ident, {})
    api.ec2.delete_vpn_gateway(VpnGatewayId=ident)


def _find_gateway(api: Api, token: str) -> str | None:
    ident = by_token("describe_vpn_gateways", "VpnGateways", "VpnGatewayId")(api, token)
    return ident if ident and _gateway(api, ident) else None


VPN_GATEWAY = Row(
    type="aws:ec2/vpnGateway:VpnGateway",
    inputs={"vpcId", "amazonSideAsn", "tags"},
    create=_create_gateway,
    finish=_attach,
    read=_read_gateway,
    update=_attach,
    delete=_delete_gateway,
    find=_find_gateway,
    tagging=TAGGING,
    replace={"amazonSideAsn": NO_CALL},
    computed={"amazonSideAsn"},
)


def _propagates(api: Api, ident: str) -> bool:
    gateway, _, table = ident.partition("_")
    found = first(api.ec2.describe_route_tables(RouteTableIds=[table]), "RouteTables") or {}
    return gateway in [each["GatewayId"] for each in found.get("PropagatingVgws", [])]


def _pair(ident: str) -> Map:
    """The id is GATEWAY_TABLE, as in terraform-provider-aws."""
    gateway, _, table = ident.partition("_")
    return {"GatewayId": gateway, "RouteTableId": table}


def _propagate(api: Api, inputs: Map, token: str) -> str:
    ident = f"{inputs['vpnGatewayId']}_{inputs['routeTableId']}"
    api.ec2.enable_vgw_route_propagation(**_pair(ident))
    return ident


def _read_propagation(api: Api, ident: str, known: Map) -> Map | None:
    pair = _pair(ident)
    there = {"vpnGatewayId": pair["GatewayId"], "routeTableId": pair["RouteTableId"]}
    return there if _propagates(api, ident) else None


PROPAGATION = Row(
    type="aws:ec2/vpnGatewayRoutePropagation:VpnGatewayRoutePropagation",
    inputs={"vpnGatewayId", "routeTableId"},
    token=lambda inputs: f"{inputs['vpnGatewayId']}_{inputs['routeTableId']}",
    create=_propagate,
    read=_read_propagation,
    delete=lambda api, ident, known: api.ec2.disable_vgw_route_propagation(**_pair(ident)),
    find=lambda api, token: token if _propagates(api, token) else None,
    replace={"vpnGatewayId": NO_CALL, "routeTableId": NO_CALL},
    unique={"vpnGatewayId", "routeTableId"},
)

_ENDS = {"customerGatewayId": "CustomerGatewayId", "vpnGatewayId": "VpnGatewayId", "type": "Type"}
_PER_TUNNEL = (
    *("Address", "BgpAsn", "BgpHoldtime", "CgwInsideAddress", "InsideCidr", "InsideIpv6Cidr", "LogOptions"),
    *("PresharedKey", "VgwInsideAddress"),
)
"""What AWS says of each tunnel, most of it a part of the configuration for the customer's router."""
_OF_CONNECTION = (
    *("coreNetworkArn", "coreNetworkAttachmentArn", "customerGatewayConfiguration", "enableAcceleration"),
    *("localIpv4NetworkCidr", "localIpv6NetworkCidr", "outsideIpAddressType", "presharedKeyArn"),
    *("presharedKeyStorage", "remoteIpv4NetworkCidr", "remoteIpv6NetworkCidr", "routes", "staticRoutesOnly"),
    *("transitGatewayAttachmentId", "tunnelBandwidth", "tunnelInsideIpVersion", "vgwTelemetries"),
)


def _create_connection(api: Api, inputs: Map, token: str) -> str:
    options = {"Options": {"StaticRoutesOnly": inputs.get("staticRoutesOnly", False)}}
    answer = api.ec2.create_vpn_connection(
        **pick(inputs, _ENDS), **options, TagSpecifications=tags_for("vpn-connection", inputs, token)
    )
    return answer["VpnConnection"]["VpnConnectionId"]


def _read_connection(api: Api, ident: str, known: Map) -> Map | None:
    found = first(api.ec2.describe_vpn_connections(VpnConnectionIds=[ident]), "VpnConnections")
    if found is None or found["State"] == "deleted":
        return None
    return {
        "arn": api.arn("ec2", f"vpn-connection/{ident}"),
        "tags": tag_map(found.get("Tags")),
        **pick(found, {api_name: name for name, api_name in _ENDS.items()}),
    }


def _find_connection(api: Api, token: str) -> str | None:
    ident = by_token("describe_vpn_connections", "VpnConnections", "VpnConnectionId")(api, token)
    return ident if ident and _read_connection(api, ident, {}) else None


VPN_CONNECTION = Row(
    type="aws:ec2/vpnConnection:VpnConnection",
    inputs={"staticRoutesOnly", "tags", *_ENDS},
    create=_create_connection,
    read=_read_connection,
    delete=lambda api, ident, known: api.ec2.delete_vpn_connection(VpnConnectionId=ident),
    find=_find_connection,
    tagging=TAGGING,
    replace=dict.fromkeys(("staticRoutesOnly", *_ENDS), "the row makes a new one; AWS can move it to a new end"),
    # The emulator keeps no options, and has no tunnels.
    unreadable={"staticRoutesOnly"},
    absent={*_OF_CONNECTION, *(f"tunnel{number}{name}" for number in (1, 2) for name in _PER_TUNNEL)},
)

ROWS = (CUSTOMER_GATEWAY, VPN_GATEWAY, PROPAGATION, VPN_CONNECTION)
