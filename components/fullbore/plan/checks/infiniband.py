"""Rules about an InfiniBand fabric: who manages it, who is in which partition, and what IP over it may hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fullbore.config.infiniband import Infiniband, Partition, SubnetManager
from fullbore.config.models import Site
from fullbore.plan.change import put, remove
from fullbore.plan.checks.base import Finding, Rule, Subject
from fullbore.plan.fabric import fabric_plan
from fullbore.plan.infiniband import datagram_mtu, largest_mtu
from fullbore.plan.versions import resolve

NVIDIA_ENGINES = ("ar_updn", "ar_ftree")
"""Routing engines of NVIDIA's OpenSM alone: `opensm --help` of version 3.3.23 has neither."""


def _planned(subject: Subject) -> Iterator[tuple[Site, Infiniband]]:
    site = subject.env.site
    if site and site.infiniband and site.fabric == "infiniband":
        yield site, site.infiniband


def _managers(subject: Subject) -> Iterator[tuple[Site, SubnetManager]]:
    yield from ((site, planned.subnet_manager) for site, planned in _planned(subject) if planned.subnet_manager)


def _partitions(subject: Subject) -> Iterator[tuple[str, Site, Partition]]:
    for site, manager in _managers(subject):
        for name, partition in manager.partitions.items():
            yield f"site.infiniband.subnet_manager.partitions.{name}", site, partition


def _only(subject: Subject) -> Iterable[Finding]:
    site = subject.env.site
    if site and site.infiniband and site.fabric != "infiniband":
        path = "site.infiniband"
        message = f"is for an InfiniBand fabric, but site.fabric is {site.fabric}; remove it or correct site.fabric"
        yield Finding(path, message, (remove(path),))


def _hosts(subject: Subject) -> Iterable[Finding]:
    for site, manager in _managers(subject):
        known = {host for group in site.groups.values() for host in group.hosts}
        for name in manager.hosts:
            path = "site.infiniband.subnet_manager.hosts"
            if name not in known:
                yield Finding(path, f"got {name}, which is no host of the site; name hosts of site.groups")
            elif manager.hosts.count(name) > 1:
                yield Finding(path, f"got {name} twice, but each host runs one subnet manager; name it once")


def _alone(subject: Subject) -> Iterable[Finding]:
    for _, manager in _managers(subject):
        if len(manager.hosts) == 1:
            path = "site.infiniband.subnet_manager.hosts"
            message = (
                f"{manager.hosts[0]} alone manages the subnet: without it no port comes up, and no route is mended"
            )
            yield Finding(path, f"{message}; name a second host, which takes over")


def _guids(subject: Subject) -> Iterable[Finding]:
    first: dict[str, str] = {}
    for title, group in subject.env.site.groups.items() if subject.env.site else ():
        for host, spec in group.hosts.items():
            for hca, guid in spec.port_guids.items():
                path = f"site.groups.{title}.hosts.{host}.port_guids.{hca}"
                if guid in first:
                    yield Finding(path, f"got {guid}, which is {first[guid]}'s; every port has its own")
                first.setdefault(guid, path)


def _unused_guids(subject: Subject) -> Iterable[Finding]:
    """Partitions alone are made of them, of the devices that the group says are the fabric's."""
    site = subject.env.site
    members = {name for _, _, partition in _partitions(subject) for name in partition.members}
    for title, group in site.groups.items() if site else ():
        for host, spec in group.hosts.items():
            if site and spec.port_guids and not members & {title, host}:
                path = f"site.groups.{title}.hosts.{host}.port_guids"
                why = f"site.fabric is {site.fabric}; remove it"
                if site.fabric == "infiniband":
                    why = "no partition has this host; remove it, or make the host a member of one"
                yield Finding(path, f"given, but {why}", (remove(path),))
                continue
            for hca in spec.port_guids if group.hcas else ():
                if hca not in group.hcas:
                    path = f"site.groups.{title}.hosts.{host}.port_guids.{hca}"
                    why = f"site.groups.{title}.hcas has {', '.join(group.hcas)} alone"
                    yield Finding(path, f"given, but {why}; remove it, or add the device there", (remove(path),))


def _members(subject: Subject) -> Iterable[Finding]:
    for path, site, partition in _partitions(subject):
        for name in partition.members:
            yield from _member(f"{path}.members.{name}", site, name)


def _member(path: str, site: Site, name: str) -> Iterator[Finding]:
    hosts = {
        host: f"site.groups.{title}.hosts.{host}"
        for title, group in site.groups.items()
        for host in group.hosts
        if name in (title, host)
    }
    if not hosts:
        yield Finding(path, "is no group and no host of the site; name one of site.groups")
    for title, group in site.groups.items():
        for host in hosts.keys() & group.hosts.keys():
            lacking = [hca for hca in group.hcas if hca not in group.hosts[host].port_guids]
            if lacking or not group.hcas:
                what = f"no GUID of {', '.join(lacking)}" if lacking else "no RDMA devices in its group's hcas"
                fix = f"give site.groups.{title}.hosts.{host}.port_guids, as ibstat -p prints them"
                yield Finding(path, f"{host} has {what}, and partitions are made of ports; {fix}")


def _keys(subject: Subject) -> Iterable[Finding]:
    first: dict[int, str] = {}
    for path, _, partition in _partitions(subject):
        if partition.pkey in first:
            message = f"got {partition.pkey}, which is {first[partition.pkey]}'s; give each its own"
            yield Finding(f"{path}.pkey", message)
        first.setdefault(partition.pkey, path)


def _apart(subject: Subject) -> Iterable[Finding]:
    """Two ports reach each other in a partition where one of them at least is a full member."""
    for site, manager in _managers(subject):
        if manager.default_members == "full" or not fabric_plan(subject.env, site).flows:
            continue
        kinds = list(_memberships(site, manager))
        pairs = ((one, other) for index, one in enumerate(kinds) for other in kinds[index:])
        lonely = next((pair for pair in pairs if not _reach(*pair)), None)
        if lonely:
            path = "site.infiniband.subnet_manager.default_members"
            step = put(path, "full")
            names = " and ".join(dict.fromkeys((lonely[0].hosts[0], lonely[1].hosts[-1])))
            message = (
                f"got limited, but {names} send each other what the plan says under `fabric`, and no partition joins "
                f"them with one a full member; {step}, or make them full members of a partition"
            )
            yield Finding(path, message, (step,))


class _Kind(NamedTuple):
    """GPU hosts that are in the same partitions, and {partition: membership}."""

    hosts: list[str]
    member: dict[str, str]


def _memberships(site: Site, manager: SubnetManager) -> Iterable[_Kind]:
    kinds = dict[tuple[tuple[str, str], ...], _Kind]()
    for title, group in site.groups.items():
        for host in group.hosts if group.kind == "gpu" else ():
            given = (
                (name, part.members.get(host, part.members.get(title))) for name, part in manager.partitions.items()
            )
            member = {name: str(kind) for name, kind in given if kind}
            kind = kinds.setdefault(tuple(sorted(member.items())), _Kind([], member))
            kind.hosts.append(host)
    return kinds.values()


def _reach(one: _Kind, other: _Kind) -> bool:
    """True of one host alone, too."""
    if one is other and len(one.hosts) == 1:
        return True
    return any("full" in (one.member[name], other.member[name]) for name in one.member.keys() & other.member.keys())


def _connected(subject: Subject) -> Iterable[Finding]:
    """Every card that a lock can name is a ConnectX-4 or later, whose driver offloads IPoIB, in datagram mode only
    (Red Hat Enterprise Linux 9, Configuring IPoIB); NVIDIA's ib_ipoib has a parameter that turns this off (MLNX_OFED
    documentation, IP over InfiniBand)."""
    nic = resolve(subject.env).get("nic")
    for _, planned in _planned(subject):
        if nic and planned.ipoib and planned.ipoib.mode == "connected":
            path, most = "site.infiniband.ipoib.mode", datagram_mtu(planned)
            lower = (put("site.infiniband.ipoib.mtu_bytes", most),) if planned.ipoib.mtu_bytes > most else ()
            steps = (put(path, "datagram"), *lower)
            message = f"got connected, but {nic} offloads IPoIB and knows datagram only"
            how = "or load NVIDIA's ib_ipoib with ipoib_enhanced=0"
            yield Finding(path, f"{message}; {' and '.join(map(str, steps))}, {how}", steps)


def _mtu(subject: Subject) -> Iterable[Finding]:
    for _, planned in _planned(subject):
        most = largest_mtu(planned)
        if planned.ipoib and planned.ipoib.mtu_bytes > most:
            path = "site.infiniband.ipoib.mtu_bytes"
            limits = f"{planned.ipoib.mode} mode over links of {planned.link_mtu_bytes} allows {most}"
            step = put(path, most)
            yield Finding(path, f"got {planned.ipoib.mtu_bytes}, but {limits}; {step}", (step,))


def _unused_mtu(subject: Subject) -> Iterable[Finding]:
    """It is the MTU of the multicast groups that our OpenSM makes, and the bound of datagrams."""
    path = "site.infiniband.link_mtu_bytes"
    for _, planned in _planned(subject):
        datagrams = planned.ipoib is not None and planned.ipoib.mode == "datagram"
        if "link_mtu_bytes" in planned.model_fields_set and not (datagrams or planned.subnet_manager):
            mode = "IPoIB is in connected mode" if planned.ipoib else "no IPoIB is planned"
            why = f"{mode}, and no subnet manager of ours makes multicast groups"
            yield Finding(path, f"given, but {why}; remove it", (remove(path),))


def _engine(subject: Subject) -> Iterable[Finding]:
    for _, manager in _managers(subject):
        if manager.routing in NVIDIA_ENGINES and resolve(subject.env)["ofed"] == "inbox":
            path, step = "site.infiniband.subnet_manager.routing", put("versions.ofed", "doca_ofed")
            why = "which NVIDIA's OpenSM has, but versions.ofed is inbox"
            yield Finding(path, f"got {manager.routing}, {why}; {step}, or take updn or ftree", (step,))


RULES = (
    Rule(
        id="infiniband-only-setting",
        severity="error",
        summary="a setting of an InfiniBand fabric is given for another one",
        find=_only,
    ),
    Rule(
        id="subnet-manager-host",
        severity="error",
        summary="the subnet manager is to run on no host of the site, or twice on one",
        find=_hosts,
    ),
    Rule(
        id="subnet-manager-alone",
        severity="warning",
        summary="one host alone manages an InfiniBand subnet",
        find=_alone,
    ),
    Rule(
        id="port-guids-unused",
        severity="warning",
        summary="GUIDs of ports are given of a host that is in no partition, or of a device of another network",
        find=_unused_guids,
    ),
    Rule(
        id="link-mtu-unused",
        severity="warning",
        summary="an MTU of the links is given that nothing is made with",
        find=_unused_mtu,
    ),
    Rule(id="port-guid-twice", severity="error", summary="two ports have the same GUID", find=_guids),
    Rule(
        id="partition-member",
        severity="error",
        summary="a member of a partition is not of the site, or the GUIDs of its ports are not known",
        find=_members,
    ),
    Rule(id="partition-key", severity="error", summary="two partitions have the same key", find=_keys),
    Rule(
        id="partition-apart",
        severity="error",
        summary="hosts that send each other what the plan says share no partition that lets them",
        find=_apart,
    ),
    Rule(
        id="ipoib-connected",
        severity="warning",
        summary="the network cards do not know the connected mode of IP over InfiniBand",
        find=_connected,
    ),
    Rule(
        id="ipoib-mtu",
        severity="error",
        summary="the MTU of IP over InfiniBand is larger than its mode and the links allow",
        find=_mtu,
    ),
    Rule(
        id="routing-unsupported",
        severity="error",
        summary="the routing engine is not one of the OpenSM that the lock brings",
        find=_engine,
    ),
)
