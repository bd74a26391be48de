"""What the container may use of the machine: cgroups v1 and v2, cpusets, shared and locked memory."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
from collections.abc import Iterable, Iterator
from pathlib import Path

NO_LIMIT_BYTES = 1 << 60
"""cgroup v1 says 'no limit' with a number near 2^63."""
GET_MEMPOLICY = {"x86_64": 239, "aarch64": 236}
"""System call numbers (Linux arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h)."""


def read_text(path: Path) -> str:
    """The file's text without white space at its ends; empty where it is missing or cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def cpus(root: Path, allowed: int) -> tuple[float, str]:
    """CPUs' worth of time that the container may use, and the source: a quota, at most the CPUs that it may run on."""
    quotas = [*_quotas(root)]
    quota, source = min(quotas, default=(float(allowed), "no quota in the cgroup"))
    return (quota, source) if quota < allowed else (float(allowed), "Cpus_allowed_list of /proc/self/status")


def _quotas(root: Path) -> Iterator[tuple[float, str]]:
    """v2's cpu.max holds 'QUOTA PERIOD' in microseconds, or 'max PERIOD'; v1's quota of -1 is none."""
    for folder in _folders(root, ""):
        words = read_text(folder / "cpu.max").split()
        if len(words) == 2 and words[0] != "max":
            yield int(words[0]) / int(words[1]), _shown(root, folder / "cpu.max")
    for folder in _folders(root, "cpu"):
        quota, period = read_text(folder / "cpu.cfs_quota_us"), read_text(folder / "cpu.cfs_period_us")
        if quota and period and int(quota) > 0:
            yield int(quota) / int(period), _shown(root, folder / "cpu.cfs_quota_us")


def memory_bytes(root: Path, machine_bytes: int) -> tuple[int, str]:
    """Memory that the container may use, and the source: the cgroup's limit, else what the machine has."""
    limits = [(machine_bytes, "MemTotal of /proc/meminfo")]
    for controller, name in (("", "memory.max"), ("memory", "memory.limit_in_bytes")):
        for folder in _folders(root, controller):
            text = read_text(folder / name)
            if text.isdigit() and int(text) < NO_LIMIT_BYTES:
                limits.append((int(text), _shown(root, folder / name)))
    return min(limits)


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """Folders of this process's cgroup and of those around it; '' is v2's one hierarchy.

    In a namespace of its own a container sees its cgroup as the top; without one, /proc/self/cgroup names the way.
    """
    top = root / "sys/fs/cgroup" / controller
    own = top / _own_path(root, controller).lstrip("/")
    for folder in (own, *own.parents):
        if folder.is_dir():
            yield folder
        if folder == top:
            return


def _own_path(root: Path, controller: str) -> str:
    """`0::/PATH` is v2's line, `N:cpu,cpuacct:/PATH` one of v1's."""
    for line in read_text(root / "proc/self/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        if (names == "" and controller == "") or (controller and controller in names.split(",")):
            return "" if ".." in path else path
    return ""


def allowed(root: Path, name: str) -> str:
    """`Cpus_allowed_list` or `Mems_allowed_list`: what cpusets and affinity leave, in the kernel's own words."""
    for line in read_text(root / "proc/self/status").splitlines():
        if line.startswith(f"{name}:"):
            return line.partition(":")[2].strip()
    return ""


def parse_list(text: str) -> tuple[int, ...]:
    """Linux's list form: '0-2,8' -> (0, 1, 2, 8)."""
    numbers: list[int] = []
    for span in filter(None, text.strip().split(",")):
        low, _, high = span.partition("-")
        numbers += range(int(low), int(high or low) + 1)
    return tuple(numbers)


def format_list(numbers: Iterable[int]) -> str:
    """(0, 1, 2, 8) -> '0-2,8'."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in spans)


def machine_memory_bytes(root: Path) -> int:
    for line in read_text(root / "proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def shm_bytes(root: Path) -> int | None:
    """Size of /dev/shm; None where there is none."""
    try:
        size = os.statvfs(root / "dev/shm")
    except OSError:
        return None
    return size.f_blocks * size.f_frsize


def memlock_bytes() -> int | None:
    """RLIMIT_MEMLOCK; None for no limit."""
    soft = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def may_set_mempolicy() -> bool:
    """Whether the kernel lets this process ask for its memory policy: seccomp profiles allow all such calls or none."""
    number = GET_MEMPOLICY.get(platform.machine())
    if number is None:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.syscall(ctypes.c_long(number), None, None, ctypes.c_ulong(0), None, ctypes.c_ulong(0)) == 0


def _shown(root: Path, path: Path) -> str:
    return f"/{path.relative_to(root)}"
