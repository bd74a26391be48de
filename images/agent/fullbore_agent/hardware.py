"""What the agent knows of the machine's RDMA ports, GPUs, memory and load."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from .system import System

PORT_DATA_UNIT = 4
"""port_rcv_data and port_xmit_data count words of four bytes (InfiniBand architecture, PortCounters)."""


class Port(NamedTuple):
    """One RDMA port. `counters` holds the files of counters/ and hw_counters/ by name."""

    device: str
    port: str
    state: int
    physical_state: int
    rate_bytes: float
    counters: dict[str, int]


class Gpu(NamedTuple):
    """One GPU; memory in MiB."""

    number: int
    uuid: str
    model: str
    memory_total: float
    memory_used: float
    temperature_c: float
    power_w: float
    utilization_percent: float
    simulated: bool = False


def ports(system: System) -> Iterator[Port]:
    """The RDMA ports below /sys/class/infiniband."""
    for folder in sorted(system.hardware("/sys/class/infiniband").glob("*/ports/*")):
        counters: dict[str, int] = {}
        for file in (*folder.glob("counters/*"), *folder.glob("hw_counters/*")):
            # A port that is down answers some counters with an error.
            with contextlib.suppress(OSError, ValueError):
                counters[file.name] = int(file.read_text())
        yield Port(
            device=folder.parent.parent.name,
            port=folder.name,
            state=_leading_int((folder / "state").read_text()),
            physical_state=_leading_int((folder / "phys_state").read_text()),
            rate_bytes=parse_rate((folder / "rate").read_text()),
            counters=counters,
        )


def parse_rate(text: str) -> float:
    """`400 Gb/sec (4X NDR)` -> bytes a second."""
    return float(text.split()[0]) * 1e9 / 8


def _leading_int(text: str) -> int:
    """`4: ACTIVE` -> 4."""
    return int(text.partition(":")[0])


def gpus(system: System) -> list[Gpu]:
    """GPUs as NVML shows them; of a described double where there is no NVML; none where there is neither."""
    return _nvml_gpus() or _described_gpus(system)


def _nvml_gpus() -> list[Gpu]:
    try:
        import pynvml  # pyright: ignore[reportMissingImports]
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        return [_nvml_gpu(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())]
    finally:
        pynvml.nvmlShutdown()


def _nvml_gpu(pynvml: Any, index: int) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(
        number=index,
        uuid=_text(pynvml.nvmlDeviceGetUUID(handle)),
        model=_text(pynvml.nvmlDeviceGetName(handle)),
        memory_total=int(memory.total) / 2**20,
        memory_used=int(memory.used) / 2**20,
        temperature_c=float(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)),
        power_w=pynvml.nvmlDeviceGetPowerUsage(handle) / 1000,
        utilization_percent=float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu),
    )


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
            memory_total=float(text["memory_total_mib"]),
            memory_used=float(text["memory_used_mib"]),
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
