"""Rules about address ranges."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network
from itertools import combinations

from fullbore.config.models import Environment
from fullbore.plan.checks.base import Finding, Rule, Subject
from fullbore.plan.network import AWS_SMALLEST_PREFIX, free_addresses, slot_prefix, zone_subnet

ADDRESSES_PER_NODE = 2
"""The least that a node takes: its own address and one pod's."""
_VPC_PREFIXES = range(16, AWS_SMALLEST_PREFIX + 1)


def _ranges(env: Environment) -> dict[str, IPv4Network]:
    ranges: dict[str, IPv4Network] = {}
    if env.site:
        ranges["site.cidr"] = env.site.cidr
    if env.cloud:
        ranges["cloud.cidr"] = env.cloud.cidr
    if env.cluster:
        ranges["cluster.pod_cidr"] = env.cluster.pod_cidr
    return ranges


def _overlaps(subject: Subject) -> Iterable[Finding]:
    for (first, one), (second, other) in combinations(_ranges(subject.env).items(), 2):
        if one.overlaps(other):
            message = f"{other} overlaps {first} {one}; routes between them would be ambiguous, choose another range"
            yield Finding(second, message)


def _vpc_size(subject: Subject) -> Iterable[Finding]:
    cloud = subject.env.cloud
    if cloud and cloud.cidr.prefixlen not in _VPC_PREFIXES:
        yield Finding("cloud.cidr", f"got /{cloud.cidr.prefixlen}, allowed /16 to /{AWS_SMALLEST_PREFIX} for a VPC")


def _zones_fit(subject: Subject) -> Iterable[Finding]:
    cloud = subject.env.cloud
    if cloud is None or cloud.cidr.prefixlen not in _VPC_PREFIXES:
        return
    slots = 2 ** (slot_prefix(cloud.cidr) - cloud.cidr.prefixlen)
    for index, zone in enumerate(cloud.zones):
        if zone_subnet(cloud.cidr, zone) is None:
            message = f"{cloud.cidr} has room for {slots} subnets, but zone {zone} is number {ord(zone) - ord('a') + 1}"
            yield Finding(f"cloud.zones[{index}]", f"{message}; choose a larger cloud.cidr")


def _zones_twice(subject: Subject) -> Iterable[Finding]:
    cloud = subject.env.cloud
    for index, zone in enumerate(cloud.zones if cloud else ()):
        if cloud and zone in cloud.zones[:index]:
            yield Finding(f"cloud.zones[{index}]", f"zone {zone} is listed twice; list each zone once")


def _nodes_fit(subject: Subject) -> Iterable[Finding]:
    """Nodes that work as one gang share a zone, so that all of a group must fit one subnet."""
    cloud = subject.env.cloud
    if cloud is None or cloud.cidr.prefixlen not in _VPC_PREFIXES:
        return
    subnet = IPv4Network((int(cloud.cidr.network_address), slot_prefix(cloud.cidr)))
    room = free_addresses(subnet) // ADDRESSES_PER_NODE
    for name, group in cloud.node_groups.items():
        if group.max_nodes > room:
            message = f"{group.max_nodes} nodes, but a zone's subnet (/{subnet.prefixlen}) has room for {room}"
            yield Finding(
                f"cloud.node_groups.{name}.max_nodes", f"{message}; choose a larger cloud.cidr or fewer nodes"
            )


RULES = (
    Rule(id="cidr-overlap", severity="error", summary="site, VPC or pod addresses overlap", find=_overlaps),
    Rule(id="vpc-size", severity="error", summary="the VPC is larger or smaller than AWS allows", find=_vpc_size),
    Rule(id="subnet-no-room", severity="error", summary="the VPC has no subnet left for a zone", find=_zones_fit),
    Rule(id="zone-twice", severity="error", summary="a zone is listed twice", find=_zones_twice),
    Rule(id="subnet-too-small", severity="error", summary="a zone's subnet cannot hold the nodes", find=_nodes_fit),
)
