"""Facts: what this container has and what it was told. Reads, never decides.

Everything is read below one root, so that a test describes a machine as a folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fullbore_runtime import document
from fullbore_runtime.errors import RuntimeRefusal
from fullbore_runtime.manifest import Manifest, read_manifest

MODEL_DIRECTORY = Path("opt/fullbore/model")
NO_LIMIT_BYTES = 1 << 60
"""cgroup v1 says 'no limit' with a number near 2^63."""


@dataclass(frozen=True)
class Facts:
    """What `tune` decides from. `memory_bytes` and `cpus` are what the container may use."""

    cpus: float
    memory_bytes: int
    document: document.Document | None
    manifest: Manifest
    model_directory: Path
    profile: str
    port: int
    pool: str
    pod: str


def gather(root: Path = Path("/"), environment: Mapping[str, str] = os.environ) -> Facts:
    """Read the machine. Raises RuntimeRefusal where the plan or the manifest cannot be read."""
    model_directory = Path(environment.get("FULLBORE_MODEL_DIRECTORY") or root / MODEL_DIRECTORY)
    return Facts(
        cpus=cpus(root),
        memory_bytes=memory_bytes(root),
        document=document.read(root / document.PATH),
        manifest=read_manifest(model_directory),
        model_directory=model_directory,
        profile=environment.get("FULLBORE_PROFILE", "cpu"),
        port=port(environment.get("FULLBORE_PORT", "8000")),
        pool=environment.get("FULLBORE_POOL", ""),
        pod=environment.get("POD_NAME") or environment.get("HOSTNAME", ""),
    )


def port(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= 65535:
        return int(text)
    raise RuntimeRefusal(f"FULLBORE_PORT: must be a port from 1 to 65535, got {text!r}")


def cpus(root: Path) -> float:
    """CPUs that the container may use: the cgroup's quota, at most what the machine lets it run on."""
    quota = cpu_quota_v2(root) or cpu_quota_v1(root)
    online = float(len(os.sched_getaffinity(0)))
    return min(quota, online) if quota else online


def cpu_quota_v2(root: Path) -> float | None:
    """`cpu.max` holds 'QUOTA PERIOD' in microseconds, or 'max PERIOD'."""
    words = read_text(root / "sys/fs/cgroup/cpu.max").split()
    return int(words[0]) / int(words[1]) if len(words) == 2 and words[0] != "max" else None


def cpu_quota_v1(root: Path) -> float | None:
    """Quota and period in microseconds; a quota of -1 is none."""
    quota = read_text(root / "sys/fs/cgroup/cpu/cpu.cfs_quota_us").strip()
    period = read_text(root / "sys/fs/cgroup/cpu/cpu.cfs_period_us").strip()
    return int(quota) / int(period) if quota and period and int(quota) > 0 else None


def memory_bytes(root: Path) -> int:
    """Memory that the container may use: the cgroup's limit, else what the machine has."""
    limits = [
        int(text)
        for path in ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes")
        if (text := read_text(root / path).strip()).isdigit()
    ]
    return min([limit for limit in limits if limit < NO_LIMIT_BYTES] + [machine_memory_bytes(root)])


def machine_memory_bytes(root: Path) -> int:
    for line in read_text(root / "proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def read_text(path: Path) -> str:
    """The file's text; empty where it is missing."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
