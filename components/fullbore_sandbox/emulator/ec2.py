"""EC2: placement groups, routes that a VPN gateway brings, security group rules that refer to a group, and live tags of
launch templates."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import EC2Backend
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.models.launch_templates import LaunchTemplate
from moto.ec2.models.route_tables import RouteTable
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ec2.responses import EC2Response
from moto.ec2.utils import EC2_RESOURCE_TO_PREFIX

Json = dict[str, Any]


def install() -> None:
    for name, method in {**_PLACEMENT, **_PROPAGATION}.items():
        setattr(EC2Response, name, method)
    # The tables' own answer has no place for it.
    setattr(RouteTable, "propagating_vgws", property(_propagating))  # noqa: B010
    EC2_RESOURCE_TO_PREFIX["placement-group"] = "pg"
    # moto answers with the tags that a template was made with, whatever became of them.
    setattr(LaunchTemplate, "tags", property(lambda self: self.get_tags(), lambda self, value: None))  # noqa: B010
    for direction in ("ingress", "egress"):
        call = f"authorize_security_group_{direction}"
        setattr(EC2Backend, call, _keeping_description(getattr(EC2Backend, call)))
    EC2Backend.modify_security_group_rules = _modifying_references(EC2Backend.modify_security_group_rules)
    setattr(SecurityGroupRule, "description", property(_description))  # noqa: B010 - a property of the class


class PlacementGroup(TaggedEC2Resource):
    """One group; the attributes have the names of the API's answer."""

    def __init__(self, backend: EC2Backend, given: Json) -> None:
        self.ec2_backend = backend
        self.id = self.group_id = f"pg-{secrets.token_hex(8)}1"
        self.group_name = given["GroupName"]
        self.strategy = given.get("Strategy", "cluster")
        self.state = "available"
        self.partition_count = given.get("PartitionCount")
        self.spread_level = given.get("SpreadLevel")
        self.group_arn = f"arn:aws:ec2:{backend.region_name}:{backend.account_id}:placement-group/{self.group_name}"


def _groups(response: EC2Response) -> dict[str, PlacementGroup]:
    backend: Any = response.ec2_backend
    if not hasattr(backend, "placement_groups"):
        backend.placement_groups = {}
    return backend.placement_groups


def _existing(response: EC2Response, name: str) -> PlacementGroup:
    group = _groups(response).get(name)
    if group is None:
        raise EC2ClientError("InvalidPlacementGroup.Unknown", f"The Placement Group '{name}' is unknown.")
    return group


def _create_placement_group(self: EC2Response) -> ActionResult:
    given = {k: self._get_param(k) for k in ("GroupName", "Strategy", "PartitionCount", "SpreadLevel")}
    given = {k: v for k, v in given.items() if v is not None}
    if given["GroupName"] in _groups(self):
        raise EC2ClientError(
            "InvalidPlacementGroup.Duplicate", f"The Placement Group '{given['GroupName']}' already exists."
        )
    group: Any = PlacementGroup(self.ec2_backend, given)
    group.add_tags(self._parse_tag_specification().get("placement-group", {}))
    _groups(self)[group.group_name] = group
    return ActionResult({"PlacementGroup": group})


def _describe_placement_groups(self: EC2Response) -> ActionResult:
    names = self._get_param("GroupNames", [])
    groups = [_existing(self, name) for name in names] if names else list(_groups(self).values())
    return ActionResult({"PlacementGroups": groups})


def _delete_placement_group(self: EC2Response) -> EmptyResult:
    del _groups(self)[_existing(self, self._get_param("GroupName")).group_name]
    return EmptyResult()


_PLACEMENT = {
    "create_placement_group": _create_placement_group,
    "describe_placement_groups": _describe_placement_groups,
    "delete_placement_group": _delete_placement_group,
}


def _propagating(self: RouteTable) -> list[Json]:
    return [{"GatewayId": gateway} for gateway in getattr(self, "gateways_that_propagate", [])]


def _propagation(self: EC2Response) -> tuple[list[str], str]:
    """The gateways that propagate into the table of the request, and the one that it names."""
    gateway = self._get_param("GatewayId")
    self.ec2_backend.get_vpn_gateway(gateway)
    table: Any = self.ec2_backend.get_route_table(self._get_param("RouteTableId"))
    if not hasattr(table, "gateways_that_propagate"):
        table.gateways_that_propagate = []
    return table.gateways_that_propagate, gateway


def _enable_propagation(self: EC2Response) -> EmptyResult:
    held, gateway = _propagation(self)
    if gateway not in held:
        held.append(gateway)
    return EmptyResult()


def _disable_propagation(self: EC2Response) -> EmptyResult:
    held, gateway = _propagation(self)
    held[:] = [each for each in held if each != gateway]
    return EmptyResult()


_PROPAGATION = {
    "enable_vgw_route_propagation": _enable_propagation,
    "disable_vgw_route_propagation": _disable_propagation,
}

# moto keeps the description of a rule that names an address range, and loses that of one that names a group


def _description(self: SecurityGroupRule) -> str | None:
    return self.ip_range.get("Description") or getattr(self, "note", None)


def _keeping_description(authorize: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(authorize)
    def wrapper(self: EC2Backend, *args: Any, **kwargs: Any) -> Any:
        notes = {g.get("GroupId"): g.get("Description") for g in kwargs.get("source_groups") or []}
        rules, group = authorize(self, *args, **kwargs)
        for rule in rules:
            rule.note = notes.get(rule.source_group.get("GroupId"))
        return rules, group

    return wrapper


def _modifying_references(modify: Callable[..., None]) -> Callable[..., None]:
    """moto demands ports where a rule is for all protocols, and ignores another group or description."""

    @functools.wraps(modify)
    def wrapper(self: EC2Backend, group_id: str, rules: dict[str, Json]) -> None:
        for ident, rule in rules.items():
            if rule.get("IpProtocol") == "-1":
                rule |= {"FromPort": -1, "ToPort": -1}
            modify(self, group_id, {ident: rule})
            if rule.get("ReferencedGroupId"):
                group: Any = self.get_security_group_by_name_or_id(group_id)
                existing = group.get_rule(ident)
                existing.source_group = {**existing.source_group, "GroupId": rule["ReferencedGroupId"]}
                existing.note = rule.get("Description")

    return wrapper
