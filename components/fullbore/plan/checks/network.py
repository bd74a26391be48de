"""Rules about address ranges."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network
from itertools import combinations

from fullbore.config.models import Environment
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
            yield Finding(second, message)


def _vpc_size(subject: Subject) -> Iterable[Finding]:
    cloud = subject.env.cloud
    if cloud and cloud.cidr.prefixlen not in VPC_PREFIXES:
        yield Finding(
            "cloud.cidr",
            f"got /{cloud.cidr.prefixlen}, allowed /{AWS_LARGEST_PREFIX} to /{AWS_SMALLEST_PREFIX} for a VPC",
        )


def _zones_fit(subject: Subject) -> Iterable[Finding]:
    cloud = subject.env.cloud
    if cloud is None or cloud.cidr.prefixlen not in VPC_PREFIXES:
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


RULES = (
    Rule(id="cidr-overlap", severity="error", summary="site, VPC or pod addresses overlap", find=_overlaps),
    Rule(id="vpc-size", severity="error", summary="the VPC is larger or smaller than AWS allows", find=_vpc_size),
    Rule(id="subnet-no-room", severity="error", summary="the VPC has no subnet left for a zone", find=_zones_fit),
    Rule(id="zone-twice", severity="error", summary="a zone is listed twice", find=_zones_twice),
)
