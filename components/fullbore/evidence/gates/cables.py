"""Cabling against the plan: a wrong cable is named by host, port and expected peer, two that are swapped as a pair."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fullbore.evidence import floors
from fullbore.evidence.model import Cable, Group, Verdict
from fullbore.evidence.parse.links import Link
from fullbore.evidence.verdicts import measured

End = tuple[str, str]
"""(host, port) or (switch, port)."""


def judge_cables(group: Group, links: Iterable[Link]) -> Iterator[Verdict]:
    """Every planned cable; links that no plan has are of no interest here."""
    seen: dict[End, list[Link]] = {}
    for link in links:
        seen.setdefault((link.host, link.port), []).append(link)
    owners = {(cable.peer, cable.peer_port): cable for cable in group.cables}
    for cable in group.cables:
        found = seen.get((cable.host, cable.port), [])
        yield _verdict(group, cable, found, owners, seen)
        for rate in [link.gbps for link in found if link.peer and link.gbps is not None][:1]:
            path = f"{group.name}.{cable.host}.{cable.port}.rate"
            fix = "clean or change the cable; a lane that is down or a lower speed halves the port"
            yield measured("link-rate", path, "the link's rate", rate, floors.link(group.topology.link_gbps), fix)


def _verdict(
    group: Group, cable: Cable, found: list[Link], owners: dict[End, Cable], seen: dict[End, list[Link]]
) -> Verdict:
    ends = {(link.peer, link.peer_port) for link in found if link.peer}
    right = ends == {(cable.peer, cable.peer_port)}
    got = ", ".join(f"{peer} port {port}" for peer, port in sorted(ends)) or "not connected"
    return Verdict(
        gate="cabling",
        path=f"{group.name}.{cable.host}.{cable.port}",
        what="the other end of the cable",
        got=got,
        allowed=f"{cable.host} {cable.port} must be on {cable.peer} port {cable.peer_port}",
        source="the plan's cabling",
        fix=_fix(cable, ends, owners, seen),
        state="passed" if right else "failed",
    )


def _fix(cable: Cable, ends: set[End], owners: dict[End, Cable], seen: dict[End, list[Link]]) -> str:
    """Whose place the cable took, and whether that one is in this one's place."""
    if not ends:
        return "plug it in, or look at the transceivers at both ends"
    other = next((owners[end] for end in sorted(ends) if end in owners and owners[end] != cable), None)
    if other is None:
        return f"move it to {cable.peer} port {cable.peer_port}"
    there = {(link.peer, link.peer_port) for link in seen.get((other.host, other.port), [])}
    if (cable.peer, cable.peer_port) in there:
        return f"it is swapped with {other.host} {other.port}: change the two over"
    return f"move it to {cable.peer} port {cable.peer_port}; its place is of {other.host} {other.port}"
