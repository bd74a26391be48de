"""What is run on a host to judge it: the command of each check, and how long it may take. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from fullbore.catalog.acceptance import ACCEPTANCE
from fullbore.evidence.judge import ALL_REDUCE, ALL_TO_ALL, CLOCK, DCGM, FIO, LINKINFO, LLDP, NVLINK, SMI
from fullbore.evidence.model import Machine

DCGM_TIMEOUT_S: Final = {1: 120, 2: 600, 3: 2700}
"""{level: seconds}: they take 30 s, 2 min and 15 min (DCGM user guide, run levels), given three to five times that."""
COLLECTIVE_TIMEOUT_S: Final = 600
"""oci-hpc waits 120 s for the same sizes; starting NCCL on many GPUs of a cold host takes longer: our inference."""
NCCL_SIZES: Final = ("-b", "1G", "-e", "16G", "-f", "2", "-n", "50")
"""What the floors were measured with (oci-hpc multi_node_active_healthcheck.py)."""
FIO_S: Final = 30


@dataclass(frozen=True, kw_only=True)
class Command:
    """One check: `name` is the one that `judge` knows it by."""

    name: str
    argv: tuple[str, ...]
    timeout_s: int


def host_commands(machine: Machine, lldp: bool = False, linkinfo: bool = False) -> tuple[Command, ...]:
    """In the order that they run; the longest last. `lldp` and `linkinfo` ask for the cabling."""
    found = [Command(name=CLOCK, argv=("chronyc", "tracking"), timeout_s=30)]
    if lldp:
        argv = ("lldpcli", "-f", "json0", "show", "neighbors", "details")
        found.append(Command(name=LLDP, argv=argv, timeout_s=60))
    if linkinfo:
        found.append(Command(name=LINKINFO, argv=("iblinkinfo",), timeout_s=300))
    if machine.gpus:
        found.append(Command(name=SMI, argv=("nvidia-smi", "-q"), timeout_s=120))
    row = ACCEPTANCE.get(machine.accelerator or "")
    if row and row.nvlinks and machine.gpus > 1:
        found.append(Command(name=NVLINK, argv=("nvidia-smi", "nvlink", "-s"), timeout_s=60))
        found += [
            Command(name=name, argv=(name, *NCCL_SIZES, "-g", str(machine.gpus)), timeout_s=COLLECTIVE_TIMEOUT_S)
            for name in (ALL_REDUCE, ALL_TO_ALL)
        ]
    found += [Command(name=f"{FIO} {drive}", argv=_fio(drive), timeout_s=FIO_S * 4) for drive in machine.drives]
    if machine.gpus:
        level = machine.dcgm_level
        argv = ("dcgmi", "diag", "-r", str(level), "-j")
        found.append(Command(name=DCGM, argv=argv, timeout_s=DCGM_TIMEOUT_S[level]))
    return tuple(found)


def _fio(drive: str) -> tuple[str, ...]:
    """Random reads of 4 KiB from the whole drive; `--readonly` refuses a job that would write."""
    return (
        "fio",
        "--name=randread",
        f"--filename=/dev/{drive}",
        "--readonly",
        "--rw=randread",
        "--bs=4k",
        "--direct=1",
        "--ioengine=libaio",
        "--iodepth=128",
        "--numjobs=8",
        "--group_reporting",
        "--time_based",
        f"--runtime={FIO_S}",
        "--output-format=json",
    )


_VERSIONS: Final = {
    "nvidia-smi": re.compile(r"^Driver Version +: (\S+)", re.MULTILINE),
    "dcgm": re.compile(r'"version" ?: ?"([\d.]+)"'),
    "nccl-tests": re.compile(r"^# nccl-tests version (\S+)", re.MULTILINE),
    "nccl": re.compile(r"^NCCL version (\S+)", re.MULTILINE),
    "fio": re.compile(r'"fio version" : "fio-([^"]+)"'),
}


def tool_versions(texts: Iterable[str]) -> Mapping[str, str]:
    """{tool: version}, where an output says it; several versions of one tool are all named."""
    seen: dict[str, set[str]] = {}
    for text in texts:
        for tool, pattern in _VERSIONS.items():
            found = pattern.search(text)
            if found:
                seen.setdefault(tool, set()).add(found[1])
    return {tool: ", ".join(sorted(versions)) for tool, versions in sorted(seen.items())}
