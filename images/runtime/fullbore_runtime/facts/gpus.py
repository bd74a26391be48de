"""GPUs and their driver, from NVML; or from a described double, which NVML cannot be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fullbore_runtime import nvml as seam
from fullbore_runtime.facts.hardware import pci_numa_node
from fullbore_runtime.facts.limits import read_text
from fullbore_runtime.facts.model import Driver, Gpu, GpuProcess, MigDevice

MIB = 1 << 20


def driver(nvml: Any) -> Driver:
    """Version of the driver; and of CUDA, which NVML gives as 1000 * major + 10 * minor."""
    cuda = int(nvml.nvmlSystemGetCudaDriverVersion_v2())
    return Driver(version=seam.text(nvml.nvmlSystemGetDriverVersion()), cuda=(cuda // 1000, cuda % 1000 // 10))


def gpus(nvml: Any, root: Path) -> tuple[Gpu, ...]:
    return tuple(_gpu(nvml, handle, index, root) for index, handle in enumerate(seam.handles(nvml)))


def _gpu(nvml: Any, handle: Any, index: int, root: Path) -> Gpu:
    memory = seam.memory(nvml, handle)
    bus = sysfs_bus(seam.text(nvml.nvmlDeviceGetPciInfo(handle).busId))
    mig = _mig(nvml, handle)
    return Gpu(
        index=index,
        uuid=seam.text(nvml.nvmlDeviceGetUUID(handle)),
        name=seam.text(nvml.nvmlDeviceGetName(handle)),
        pci_bus=bus,
        compute_capability=tuple(nvml.nvmlDeviceGetCudaComputeCapability(handle)),
        memory_bytes=memory.total,
        used_bytes=memory.used,
        reserved_bytes=memory.reserved,
        numa_node=pci_numa_node(root, bus),
        nvlinks=sum(_link_up(nvml, handle, link) for link in range(nvml.NVML_NVLINK_MAX_LINKS)),
        mig=mig,
        mig_devices=tuple(_mig_devices(nvml, handle)) if mig else (),
        processes=tuple(
            GpuProcess(pid=pid, used_bytes=used) for pid, used in sorted(seam.processes(nvml, handle).items())
        ),
    )


def sysfs_bus(text: str) -> str:
    """NVML writes domains with eight digits and capitals: 00000000:1B:00.0 -> 0000:1b:00.0."""
    domain, _, rest = text.partition(":")
    return f"{int(domain, 16):04x}:{rest.lower()}"


def _link_up(nvml: Any, handle: Any, link: int) -> bool:
    try:
        return bool(nvml.nvmlDeviceGetNvLinkState(handle, link))
    except nvml.NVMLError:
        # A link that this GPU does not have.
        return False


def _mig(nvml: Any, handle: Any) -> bool:
    try:
        return bool(nvml.nvmlDeviceGetMigMode(handle)[0])
    except nvml.NVMLError:
        return False


def _mig_devices(nvml: Any, handle: Any) -> Iterator[MigDevice]:
    for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            device = nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
        except nvml.NVMLError:
            # Places without a slice.
            continue
        memory = seam.memory(nvml, device)
        yield MigDevice(
            uuid=seam.text(nvml.nvmlDeviceGetUUID(device)),
            profile=mig_profile(seam.text(nvml.nvmlDeviceGetName(device))),
            memory_bytes=memory.total,
            used_bytes=memory.used,
        )


def mig_profile(name: str) -> str:
    """`NVIDIA A100-SXM4-40GB MIG 3g.20gb` -> `3g.20gb`."""
    found = re.search(r"\bMIG (\S+)", name)
    return found.group(1) if found else name


def described(root: Path) -> tuple[Gpu, ...]:
    """GPUs of a double: one folder a GPU below `gpu`, one file a figure."""
    folders = sorted((root / "gpu").glob("[0-9]*"), key=lambda folder: int(folder.name))
    return tuple(_described(root, folder) for folder in folders)


def _described(root: Path, folder: Path) -> Gpu:
    def figure(name: str) -> str:
        return read_text(folder / name)

    major, _, minor = (figure("compute_capability") or "0.0").partition(".")
    return Gpu(
        index=int(folder.name),
        uuid=figure("uuid"),
        name=figure("model"),
        pci_bus=figure("bus_id"),
        compute_capability=(int(major), int(minor)),
        memory_bytes=int(figure("memory_total_mib") or 0) * MIB,
        used_bytes=int(figure("memory_used_mib") or 0) * MIB,
        numa_node=pci_numa_node(root, figure("bus_id")),
        nvlinks=int(figure("nvlinks") or 0),
    )
