"""Block-layer settings of NVMe drives: one value for all of a machine, else what there is of each."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from .system import System

DRIVE = re.compile(r"nvme\d+n\d+")
"""A namespace; nvme0c1n1 is one path of it, which the kernel hides."""


def read_readahead(system: System, key: str, want: str) -> str:
    del key, want
    return _shared(readahead_files(system))


def read_iopolicy(system: System, key: str, want: str) -> str:
    del key, want
    return _shared(iopolicy_files(system))


def set_readahead(system: System, key: str, want: str) -> None:
    del key
    _write(readahead_files(system), want)


def set_iopolicy(system: System, key: str, want: str) -> None:
    del key
    _write(iopolicy_files(system), want)


def readahead_files(system: System) -> list[Path]:
    drives = (drive for drive in system.hardware("/sys/block").glob("nvme*") if DRIVE.fullmatch(drive.name))
    return sorted(drive / "queue/read_ahead_kb" for drive in drives)


def iopolicy_files(system: System) -> list[Path]:
    """None where the kernel has no native multipath."""
    return sorted(system.hardware("/sys/class/nvme-subsystem").glob("nvme-subsys*/iopolicy"))


def _write(files: list[Path], want: str) -> None:
    for file in files:
        if file.read_text().strip() != want:
            file.write_text(want + "\n")


def _shared(files: list[Path]) -> str:
    found = Counter(file.read_text().strip() for file in files)
    if len(found) > 1:
        return "mixed: " + ", ".join(f"{count} {value}" for value, count in sorted(found.items()))
    return next(iter(found), "absent")
