"""Rules about the region, instance types and node groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from fullbore.catalog.instances import INSTANCES
from fullbore.catalog.offerings import OFFERED, missing_in
from fullbore.catalog.regions import PARTITIONS, REGIONS
from fullbore.config.models import Cloud, Environment, NodeGroup
from fullbore.plan.capacity import told_zones
from fullbore.plan.change import Change, put, remove
from fullbore.plan.checks.base import Finding, Rule, Subject
from fullbore.plan.sovereignty import data_flows

PARTITION = "aws"
"""The partition that policies and endpoints are named in."""


def _named(subject: Subject) -> Iterator[tuple[str, str]]:
    """Path and name of each region that something is made in."""
    cloud, replication = subject.env.cloud, subject.env.replication
    if cloud:
        yield "cloud.region", cloud.region
    if replication and replication.time_control:
        yield "replication.time_control.region", replication.time_control.region


def _region(subject: Subject) -> Iterable[Finding]:
    for path, region in _named(subject):
        if region not in REGIONS:
            near = get_close_matches(region, REGIONS, n=3)
            hint = f"did you mean {', '.join(near)}?" if near else f"e.g. {', '.join(PARTITIONS[PARTITION][:3])}"
            changes = (put(path, near[0]),) if near else ()
            yield Finding(path, f"got {region[:60]}, which is no region of AWS; {hint}", changes)


def _partition(subject: Subject) -> Iterable[Finding]:
    for path, region in _named(subject):
        partition = REGIONS.get(region, PARTITION)
        if partition != PARTITION:
            message = f"got {region} of the partition {partition}, but policies are named in partition {PARTITION}"
            yield Finding(path, f"{message}; choose a region of that partition")


def _zones(subject: Subject) -> Iterable[Finding]:
    """Amazon EKS user guide, "Subnet requirements and considerations"."""
    cloud = subject.env.cloud
    if cloud and len(set(cloud.zones)) < 2:
        message = f"got {cloud.zones[0]} alone, but an EKS cluster takes subnets in two zones at least; add another"
        yield Finding("cloud.zones", message)


def _groups(subject: Subject) -> Iterator[tuple[str, NodeGroup]]:
    for name, group in subject.env.cloud.node_groups.items() if subject.env.cloud else ():
        yield f"cloud.node_groups.{name}", group


def _unknown(subject: Subject) -> Iterable[Finding]:
    for path, group in _groups(subject):
        if group.instance_type not in INSTANCES:
            near = get_close_matches(group.instance_type, INSTANCES, n=3)
            hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(sorted(INSTANCES))}"
            changes = (put(f"{path}.instance_type", near[0]),) if near else ()
            yield Finding(f"{path}.instance_type", f"{group.instance_type[:60]} is not in the catalog; {hint}", changes)


def _not_offered(subject: Subject) -> Iterable[Finding]:
    """A warning, because AWS adds types to regions; a sandbox buys nothing."""
    cloud = subject.env.cloud
    if cloud is None or subject.env.sandbox:
        return
    types = [group.instance_type for group in cloud.node_groups.values()]
    for path, group in _groups(subject):
        if missing_in(group.instance_type, cloud.region) and told_zones(cloud, group.instance_type) is None:
            others = sorted(OFFERED[group.instance_type], key=lambda region: (not _near(region, cloud.region), region))
            all_of_them = [region for region in others if not any(missing_in(kind, region) for kind in types)]
            message = f"got {group.instance_type}, which {cloud.region} is not known to offer; it is known in"
            able = [region for region in all_of_them if _may_move(subject.env, cloud, region)]
            stays = "; data or agents may not go with it, so take another type" if all_of_them and not able else ""
            move = (put("cloud.region", able[0]), *_forgotten(cloud)) if able else ()
            yield Finding(f"{path}.instance_type", f"{message} {', '.join(others)}{stays}", move)


def _may_move(env: Environment, cloud: Cloud, region: str) -> bool:
    """True where no data goes against sovereignty in the other region that did not here, and no agent stays behind."""
    agents = env.replication.agent_arns if env.replication else ()
    after = env.model_copy(update={"cloud": cloud.model_copy(update={"region": region})})
    left = any(arn.split(":")[3] == cloud.region for arn in agents)
    return not left and _refused(after) <= _refused(env)


def _refused(env: Environment) -> set[tuple[str, str]]:
    return {(flow.path, flow.data) for flow in data_flows(env) if not flow.allowed} if env.sovereignty else set()


def _forgotten(cloud: Cloud) -> Iterator[Change]:
    """What an account was told of the zones of one region is not true of another's."""
    yield from (remove(f"cloud.{name}") for name in ("zone_ids", "offerings") if getattr(cloud, name))


def _near(region: str, other: str) -> bool:
    """True where both are on one continent."""
    return region.partition("-")[0] == other.partition("-")[0]


def _efa(subject: Subject) -> Iterable[Finding]:
    for path, group in _groups(subject):
        row = INSTANCES.get(group.instance_type)
        if row and group.efa_interfaces is not None and group.efa_interfaces > row.efa_interfaces:
            message = f"got {group.efa_interfaces}, but {row.name} has {row.efa_interfaces}; allowed at most that"
            yield Finding(f"{path}.efa_interfaces", message, (put(f"{path}.efa_interfaces", row.efa_interfaces),))


def _counts(subject: Subject) -> Iterable[Finding]:
    for path, group in _groups(subject):
        if group.min_nodes > group.max_nodes:
            yield _beyond_most(f"{path}.min_nodes", group.min_nodes, group.max_nodes)
        if group.desired_nodes > group.max_nodes:
            yield _beyond_most(f"{path}.desired_nodes", group.desired_nodes, group.max_nodes)


def _beyond_most(path: str, got: int, most: int) -> Finding:
    return Finding(path, f"got {got}, allowed at most max_nodes {most}", (put(path, most),))


RULES = (
    Rule(id="unknown-region", severity="error", summary="AWS has no such region", find=_region),
    Rule(
        id="region-partition",
        severity="error",
        summary="the region is in a partition of AWS that is not supported",
        find=_partition,
    ),
    Rule(id="zones-few", severity="error", summary="an EKS cluster needs two availability zones", find=_zones),
    Rule(id="unknown-instance", severity="error", summary="the catalog has no such instance type", find=_unknown),
    Rule(
        id="type-not-offered",
        severity="warning",
        summary="the region is not known to offer the instance type",
        find=_not_offered,
    ),
    Rule(id="efa-too-many", severity="error", summary="more EFA interfaces than the type has", find=_efa),
    Rule(id="node-counts", severity="error", summary="min, desired and max nodes disagree", find=_counts),
)
