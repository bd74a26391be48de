"""A machine for the agent: a described double below a temporary folder, and an empty root for its files."""

from __future__ import annotations

from pathlib import Path

from fullbore.config.models import HostGroup
from fullbore_agent.system import System
from fullbore_sandbox import hardware

GROUP = HostGroup.model_validate(
    {
        "kind": "gpu",
        "rack": "r01",
        "accelerator": "h100",
        "gpus_per_host": 2,
        "numa_nodes": 2,
        "cpus": 8,
        "interfaces": ["ens1np0", "ens2np0"],
        "hcas": ["mlx5_0", "mlx5_1"],
        "hosts": {"gpu-01": {"serial": "SN1"}},
    }
)


def machine(tmp_path: Path) -> System:
    """A double of gpu-01 below a folder."""
    hardware.write(tmp_path / "sysroot", GROUP, "gpu-01")
    for path, text in (("proc/meminfo", "MemTotal: 100 kB\nMemAvailable: 60 kB\n"), ("proc/loadavg", "1 2 3 1/9 7\n")):
        file = tmp_path / "root" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return System(str(tmp_path / "sysroot"), str(tmp_path / "root"))


def put(system: System, path: str, text: str) -> None:
    """Write one of the operating system's files."""
    system.file(path).parent.mkdir(parents=True, exist_ok=True)
    system.file(path).write_text(text)
