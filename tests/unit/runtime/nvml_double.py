"""A double of NVML behind the interface of pynvml: what the driver answers, from plain values.

Only what the runtime asks is there; anything else is an AttributeError. `refused` names functions that this driver does
not have, or does not allow: they raise NVMLError as the real ones do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

MIB = 1 << 20


class NVMLError(Exception):
    """As pynvml's: every error of the driver."""


@dataclass
class Process:
    pid: int
    used_bytes: int | None


@dataclass
class Device:
    """One GPU, or one slice of it."""

    uuid: str = "GPU-0000"
    name: str = "NVIDIA H200"
    bus: str = "00000000:1B:00.0"
    capability: tuple[int, int] = (9, 0)
    total: int = 143_771 * MIB
    used: int = 0
    reserved: int = 600 * MIB
    links: int = 18
    compute: list[Process] = field(default_factory=list[Process])
    slices: list[Device] | None = None


class Nvml:
    """Stands in for the module pynvml. `at_reading` is called before each reading of memory."""

    NVMLError = NVMLError
    NVML_NVLINK_MAX_LINKS = 36
    nvmlMemory_v2 = 0x02000028

    def __init__(
        self,
        *devices: Device,
        driver: str = "580.159.04",
        cuda: int = 13000,
        refused: tuple[str, ...] = (),
        at_reading: Callable[[], None] = lambda: None,
    ) -> None:
        self.devices, self.driver, self.cuda = devices, driver, cuda
        self.refused, self.at_reading = refused, at_reading
        self.sessions = 0

    def _allow(self, name: str) -> None:
        if name in self.refused:
            raise NVMLError(f"{name}: Not Supported")

    def nvmlInit(self) -> None:
        self._allow("nvmlInit")
        self.sessions += 1

    def nvmlShutdown(self) -> None:
        self.sessions -= 1

    def nvmlSystemGetDriverVersion(self) -> str:
        return self.driver

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:
        return self.cuda

    def nvmlDeviceGetCount(self) -> int:
        return len(self.devices)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Device:
        return self.devices[index]

    def nvmlDeviceGetUUID(self, device: Device) -> str:
        return device.uuid

    def nvmlDeviceGetName(self, device: Device) -> bytes:
        return device.name.encode()

    def nvmlDeviceGetPciInfo(self, device: Device) -> Any:
        return SimpleNamespace(busId=device.bus)

    def nvmlDeviceGetCudaComputeCapability(self, device: Device) -> list[int]:
        return list(device.capability)

    def nvmlDeviceGetMemoryInfo(self, device: Device, version: int | None = None) -> Any:
        self.at_reading()
        if version is None:
            return SimpleNamespace(total=device.total, used=device.used + device.reserved)
        self._allow("nvmlDeviceGetMemoryInfo_v2")
        return SimpleNamespace(total=device.total, used=device.used, reserved=device.reserved)

    def nvmlDeviceGetComputeRunningProcesses(self, device: Device) -> list[Any]:
        return [SimpleNamespace(pid=process.pid, usedGpuMemory=process.used_bytes) for process in device.compute]

    def nvmlDeviceGetGraphicsRunningProcesses(self, device: Device) -> list[Any]:
        raise NVMLError("Not Supported")

    def nvmlDeviceGetNvLinkState(self, device: Device, link: int) -> int:
        if link >= 18 or not device.links:
            raise NVMLError("Not Supported")
        return int(link < device.links)

    def nvmlDeviceGetMigMode(self, device: Device) -> list[int]:
        self._allow("nvmlDeviceGetMigMode")
        return [int(device.slices is not None), 0]

    def nvmlDeviceGetMaxMigDeviceCount(self, device: Device) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, device: Device, index: int) -> Device:
        slices = device.slices or []
        if index >= len(slices):
            raise NVMLError("Not Found")
        return slices[index]
