"""A change of a group in waves, and what the groups of one run share: the room that their pool's floor leaves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from fullbore.provider.base import ProviderError
from fullbore.waves import Left, next_wave

UNREACHABLE: Final = "unreachable: "
"""How the reason of a host begins that was not reached: it says nothing of the change."""
LEFT_OUT: Final = "a reboot that was not finished left it out of service"
"""The reason of a host whose node is cordoned: it says nothing of the host."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A group of a pool. `pool` is empty where it changes all at once."""

    urn: str
    pool: str = ""
    at_once: int = 1
    spare: int = 1
    max_failures: int = 0
    reboots: bool = False
    """Whether its machines may be rebooted in this change."""


@dataclass
class _Pool:
    failed: dict[str, int] = field(default_factory=dict[str, int])
    """{group: machines of it that have failed}"""
    changing: dict[str, int] = field(default_factory=dict[str, int])
    """{group: serving machines of it that change now}"""
    canary: str = ""
    """Group whose canary changes now."""
    proven: bool = False
    booted: bool = False
    """Whether the change was proven where machines may be rebooted."""
    bad: str = ""
    """The canary that failed."""

    def proves(self, member: Member) -> bool:
        return self.proven and (self.booted or not member.reboots)

    def room(self, member: Member) -> int:
        busy = sum(count for urn, count in self.changing.items() if urn != member.urn)
        return member.spare - sum(self.failed.values()) - busy


class Pools:
    """The pools of one run. The engine changes groups of one stage at the same time, each in its own thread."""

    def __init__(self) -> None:
        self._pools: dict[str, _Pool] = {}
        self._freed = threading.Condition()

    def note(self, member: Member, failed: int) -> None:
        """Machines of the group that are out of service, because they failed."""
        with self._freed:
            self._of(member).failed[member.urn] = failed

    def take(self, member: Member, left: Left) -> tuple[str, ...]:
        """The next wave; it waits while other groups of the pool take the room. Empty where there will be none."""
        with self._freed:
            pool = self._of(member)
            while True:
                wave = () if pool.bad else self._wave(pool, member, left)
                if wave or not (pool.changing or pool.canary):
                    break
                self._freed.wait()
            if wave and not left.idle:
                pool.changing[member.urn] = len(wave)
                pool.canary = pool.canary or ("" if pool.proves(member) else member.urn)
            return wave

    def give_back(
        self, member: Member, wave: tuple[str, ...], left: Left, failed: Mapping[str, str], untried: Collection[str]
    ) -> None:
        """The wave is done. `left` is what it was taken from, `failed` all machines of the group that have failed.

        `untried` are machines that the change was not tried on.
        """
        with self._freed:
            pool = self._of(member)
            pool.changing.pop(member.urn, None)
            pool.failed[member.urn] = len(failed)
            if pool.canary == member.urn and not left.idle:
                pool.canary = ""
                verdicts = [failed.get(host, "") for host in wave]
                proven = not any(verdicts) and any(host not in untried for host in wave)
                pool.proven, pool.booted = pool.proven or proven, pool.booted or (proven and member.reboots)
                if any(verdict and not verdict.startswith(UNREACHABLE) for verdict in verdicts):
                    pool.bad = wave[0]
            self._freed.notify_all()

    def why_none(self, member: Member) -> str:
        """Why `take` gave nothing."""
        pool = self._pools[member.pool]
        if pool.bad:
            return f"{pool.bad}, which changed first, failed"
        return (
            f"of kind {member.pool}, at most {member.spare} may be out of service, and {sum(pool.failed.values())} "
            f"failed; mend what failed first, or lower site.rolling.min_serving_share"
        )

    def _of(self, member: Member) -> _Pool:
        return self._pools.setdefault(member.pool, _Pool())

    def _wave(self, pool: _Pool, member: Member, left: Left) -> tuple[str, ...]:
        if not left.idle and pool.canary:
            return ()
        return next_wave(left, at_once=member.at_once, room=pool.room(member), proven=pool.proves(member))


@dataclass(frozen=True)
class Rolled:
    """How a change ended: why machines failed, and why others were not touched."""

    failed: dict[str, str]
    pending: dict[str, str]


def roll(
    pools: Pools,
    member: Member,
    left: Left,
    change: Callable[[tuple[str, ...]], dict[str, str]],
    failed: Mapping[str, str],
    untried: Collection[str] = frozenset(),
    drained: Collection[str] = frozenset(),
) -> Rolled:
    """Change what is left wave by wave. `change` gives {machine: reason} of those of a wave that failed.

    `failed` are machines that failed before. `change` keeps the last two up to date: machines that it left as they
    were, and those that it took out of service. Stops where the canary fails, where more than `max_failures` have
    failed, and where no more may go out of service. Raises ProviderError where not even the first wave could be run
    and nothing was taken out of service for it.
    """
    now, why, first = dict(failed), "", True
    pools.note(member, len(now))
    while left and not why:
        wave = pools.take(member, left)
        if not wave:
            why = pools.why_none(member)
            break
        bad: dict[str, str] = dict.fromkeys(wave, "the run ended before this host was done")
        try:
            bad = change(wave)
        except ProviderError as error:
            if first and not any(host in drained for host in wave):
                raise
            bad, why = dict.fromkeys(wave, str(error)), str(error)
        finally:
            now = {host: reason for host, reason in now.items() if host not in wave} | bad
            pools.give_back(member, wave, left, now, untried)
        first, left = False, left.without(wave)
        count = sum(host not in left.out for host in now)
        if count > member.max_failures:
            why = why or f"{count} failed, but maxFailures is {member.max_failures}"
    return Rolled(now, dict.fromkeys((*left.idle, *left.serving), f"not touched: {why}"))
