"""Rules about what cloud nodes take: addresses of a zone's subnet, and the account's quotas."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from fullbore.catalog.shapes import QUOTAS
from fullbore.config.models import Cloud
from fullbore.plan.capacity import QuotaUse, ZoneNeed, asked_nodes, holds, quota_uses, zone_needs
from fullbore.plan.change import Change
from fullbore.plan.checks.base import Finding, Rule, Subject, counted
from fullbore.plan.checks.network import VPC_PREFIXES, larger_range


def _needs(subject: Subject) -> tuple[ZoneNeed, ...]:
    cloud = subject.env.cloud
    return zone_needs(cloud) if cloud and cloud.cidr.prefixlen in VPC_PREFIXES else ()


def _subnet_small(subject: Subject) -> Iterable[Finding]:
    short = [need for need in _needs(subject) if not holds(need)]
    if short and subject.env.cloud:
        worst = max(short, key=lambda need: need.least - need.room)
        change = _more_room(subject, comfortable=False)
        yield Finding(_need_path(worst), _need_message(worst, worst.least, "need", change), change)


def _subnet_warm(subject: Subject) -> Iterable[Finding]:
    """aws/amazon-vpc-cni-k8s README, WARM_ENI_TARGET and WARM_PREFIX_TARGET."""
    needs = _needs(subject)
    if not all(holds(need) for need in needs):
        return
    short = [need for need in needs if not holds(need, comfortable=True)]
    if short and subject.env.cloud:
        worst = max(short, key=lambda need: (need.wanted or 0) - need.room)
        change = _more_room(subject, comfortable=True)
        text = _need_message(worst, worst.wanted or 0, "take by the network plugin's defaults", change)
        yield Finding(_need_path(worst), text, change)


def _need_path(need: ZoneNeed) -> str:
    return f"cloud.node_groups.{need.groups[0]}.max_nodes" if len(need.groups) == 1 else "cloud.cidr"


def _need_message(need: ZoneNeed, want: int, verb: str, change: tuple[Change, ...]) -> str:
    unit = "addresses" if need.unit == "address" else "blocks of 16 addresses"
    todo = "; ".join(map(str, change)) or "choose a larger cloud.cidr or fewer nodes"
    nodes = f"{counted(need.nodes, 'node')}, " if need.nodes else ""
    return (
        f"{nodes}the control plane and the private endpoints {verb} {want} {unit} in zone "
        f"{need.zone}, but its subnet {need.subnet} has {need.room}; {todo}"
    )


def _more_room(subject: Subject, comfortable: bool) -> tuple[Change, ...]:
    """A larger range where one is free; else fewer nodes, where one group alone takes the room."""
    cloud = subject.env.cloud
    if cloud is None:
        return ()
    larger = larger_range(subject.env, cloud, comfortable)
    if larger:
        return (Change(path=("cloud", "cidr"), value=str(larger)),)
    return _fewer_nodes(cloud, comfortable)


def _fewer_nodes(cloud: Cloud, comfortable: bool) -> tuple[Change, ...]:
    groups = {name for need in zone_needs(cloud) for name in need.groups}
    if len(groups) != 1:
        return ()
    (name,) = groups
    group = cloud.node_groups[name]

    def too_many(nodes: int) -> bool:
        fewer = cloud.model_copy(update={"node_groups": {name: group.model_copy(update={"max_nodes": nodes})}})
        return not all(holds(need, comfortable) for need in zone_needs(fewer))

    counts = range(max(1, asked_nodes(group)), group.max_nodes)
    room = bisect_left(counts, True, key=too_many)
    return (Change(path=("cloud", "node_groups", name, "max_nodes"), value=counts[room - 1]),) if room else ()


def _quota_low(subject: Subject) -> Iterable[Finding]:
    for use in quota_uses(subject.env.cloud) if subject.env.cloud else ():
        if use.given is not None and use.asked > use.given:
            yield _quota(use, use.asked, "are asked for", use.given)


def _quota_max(subject: Subject) -> Iterable[Finding]:
    for use in quota_uses(subject.env.cloud) if subject.env.cloud else ():
        if use.given is not None and use.asked <= use.given < use.most:
            yield _quota(use, use.most, "are asked for at max_nodes", use.given)


def _quota(use: QuotaUse, count: int, asked: str, given: int) -> Finding:
    row = QUOTAS[use.name]
    fewer = "node groups" if row.unit == "node groups" else "nodes"
    message = (
        f"got {given} {row.unit} of {row.title!r} ({row.code}), but {count} {asked} by {use.by}; request "
        f"{count} from AWS, or take fewer {fewer}"
    )
    return Finding(f"cloud.quotas.{use.name}", message, (Change(path=("cloud", "quotas", use.name), value=count),))


RULES = (
    Rule(id="subnet-too-small", severity="error", summary="a zone's subnet cannot hold the nodes", find=_subnet_small),
    Rule(
        id="subnet-warm-pool",
        severity="warning",
        summary="the network plugin's warm pool does not fit a zone's subnet",
        find=_subnet_warm,
    ),
    Rule(id="quota-too-low", severity="error", summary="the nodes asked for exceed a quota", find=_quota_low),
    Rule(id="quota-below-max", severity="warning", summary="a quota stops scaling before max_nodes", find=_quota_max),
)
