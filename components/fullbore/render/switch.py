"""Settings of switch ports towards RoCE hosts, for whoever runs the network: written out, never applied.

Each operating system has one function. What its documentation does not show how to do is said in a comment, and what
must hold stands above the commands in any case. Source of each: `catalog.switches.SWITCH_SYSTEMS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from shlex import quote

from fullbore.catalog.switches import SWITCH_SYSTEMS, SwitchSystem
from fullbore.plan.model import PortPlan, SitePlan

PORT = "PORT"
"""Stands for each port towards a host where no cables are planned."""
ROCE, CNP = 3, 6
"""Priorities of RoCE and of notifications in NVIDIA's presets."""
DEFAULT_PROFILE = "FULLBORE"
_OF_THE_PROFILE = ("ECN thresholds (bytes)", "scheduling")
"""What holds for switches of the planned profile alone."""


def system_of(profile: str) -> str:
    """The operating system of a switch profile, e.g. cumulus; empty where the profile is not of one."""
    name = profile.partition("-")[0]
    return name if name in SWITCH_SYSTEMS else ""


def switch_text(site: SitePlan, system: str) -> str:
    """What must hold, then the commands of `system` for every switch that hosts are cabled to."""
    row = SWITCH_SYSTEMS[system]
    fabric = site.fabric
    if fabric is None or fabric.port is None:
        return ""
    comment = "!" if system in ("onyx", "eos") else "#"
    heading = [f"Switch ports of {site.name} towards its hosts, for {system}. Nothing applies this by itself."]
    left_out = () if system == system_of(fabric.port.profile) else _OF_THE_PROFILE
    heading += [f"{line.item}: {line.value}" for line in fabric.switch if line.item not in left_out]
    heading += [f"Source of the commands: {row.source}"]
    lines = [f"{comment} {line}" for line in heading]
    for switch, ports in _ports(site).items():
        where = f"{switch}: {', '.join(ports)}" if switch else f"every switch; put each port towards a host for {PORT}"
        lines += ["", f"{comment} {where}", *_WRITERS[system](fabric.port, ports, row, comment)]
    return "\n".join(lines) + "\n"


def _ports(site: SitePlan) -> Mapping[str, list[str]]:
    """{switch: its ports towards hosts} of the planned cables; one switch without a name where there are none."""
    cables = [cable for group in site.groups for host in group.hosts for cable in host.cables]
    found: dict[str, list[str]] = {}
    for cable in sorted(cables, key=lambda cable: (cable.peer, _natural(cable.peer_port))):
        found.setdefault(cable.peer, []).append(cable.peer_port)
    return found or {"": [PORT]}


def _natural(name: str) -> tuple[int, str]:
    """swp2 before swp10."""
    return len(name), name


def _gaps(port: PortPlan, presets: bool) -> Iterator[str]:
    """What the presets, or any of the systems' commands here, do not cover."""
    if port.trust != "dscp":
        yield f"trust {port.trust}: only ports that trust the DSCP are written out; set it by hand"
    if presets and len(port.pfc) > 1:
        yield f"PFC on priorities {_joined(port.pfc)}: the preset has one; set the others by hand"
    if presets and tuple(port.ecn) != (port.priorities[port.dscp],):
        yield f"ECN on priorities {_joined(port.ecn)}: the preset marks that of RoCE; set the others by hand"
    if presets and port.priorities[port.cnp_dscp] != CNP:
        yield f"notifications in priority {port.priorities[port.cnp_dscp]}: the preset has {CNP}; set it by hand"


def _cumulus(port: PortPlan, ports: list[str], row: SwitchSystem, comment: str) -> Iterator[str]:
    del row
    roce = port.priorities[port.dscp]
    yield f"nv set qos roce mode {'lossless' if port.pfc else 'lossy'}"
    if roce != ROCE:
        if port.pfc:
            yield f"nv set qos pfc default-global switch-priority {roce}"
        yield f"nv set qos egress-queue-mapping default-global switch-priority {roce} traffic-class {ROCE}"
        yield f"nv set qos egress-queue-mapping default-global switch-priority {ROCE} traffic-class 0"
    moved = {dscp: priority for dscp, priority in port.priorities.items() if priority != dscp >> 3}
    if moved or roce != ROCE:
        yield "nv set qos mapping default-global trust both"
    for dscp, priority in moved.items():
        yield f"nv set qos mapping default-global dscp {dscp} switch-priority {priority}"
    if port.mtu_bytes:
        yield from (f"nv set interface {quote(name)} link mtu {port.mtu_bytes}" for name in ports)
    yield from (f"{comment} not written: {gap}" for gap in _gaps(port, presets=True))
    yield "nv config apply"


def _onyx(port: PortPlan, ports: list[str], row: SwitchSystem, comment: str) -> Iterator[str]:
    del row
    yield f"roce {'lossless' if port.pfc else 'lossy'}"
    if port.mtu_bytes:
        yield from (f"interface ethernet {name} mtu {port.mtu_bytes} force" for name in ports)
    gaps = list(_gaps(port, presets=True))
    if port.priorities[port.dscp] != ROCE:
        gaps.append(f"RoCE in priority {port.priorities[port.dscp]}: the preset has {ROCE}; set it by hand")
    moved = [f"{dscp} to {priority}" for dscp, priority in port.priorities.items() if priority != dscp >> 3]
    if moved:
        gaps.append(f"DSCP {', '.join(moved)}: the preset maps DSCP / 8; set it by hand")
    yield from (f"{comment} not written: {gap}" for gap in gaps)


def _sonic(port: PortPlan, ports: list[str], row: SwitchSystem, comment: str) -> Iterator[str]:
    yield "cat > /tmp/fullbore-qos.json <<'END'"
    yield json.dumps(sonic_tables(port, ports, row), indent=2)
    yield "END"
    yield "sudo config load -y /tmp/fullbore-qos.json"
    if port.mtu_bytes:
        yield from (f"sudo config interface mtu {quote(name)} {port.mtu_bytes}" for name in ports)
    yield from (f"{comment} not written: {gap}" for gap in _gaps(port, presets=False))


def sonic_tables(port: PortPlan, ports: Iterable[str], row: SwitchSystem) -> dict[str, dict[str, dict[str, str]]]:
    """Tables of CONFIG_DB. Headroom is the switch's dynamic buffer model's to compute."""
    all_dscps = {str(dscp): str(port.priorities.get(dscp, dscp >> 3)) for dscp in range(64)}
    one_to_one = {str(number): str(number) for number in range(8)}
    lossless = {str(number): str(number if number in port.pfc else 0) for number in range(8)}
    thresholds = {
        f"{colour}_{end}_threshold": str(size)
        for colour in ("green", "yellow", "red")
        for end, size in (("min", row.ecn_min_bytes), ("max", row.ecn_max_bytes))
    }
    enabled = {f"wred_{colour}_enable": "true" for colour in ("green", "yellow", "red")}
    dropped = {f"{colour}_drop_probability": "5" for colour in ("green", "yellow", "red")}
    name = DEFAULT_PROFILE
    maps = {"dscp_to_tc_map": name, "tc_to_queue_map": name, "tc_to_pg_map": name, "pfc_to_queue_map": name}
    pfc = {"pfc_enable": ",".join(map(str, port.pfc))} if port.pfc else {}
    strict = port.priorities[port.cnp_dscp]
    return {
        "DSCP_TO_TC_MAP": {name: all_dscps},
        "TC_TO_QUEUE_MAP": {name: one_to_one},
        "TC_TO_PRIORITY_GROUP_MAP": {name: lossless},
        "MAP_PFC_PRIORITY_TO_QUEUE": {name: one_to_one},
        "SCHEDULER": {f"{name}_STRICT": {"type": "STRICT"}},
        "WRED_PROFILE": {name: {**enabled, "ecn": "ecn_all", **thresholds, **dropped}},
        "PORT_QOS_MAP": {each: {**maps, **pfc} for each in ports},
        "QUEUE": {
            **{f"{each}|{queue}": {"wred_profile": name} for each in ports for queue in port.ecn if queue != strict},
            **{f"{each}|{strict}": {"scheduler": f"{name}_STRICT"} for each in ports},
        },
    }


def _eos(port: PortPlan, ports: list[str], row: SwitchSystem, comment: str) -> Iterator[str]:
    for dscp, priority in port.priorities.items():
        yield f"qos map dscp {dscp} to traffic-class {priority}"
    for priority in sorted(set(port.priorities.values()) - {7}):
        yield f"qos map traffic-class {priority} to tx-queue {priority}"
    yield f"qos profile {DEFAULT_PROFILE}"
    if port.pfc:
        yield "   priority-flow-control on"
    yield from (f"   priority-flow-control priority {priority} no-drop" for priority in port.pfc)
    yield f"   {comment} queues are tx-queue on platforms without queues of their own for unicast"
    for priority in port.ecn:
        yield f"   uc-tx-queue {priority}"
        low, high = (row.ecn_min_bytes or 0) // 1024, (row.ecn_max_bytes or 0) // 1024
        yield f"      random-detect ecn minimum-threshold {low} kbytes maximum-threshold {high} kbytes"
    yield f"   uc-tx-queue {port.priorities[port.cnp_dscp]}"
    yield "      priority strict"
    for name in ports:
        yield f"interface {name}"
        yield "   qos trust dscp"
        yield f"   service-profile {DEFAULT_PROFILE}"
        if port.mtu_bytes:
            yield f"   mtu {port.mtu_bytes}"
    yield from (f"{comment} not written: {gap}" for gap in _gaps(port, presets=False))


def _joined(priorities: Iterable[int]) -> str:
    return ", ".join(map(str, priorities)) or "none"


_WRITERS: Mapping[str, Callable[[PortPlan, list[str], SwitchSystem, str], Iterator[str]]] = {
    "cumulus": _cumulus,
    "onyx": _onyx,
    "sonic": _sonic,
    "eos": _eos,
}
