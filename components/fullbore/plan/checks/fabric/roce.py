"""What the rules about marks, priorities and queues of a RoCE fabric share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from fullbore.config.fabric import Qos, Runtimes, Switch
from fullbore.config.models import Site
from fullbore.plan.change import Change, apply, put
from fullbore.plan.checks.base import Finding, Subject
from fullbore.plan.fabric import HostQueues, SwitchQueues, host_queues
from fullbore.plan.fabric import switch_queues as described_switch
from fullbore.plan.model import LandingPlan


def queues_of(subject: Subject) -> Iterator[tuple[Site, HostQueues, SwitchQueues | None]]:
    """The site with its hosts' and switches' queues, where the fabric is RoCE."""
    site = subject.env.site
    hosts = host_queues(site) if site else None
    if site and hosts:
        yield site, hosts, described_switch(site)


def deciding_field(landing: LandingPlan) -> str:
    """Where the environment says, or could say, what decides the landing."""
    return own_field(landing) if landing.decided_by == landing.variable else "site.qos.host_traffic_class"


def own_field(landing: LandingPlan) -> str:
    """The runtime's own traffic class."""
    name, _, control = landing.runtime.partition(" ")
    return f"site.runtimes.{name}.{'control_' if control else ''}traffic_class"


def numbers(priorities: Iterable[int]) -> str:
    """`3, 6`, or `none`."""
    return ", ".join(map(str, sorted(priorities))) or "none"


def mapped(switch: SwitchQueues, dscp: int, priority: int) -> Change:
    """The switch's map with one entry more."""
    entries = {**switch.dscp_to_priority, dscp: priority}
    return put("site.switch.dscp_to_priority", [{"dscp": key, "priority": entries[key]} for key in sorted(entries)])


def drops(landing: LandingPlan, hosts: HostQueues, switch: SwitchQueues | None) -> bool:
    """True where packets drop though something is to be lossless: traffic-not-lossless tells, and the rest follows."""
    return not landing.lossless and not lossy_on_purpose(hosts, switch)


def lossy_on_purpose(hosts: HostQueues, switch: SwitchQueues | None) -> bool:
    """True where no priority is paused, neither on hosts nor on the switch."""
    return not hosts.pfc and (switch is None or not switch.pfc)


def to_the_end(find: Callable[[Subject], Iterable[Finding]]) -> Callable[[Subject], Iterator[Finding]]:
    """The rule's findings, each with every step until the rule finds nothing: after one step comes the next."""

    def found(subject: Subject) -> Iterator[Finding]:
        findings = list(find(subject))
        steps = tuple(_steps(find, subject)) if findings else ()
        yield from (finding._replace(changes=steps) for finding in findings)

    return found


def _steps(find: Callable[[Subject], Iterable[Finding]], subject: Subject) -> list[Change]:
    """What the findings say, done and asked again; nothing where that does not end."""
    made: list[Change] = []
    for _ in range(MOST_ROUNDS):
        steps = [change for finding in find(subject) for change in finding.changes]
        if not steps:
            return made
        made += steps
        subject = _after(subject, steps)
    return []


MOST_ROUNDS = 6


def _after(subject: Subject, steps: Iterable[Change]) -> Subject:
    """The subject with changes made to what its site says of marks and queues."""
    site = subject.env.site
    if site is None:
        return subject
    given: dict[str, Qos | Switch | Runtimes | None] = {name: getattr(site, name) for name in _SECTIONS}
    document = {name: section.model_dump(exclude_unset=True) if section else {} for name, section in given.items()}
    changed = apply({"site": {**document, "mtu_bytes": site.mtu_bytes}}, *steps)["site"]
    sections = {name: kind.model_validate(changed[name]) for name, kind in _SECTIONS.items() if given[name]}
    after = site.model_copy(update={**sections, "mtu_bytes": changed["mtu_bytes"]})
    return Subject(subject.env.model_copy(update={"site": after}), subject.endpoints)


_SECTIONS: Mapping[str, type[Qos | Switch | Runtimes]] = {"qos": Qos, "switch": Switch, "runtimes": Runtimes}
