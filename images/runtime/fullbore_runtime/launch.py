"""Launch: becomes the engine. The process is replaced, so signals reach the engine itself."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from fullbore_runtime import check
from fullbore_runtime.errors import RuntimeRefusal
from fullbore_runtime.facts.limits import parse_list
from fullbore_runtime.tune import Launch
from fullbore_runtime.tune.settings import CHECK

MODULES = {
    "fullbore": ("fullbore_runtime.server",),
    "vllm": ("vllm.entrypoints.cli.main", "serve"),
    "sglang": ("sglang.launch_server",),
}
"""What is run with `python -m`, by engine."""
SET_MEMPOLICY = {"x86_64": 238, "aarch64": 237}
"""System call numbers (Linux arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h)."""
MPOL_PREFERRED = 1
"""include/uapi/linux/mempolicy.h: this node first, others when it is full."""
NODE_BITS = 1024


def command(tuned: Launch) -> list[str]:
    """The engine's argument vector. `vllm serve` takes the model without a name."""
    words = [sys.executable, "-m", *MODULES[tuned.engine]]
    for setting in tuned.of("arg"):
        words += [setting.value] if tuned.engine == "vllm" and setting.name == "model" else setting.words()
    return words


def environment(tuned: Launch, inherited: Mapping[str, str]) -> dict[str, str]:
    """What was inherited, with the tuned values on top."""
    return {**inherited, **tuned.env}


def bind(binds: Mapping[str, str]) -> None:
    """Bind this process, and so everything that it becomes or starts. Raises RuntimeRefusal."""
    try:
        if "cpus" in binds:
            os.sched_setaffinity(0, parse_list(binds["cpus"]))
        if "memory" in binds:
            prefer_memory(int(binds["memory"]))
    except OSError as error:
        raise RuntimeRefusal(f"binding to {dict(binds)}: {error}; the kernel does not allow what it showed") from error


def prefer_memory(node: int) -> None:
    """set_mempolicy(2) of this process; it lasts through exec. Raises OSError."""
    mask = (ctypes.c_ulong * (NODE_BITS // 64))()
    mask[node // 64] = 1 << node % 64
    number = SET_MEMPOLICY[platform.machine()]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(ctypes.c_long(number), MPOL_PREFERRED, mask, ctypes.c_ulong(NODE_BITS)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def launch(tuned: Launch) -> NoReturn:
    """Become the engine. Raises RuntimeRefusal."""
    tuned.check()
    bind(tuned.binds)
    found: dict[str, str] = {}
    for beside in tuned.of("beside"):
        if beside.name == CHECK:
            directory, threads = beside.values
            found[check.ENVIRONMENT] = str(check.begin(Path(directory), int(threads)))
        else:
            # Never waited for: it ends with the engine, which this process is about to be.
            subprocess.Popen([sys.executable, "-m", beside.name, *beside.values])
    argv = command(tuned)
    os.execve(argv[0], argv, {**environment(tuned, os.environ), **found})
