"""Rules about how cloud nodes are bought, placed and connected: conflicts that AWS finds only when it launches them.

The source of each is in its function. An arrangement that AWS recommends breaks none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fullbore.catalog.instances import INSTANCES
from fullbore.catalog.shapes import SHAPES
from fullbore.config.models import Cloud, NodeGroup, Reservation
from fullbore.plan.capacity import (
    asked_nodes,
    efa_interfaces,
    is_close,
    offers,
    zones_of,
)
from fullbore.plan.change import Change
from fullbore.plan.checks.base import Finding, Rule, Subject, counted
from fullbore.plan.recovery import spot_holds_standby, standby_groups

BLOCK_NODES = 64
"""Most instances of one capacity block (EC2 user guide, Capacity Blocks for ML, quotas)."""
IMAGE_ARCHITECTURE = "x86_64"
"""What the image of the EKS nodes is built for."""


def _groups(subject: Subject) -> Iterator[tuple[Cloud, str, NodeGroup]]:
    """The cloud with each node group and its name."""
    cloud = subject.env.cloud
    for name, group in cloud.node_groups.items() if cloud else ():
        if cloud:
            yield cloud, name, group


def _path(name: str, field: str) -> str:
    return f"cloud.node_groups.{name}.{field}"


def _set(name: str, field: str, value: object) -> Change:
    return Change(path=("cloud", "node_groups", name, *field.split(".")), value=value)


def _reserved(subject: Subject) -> Iterator[tuple[Cloud, str, NodeGroup, Reservation]]:
    for cloud, name, group in _groups(subject):
        if group.reservation:
            yield cloud, name, group, group.reservation


def _block_without_id(subject: Subject) -> Iterable[Finding]:
    """EKS user guide, Capacity Blocks for ML: the launch template names the block."""
    for _, name, group in _groups(subject):
        if group.capacity == "capacity-block" and group.reservation is None:
            message = (
                "missing; a capacity block is launched by its id: add the id, nodes and zone of the one you bought"
            )
            yield Finding(_path(name, "reservation"), message)


def _spot_reserved(subject: Subject) -> Iterable[Finding]:
    """EC2 user guide, "Launch instances into Capacity Reservations": one purchasing option a launch."""
    for _, name, group, reservation in _reserved(subject):
        if group.capacity == "spot":
            message = f"got {reservation.id}, but spot nodes never come from a reservation; remove it, or buy on-demand"
            yield Finding(_path(name, "reservation"), message, (_set(name, "reservation", None),))


def _spot_alone(subject: Subject) -> Iterable[Finding]:
    """EC2 user guide, "Spot Instance interruptions": AWS takes spot nodes back, and may have none to give.

    A managed node group is bought one way only, so that what nodes fall back to is a group of its own. Where a standby
    has spot nodes alone, standby-on-spot says so."""
    groups = list(_groups(subject))
    told = () if subject.env.sandbox else spot_holds_standby(subject.env)
    kept = {_gpu(group) for _, _, group in groups if group.capacity != "spot"}
    for _, name, group in groups:
        if group.capacity == "spot" and _gpu(group) not in kept and name not in told:
            message = (
                f"got spot, and no group has {_gpu(group)} that is bought another way; add one for when AWS has no "
                "spot nodes to give, with min_nodes 0 it costs nothing until then"
            )
            yield Finding(_path(name, "capacity"), message)


def _gpu(group: NodeGroup) -> str:
    """The accelerator of a group; the type itself where it is not known."""
    row = INSTANCES.get(group.instance_type)
    return row.accelerator if row else group.instance_type


def _unsupported(subject: Subject) -> Iterable[Finding]:
    """EC2 DescribeInstanceTypes, SupportedUsageClasses."""
    for _, name, group in _groups(subject):
        shape = SHAPES.get(group.instance_type)
        if shape and group.capacity not in shape.bought:
            message = f"got {group.capacity}, but {shape.name} is sold as {' or '.join(shape.bought)} only"
            yield Finding(_path(name, "capacity"), message, (_set(name, "capacity", shape.bought[0]),))


def _architecture(subject: Subject) -> Iterable[Finding]:
    for _, name, group in _groups(subject):
        shape = SHAPES.get(group.instance_type)
        if shape and shape.architecture != IMAGE_ARCHITECTURE:
            message = f"{shape.name} is {shape.architecture}, but the nodes' image is {IMAGE_ARCHITECTURE}"
            yield Finding(_path(name, "instance_type"), f"{message}; choose a type of that architecture")


def _block_placed(subject: Subject) -> Iterable[Finding]:
    """A block's instances are placed close together by EC2; a placement group only takes some out of reach
    (EC2 API CapacityBlock; terraform-aws-modules/terraform-aws-eks#3730)."""
    for _, name, group in _groups(subject):
        if group.capacity != "capacity-block":
            continue
        why = (
            "a capacity block places its nodes itself, and a placement group it was not made in leaves it out of reach"
        )
        if group.placement == "cluster":
            message = f"got cluster, but {why}; allowed auto or none"
            yield Finding(_path(name, "placement"), message, (_set(name, "placement", "auto"),))
        if group.reservation and group.reservation.placement_group:
            message = f"got {group.reservation.placement_group[:60]}, but {why}; remove it"
            yield Finding(
                _path(name, "reservation.placement_group"), message, (_set(name, "reservation.placement_group", None),)
            )


def _reservation_placed(subject: Subject) -> Iterable[Finding]:
    """eksctl-io/eksctl#7949: of 16 reserved instances 11 were within reach of a placement group made for EFA."""
    for _, name, group, reservation in _reserved(subject):
        if group.capacity == "on-demand" and group.placement == "cluster" and not reservation.placement_group:
            message = (
                f"got cluster, but {reservation.id} was made in no placement group, and a new one reaches only a part "
                "of it; allowed auto or none, or name the cluster placement group that it was made in"
            )
            yield Finding(_path(name, "placement"), message, (_set(name, "placement", "auto"),))


def _reservation_outside(subject: Subject) -> Iterable[Finding]:
    """EC2 user guide, "Placement group rules": a reservation made in a placement group serves launches into it only."""
    for _, name, group, reservation in _reserved(subject):
        if group.capacity == "on-demand" and group.placement == "none" and reservation.placement_group:
            message = (
                f"got none, but {reservation.id} was made in the placement group {reservation.placement_group[:60]} "
                "and serves nodes in it only; allowed auto or cluster"
            )
            yield Finding(_path(name, "placement"), message, (_set(name, "placement", "auto"),))


def _unplaced(subject: Subject) -> Iterable[Finding]:
    """EC2 user guide, "Get started with EFA": a cluster placement group is recommended."""
    for _, name, group in _groups(subject):
        efa = efa_interfaces(group)
        if efa and group.max_nodes > 1 and group.placement == "none" and not group.reservation:
            message = (
                f"got none, so {counted(group.max_nodes, 'node')} with {counted(efa, 'EFA interface')} each may be "
                "far apart; allowed auto, which puts them in a cluster placement group"
            )
            yield Finding(_path(name, "placement"), message, (_set(name, "placement", "auto"),))


def _apart(subject: Subject) -> Iterable[Finding]:
    """EFA does not cross zones (EC2 user guide, EFA limitations; pulumi/pulumi-eks#1593); a cluster placement group is
    in one zone."""
    for cloud, name, group in _groups(subject):
        zones = zones_of(cloud, group)
        if is_close(group) and len(zones) > 1:
            what = "EFA" if efa_interfaces(group) else "a reservation" if group.reservation else "its placement group"
            message = f"got {', '.join(zones)}, but {what} keeps the nodes in one zone; choose one of them"
            able = [zone for zone in zones if offers(cloud, group.instance_type, zone) is not False]
            best = group.reservation.zone if group.reservation else (able or zones)[0]
            yield Finding(_path(name, "zones"), message, (_set(name, "zones", [best]),))


def _zones_known(subject: Subject) -> Iterable[Finding]:
    for cloud, name, group in _groups(subject):
        given = {f"zones[{index}]": zone for index, zone in enumerate(group.zones)}
        if group.reservation:
            given["reservation.zone"] = group.reservation.zone
        for field, zone in given.items():
            if zone not in cloud.zones:
                message = f"got {zone}, but cloud.zones has no subnet there (it has {', '.join(cloud.zones)}); add it"
                change = Change(path=("cloud", "zones"), value=[*cloud.zones, zone])
                yield Finding(_path(name, field), message, (change,))


def _zone_of_reservation(subject: Subject) -> Iterable[Finding]:
    """EC2 user guide, "Launch instances using Capacity Blocks": the subnet is in the reservation's zone."""
    for _, name, group, reservation in _reserved(subject):
        if len(group.zones) == 1 and group.zones != (reservation.zone,):
            where = f"{reservation.id} is in zone {reservation.zone} ({_path(name, 'reservation.zone')})"
            message = f"got {group.zones[0]}, but {where}; use that one"
            yield Finding(_path(name, "zones"), message, (_set(name, "zones", [reservation.zone]),))


@dataclass(frozen=True)
class _Taken:
    """What the node groups of one reservation may take of it, and the first of them."""

    name: str
    group: NodeGroup
    others: tuple[str, ...]
    most: int
    id: str
    holds: int
    said_by: str
    """Path of the field that says what it holds; of several that differ, of the fewest."""

    def told(self) -> str:
        others = f", with {', '.join(self.others)}" if self.others else ""
        return f"got {counted(self.most, 'node')} at most{others}, but {self.id} holds {self.holds} ({self.said_by})"

    def raised(self) -> tuple[Change, ...]:
        """All that is held for the group that uses it alone."""
        alone = not self.others and asked_nodes(self.group) <= self.holds
        return (_set(self.name, "max_nodes", self.holds),) if alone else ()


def _taken(subject: Subject) -> Iterator[_Taken]:
    users: dict[str, list[tuple[str, NodeGroup, Reservation]]] = {}
    for _, name, group, reservation in _reserved(subject):
        users.setdefault(reservation.id, []).append((name, group, reservation))
    for found in users.values():
        name, group, _ = found[0]
        least, _, said = min(found, key=lambda one: one[2].nodes)
        yield _Taken(
            name=name,
            group=group,
            others=tuple(other for other, *_ in found[1:]),
            most=sum(group.max_nodes for _, group, _ in found),
            id=said.id,
            holds=said.nodes,
            said_by=_path(least, "reservation.nodes"),
        )


def _reservation_small(subject: Subject) -> Iterable[Finding]:
    """A launch that names a reservation fails when it is full (EC2 user guide, targeted reservations)."""
    for taken in _taken(subject):
        if taken.most > taken.holds:
            yield Finding(_path(taken.name, "max_nodes"), f"{taken.told()}; allowed at most that", taken.raised())


def _reservation_idle(subject: Subject) -> Iterable[Finding]:
    """EC2 user guide, "Capacity Reservation pricing and billing": charged whether instances run in it or not."""
    for taken in _taken(subject):
        if taken.most < taken.holds:
            message = f"{taken.told()}, which are paid for in any case; raise max_nodes or reserve fewer"
            yield Finding(_path(taken.name, "max_nodes"), message, taken.raised())


def _block_size(subject: Subject) -> Iterable[Finding]:
    for _, name, group, reservation in _reserved(subject):
        if group.capacity == "capacity-block" and reservation.nodes > BLOCK_NODES:
            message = f"got {reservation.nodes}, but one capacity block holds at most {BLOCK_NODES} instances"
            yield Finding(_path(name, "reservation.nodes"), f"{message}; make a node group for each block")


def _block_ends(subject: Subject) -> Iterable[Finding]:
    """EKS user guide, Capacity Blocks: scale to zero more than 30 minutes before the block ends."""
    standby, groups = standby_groups(subject.env), {name: group for _, name, group in _groups(subject)}
    alone = all(groups[name].capacity == "capacity-block" for name in standby)
    for name, group in groups.items():
        if group.capacity == "capacity-block" and group.min_nodes:
            message = f"got {group.min_nodes}, but a capacity block ends, and the group must scale to zero before"
            if name in standby and alone:
                message += "; the standby needs nodes that stay: keep them in a group that is bought another way"
                yield Finding(_path(name, "min_nodes"), message)
            else:
                yield Finding(_path(name, "min_nodes"), f"{message}; allowed 0", (_set(name, "min_nodes", 0),))


def _few_interfaces(subject: Subject) -> Iterable[Finding]:
    for _, name, group in _groups(subject):
        row = INSTANCES.get(group.instance_type)
        if row and group.efa_interfaces and group.efa_interfaces < row.efa_interfaces:
            share = 100 * group.efa_interfaces / row.efa_interfaces
            message = (
                f"got {group.efa_interfaces}, but {row.name} has {row.efa_interfaces}: collectives get {share:.0f} % "
                "of its bandwidth; leave it out to use all"
            )
            yield Finding(_path(name, "efa_interfaces"), message, (_set(name, "efa_interfaces", None),))


RULES = (
    Rule(id="capacity-unsupported", severity="error", summary="the type is not sold in this way", find=_unsupported),
    Rule(
        id="architecture-unsupported",
        severity="error",
        summary="the nodes' image is for another CPU architecture",
        find=_architecture,
    ),
    Rule(
        id="capacity-block-unnamed",
        severity="error",
        summary="a capacity block is not named by its id",
        find=_block_without_id,
    ),
    Rule(id="capacity-block-size", severity="error", summary="more instances than a block can hold", find=_block_size),
    Rule(
        id="capacity-block-placed",
        severity="error",
        summary="a capacity block is asked for in a placement group",
        find=_block_placed,
    ),
    Rule(
        id="capacity-block-ends",
        severity="warning",
        summary="nodes of a capacity block are kept when it ends",
        find=_block_ends,
    ),
    Rule(
        id="spot-alone",
        severity="warning",
        summary="spot nodes have nothing to fall back to",
        find=_spot_alone,
    ),
    Rule(id="reservation-spot", severity="error", summary="spot nodes name a reservation", find=_spot_reserved),
    Rule(
        id="reservation-placed",
        severity="error",
        summary="a reservation without a placement group is asked for in a new one",
        find=_reservation_placed,
    ),
    Rule(
        id="reservation-outside-placement",
        severity="error",
        summary="nodes of a reservation are outside the placement group that it was made in",
        find=_reservation_outside,
    ),
    Rule(
        id="reservation-zone",
        severity="error",
        summary="nodes and their reservation are in different zones",
        find=_zone_of_reservation,
    ),
    Rule(
        id="reservation-too-small",
        severity="error",
        summary="a reservation holds fewer instances than its node groups may take",
        find=_reservation_small,
    ),
    Rule(
        id="reservation-idle",
        severity="warning",
        summary="a reservation holds more instances than its node groups may take",
        find=_reservation_idle,
    ),
    Rule(id="zone-unknown", severity="error", summary="a zone has no subnet in the VPC", find=_zones_known),
    Rule(
        id="zones-apart",
        severity="error",
        summary="nodes that must be close are spread over zones",
        find=_apart,
    ),
    Rule(
        id="efa-unplaced",
        severity="warning",
        summary="EFA nodes are in no cluster placement group",
        find=_unplaced,
    ),
    Rule(id="efa-too-few", severity="warning", summary="part of the EFA interfaces is unused", find=_few_interfaces),
)
