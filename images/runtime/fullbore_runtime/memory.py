"""When GPU memory will run out, from what was seen of it. Pure: no NVML and no clock.

Lines are drawn through the samples, for a leak that lasts and for one that has just begun; the steeper one counts.
What was loaded once and stays, and what comes and goes below its own peak, is neither.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

QUIET = 0.5
"""Share of the memory below which no growth is told of, unless asked: loading a model looks like a fast leak."""
SAMPLES = 300
"""Samples that are kept: five minutes of one a second."""
RECENT = 5
"""Samples of the line through what happened last."""
SETTLED = 4 * RECENT
"""Samples that a leak has to last for to count as one that lasts."""
CALM = 2.0
"""A warning ends where the memory would last this many times longer than what it warns of."""


@dataclass(frozen=True)
class Reading:
    """Memory of one GPU at one time, bytes. `processes` is {process id: bytes}; None where NVML does not tell."""

    at_s: float
    index: int
    uuid: str
    name: str
    total: int
    used: int
    reserved: int = 0
    processes: Mapping[int, int | None] = field(default_factory=dict[int, "int | None"])

    @property
    def room(self) -> int:
        """What can still be allocated."""
        return max(0, self.total - self.used - self.reserved)


@dataclass(frozen=True)
class Outlook:
    """A GPU's memory now and to come. `full_in_s` is infinite while it does not grow.

    `growing` is {process id: bytes a second} of the processes that grow; `warns` says that it is time to act.
    """

    reading: Reading
    full_in_s: float
    growing: Mapping[int, float]
    warns: bool

    def __str__(self) -> str:
        now = self.reading
        who = max(self.growing, key=lambda pid: self.growing[pid], default=None)
        cause = f"; process {who} grows by {self.growing[who] / 2**20:.0f} MiB/s" if who is not None else ""
        left = f"{now.room / 2**30:.1f} of {now.total / 2**30:.1f} GiB are left"
        return f"gpu {now.index} ({now.uuid}): {left}, and will be used up in {self.full_in_s:.0f} s{cause}"


class Watch:
    """What was seen of one GPU.

    `within_s` is the time ahead of the end that it warns. Below `quiet` of the memory it never does.
    """

    def __init__(self, *, within_s: float, quiet: float = QUIET) -> None:
        self.within_s, self.quiet = within_s, quiet
        self.samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES)
        self.processes: dict[int, deque[tuple[float, int]]] = {}
        self.warned = False

    def see(self, reading: Reading) -> Outlook:
        """Take one reading in."""
        self.samples.append((reading.at_s, reading.used))
        full_in_s = seconds_until(self.samples, reading.room)
        growing = {pid: rate for pid, rate in self._rates(reading).items() if rate > 0}
        limit = self.within_s * (CALM if self.warned else 1.0)
        self.warned = reading.used > self.quiet * reading.total and full_in_s <= limit
        return Outlook(reading, full_in_s, growing, self.warned)

    def _rates(self, reading: Reading) -> dict[int, float]:
        """Growth of each process, bytes a second; those that have ended are forgotten."""
        known = {pid: used for pid, used in reading.processes.items() if used is not None}
        self.processes = {pid: self.processes.get(pid, deque(maxlen=RECENT)) for pid in known}
        for pid, used in known.items():
            self.processes[pid].append((reading.at_s, used))
        return {pid: slope(samples) for pid, samples in self.processes.items()}


def seconds_until(samples: Sequence[tuple[float, int]], room: int) -> float:
    """Seconds until `room` more bytes are used, if memory grows on as in the samples of (time s, bytes used)."""
    rate = max(_slow(list(samples)), _sudden(list(samples)))
    return room / rate if rate > 0 else math.inf


def _slow(seen: list[tuple[float, int]]) -> float:
    """Bytes a second of a leak that lasts: the later half grows as well, and its peak is above that of the earlier."""
    half = len(seen) // 2
    if len(seen) < SETTLED or peak(seen[half:]) <= peak(seen[:half]):
        return 0.0
    return min(slope(seen), slope(seen[half:]))


def _sudden(seen: list[tuple[float, int]]) -> float:
    """Bytes a second of a leak that has just begun: the last samples never shrink, and end above all before them."""
    recent = seen[-RECENT:]
    rises = all(after >= before for (_, before), (_, after) in pairwise(recent))
    return slope(recent) if len(recent) == RECENT and rises and recent[-1][1] > peak(seen[:-RECENT]) else 0.0


def peak(samples: Sequence[tuple[float, int]]) -> int:
    return max((used for _, used in samples), default=0)


def slope(samples: Sequence[tuple[float, int]]) -> float:
    """Bytes a second: the least-squares line through (time s, bytes); 0 with fewer than three samples."""
    count = len(samples)
    if count < 3:
        return 0.0
    # From the first sample on, so that the sums keep their digits; one pass, for this is done at every reading.
    first_at, first_used = samples[0]
    t = u = tt = tu = 0.0
    for at, used in samples:
        x, y = at - first_at, used - first_used
        t += x
        u += y
        tt += x * x
        tu += x * y
    spread = tt - t * t / count
    return (tu - t * u / count) / spread if spread else 0.0
