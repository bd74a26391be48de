"""Which machines change next, of those that a change has not reached yet. Pure, and light: a provider imports it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Left:
    """What a change has not reached yet of one group."""

    idle: tuple[str, ...] = ()
    """Machines that serve nothing: they are new, or a change failed on them. All go first: nothing is lost by it."""
    out: tuple[str, ...] = ()
    """Machines that count as out of service, though something may still run on them: they go before those that serve,
    in waves as these do."""
    serving: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.idle or self.out or self.serving)

    def without(self, wave: Iterable[str]) -> Left:
        done = frozenset(wave)
        return Left(
            idle=tuple(host for host in self.idle if host not in done),
            out=tuple(host for host in self.out if host not in done),
            serving=tuple(host for host in self.serving if host not in done),
        )


def next_wave(left: Left, *, at_once: int, room: int, proven: bool) -> tuple[str, ...]:
    """The machines that change next; none where nothing is left, or no machine may go out of service.

    `room` is how many more may go out of service now; `proven` says that a canary holds the change well.
    """
    if left.idle:
        return left.idle
    # Those that are out already take no room: it was taken when they went.
    return (*left.out, *left.serving)[: max(0, min(at_once if proven else 1, room + len(left.out)))]
