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
    held = take_out(needed, maintenance, nodes, now)
    drained = sorted(needed.keys() - held.keys())
    failed = run(drained) if drained else {}
    back = [host for host in drained if host not in failed]
    return Rebooted(failed | (converge(back) if back else {}), held)


def take_out(needed: Mapping[str, list[str]], maintenance: Map, nodes: Nodes, now: datetime) -> dict[str, str]:
    """Drain machines, inside the window: {machine: why it stays in service} of the others."""
    why = waits(window_of(maintenance), now)
    if why:
        return {host: needs(ids, why) for host, ids in needed.items()}
    stays = {host: nodes.drain(host, maintenance["drainLimitS"]) for host in sorted(needed)}
    return {host: needs(needed[host], why) for host, why in stays.items() if why}


def needs(ids: Iterable[str], why: str) -> str:
    return f"needs a reboot for {', '.join(ids)}: {why}"
