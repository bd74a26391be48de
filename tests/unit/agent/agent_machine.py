"""A machine for the agent: a described double below a temporary folder, and an empty root for its files."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

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


class InProcess(System):
    """Runs the double's own tools, which are Python, without a process for each."""

    def _execute(self, argv: tuple[str, ...], timeout_s: float) -> subprocess.CompletedProcess[str]:
        tool = self.hardware(f"/usr/bin/{argv[0]}")
        text = tool.read_text() if tool.exists() else ""
        if not text.startswith("#!/usr/bin/python3"):
            return super()._execute(argv, timeout_s)
        space: dict[str, Any] = {"__name__": "double", "__file__": str(tool)}
        out, err, before = io.StringIO(), io.StringIO(), sys.argv
        sys.argv = [str(tool), *argv[1:]]
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                exec(_code(text), space)
                status: int = space["main"]()
        finally:
            sys.argv = before
        return subprocess.CompletedProcess(argv, status, out.getvalue(), err.getvalue())


@cache
def _code(text: str) -> CodeType:
    return compile(text, "double", "exec")


def machine(tmp_path: Path) -> System:
    """A double of gpu-01 below a folder."""
    hardware.write(tmp_path / "sysroot", GROUP, "gpu-01")
    for path, text in (("proc/meminfo", "MemTotal: 100 kB\nMemAvailable: 60 kB\n"), ("proc/loadavg", "1 2 3 1/9 7\n")):
        file = tmp_path / "root" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return InProcess(str(tmp_path / "sysroot"), str(tmp_path / "root"))


def put(system: System, path: str, text: str) -> None:
    """Write one of the operating system's files."""
    system.file(path).parent.mkdir(parents=True, exist_ok=True)
    system.file(path).write_text(text)
