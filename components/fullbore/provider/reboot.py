"""Reboots of machines that need one: inside the maintenance window, drained before, and put back when they are well."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from fullbore.provider.drain import Nodes
from fullbore.provider.values import Map
from fullbore.provider.window import waits, window_of


@dataclass(frozen=True)
class Rebooted:
    """How reboots of a wave ended."""

    failed: dict[str, str] = field(default_factory=dict[str, str])
    held: dict[str, str] = field(default_factory=dict[str, str])
    """Why machines were not rebooted; they are as well as before."""


def reboot(
    needed: Mapping[str, list[str]],
    maintenance: Map,
    nodes: Nodes,
    now: datetime,
    run: Callable[[Iterable[str]], dict[str, str]],
    converge: Callable[[Iterable[str]], dict[str, str]],
) -> Rebooted:
    """Reboot the machines of `needed`, {machine: settings that need it}.

    `run` reboots some and waits for their return, `converge` brings them to what they shall hold; both give why some
    failed. One that failed stays out of service.
    """
    why = waits(window_of(maintenance), now)
    if why:
        return Rebooted(held={host: needs(ids, why) for host, ids in needed.items()})
    held: dict[str, str] = {}
    for host, ids in sorted(needed.items()):
        stays = nodes.drain(host, maintenance["drainLimitS"])
        if stays:
            held[host] = needs(ids, stays)
    drained = sorted(needed.keys() - held.keys())
    failed = run(drained) if drained else {}
    back = [host for host in drained if host not in failed]
    return Rebooted(failed | (converge(back) if back else {}), held)


def needs(ids: Iterable[str], why: str) -> str:
    return f"needs a reboot for {', '.join(ids)}: {why}"
