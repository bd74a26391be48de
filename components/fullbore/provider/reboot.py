"""Reboots of machines that need one: inside the maintenance window, drained before, and put back when they are well."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from fullbore.provider.drain import Failed, Nodes, NotBack
from fullbore.provider.values import Map
from fullbore.provider.window import waits, window_of


@dataclass(frozen=True)
class Taken:
    """What became of machines that were to go out of service."""

    out: tuple[str, ...] = ()
    held: dict[str, str] = field(default_factory=dict[str, str])
    """Why machines stay in service; they are as well as before."""
    lost: dict[str, str] = field(default_factory=dict[str, str])
    """Why machines are out of service that were to stay."""


@dataclass(frozen=True)
class Rebooted:
    """How reboots of a wave ended. `held` and `lost` are as in `Taken`."""

    failed: dict[str, str] = field(default_factory=dict[str, str])
    held: dict[str, str] = field(default_factory=dict[str, str])
    lost: dict[str, str] = field(default_factory=dict[str, str])


class Upkeep:
    """The service of a group's machines during one change: who is out of it, and whether more may leave now."""

    def __init__(
        self,
        maintenance: Map,
        nodes: Nodes,
        now: Callable[[], datetime],
        stopped: Callable[[], bool],
        left_out: Iterable[str] = (),
    ) -> None:
        """`left_out` are machines that an earlier run took out, as far as that is known."""
        self._maintenance, self._nodes, self._now, self._stopped = maintenance, nodes, now, stopped
        self._window = window_of(maintenance)
        self._left_out = frozenset(left_out)
        self.out = set[str]()
        """Machines that this change took out of service and did not put back."""
        self.began_open = not waits(self._window, now())
        """Whether the window was open when the change began: where it was not, this change reboots nothing."""

    def shut(self) -> str:
        """Why no machine may leave now; empty where it may."""
        if self._stopped():
            return "the update was cancelled"
        why = waits(self._window, self._now())
        return why or ("" if self.began_open else "the window opened after the change began; the next up does it")

    def take_out(self, needed: Mapping[str, list[str]]) -> Taken:
        """Drain the machines of `needed`, {machine: settings that call for it}, inside the window.

        Where it closes in the meantime, those that were drained here serve again.
        """
        held, lost, new = dict[str, str](), dict[str, str](), list[str]()
        for host in sorted(needed.keys() - self.out):
            why = self.shut()
            try:
                why = why or self._nodes.drain(host, self._limit_s())
            except NotBack as error:
                lost[host] = str(error)
                continue
            if why:
                held[host] = needs(needed[host], why)
            else:
                new.append(host)
                self.out.add(host)
        out, why = sorted(needed.keys() - held.keys() - lost.keys()), self.shut()
        if why:
            lost |= self.put_back(new)
            held |= {host: needs(needed[host], why) for host in out if host not in lost}
            out = []
        return Taken(tuple(out), held, lost)

    def put_back(self, hosts: Iterable[str]) -> dict[str, str]:
        """Let machines serve again: {machine: why it does not}."""
        wanted = set(hosts)
        if not wanted:
            return {}
        try:
            lost = self._nodes.put_back(wanted)
        except Failed as error:
            lost = dict.fromkeys(wanted & (self.out | self._left_out), str(error))
        self.out -= wanted - lost.keys()
        return {host: f"not put back into service: {why}" for host, why in lost.items()}

    def are_out(self) -> set[str]:
        """Machines that this change or an earlier one took out, as far as that can be said."""
        try:
            return self.out | self._nodes.drained()
        except Failed:
            return self.out | self._left_out

    def reboot(
        self,
        needed: Mapping[str, list[str]],
        run: Callable[[Iterable[str]], dict[str, str]],
        converge: Callable[[Iterable[str]], dict[str, str]],
    ) -> Rebooted:
        """Reboot the machines of `needed`, {machine: settings that need it}.

        `run` reboots some and waits for their return, `converge` brings them to what they shall hold; both give why
        some failed. One that failed stays out of service.
        """
        taken = self.take_out(needed)
        failed = run(taken.out) if taken.out else {}
        back = [host for host in taken.out if host not in failed]
        return Rebooted(failed | (converge(back) if back else {}), taken.held, taken.lost)

    def _limit_s(self) -> int:
        """Seconds that pods have to leave: no more than are left of the window."""
        limit = int(self._maintenance["drainLimitS"])
        now = self._now()
        return min(limit, max(1, int((self._window.closes(now) - now).total_seconds()))) if self._window else limit


def needs(ids: Iterable[str], why: str) -> str:
    return f"needs a reboot for {', '.join(ids)}: {why}"
