"""Direct Connect: gateways, their associations and private virtual interfaces, which moto lacks."""

from __future__ import annotations

import json
import secrets
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.directconnect.responses import DirectConnectResponse

Json = dict[str, Any]
ID = {"gateway": "directConnectGatewayId", "association": "associationId", "interface": "virtualInterfaceId"}


def install() -> None:
    for name, method in _CALLS.items():
        setattr(DirectConnectResponse, name, method)


def _held(self: DirectConnectResponse, kind: str) -> dict[str, Json]:
    backend: Any = self.directconnect_backend
    if not hasattr(backend, "held"):
        backend.held = {kind: {} for kind in ID}
    return backend.held[kind]


def _given(self: DirectConnectResponse) -> Json:
    return json.loads(self.body)


def _one(self: DirectConnectResponse, kind: str) -> Json:
    ident = _given(self).get(ID[kind])
    if ident not in _held(self, kind):
        raise JsonRESTError("DirectConnectClientException", f"{kind} {ident} does not exist")
    return _held(self, kind)[ident]


def _add(self: DirectConnectResponse, kind: str, prefix: str, values: Json, arn: str = "") -> Json:
    ident = f"{prefix}{secrets.token_hex(4)}"
    _held(self, kind)[ident] = {ID[kind]: ident, **values}
    if values.get("tags") and arn:
        tags = {tag["key"]: tag.get("value", "") for tag in values["tags"]}
        self.directconnect_backend.tag_resource(arn.format(ident), tags)
    return _held(self, kind)[ident]


def _list(self: DirectConnectResponse, kind: str, listed: str) -> str:
    """AWS answers an id that it does not know with an empty list."""
    wanted = _given(self).get(ID[kind])
    return json.dumps({listed: [each for ident, each in _held(self, kind).items() if wanted in (None, ident)]})


def _create_gateway(self: DirectConnectResponse) -> str:
    account = self.current_account
    shown = {**_given(self), "ownerAccount": account, "directConnectGatewayState": "available"}
    arn = f"arn:aws:directconnect::{account}:dx-gateway/{{}}"
    return json.dumps({"directConnectGateway": _add(self, "gateway", "dxg-", shown, arn)})


def _update_gateway(self: DirectConnectResponse) -> str:
    found = _one(self, "gateway")
    found["directConnectGatewayName"] = _given(self)["newDirectConnectGatewayName"]
    return json.dumps({"directConnectGateway": found})


def _delete(kind: str, answer: str) -> Any:
    def delete(self: DirectConnectResponse) -> str:
        found = _one(self, kind)
        del _held(self, kind)[found[ID[kind]]]
        return json.dumps({answer: found if kind != "interface" else "deleted"})

    return delete


def _create_association(self: DirectConnectResponse) -> str:
    given, account = _given(self), self.current_account
    shown = {
        "directConnectGatewayId": given["directConnectGatewayId"],
        "directConnectGatewayOwnerAccount": account,
        "associationState": "associated",
        "associatedGateway": {
            "id": given["gatewayId"],
            "type": "virtualPrivateGateway",
            "ownerAccount": account,
            "region": self.region,
        },
        "allowedPrefixesToDirectConnectGateway": given.get("addAllowedPrefixesToDirectConnectGateway", []),
    }
    return json.dumps({"directConnectGatewayAssociation": _add(self, "association", "", shown)})


def _update_association(self: DirectConnectResponse) -> str:
    found, given = _one(self, "association"), _given(self)
    gone = given.get("removeAllowedPrefixesToDirectConnectGateway", [])
    kept = [each for each in found["allowedPrefixesToDirectConnectGateway"] if each not in gone]
    found["allowedPrefixesToDirectConnectGateway"] = kept + given.get("addAllowedPrefixesToDirectConnectGateway", [])
    return json.dumps({"directConnectGatewayAssociation": found})


def _create_interface(self: DirectConnectResponse) -> str:
    """Where no addresses are given, the two ends get one of a link-local pair each; where no key is, AWS makes one."""
    given, account = _given(self), self.current_account
    filled = {
        "ownerAccount": account,
        "connectionId": given["connectionId"],
        "virtualInterfaceType": "private",
        "virtualInterfaceState": "available",
        "amazonAddress": "169.254.255.1/30",
        "customerAddress": "169.254.255.2/30",
        "amazonSideAsn": 64512,
        "authKey": secrets.token_hex(12),
        "mtu": 1500,
        "jumboFrameCapable": True,
        "awsDeviceV2": "EqDC2-1",
    }
    arn = f"arn:aws:directconnect:{self.region}:{account}:dxvif/{{}}"
    shown = {**filled, **given["newPrivateVirtualInterface"]}
    return json.dumps(_add(self, "interface", "dxvif-", shown, arn))


def _update_interface(self: DirectConnectResponse) -> str:
    found = _one(self, "interface")
    found |= {name: value for name, value in _given(self).items() if name in ("mtu", "virtualInterfaceName")}
    return json.dumps(found)


_CALLS: dict[str, Any] = {
    "create_direct_connect_gateway": _create_gateway,
    "describe_direct_connect_gateways": lambda self: _list(self, "gateway", "directConnectGateways"),
    "update_direct_connect_gateway": _update_gateway,
    "delete_direct_connect_gateway": _delete("gateway", "directConnectGateway"),
    "create_direct_connect_gateway_association": _create_association,
    "describe_direct_connect_gateway_associations": lambda self: _list(
        self, "association", "directConnectGatewayAssociations"
    ),
    "update_direct_connect_gateway_association": _update_association,
    "delete_direct_connect_gateway_association": _delete("association", "directConnectGatewayAssociation"),
    "create_private_virtual_interface": _create_interface,
    "describe_virtual_interfaces": lambda self: _list(self, "interface", "virtualInterfaces"),
    "update_virtual_interface_attributes": _update_interface,
    "delete_virtual_interface": _delete("interface", "virtualInterfaceState"),
}
