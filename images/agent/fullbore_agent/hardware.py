"""What the agent knows of the machine's RDMA ports, GPUs, memory and load."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from .system import System

T = TypeVar("T")

PORT_DATA_UNIT = 4
"""port_rcv_data and port_xmit_data count words of four bytes (InfiniBand architecture, PortCounters)."""


class Port(NamedTuple):
    """One RDMA port. `counters` holds the files of counters/ and hw_counters/ by name; None could not be read."""

    device: str
    port: str
    state: int | None
    physical_state: int | None
    rate_bytes: float | None
    counters: dict[str, int]


class Gpu(NamedTuple):
    """One GPU; memory (total, used) in MiB; None could not be read."""

    number: int
    uuid: str
    model: str
    memory: tuple[float, float] | None
    temperature_c: float | None
    power_w: float | None
    utilization_percent: float | None
    simulated: bool = False


class _Reader:
    """Reads one figure at a time: a part that fails must not hide the rest. Counts what could not be read."""

    def __init__(self, *errors: type[Exception]) -> None:
        self.failed, self._errors = 0, errors

    def __call__(self, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except self._errors:
            self.failed += 1
            return None


def ports(system: System) -> tuple[list[Port], int]:
    """The RDMA ports below /sys/class/infiniband, and how many readings failed: a port may vanish while it is read."""
    read = _Reader(OSError, ValueError)
    folders = read(lambda: sorted(system.hardware("/sys/class/infiniband").glob("*/ports/*"))) or []
    return [_port(folder, read) for folder in folders], read.failed


def _port(folder: Path, read: _Reader) -> Port:
    return Port(
        device=folder.parent.parent.name,
        port=folder.name,
        state=read(lambda: _leading_int((folder / "state").read_text())),
        physical_state=read(lambda: _leading_int((folder / "phys_state").read_text())),
        rate_bytes=read(lambda: parse_rate((folder / "rate").read_text())),
        counters=read(lambda: _counters(folder)) or {},
    )


def _counters(folder: Path) -> dict[str, int]:
    counters: dict[str, int] = {}
    for file in (*folder.glob("counters/*"), *folder.glob("hw_counters/*")):
        # A port that is down answers some counters with an error.
        with contextlib.suppress(OSError, ValueError):
            counters[file.name] = int(file.read_text())
    return counters


def parse_rate(text: str) -> float:
    """`400 Gb/sec (4X NDR)` -> bytes a second."""
    return float(text.partition(" ")[0]) * 1e9 / 8


def _leading_int(text: str) -> int:
    """`4: ACTIVE` -> 4."""
    return int(text.partition(":")[0])


def gpus(system: System) -> tuple[list[Gpu], int]:
    """GPUs as NVML shows them, and how many readings failed; of a described double where there is no NVML; none where
    there is neither. A GPU that does not say who it is, as one that fell off the bus, is left out."""
    found, failed = _nvml_gpus()
    return found or _described_gpus(system), failed


def _nvml_gpus() -> tuple[list[Gpu], int]:
    try:
        import pynvml  # pyright: ignore[reportMissingImports]
    except ImportError:
        return [], 0
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return [], 0
    read = _Reader(pynvml.NVMLError)
    count = read(pynvml.nvmlDeviceGetCount) or 0
    found = [read(lambda index=index: _nvml_gpu(pynvml, index, read)) for index in range(count)]
    read(pynvml.nvmlShutdown)
    return [gpu for gpu in found if gpu], read.failed


def _nvml_gpu(pynvml: Any, index: int, read: _Reader) -> Gpu:
    """Raises NVMLError where the GPU does not say who it is."""
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    return Gpu(
        number=index,
        uuid=_text(pynvml.nvmlDeviceGetUUID(handle)),
        model=_text(pynvml.nvmlDeviceGetName(handle)),
        memory=read(lambda: _mib(pynvml.nvmlDeviceGetMemoryInfo(handle))),
        temperature_c=read(lambda: float(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU))),
        power_w=read(lambda: pynvml.nvmlDeviceGetPowerUsage(handle) / 1000),
        # Not supported under MIG.
        utilization_percent=read(lambda: float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)),
    )


def _mib(memory: Any) -> tuple[float, float]:
    return int(memory.total) / 2**20, int(memory.used) / 2**20


def _text(value: str | bytes) -> str:
    """Older bindings answer with bytes."""
    return value.decode() if isinstance(value, bytes) else value


def _described_gpus(system: System) -> list[Gpu]:
    """The double keeps one folder a GPU, one file a figure: NVML has no sysfs to imitate."""
    if not system.simulated:
        return []
    folders = sorted(system.hardware("/gpu").glob("[0-9]*"), key=lambda folder: int(folder.name))
    texts = [{file.name: file.read_text().strip() for file in folder.iterdir()} for folder in folders]
    return [
        Gpu(
            number=index,
            uuid=text["uuid"],
            model=text["model"],
            memory=(float(text["memory_total_mib"]), float(text["memory_used_mib"])),
            temperature_c=float(text["temperature_c"]),
            power_w=float(text["power_w"]),
            utilization_percent=float(text["utilization_percent"]),
            simulated=True,
        )
        for index, text in enumerate(texts)
    ]


def seconds_until_full(samples: Sequence[tuple[float, float]], total: float) -> float:
    """When a GPU's memory runs out if it goes on growing as it did: a least-squares line through (time s, MiB used).

    Infinite while memory does not grow, or with fewer than three samples.
    """
    if len(samples) < 3:
        return float("inf")
    mean_t = sum(t for t, _ in samples) / len(samples)
    mean_u = sum(u for _, u in samples) / len(samples)
    spread = sum((t - mean_t) ** 2 for t, _ in samples)
    slope = sum((t - mean_t) * (u - mean_u) for t, u in samples) / spread if spread else 0.0
    return max(0.0, total - samples[-1][1]) / slope if slope > 0 else float("inf")


def memory_bytes(system: System) -> dict[str, int]:
    """/proc/meminfo as {name: bytes}."""
    lines = (line.split() for line in system.file("/proc/meminfo").read_text().splitlines())
    return {fields[0].rstrip(":"): int(fields[1]) * 1024 for fields in lines if len(fields) == 3}


def load_averages(system: System) -> tuple[float, float, float]:
    one, five, fifteen = system.file("/proc/loadavg").read_text().split()[:3]
    return float(one), float(five), float(fifteen)
