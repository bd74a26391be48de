"""Rules about the acceptance of machines: cables that could be no one's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fullbore.config.acceptance import Cable
from fullbore.config.models import HostGroup
from fullbore.plan.checks.base import Finding, Rule, Subject


def _cables(subject: Subject) -> Iterator[tuple[str, HostGroup, str, Cable]]:
    """(path, group, port, cable) of every cable of the site."""
    for name, group in subject.env.site.groups.items() if subject.env.site else ():
        for host, spec in group.hosts.items():
            for port, cable in spec.cables.items():
                yield f"site.groups.{name}.hosts.{host}.cables.{port}", group, port, cable


def _port(subject: Subject) -> Iterable[Finding]:
    """On InfiniBand the subnet manager names RDMA devices, elsewhere LLDP names interfaces."""
    infiniband = bool(subject.env.site and subject.env.site.fabric == "infiniband")
    for path, group, port, _ in _cables(subject):
        field, ports = ("hcas", group.hcas) if infiniband else ("interfaces", group.interfaces)
        if port not in ports:
            allowed = ", ".join(ports) or "none"
            yield Finding(path, f"got {port}, allowed the group's {field}: {allowed}; correct it, or add it to {field}")


def _twice(subject: Subject) -> Iterable[Finding]:
    first: dict[tuple[str, str], str] = {}
    for path, _, _, cable in _cables(subject):
        end = (cable.switch, cable.port)
        if end in first:
            yield Finding(path, f"got {cable.switch} port {cable.port}, which is {first[end]}'s; give each its own")
        first.setdefault(end, path)


RULES = (
    Rule(
        id="cable-port",
        severity="error",
        summary="a cable's port is none of the group's: RDMA devices on InfiniBand, interfaces elsewhere",
        find=_port,
    ),
    Rule(id="cable-twice", severity="error", summary="two cables end in one port of a switch", find=_twice),
)
