"""Direct Connect: a gateway, the VPN gateway that it is tied to, and the virtual interface that leads to it."""

from __future__ import annotations

from collections.abc import Set

from fullbore_sandbox.plugins.aws.api import Api
from fullbore_sandbox.plugins.aws.convert import pick
from fullbore_sandbox.plugins.aws.row import TOKEN_TAG, Map, Row, Tagging

NO_CALL = "Direct Connect API reference: no Update call takes it"


def _tags(tags: dict[str, str]) -> list[Map]:
    return [{"key": key, "value": value} for key, value in sorted(tags.items())]


def _new_tags(inputs: Map, token: str) -> list[Map]:
    return _tags({**inputs.get("tags", {}), TOKEN_TAG: token})


def _tags_of(api: Api, arn: str) -> dict[str, str]:
    found = api.directconnect.describe_tags(resourceArns=[arn])["resourceTags"]
    return {tag["key"]: tag["value"] for each in found for tag in each.get("tags", [])}


TAGGING = Tagging(
    key=lambda ident, outputs: outputs["arn"],
    set=lambda api, arn, tags: api.directconnect.tag_resource(resourceArn=arn, tags=_tags(tags)),
    unset=lambda api, arn, keys: api.directconnect.untag_resource(resourceArn=arn, tagKeys=keys),
)


def _gateway_arn(api: Api, ident: str) -> str:
    return f"arn:aws:directconnect::{api.account}:dx-gateway/{ident}"


def _create_gateway(api: Api, inputs: Map, token: str) -> str:
    answer = api.directconnect.create_direct_connect_gateway(
        directConnectGatewayName=inputs["name"],
        amazonSideAsn=int(inputs["amazonSideAsn"]),
        tags=_new_tags(inputs, token),
    )
    return answer["directConnectGateway"]["directConnectGatewayId"]


def _read_gateway(api: Api, ident: str, known: Map) -> Map | None:
    found = api.directconnect.describe_direct_connect_gateways(directConnectGatewayId=ident)["directConnectGateways"]
    if not found:
        return None
    arn = _gateway_arn(api, ident)
    return {
        "arn": arn,
        "name": found[0]["directConnectGatewayName"],
        "amazonSideAsn": str(found[0]["amazonSideAsn"]),
        "ownerAccountId": found[0]["ownerAccount"],
        "tags": _tags_of(api, arn),
    }


def _update_gateway(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    api.directconnect.update_direct_connect_gateway(
        directConnectGatewayId=ident, newDirectConnectGatewayName=inputs["name"]
    )


def _delete_gateway(api: Api, ident: str, known: Map) -> None:
    if _read_gateway(api, ident, known):
        api.directconnect.delete_direct_connect_gateway(directConnectGatewayId=ident)


def _find_gateway(api: Api, token: str) -> str | None:
    listed = api.directconnect.describe_direct_connect_gateways()["directConnectGateways"]
    idents = (each["directConnectGatewayId"] for each in listed)
    return next((i for i in idents if _tags_of(api, _gateway_arn(api, i)).get(TOKEN_TAG) == token), None)


GATEWAY = Row(
    type="aws:directconnect/gateway:Gateway",
    inputs={"name", "amazonSideAsn", "tags"},
    create=_create_gateway,
    read=_read_gateway,
    update=_update_gateway,
    delete=_delete_gateway,
    find=_find_gateway,
    tagging=TAGGING,
    replace={"amazonSideAsn": NO_CALL},
    name="name",
)


def _prefixes(given: list[str]) -> list[Map]:
    return [{"cidr": each} for each in given]


def _create_association(api: Api, inputs: Map, token: str) -> str:
    answer = api.directconnect.create_direct_connect_gateway_association(
        directConnectGatewayId=inputs["dxGatewayId"],
        gatewayId=inputs["associatedGatewayId"],
        addAllowedPrefixesToDirectConnectGateway=_prefixes(inputs.get("allowedPrefixes") or []),
    )
    return answer["directConnectGatewayAssociation"]["associationId"]


def _associations(api: Api, **wanted: str) -> list[Map]:
    answer = api.directconnect.describe_direct_connect_gateway_associations(**wanted)
    return answer["directConnectGatewayAssociations"]


def _read_association(api: Api, ident: str, known: Map) -> Map | None:
    found = next(iter(_associations(api, associationId=ident)), None)
    if found is None:
        return None
    tied = found["associatedGateway"]
    return {
        "dxGatewayAssociationId": ident,
        "dxGatewayId": found["directConnectGatewayId"],
        "dxGatewayOwnerAccountId": found["directConnectGatewayOwnerAccount"],
        "associatedGatewayId": tied["id"],
        "associatedGatewayType": tied["type"],
        "associatedGatewayOwnerAccountId": tied["ownerAccount"],
        "allowedPrefixes": [each["cidr"] for each in found["allowedPrefixesToDirectConnectGateway"]],
    }


def _update_association(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    have = (_read_association(api, ident, {}) or {}).get("allowedPrefixes", [])
    want = inputs.get("allowedPrefixes") or []
    api.directconnect.update_direct_connect_gateway_association(
        associationId=ident,
        addAllowedPrefixesToDirectConnectGateway=_prefixes([each for each in want if each not in have]),
        removeAllowedPrefixesToDirectConnectGateway=_prefixes([each for each in have if each not in want]),
    )


def _delete_association(api: Api, ident: str, known: Map) -> None:
    if _read_association(api, ident, known):
        api.directconnect.delete_direct_connect_gateway_association(associationId=ident)


def _find_association(api: Api, token: str) -> str | None:
    """It takes no tags; two gateways are tied once."""
    gateway, _, tied = token.partition("/")
    mine = (
        each["associationId"]
        for each in _associations(api)
        if (each["directConnectGatewayId"], each["associatedGateway"]["id"]) == (gateway, tied)
    )
    return next(mine, None)


ASSOCIATION = Row(
    type="aws:directconnect/gatewayAssociation:GatewayAssociation",
    inputs={"dxGatewayId", "associatedGatewayId", "allowedPrefixes"},
    token=lambda inputs: f"{inputs['dxGatewayId']}/{inputs['associatedGatewayId']}",
    create=_create_association,
    read=_read_association,
    update=_update_association,
    delete=_delete_association,
    find=_find_association,
    replace=dict.fromkeys(("dxGatewayId", "associatedGatewayId"), NO_CALL),
    unique={"dxGatewayId", "associatedGatewayId"},
    computed={"allowedPrefixes"},
    absent={"transitGatewayAttachmentId"},
)

_INTERFACE = {
    "name": "virtualInterfaceName",
    "vlan": "vlan",
    "bgpAsn": "asn",
    "bgpAuthKey": "authKey",
    "mtu": "mtu",
    "addressFamily": "addressFamily",
    "dxGatewayId": "directConnectGatewayId",
}


def _interface_arn(api: Api, ident: str) -> str:
    return api.arn("directconnect", f"dxvif/{ident}")


def _create_interface(api: Api, inputs: Map, token: str) -> str:
    answer = api.directconnect.create_private_virtual_interface(
        connectionId=inputs["connectionId"],
        newPrivateVirtualInterface={**pick(inputs, _INTERFACE), "tags": _new_tags(inputs, token)},
    )
    return answer["virtualInterfaceId"]


def _read_interface(api: Api, ident: str, known: Map) -> Map | None:
    listed = api.directconnect.describe_virtual_interfaces(virtualInterfaceId=ident)["virtualInterfaces"]
    found = next((each for each in listed if each["virtualInterfaceState"] != "deleted"), None)
    if found is None:
        return None
    filled = {"amazonAddress": "amazonAddress", "customerAddress": "customerAddress", "awsDeviceV2": "awsDevice"}
    arn = _interface_arn(api, ident)
    return {
        "arn": arn,
        "connectionId": found["connectionId"],
        "amazonSideAsn": str(found["amazonSideAsn"]),
        "jumboFrameCapable": found["jumboFrameCapable"],
        "tags": _tags_of(api, arn),
        **pick(found, {**filled, **{api_name: name for name, api_name in _INTERFACE.items()}}),
    }


def _update_interface(api: Api, ident: str, inputs: Map, changed: Set[str]) -> None:
    api.directconnect.update_virtual_interface_attributes(virtualInterfaceId=ident, mtu=inputs.get("mtu", 1500))


def _delete_interface(api: Api, ident: str, known: Map) -> None:
    if _read_interface(api, ident, known):
        api.directconnect.delete_virtual_interface(virtualInterfaceId=ident)


def _find_interface(api: Api, token: str) -> str | None:
    listed = api.directconnect.describe_virtual_interfaces()["virtualInterfaces"]
    idents = (each["virtualInterfaceId"] for each in listed)
    return next((i for i in idents if _tags_of(api, _interface_arn(api, i)).get(TOKEN_TAG) == token), None)


INTERFACE = Row(
    type="aws:directconnect/privateVirtualInterface:PrivateVirtualInterface",
    inputs={"connectionId", "tags", *_INTERFACE},
    create=_create_interface,
    read=_read_interface,
    update=_update_interface,
    delete=_delete_interface,
    find=_find_interface,
    tagging=TAGGING,
    replace=dict.fromkeys({"connectionId", *_INTERFACE} - {"mtu"}, NO_CALL),
    name="name",
    computed={"bgpAuthKey", "mtu"},
    absent={"prefixPoolAllocatedCountIpv4", "prefixPoolAllocatedCountIpv6", "rateLimit"},
)

ROWS = (GATEWAY, ASSOCIATION, INTERFACE)
