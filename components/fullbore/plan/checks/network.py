"""Rules about address ranges."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network
from itertools import combinations

from fullbore.config.models import Cloud, Environment
from fullbore.plan.capacity import holds, large_enough, zone_needs
from fullbore.plan.change import put
from fullbore.plan.checks.base import Finding, Rule, Subject
from fullbore.plan.network import AWS_LARGEST_PREFIX, AWS_SMALLEST_PREFIX, slot_prefix, zone_subnet

VPC_PREFIXES = range(AWS_LARGEST_PREFIX, AWS_SMALLEST_PREFIX + 1)


def ranges(env: Environment) -> dict[str, IPv4Network]:
    """Address ranges that must not overlap, by the path of each."""
    ranges: dict[str, IPv4Network] = {}
    if env.site:
        ranges["site.cidr"] = env.site.cidr
    if env.cloud:
        ranges["cloud.cidr"] = env.cloud.cidr
    if env.cluster:
        ranges["cluster.pod_cidr"] = env.cluster.pod_cidr
    return ranges


def _overlaps(subject: Subject) -> Iterable[Finding]:
    for (first, one), (second, other) in combinations(ranges(subject.env).items(), 2):
        if one.overlaps(other):
            message = f"{other} overlaps {first} {one}; routes between them would be ambiguous, choose another range"
            free = _free(subject.env, second, other.prefixlen)
            hint, changes = (f", e.g. {free}", (put(second, str(free)),)) if free else ("", ())
            yield Finding(second, message + hint, changes)


PRIVATE = IPv4Network("10.0.0.0/8")
"""RFC 1918."""


def _free(env: Environment, path: str, prefix: int) -> IPv4Network | None:
    """The first private range of this size that overlaps no other one of the environment."""
    others = [network for name, network in ranges(env).items() if name != path]
    size = 2 ** (32 - prefix)
    first, last = int(PRIVATE.network_address), int(PRIVATE.broadcast_address)
    while first + size - 1 <= last:
        found = IPv4Network((first, prefix))
        taken = [int(other.broadcast_address) for other in others if other.overlaps(found)]
        if not taken:
            return found
        first = (max(taken) // size + 1) * size
    return None


def _vpc_size(subject: Subject) -> Iterable[Finding]:
    cloud = subject.env.cloud
    if cloud and cloud.cidr.prefixlen not in VPC_PREFIXES:
        message = f"got /{cloud.cidr.prefixlen}, allowed /{AWS_LARGEST_PREFIX} to /{AWS_SMALLEST_PREFIX} for a VPC"
        near = _sized(cloud.cidr, min(max(cloud.cidr.prefixlen, AWS_LARGEST_PREFIX), AWS_SMALLEST_PREFIX))
        yield Finding("cloud.cidr", f"{message}, e.g. {near}", (put("cloud.cidr", str(near)),))


def _sized(network: IPv4Network, prefix: int) -> IPv4Network:
    """The range of this size that holds the network, or that begins it."""
    larger = prefix < network.prefixlen
    return network.supernet(new_prefix=prefix) if larger else next(network.subnets(new_prefix=prefix))


def _zones_fit(subject: Subject) -> Iterable[Finding]:
    cloud = subject.env.cloud
    if cloud is None or cloud.cidr.prefixlen not in VPC_PREFIXES:
        return
    slots = 2 ** (slot_prefix(cloud.cidr) - cloud.cidr.prefixlen)
    for index, zone in enumerate(cloud.zones):
        if zone_subnet(cloud.cidr, zone) is None:
            message = f"{cloud.cidr} has room for {slots} subnets, but zone {zone} is number {ord(zone) - ord('a') + 1}"
            larger = _with_room(subject.env, cloud)
            yield Finding(
                f"cloud.zones[{index}]",
                f"{message}; choose a larger cloud.cidr, e.g. {larger}",
                (put("cloud.cidr", str(larger)),),
            )


def _with_room(env: Environment, cloud: Cloud) -> IPv4Network:
    """The range that holds the nodes, too, as subnet-too-small and subnet-warm-pool propose it; where none does, the
    smallest around the VPC's that has a subnet for each zone. The largest one has."""
    larger = larger_range(env, cloud, comfortable=all(holds(need) for need in zone_needs(cloud)))
    sizes = (
        cloud.cidr.supernet(new_prefix=prefix) for prefix in range(cloud.cidr.prefixlen, AWS_LARGEST_PREFIX - 1, -1)
    )
    return larger or next(wide for wide in sizes if all(zone_subnet(wide, zone) for zone in cloud.zones))


def larger_range(env: Environment, cloud: Cloud, comfortable: bool) -> IPv4Network | None:
    """The smallest range around the VPC's that holds every zone's need; None where none does that is free."""
    larger = large_enough(cloud, comfortable)
    others = (network for path, network in ranges(env).items() if path != "cloud.cidr")
    return None if larger is None or any(network.overlaps(larger) for network in others) else larger


def _zones_twice(subject: Subject) -> Iterable[Finding]:
    cloud = subject.env.cloud
    for index, zone in enumerate(cloud.zones if cloud else ()):
        if cloud and zone in cloud.zones[:index]:
            once = put("cloud.zones", list(dict.fromkeys(cloud.zones)))
            yield Finding(f"cloud.zones[{index}]", f"zone {zone} is listed twice; list each zone once", (once,))


RULES = (
    Rule(id="cidr-overlap", severity="error", summary="site, VPC or pod addresses overlap", find=_overlaps),
    Rule(id="vpc-size", severity="error", summary="the VPC is larger or smaller than AWS allows", find=_vpc_size),
    Rule(id="subnet-no-room", severity="error", summary="the VPC has no subnet left for a zone", find=_zones_fit),
    Rule(id="zone-twice", severity="error", summary="a zone is listed twice", find=_zones_twice),
)
