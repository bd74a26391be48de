"""Rules about availability zones by their ids: which zone a letter stands for, and what AWS offers there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fullbore.catalog.offerings import PREFIXES, ZONES, missing_in
from fullbore.config.models import Cloud, NodeGroup
from fullbore.config.paths import dotted
from fullbore.plan.capacity import offers, told_zones, zones_of
from fullbore.plan.change import Change, put
from fullbore.plan.checks.base import Finding, Rule, Subject

WITHOUT_EKS = ("use1-az3", "usw1-az2", "cac1-az3")
"""Zones in which a cluster takes no subnets (EKS user guide, "Subnet requirements for clusters")."""
LEAST_ZONES = 2
"""Zones that a cluster takes subnets in at least (the same)."""


def _ids(subject: Subject) -> Iterable[Finding]:
    """EC2 user guide, "Availability Zone IDs": each account maps letters to zones in its own way, one to one."""
    cloud = subject.env.cloud
    if cloud is None:
        return
    if cloud.offerings and not cloud.zone_ids:
        message = "has no effect without cloud.zone_ids, which says what the account's letters stand for; add it"
        yield Finding("cloud.offerings", message)
    letters: dict[str, str] = {}
    for letter, zone_id in cloud.zone_ids.items():
        path, prefix = f"cloud.zone_ids.{letter}", PREFIXES.get(cloud.region)
        if prefix and zone_id.partition("-")[0] != prefix:
            yield Finding(path, f"got {zone_id}, but zones of {cloud.region} are {prefix}-az1 and so on")
        if letters.setdefault(zone_id, letter) != letter:
            yield Finding(path, f"got {zone_id}, as {letters[zone_id]} has; each letter is a zone of its own")
    for zone in dict.fromkeys(cloud.zones) if cloud.zone_ids else ():
        if zone not in cloud.zone_ids:
            message = f"has no {zone}, which is in cloud.zones; add what `aws ec2 describe-availability-zones` tells"
            yield Finding("cloud.zone_ids", message)


def _refused(subject: Subject) -> Iterable[Finding]:
    """What the account was told (EC2 API reference, DescribeInstanceTypeOfferings)."""
    yield from _not_offered(subject, by_account=True)


def _not_known(subject: Subject) -> Iterable[Finding]:
    """What the catalog knows; a warning, because AWS adds types to zones, and a sandbox buys nothing.

    Where the whole region is not known to offer the type, type-not-offered says so."""
    if not subject.env.sandbox:
        yield from _not_offered(subject, by_account=False)


def _not_offered(subject: Subject, *, by_account: bool) -> Iterator[Finding]:
    cloud = subject.env.cloud
    for name, group in cloud.node_groups.items() if cloud else ():
        if cloud is None or (told_zones(cloud, group.instance_type) is not None) != by_account:
            continue
        if not by_account and missing_in(group.instance_type, cloud.region):
            continue
        lacking = [zone for zone in zones_of(cloud, group) if offers(cloud, group.instance_type, zone) is False]
        if lacking:
            named, how = ", ".join(_named(cloud, zone) for zone in lacking), "" if by_account else "known to be "
            message = f"got {group.instance_type}, which is not {how}offered in {named}; {_hint(cloud, group)}"
            told = dotted(("cloud", "offerings", group.instance_type)) if by_account else "cloud.offerings"
            message += f" ({told} says so)" if by_account else f", or give {told} what the account was told"
            yield Finding(_where(name, group), message, _elsewhere(cloud, name, group))


def _where(name: str, group: NodeGroup) -> str:
    field = "zones" if group.zones else "reservation.zone" if group.reservation else "instance_type"
    return f"cloud.node_groups.{name}.{field}"


def _named(cloud: Cloud, zone: str) -> str:
    return f"{zone} ({cloud.zone_ids[zone]})"


def _able(cloud: Cloud, group: NodeGroup) -> list[str]:
    """Letters of zones that offer the group's type, those with a subnet first."""
    letters = dict.fromkeys((*cloud.zones, *sorted(cloud.zone_ids)))
    return [zone for zone in letters if offers(cloud, group.instance_type, zone)]


def _hint(cloud: Cloud, group: NodeGroup) -> str:
    able = _able(cloud, group)
    if group.reservation and not group.zones:
        return "correct the zone of the reservation, or cloud.zone_ids"
    if able:
        subnet = "" if able[0] in cloud.zones else ", and add it to cloud.zones"
        return f"use {' or '.join(_named(cloud, zone) for zone in able)}{subnet}"
    told = told_zones(cloud, group.instance_type)
    told = ZONES.get(group.instance_type, ()) if told is None else told
    here = [zone_id for zone_id in told if zone_id.startswith(f"{PREFIXES.get(cloud.region)}-")]
    return f"add {' or '.join(here)} to cloud.zone_ids and cloud.zones" if here else "choose another type or region"


def _elsewhere(cloud: Cloud, name: str, group: NodeGroup) -> tuple[Change, ...]:
    """The first zone that offers the type, with a subnet there; nothing where a reservation says the zone."""
    able = [] if group.reservation else _able(cloud, group)
    if not able:
        return ()
    subnet = () if able[0] in cloud.zones else (put("cloud.zones", [*cloud.zones, able[0]]),)
    return (*subnet, put(f"cloud.node_groups.{name}.zones", able[:1]))


def _without_eks(subject: Subject) -> Iterable[Finding]:
    cloud = subject.env.cloud
    if cloud is None:
        return
    kept = [zone for zone in dict.fromkeys(cloud.zones) if cloud.zone_ids.get(zone) not in WITHOUT_EKS]
    for index, zone in enumerate(cloud.zones):
        if cloud.zone_ids.get(zone) in WITHOUT_EKS:
            enough = len(kept) >= LEAST_ZONES
            fix = "leave it out" if enough else "take another in its place"
            message = f"got {_named(cloud, zone)}, in which an EKS cluster takes no subnet; {fix}"
            yield Finding(f"cloud.zones[{index}]", message, (put("cloud.zones", kept),) if enough else ())


def _offerings(subject: Subject) -> Iterable[Finding]:
    """What no node group is placed by, or no zone of the region can be."""
    cloud = subject.env.cloud
    types = {group.instance_type for group in cloud.node_groups.values()} if cloud else set[str]()
    for name, ids in cloud.offerings.items() if cloud else ():
        path, prefix = ("cloud", "offerings", name), PREFIXES.get(cloud.region) if cloud else None
        strange = [zone_id for zone_id in ids if prefix and zone_id.partition("-")[0] != prefix]
        if name not in types:
            message = "has no effect: no node group is of this type; remove it, or correct its name"
        elif cloud and strange:
            region = f"zones of {cloud.region} are {prefix}-az1 and so on"
            message = f"got {strange[0]}, but {region}; give what the account was told there, or remove it"
        else:
            continue
        yield Finding(dotted(path), message, (Change(path=path, value=None),))


RULES = (
    Rule(
        id="offerings-unused",
        severity="warning",
        summary="zones are named of an instance type that no node group is of, or that are of another region",
        find=_offerings,
    ),
    Rule(
        id="zone-ids",
        severity="error",
        summary="the ids of the account's zones are incomplete, or contradict each other or the region",
        find=_ids,
    ),
    Rule(
        id="zone-not-offered",
        severity="error",
        summary="a zone does not offer the instance type, as the account was told",
        find=_refused,
    ),
    Rule(
        id="zone-without-type",
        severity="warning",
        summary="a zone is not known to offer the instance type",
        find=_not_known,
    ),
    Rule(
        id="zone-without-eks",
        severity="error",
        summary="an EKS cluster takes no subnet in a zone",
        find=_without_eks,
    ),
)
