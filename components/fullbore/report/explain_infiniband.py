"""What an explanation tells of an InfiniBand fabric: who manages its subnet, its partitions, and IP over it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from fullbore.config.infiniband import Infiniband, Membership
from fullbore.config.models import Environment
from fullbore.plan import infiniband
from fullbore.plan.model import Plan
from fullbore.report.section import Row, Section, fact

_PORTS = {"ALL": "every port", "ALL_SWITCHES": "switches", "SELF": "the subnet manager's"}
"""Members that OpenSM has names for."""


def infiniband_section(env: Environment, plan: Plan) -> Section:
    given = _given(env)
    rows = (*_manager(given, plan), *_ip(given, plan)) if given else ()
    return Section(title="fabric: subnet manager and IP over InfiniBand", rows=rows)


def _given(env: Environment) -> Infiniband | None:
    return env.site.infiniband if env.site and env.site.fabric == "infiniband" else None


def _manager(given: Infiniband, plan: Plan) -> Iterator[Row]:
    hosts = _managers(plan)
    if not hosts:
        yield fact("subnet manager", "none of the hosts", "UFM or a switch is; OpenSM is kept stopped on every host")
        return
    order = sorted(hosts, key=lambda host: -int(hosts[host]["opensm.sm_priority"]))
    for place, host in enumerate(order):
        wants = hosts[host]
        turn = "the master" if place == 0 else f"takes over from {order[place - 1]}"
        guid = wants["opensm.guid"]
        port = "its first port" if not int(guid, 16) else f"port {guid}"
        yield fact(f"subnet manager {place + 1}", host, f"{turn}; priority {wants['opensm.sm_priority']}, on {port}")
    routing = hosts[order[0]]["opensm.routing_engine"]
    yield fact("routing engine", routing, "given" if "routing" in _set(given) else "OpenSM's own default")


def _set(given: Infiniband) -> set[str]:
    """Fields of the subnet manager that the environment gives."""
    return given.subnet_manager.model_fields_set if given.subnet_manager else set()


def _managers(plan: Plan) -> dict[str, dict[str, str]]:
    """{host that runs OpenSM: {id of a setting: what it must be}}."""
    hosts = [host for group in (plan.site.groups if plan.site else ()) for host in group.hosts]
    found = {host.name: {setting.id: setting.want for setting in host.settings} for host in hosts if host.settings}
    return {name: wants for name, wants in found.items() if "opensm.guid" in wants}


def _ip(given: Infiniband, plan: Plan) -> Iterator[Row]:
    if given.ipoib is None:
        yield fact("IP over InfiniBand", "as it is", "site.infiniband.ipoib is not given")
        return
    settings = [s for group in (plan.site.groups if plan.site else ()) for s in group.settings]
    ours = {s.id: s.want for s in settings if s.role == infiniband.ROLE}
    names = sorted(id.removeprefix("ipoib.") for id in ours if id.startswith("ipoib."))
    for mode in sorted({ours[f"ipoib.{name}"] for name in names}):
        yield fact("mode of IP over InfiniBand", mode, f"on {', '.join(names)}")
    for mtu in sorted({int(ours[f"mtu.{name}"]) for name in names}):
        yield fact("IP MTU (bytes)", mtu, f"at most {infiniband.largest_mtu(given):,} in this mode")


def partitions_section(env: Environment, plan: Plan) -> Section:
    """Partitions are the same on every host that runs a subnet manager."""
    given = _given(env)
    wants = next(iter(_managers(plan).values()), dict[str, str]())
    partitions = {id.partition(".")[2]: want for id, want in wants.items() if id.startswith("partition.")}
    rows = tuple(_partition(given, name, want) for name, want in partitions.items() if given)
    note = "full members reach all of a partition, limited ones its full members only"
    return Section(title="fabric: partitions", rows=rows, note=note)


def _partition(given: Infiniband, name: str, want: str) -> Row:
    """A row of a definition, as plan.infiniband writes it: "PKEY,FLAGS: MEMBER=KIND, ..."."""
    flags, _, members = want.partition(": ")
    kinds = [member.split("=") for member in members.split(", ") if member]
    return {
        "partition": name,
        "key": flags.partition(",")[0],
        "full members": _members(given, name, "full", [who for who, kind in kinds if kind == "full"]),
        "limited members": _members(given, name, "limited", [who for who, kind in kinds if kind == "limited"]),
        "IP over InfiniBand": "yes" if ",ipoib" in flags else "no",
        "MTU of its multicast (bytes)": given.link_mtu_bytes if ",ipoib" in flags else "",
    }


def _members(given: Infiniband, name: str, kind: Membership, ports: list[str]) -> str:
    """Who the ports are of, and how many they are; names that stand for ports by themselves."""
    named = [_PORTS[port] for port in ports if port in _PORTS]
    manager = given.subnet_manager
    partition = manager.partitions.get(name) if manager else None
    of = [member for member, membership in (partition.members if partition else {}).items() if membership == kind]
    counted = [f"{len(ports)} ports of {', '.join(of)}"] if len(ports) > len(named) else []
    return ", ".join((*named, *counted)) or "none"
