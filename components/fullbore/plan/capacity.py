"""Where cloud nodes go and what they take: zones, placement, interfaces, addresses, quotas. Pure.

Sources, where a line does not name its own:
EC2 user guide, "Placement group rules and limitations" and "Launch instances using Capacity Blocks";
EKS user guide, "Amazon EKS networking requirements for VPC and subnets"; aws/amazon-vpc-cni-k8s README.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from math import ceil
from typing import Literal

from fullbore.catalog.instances import INSTANCES
from fullbore.catalog.offerings import PREFIXES, zone_offers
from fullbore.catalog.shapes import QUOTAS, SHAPES, Shape
from fullbore.config.models import Cloud, NodeGroup
from fullbore.plan.model import InterfacePlan
from fullbore.plan.network import (
    AWS_LARGEST_PREFIX,
    AWS_SMALLEST_PREFIX,
    free_addresses,
    private_services,
    zone_subnet,
)
from fullbore.plan.pools import first_of

CONTROL_PLANE_ADDRESSES = 6
"""Addresses that EKS wants free in each subnet of its control plane."""
BLOCK = 16
"""Addresses of a /28 prefix, the block that the network plugin takes in prefix mode."""
LEAST_ADDRESSES = 2
"""The least that a node takes in secondary mode: its own address and one pod's."""
WARM_INTERFACES = 1
"""Interfaces full of addresses that the plugin keeps ready beyond those in use (WARM_ENI_TARGET's default)."""
WARM_BLOCKS = 1
"""Blocks that the plugin keeps ready beyond those in use (WARM_PREFIX_TARGET's default)."""
EDGE_ADDRESSES = 27
"""Addresses of a subnet's first and last block that are left when AWS has taken its four and its one."""

Placement = Literal["create", "existing", "none"]


def efa_interfaces(group: NodeGroup) -> int:
    """EFA interfaces of each node: those asked for, or all that the type has."""
    row = INSTANCES.get(group.instance_type)
    every = row.efa_interfaces if row else 0
    return every if group.efa_interfaces is None else group.efa_interfaces


def asked_nodes(group: NodeGroup) -> int:
    """Nodes that run when nobody scales."""
    return max(group.min_nodes, group.desired_nodes)


def is_close(group: NodeGroup) -> bool:
    """Whether the nodes must lie in one zone: EFA does not cross zones, and a cluster placement group is in one."""
    return efa_interfaces(group) > 0 or group.placement == "cluster" or group.reservation is not None


def zones_of(cloud: Cloud, group: NodeGroup) -> tuple[str, ...]:
    """Zone letters of a group's nodes: those given, the reservation's, else of those that are not known to lack the
    type the first where the nodes must be close, or all."""
    if group.zones:
        return tuple(dict.fromkeys(group.zones))
    if group.reservation:
        return (group.reservation.zone,)
    every = tuple(dict.fromkeys(cloud.zones))
    able = tuple(zone for zone in every if offers(cloud, group.instance_type, zone) is not False) or every
    return able[:1] if is_close(group) else able


def offers(cloud: Cloud, instance_type: str, zone: str) -> bool | None:
    """Whether a zone, by its letter, offers a type: as the account was told, else as the catalog knows; None where
    neither does, or the zone's id is not given."""
    zone_id = cloud.zone_ids.get(zone)
    if zone_id is None:
        return None
    told = told_zones(cloud, instance_type)
    return zone_offers(instance_type, zone_id) if told is None else zone_id in told


def told_zones(cloud: Cloud, instance_type: str) -> tuple[str, ...] | None:
    """Ids of the zones that offer a type, as the account was told; None where it was not asked, or where all of them
    are of another region: that is no answer about this one."""
    told, prefix = cloud.offerings.get(instance_type), PREFIXES.get(cloud.region)
    if not told or prefix is None:
        return told
    return tuple(zone_id for zone_id in told if zone_id.partition("-")[0] == prefix) or None


def placement_of(group: NodeGroup) -> Placement:
    """Whether the nodes are in a cluster placement group.

    A capacity block places its nodes itself. An on-demand reservation is used where it was made: in its own placement
    group, or in none, because another one would leave part of it out of reach (eksctl-io/eksctl#7949,
    terraform-aws-modules/terraform-aws-eks#3730).
    """
    if group.placement == "none" or group.capacity == "capacity-block":
        return "none"
    if group.reservation:
        return "existing" if group.reservation.placement_group else "none"
    return "create" if group.placement == "cluster" or efa_interfaces(group) else "none"


def interface_layout(shape: Shape | None, efa: int) -> tuple[InterfacePlan, ...]:
    """A node's interfaces: the primary carries IP; each card with EFA has one more that carries EFA only.

    Source: EC2 user guide, "Maximize network bandwidth on EC2 instances with multiple network cards": device 1 on
    card 0, which the primary shares, and device 0 on the others. Empty where the cards are not known or too few.
    """
    if shape is None or shape.efa_cards is None or efa > len(shape.efa_cards):
        return ()
    primary = InterfacePlan(card=0, device=0, kind="interface")
    cards = shape.efa_cards[:efa]
    return (primary, *(InterfacePlan(card=card, device=int(card == 0), kind="efa-only") for card in cards))


@dataclass(frozen=True, kw_only=True)
class ZoneNeed:
    """What the nodes of one zone take of its subnet, in units of `unit` (one address, or a block of 16).

    `least` is what they cannot run without, `wanted` what the network plugin takes by its defaults; both include the
    control plane's and the endpoints' addresses. `wanted` is None where a type's interfaces are not known.
    """

    zone: str
    subnet: IPv4Network
    unit: Literal["address", "block"]
    room: int
    nodes: int
    groups: tuple[str, ...]
    least: int
    wanted: int | None


def zone_needs(cloud: Cloud) -> tuple[ZoneNeed, ...]:
    """The need of each zone that has a subnet, in the order of the zones."""
    subnets = ((zone, zone_subnet(cloud.cidr, zone)) for zone in dict.fromkeys(cloud.zones))
    return tuple(_zone_need(cloud, zone, subnet) for zone, subnet in subnets if subnet)


def _zone_need(cloud: Cloud, zone: str, subnet: IPv4Network) -> ZoneNeed:
    nodes = dict(_nodes_in(cloud, zone))
    total = sum(nodes.values())
    single = CONTROL_PLANE_ADDRESSES + len(private_services(cloud))
    warm = [_warm_addresses(cloud.node_groups[name]) for name in nodes]
    if cloud.pod_addresses == "secondary":
        room, least = free_addresses(subnet), single + total * LEAST_ADDRESSES
        wanted = None if None in warm else single + sum(n * (w or 0) for n, w in zip(nodes.values(), warm, strict=True))
    else:
        edge = 2 + ceil(max(0, single + total - EDGE_ADDRESSES) / BLOCK)
        room, least = subnet.num_addresses // BLOCK, edge + total
        wanted = edge + total * (1 + WARM_BLOCKS)
    unit = "address" if cloud.pod_addresses == "secondary" else "block"
    return ZoneNeed(
        zone=zone, subnet=subnet, unit=unit, room=room, nodes=total, groups=tuple(nodes), least=least, wanted=wanted
    )


def _nodes_in(cloud: Cloud, zone: str) -> Iterator[tuple[str, int]]:
    """Groups with nodes in a zone, and how many at most; a group over several zones is spread evenly."""
    for name, group in sorted(cloud.node_groups.items()):
        zones = zones_of(cloud, group)
        if zone in zones:
            yield name, ceil(group.max_nodes / len(zones))


def _warm_addresses(group: NodeGroup) -> int | None:
    """Addresses that the plugin takes for one node by its defaults: one interface full, and one more if card 0 has room
    for it; the plugin adds interfaces to card 0 only."""
    shape = SHAPES.get(group.instance_type)
    if shape is None or shape.addresses is None or shape.card_0_interfaces is None:
        return None
    used = 1 + (efa_interfaces(group) > 0 and 0 in (shape.efa_cards or ()))
    warm = min(WARM_INTERFACES, max(0, shape.card_0_interfaces - used))
    return shape.addresses * (1 + warm)


def large_enough(cloud: Cloud, comfortable: bool = False) -> IPv4Network | None:
    """The smallest range around the VPC's that holds every zone's need; None where none does.

    `comfortable` asks for what the plugin takes by its defaults, not for the least only.
    """
    for prefix in range(min(cloud.cidr.prefixlen, AWS_SMALLEST_PREFIX), AWS_LARGEST_PREFIX - 1, -1):
        larger = cloud.model_copy(update={"cidr": cloud.cidr.supernet(new_prefix=prefix)})
        needs = zone_needs(larger)
        if len(needs) == len(set(cloud.zones)) and all(holds(need, comfortable) for need in needs):
            return larger.cidr
    return None


def holds(need: ZoneNeed, comfortable: bool = False) -> bool:
    """Whether a zone's subnet has room for the least, or for what the plugin takes by its defaults, too."""
    return need.room >= (max(need.least, need.wanted or 0) if comfortable else need.least)


@dataclass(frozen=True, kw_only=True)
class QuotaUse:
    """What counts against one quota, in its unit: at creation, and when every group is at its largest. `given` is the
    account's quota, None where the environment does not say."""

    name: str
    given: int | None
    asked: int
    most: int
    groups: tuple[str, ...]

    @property
    def by(self) -> str:
        """The groups in words: each by name, or where they are many the first one."""
        return ", ".join(self.groups) if len(self.groups) <= MOST_NAMED else first_of(self.groups)


MOST_NAMED = 4


def quota_uses(cloud: Cloud) -> tuple[QuotaUse, ...]:
    """The quotas that the node groups count against. On-demand reservations count as on-demand; blocks do not."""
    uses: dict[str, list[str]] = {}
    for name, group in sorted(cloud.node_groups.items()):
        quota = quota_of(group)
        if quota:
            uses.setdefault(quota, []).append(name)
    vcpus = tuple(_quota_use(cloud, name, tuple(uses[name])) for name in QUOTAS if name in uses)
    return (*vcpus, *_eks_uses(cloud)) if cloud.node_groups else vcpus


def _eks_uses(cloud: Cloud) -> tuple[QuotaUse, QuotaUse]:
    """Node groups of the cluster, and nodes of the largest one."""
    groups = sorted(cloud.node_groups.items())
    asked = max(asked_nodes(group) for _, group in groups)
    most = max(group.max_nodes for _, group in groups)
    largest = tuple(name for name, group in groups if group.max_nodes == most or 0 < asked == asked_nodes(group))
    names, quotas, count = tuple(name for name, _ in groups), cloud.quotas, len(groups)
    return (
        QuotaUse(name="node_groups", given=quotas.node_groups, asked=count, most=count, groups=names),
        QuotaUse(name="nodes_per_group", given=quotas.nodes_per_group, asked=asked, most=most, groups=largest),
    )


def quota_of(group: NodeGroup) -> str | None:
    """The quota that a group's nodes count against; None where none does, or it is not known which."""
    shape = SHAPES.get(group.instance_type)
    if shape is None or group.capacity == "capacity-block":
        return None
    return shape.spot_quota if group.capacity == "spot" else shape.on_demand_quota


def _quota_use(cloud: Cloud, quota: str, names: tuple[str, ...]) -> QuotaUse:
    groups = [cloud.node_groups[name] for name in names]
    return QuotaUse(
        name=quota,
        given=getattr(cloud.quotas, quota),
        asked=sum(SHAPES[group.instance_type].vcpus * asked_nodes(group) for group in groups),
        most=sum(SHAPES[group.instance_type].vcpus * group.max_nodes for group in groups),
        groups=names,
    )
