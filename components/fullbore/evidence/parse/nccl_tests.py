"""`all_reduce_perf`, `alltoall_perf` and their like of nccl-tests 2.13 and later."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fullbore.evidence.unreadable import Unreadable, positive

GIB = 1 << 30
_ROW = re.compile(
    r"^\s*(?P<size>\d+)\s+\d+\s+\w+\s+\w+\s+-?\d+"
    r"\s+\S+\s+\S+\s+(?P<out>\S+)\s+(?P<out_wrong>\d+|N/A)"
    r"\s+\S+\s+\S+\s+(?P<in_>\S+)\s+(?P<in_wrong>\d+|N/A)\s*$"
)
_RANK = re.compile(r"^#\s+Rank\s+(\d+)\s.*? on\s+(\S+)\s+device", re.MULTILINE)
_WRONG = re.compile(r"^# Out of bounds values : (\d+) (\w+)", re.MULTILINE)
_NAME = re.compile(r"^# Collective test \w+: (\w+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Collective:
    """One run. `busbw` is the mean over messages of 1 GiB and more, both out of place and in place, GB/s."""

    name: str
    """As the tool says it; empty where it is too old to."""
    ranks: int
    hosts: int
    largest_bytes: int
    busbw: float
    wrong: int
    """Values that came out wrong."""


def parse_collective(text: str) -> Collective:
    """A run that went to its end: the summary at the foot is there."""
    verdict = _WRONG.search(text)
    if not verdict:
        raise Unreadable("it did not run to its end: 'Out of bounds values' is missing")
    rows, ranks = _rows(text), _RANK.findall(text)
    if not ranks:
        raise Unreadable("it lists no rank")
    large = [row for row in rows if int(row["size"]) >= GIB]
    if not large:
        raise Unreadable("no message of 1 GiB or more was measured; run it with -b 1G -e 16G -f 2")
    rates = [positive(row[key], "busbw") for row in large for key in ("out", "in_")]
    wrong = sum(int(row[key]) for row in rows for key in ("out_wrong", "in_wrong") if row[key] != "N/A")
    name = _NAME.search(text)
    return Collective(
        name=name[1] if name else "",
        # NCCL numbers them without gaps, and logs may be abridged.
        ranks=max(int(rank) for rank, _ in ranks) + 1,
        hosts=len({host for _, host in ranks}),
        largest_bytes=max(int(row["size"]) for row in large),
        busbw=sum(rates) / len(rates),
        wrong=max(wrong, int(verdict[1]), int(verdict[2] != "OK")),
    )


def _rows(text: str) -> list[re.Match[str]]:
    """Rows of the table; a line that begins as one and is not whole makes the run unreadable."""
    begun = [line for line in text.splitlines() if re.match(r"^\s*\d+\s+\d+\s+\w+\s", line)]
    rows = [_ROW.match(line) for line in begun]
    broken = next((line for line, row in zip(begun, rows, strict=True) if row is None), None)
    if broken is not None:
        raise Unreadable(f"a row is not whole: {broken.strip()[:80]}")
    return [row for row in rows if row]
