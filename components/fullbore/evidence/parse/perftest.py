"""`ib_write_bw` and `ib_write_lat` of perftest."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fullbore.evidence.unreadable import Unreadable, positive

_DEVICE = re.compile(r"Device\s*:\s*(\S+)")
LEAST_BYTES = 65536
"""The message that floors are measured with, and perftest's default; smaller ones measure the rate of messages."""
MIB_TO_GBIT = 8 * 1.048576 / 1000
"""perftest's MB is 2^20 bytes: its help says of --report_gbits 'instead of MiB/sec'."""


@dataclass(frozen=True, kw_only=True)
class Bandwidth:
    """The average rate of the largest message, the lowest where it was measured several times, Gbit/s."""

    device: str
    message_bytes: int
    gbps: float


@dataclass(frozen=True, kw_only=True)
class Latency:
    """The average latency of the smallest message, microseconds."""

    device: str
    message_bytes: int
    us: float


def parse_bandwidth(text: str) -> Bandwidth:
    """The client's output, in Gbit/s or in MiB/s. A bidirectional run sums both ways and is not read."""
    head, rows = _table(text, "RDMA_Write BW Test", "BW average")
    column = _column(head, "BW average")
    size = max(int(row[0]) for row in rows)
    if size < LEAST_BYTES:
        raise Unreadable(f"its largest message has {size} bytes; run it with -s {LEAST_BYTES}")
    scale = 1.0 if "Gb/sec" in head[column] else MIB_TO_GBIT
    rate = min(positive(row[column], "BW average") for row in rows if int(row[0]) == size)
    return Bandwidth(device=_device(text), message_bytes=size, gbps=rate * scale)


def parse_latency(text: str) -> Latency:
    """The client's output of a run by iterations (`-n`); a run by time (`-D`) has other columns and passes too."""
    head, rows = _table(text, "RDMA_Write Latency Test", "t_avg")
    smallest = min(rows, key=lambda row: int(row[0]))
    average = positive(smallest[_column(head, "t_avg")], "t_avg")
    return Latency(device=_device(text), message_bytes=int(smallest[0]), us=average)


def _device(text: str) -> str:
    found = _DEVICE.search(text)
    if not found:
        raise Unreadable("it names no device")
    return found[1]


def _table(text: str, title: str, column: str) -> tuple[list[str], list[list[str]]]:
    """The head of the result table and its rows, as cells."""
    if title not in text:
        raise Unreadable(f"it is not titled '{title}'")
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.strip().startswith("#bytes")]
    if not starts or column not in lines[starts[-1]]:
        raise Unreadable(f"it has no table with '{column}'")
    head = re.split(r"\s{2,}|(?<=#bytes)\s+", lines[starts[-1]].strip())
    rows = [line.split() for line in lines[starts[-1] + 1 :] if re.match(r"\s*\d+\s+\d+\s", line)]
    if not rows or any(len(row) != len(head) for row in rows):
        raise Unreadable("its table has no whole row")
    return head, rows


def _column(head: list[str], name: str) -> int:
    return next(index for index, cell in enumerate(head) if cell.startswith(name))
