"""The two ends of the wire: how hosts and switches turn marks into priorities, and what they do for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fullbore.catalog.switches import SWITCHES, SwitchRow
from fullbore.config.fabric import DscpPriority, Switch
from fullbore.config.models import Site

ECN_CAPABLE = 2
"""ECT(0), the low two bits of the type of service (RFC 3168)."""
UNTAGGED = 0
"""The priority of frames without a VLAN tag where the tag is trusted (IEEE 802.1Q: the port's default priority)."""


@dataclass(frozen=True, kw_only=True)
class Queues:
    """What one end does with priorities 0 to 7."""

    trust: str
    dscp_to_priority: Mapping[int, int]
    pfc: frozenset[int]
    ecn: frozenset[int]

    def priority(self, dscp: int) -> int:
        """The priority of a packet with this DSCP; RoCE v2 over routed ports carries no VLAN tag."""
        return priority_of(dscp, self.dscp_to_priority) if self.trust == "dscp" else UNTAGGED


@dataclass(frozen=True, kw_only=True)
class HostQueues(Queues):
    """The hosts' NICs; every host of a site holds the same."""

    dscp: int
    cnp_dscp: int
    cnp_priority: int
    host_traffic_class: int | None

    @property
    def traffic_class(self) -> int:
        """The type of service that runtimes are told: the planned DSCP, capable of ECN."""
        return self.dscp << 2 | ECN_CAPABLE


@dataclass(frozen=True, kw_only=True)
class SwitchQueues(Queues):
    """The ports that hosts are plugged into."""

    profile: str
    cnp_priority: int | None
    mtu_bytes: int | None


def priority_of(dscp: int, changed: Mapping[int, int]) -> int:
    """The NIC's and the switch's default: the upper three bits of the DSCP (mlnx_qos prints it as dscp2prio)."""
    return changed.get(dscp, dscp >> 3)


def _map(entries: Iterable[DscpPriority]) -> dict[int, int]:
    return {entry.dscp: entry.priority for entry in entries}


def host_queues(site: Site) -> HostQueues | None:
    """None where the fabric is not RoCE, and has no such queues."""
    if site.fabric != "roce":
        return None
    qos = site.qos
    changed = _map(qos.dscp_to_priority)
    own = frozenset({priority_of(qos.dscp, changed)})
    return HostQueues(
        trust=qos.trust,
        dscp_to_priority=changed,
        pfc=own if qos.pfc is None else qos.pfc,
        ecn=own if qos.ecn is None else qos.ecn,
        cnp_priority=qos.cnp_priority,
        dscp=qos.dscp,
        cnp_dscp=qos.cnp_dscp,
        host_traffic_class=qos.host_traffic_class,
    )


def switch_queues(site: Site) -> SwitchQueues | None:
    """None where the fabric is not RoCE or its switches are not described. What is described wins over the profile."""
    given, hosts = site.switch, host_queues(site)
    if given is None or hosts is None:
        return None
    row = SWITCHES.get(given.profile or "")
    return SwitchQueues(
        profile=given.profile or "described",
        trust=given.trust or (row.trust if row else "none"),
        dscp_to_priority=_switch_map(given, row),
        pfc=frozenset((row.pfc if row else ()) if given.pfc is None else given.pfc),
        ecn=frozenset((row.ecn if row else ()) if given.ecn is None else given.ecn),
        cnp_priority=row.cnp_priority if row and given.cnp_priority is None else given.cnp_priority,
        mtu_bytes=given.mtu_bytes,
    )


def _switch_map(given: Switch, row: SwitchRow | None) -> Mapping[int, int]:
    if given.dscp_to_priority is not None:
        return _map(given.dscp_to_priority)
    return row.dscp_to_priority if row else {}
