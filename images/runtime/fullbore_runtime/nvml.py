"""The one seam to NVML: the module `pynvml` of nvidia-ml-py, or whatever has its interface."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple


class NoNvml(Exception):
    """There is no NVML here; the text says why."""


class Memory(NamedTuple):
    """Bytes of a GPU. `used` leaves out what the driver reserves for itself, as nvidia-smi does."""

    total: int
    used: int
    reserved: int


@contextmanager
def session(module: Any = None) -> Iterator[Any]:
    """NVML, ready to be asked. Raises NoNvml."""
    nvml = module or load()
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise NoNvml(f"NVML: {error}") from error
    try:
        yield nvml
    finally:
        nvml.nvmlShutdown()


def load() -> Any:
    try:
        return importlib.import_module("pynvml")
    except ImportError as error:
        raise NoNvml("nvidia-ml-py is not installed") from error


def handles(nvml: Any) -> list[Any]:
    """Every GPU that this process may see, in PCI order."""
    return [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]


def memory(nvml: Any, handle: Any) -> Memory:
    """Memory of a GPU or of a slice. Drivers before R510 count their own part as used (NVML's nvmlMemory_v2_t)."""
    try:
        info = nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
    except nvml.NVMLError:
        info = nvml.nvmlDeviceGetMemoryInfo(handle)
        return Memory(int(info.total), int(info.used), 0)
    return Memory(int(info.total), int(info.used), int(info.reserved))


def processes(nvml: Any, handle: Any) -> dict[int, int | None]:
    """{process id: bytes} of everything that has a context; None where NVML does not tell the bytes.

    Ids are those of this process's PID namespace; what runs outside of it is left out by the driver or has no bytes.
    """
    found: dict[int, int | None] = {}
    for ask in (nvml.nvmlDeviceGetComputeRunningProcesses, nvml.nvmlDeviceGetGraphicsRunningProcesses):
        try:
            listed = ask(handle)
        except nvml.NVMLError:
            continue
        # A process with both kinds of context is listed twice, with the same bytes.
        found |= {int(item.pid): item.usedGpuMemory for item in listed}
    return found


def text(value: str | bytes) -> str:
    """Older bindings answer with bytes."""
    return value.decode() if isinstance(value, bytes) else value
