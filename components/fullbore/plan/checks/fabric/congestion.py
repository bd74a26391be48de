"""Rules about congestion: is it marked where traffic lands, and do notifications of it travel by themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from fullbore.config.models import Site
from fullbore.plan.change import Change, put
from fullbore.plan.checks.base import Finding, Rule, Subject
from fullbore.plan.checks.fabric.roce import deciding_field, drops, numbers, queues_of, to_the_end
from fullbore.plan.fabric import HostQueues, SwitchQueues, landings
from fullbore.plan.fabric.landing import CONTROL
from fullbore.plan.fabric.queues import ECN_CAPABLE
from fullbore.plan.model import LandingPlan


def _unmarked(subject: Subject) -> Iterable[Finding]:
    for site, hosts, switch in queues_of(subject):
        for landing in landings(site):
            if not drops(landing, hosts, switch):
                yield from not_marked(landing, hosts, switch)


def not_marked(landing: LandingPlan, hosts: HostQueues, switch: SwitchQueues | None) -> Iterator[Finding]:
    """Why the landing's congestion is not marked."""
    if not landing.ecn_capable:
        better = landing.dscp << 2 | ECN_CAPABLE
        message = f"{landing.runtime} has traffic class {landing.traffic_class}, whose last two bits say that it"
        fix = f"cannot be marked and slowed down; take {better}"
        yield Finding(deciding_field(landing), f"{message} {fix}", (put(deciding_field(landing), better),))
    for path, marked, priority in _markers(landing, hosts, switch):
        if priority not in marked:
            message = f"{landing.runtime} lands on priority {priority}, but congestion is marked for"
            step = put(path, sorted({*marked, priority}))
            yield Finding(path, f"{message} {numbers(marked)} only; add {priority}", (step,))


def _markers(
    landing: LandingPlan, hosts: HostQueues, switch: SwitchQueues | None
) -> Iterator[tuple[str, frozenset[int], int]]:
    """(field, priorities that are marked, priority of the landing) of each end."""
    yield "site.qos.ecn", hosts.ecn, landing.priority
    if switch and landing.switch_priority is not None:
        yield "site.switch.ecn", switch.ecn, landing.switch_priority


def _cnp(subject: Subject) -> Iterable[Finding]:
    for site, hosts, switch in queues_of(subject):
        path, priority = "site.qos.cnp_priority", hosts.cnp_priority
        data = _data_priorities(site, hosts)
        if priority in hosts.pfc:
            message = f"got {priority}, which is paused: a congestion notification would wait for the congestion"
            fix, steps = _way_out("take a priority that is not", hosts, switch, data)
            yield Finding(path, f"{message}; {fix}", steps)
        elif priority in data:
            message = f"got {priority}, on which {data[priority]} lands: a notification would wait behind its data"
            fix, steps = _way_out("take a priority of its own", hosts, switch, data)
            yield Finding(path, f"{message}; {fix}", steps)
        mapped = hosts.priority(hosts.cnp_dscp)
        if hosts.trust == "dscp" and mapped != priority:
            message = f"got {hosts.cnp_dscp}, which is priority {mapped}, but site.qos.cnp_priority is {priority}"
            step = put("site.qos.cnp_dscp", priority << 3)
            yield Finding("site.qos.cnp_dscp", f"{message}; take {priority << 3} or map it to {priority}", (step,))
        if switch and switch.cnp_priority not in (None, priority):
            message = (
                f"hosts send notifications in priority {priority}, the switch keeps {switch.cnp_priority} for them"
            )
            step = put("site.switch.cnp_priority", priority)
            yield Finding("site.switch.cnp_priority", f"{message}; set both to the same", (step,))


def _data_priorities(site: Site, hosts: HostQueues) -> dict[int, str]:
    """{priority: runtime whose data lands on it}; none where a VLAN tag is trusted: all is in one priority then."""
    data = (landing for landing in landings(site) if landing.runtime != CONTROL)
    return {landing.priority: landing.runtime for landing in data} if hosts.trust == "dscp" else {}


def _way_out(
    take: str, hosts: HostQueues, switch: SwitchQueues | None, data: Collection[int]
) -> tuple[str, tuple[Change, ...]]:
    """A priority for notifications that is neither paused nor data's; where there is none, one less is paused."""
    path = "site.qos.cnp_priority"
    free = [priority for priority in FOR_NOTIFICATIONS if priority not in {*hosts.pfc, *data}]
    if free:
        return f"{take}, e.g. {free[0]}", (put(path, free[0]),)
    own = next(priority for priority in (hosts.cnp_priority, *FOR_NOTIFICATIONS) if priority not in data)
    kept = sorted(hosts.pfc - {own})
    steps = [put("site.qos.pfc", kept)]
    if switch and own in switch.pfc:
        steps.append(put("site.switch.pfc", sorted(switch.pfc - {own})))
    if own == hosts.cnp_priority:
        return f"no priority is free: pause {numbers(kept)} only", tuple(steps)
    return f"no priority is free: pause {numbers(kept)} only, and take {own}", (*steps, put(path, own))


FOR_NOTIFICATIONS = (6, 7, 5, 4, 2, 1, 0, 3)
"""6, as most switches keep it for them, and the others; runtimes take four at most."""


RULES = (
    Rule(
        id="congestion-unmarked",
        severity="warning",
        summary="congestion of a runtime's traffic is not marked, so that nothing slows it down",
        find=to_the_end(_unmarked),
    ),
    Rule(
        id="cnp-priority",
        severity="error",
        summary="congestion notifications do not travel in a priority of their own",
        find=to_the_end(_cnp),
    ),
)
