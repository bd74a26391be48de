"""Rules about pause frames: does the traffic of every runtime land on a priority that hosts and switches pause."""

from __future__ import annotations

from collections.abc import Iterable

from fullbore.plan.change import Change, put
from fullbore.plan.checks.base import Finding, Rule, Subject
from fullbore.plan.checks.fabric.congestion import not_marked
from fullbore.plan.checks.fabric.roce import (
    deciding_field,
    drops,
    lossy_on_purpose,
    mapped,
    numbers,
    queues_of,
    to_the_end,
)
from fullbore.plan.fabric import HostQueues, SwitchQueues, landings
from fullbore.plan.fabric.landing import CONTROL
from fullbore.plan.model import LandingPlan


def _lossless(subject: Subject) -> Iterable[Finding]:
    for site, hosts, switch in queues_of(subject):
        for landing in landings(site):
            if drops(landing, hosts, switch) and not _own_queue(landing, hosts):
                message, step = _dropped(landing, hosts, switch)
                yield Finding(deciding_field(landing), message, (step,))


def _own_queue(landing: LandingPlan, hosts: HostQueues) -> bool:
    """True for control messages that were put beside the data on purpose (NVIDIA/nccl#1194)."""
    return landing.runtime == CONTROL and hosts.trust == "dscp" and landing.priority != hosts.priority(hosts.dscp)


def _control(subject: Subject) -> Iterable[Finding]:
    for site, hosts, switch in queues_of(subject):
        for landing in landings(site):
            if not _own_queue(landing, hosts) or not drops(landing, hosts, switch) or not landing.same_priority:
                continue
            own = landing.priority
            ends = [("site.qos.pfc", hosts.pfc)] + ([("site.switch.pfc", switch.pfc)] if switch else [])
            paused = (put(path, sorted({*pfc, own})) for path, pfc in ends if own not in pfc)
            # What is paused has to be marked, too: congestion-unmarked left this landing to this rule.
            steps = (*paused, *(step for mark in not_marked(landing, hosts, switch) for step in mark.changes))
            message = (
                f"control messages of NCCL land on priority {own}, away from its data and not paused, so that one that "
                f"drops is waited for; {' and '.join(map(str, steps))}, or keep that queue nearly empty"
            )
            yield Finding(deciding_field(landing), message, steps)


def _dropped(landing: LandingPlan, hosts: HostQueues, switch: SwitchQueues | None) -> tuple[str, Change]:
    """Why the traffic drops, and the next step out of it."""
    at = f"{landing.runtime} has traffic class {landing.traffic_class} ({landing.decided_by}), DSCP {landing.dscp}"
    if hosts.trust != "dscp":
        step = put("site.qos.trust", "dscp")
        return f"{at}, but hosts trust the VLAN tag, which routed RoCE has not; {step}", step
    if not landing.paused_by_host:
        step = put("site.qos.pfc", sorted({*hosts.pfc, landing.priority}))
        right = f"add {landing.priority} to site.qos.pfc"
        if _own_is_paused(hosts):
            step, right = put(deciding_field(landing), hosts.traffic_class), f"take {hosts.traffic_class}"
        paused = numbers(hosts.pfc)
        lands = f"{at}, lands on priority {landing.priority}, but hosts pause {paused} only, so that it drops"
        return f"{lands}; {right}", step
    if switch and not landing.same_priority:
        here = f"priority {landing.priority} on hosts, but {landing.switch_priority} on the switch"
        if switch.trust != "dscp":
            step = put("site.switch.trust", "dscp")
            return f"{at} is {here}, which does not look at the DSCP; {step}, there and here", step
        step = mapped(switch, landing.dscp, landing.priority)
        return f"{at} is {here}; map DSCP {landing.dscp} to {landing.priority} on the switch", step
    pfc = switch.pfc if switch else frozenset[int]()
    message = (
        f"{at}, lands on priority {landing.priority}, but the switch pauses {numbers(pfc)} only, so that it drops; "
        f"turn PFC on for priority {landing.priority} on the switch, and add it to site.switch.pfc"
    )
    return message, put("site.switch.pfc", sorted({*pfc, landing.priority}))


def _own_is_paused(hosts: HostQueues) -> bool:
    return hosts.priority(hosts.dscp) in hosts.pfc


def _lossy(subject: Subject) -> Iterable[Finding]:
    for site, hosts, switch in queues_of(subject):
        if lossy_on_purpose(hosts, switch):
            message = "no priority is paused, so that RoCE drops packets when queues are full and sends them again"
            own = hosts.priority(hosts.dscp)
            fix = f"turn PFC on for priority {own} on hosts and switches: pfc [{own}]"
            both = ("site.qos.pfc", "site.switch.pfc") if site.switch else ("site.qos.pfc",)
            yield Finding("site.qos.pfc", f"{message}; {fix}", tuple(put(path, [own]) for path in both))


def _idle(subject: Subject) -> Iterable[Finding]:
    """Each lossless priority keeps headroom of its own at every port (Guo and others, "RDMA over commodity Ethernet at
    scale", SIGCOMM 2016, section 2). What another rule tells of is left to that."""
    for site, hosts, switch in queues_of(subject):
        found = landings(site)
        used = {landing.priority for landing in found}
        idle = hosts.pfc - used - {hosts.cnp_priority}
        if idle and hosts.trust == "dscp" and all(landing.paused_by_host for landing in found):
            kept = sorted(hosts.pfc & used)
            ends = ("site.qos.pfc", "site.switch.pfc") if switch and switch.pfc == hosts.pfc else ("site.qos.pfc",)
            message = (
                f"got {numbers(hosts.pfc)}, but no runtime lands on {numbers(idle)}: a paused priority takes buffer "
                f"of every port, and what else lands there can stop it; pause {numbers(kept)}, unless something that "
                "is not described here needs the others"
            )
            yield Finding("site.qos.pfc", message, tuple(put(path, kept) for path in ends))


RULES = (
    Rule(
        id="traffic-not-lossless",
        severity="error",
        summary="a runtime's traffic lands on a priority that host or switch does not pause",
        find=to_the_end(_lossless),
    ),
    Rule(
        id="control-not-lossless",
        severity="warning",
        summary="NCCL's control messages have a priority of their own, which is not paused",
        find=_control,
    ),
    Rule(
        id="fabric-lossy",
        severity="warning",
        summary="no priority of a RoCE fabric is lossless",
        find=_lossy,
    ),
    Rule(
        id="pause-unused",
        severity="info",
        summary="a priority is paused that no runtime's traffic lands on",
        find=_idle,
    ),
)
