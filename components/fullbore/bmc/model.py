"""How a BMC is reached, and what it says of its machine.

Redfish makes nearly everything optional: a text that a BMC does not give is empty, a number is None.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


class BmcError(Exception):
    """A BMC does not do what it should; the message says which one, what, got, and what to do.

    `silent` is true where nothing answers at the address, `partial` where one resource failed and others may not.
    """

    def __init__(self, address: str, message: str, *, silent: bool = False, partial: bool = False) -> None:
        self.address, self.message, self.silent, self.partial = address, message, silent, partial
        super().__init__(f"BMC {address}: {message}")


@dataclass(frozen=True, kw_only=True)
class Access:
    """One BMC and the account on it. `address` is HOST or HOST:PORT, 443 if left out."""

    address: str
    user: str
    password: str = field(repr=False)
    ca_file: str | None = None
    """Certificates that are trusted; the system's if None."""
    insecure: bool = False
    """Whether any certificate is taken."""


@dataclass(frozen=True, kw_only=True)
class Cpu:
    """A processor in a socket."""

    name: str
    model: str = ""
    cores: int | None = None
    threads: int | None = None
    """Logical CPUs."""
    health: str = ""


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A GPU, or another accelerator."""

    name: str
    manufacturer: str = ""
    model: str = ""
    serial: str = ""
    memory_gib: float | None = None
    firmware: str = ""
    health: str = ""


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """A network adapter. `rdma` where it is known to be an HCA."""

    name: str
    manufacturer: str = ""
    model: str = ""
    serial: str = ""
    firmware: str = ""
    rdma: bool = False
    ports: int = 1
    macs: tuple[str, ...] = ()
    """In lower case with colons."""
    guids: tuple[str, ...] = ()
    """Of InfiniBand ports, as 16 hexadecimal digits."""
    health: str = ""


@dataclass(frozen=True, kw_only=True)
class Drive:
    """A drive; `protocol` is NVMe, SATA or SAS."""

    name: str
    protocol: str = ""
    model: str = ""
    serial: str = ""
    capacity_gb: float | None = None
    """10^9 bytes, as drives are sold."""
    firmware: str = ""
    health: str = ""


@dataclass(frozen=True, kw_only=True)
class PowerSupply:
    name: str
    model: str = ""
    serial: str = ""
    capacity_watts: float | None = None
    firmware: str = ""
    health: str = ""


@dataclass(frozen=True, kw_only=True)
class Firmware:
    name: str
    version: str


@dataclass(frozen=True, kw_only=True)
class Boot:
    """What the machine boots from next, in Redfish's words: `enabled` is Disabled, Once or Continuous."""

    target: str = ""
    enabled: str = ""
    mode: str = ""
    """UEFI or Legacy."""


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """One machine."""

    serial: str
    chassis_serials: tuple[str, ...]
    manufacturer: str
    model: str
    power: str
    """On, Off, PoweringOn, PoweringOff or Paused."""
    boot: Boot
    memory_gib: float | None
    bios: str
    bmc: str
    """Version of the BMC's own firmware."""
    cpus: tuple[Cpu, ...]
    gpus: tuple[Gpu, ...]
    adapters: tuple[Adapter, ...]
    drives: tuple[Drive, ...]
    power_supplies: tuple[PowerSupply, ...]
    firmware: tuple[Firmware, ...]
    unread: tuple[str, ...] = ()
    """Resources that the BMC failed to give, and why: what is in them is missing above."""

    @property
    def hcas(self) -> tuple[Adapter, ...]:
        return tuple(adapter for adapter in self.adapters if adapter.rdma)

    @property
    def nvme(self) -> tuple[Drive, ...]:
        return tuple(drive for drive in self.drives if drive.protocol == "NVMe")

    @property
    def threads(self) -> int | None:
        """Logical CPUs of all sockets; None where a socket does not say them."""
        counts = [cpu.threads for cpu in self.cpus]
        return sum(count for count in counts if count) if counts and None not in counts else None

    @property
    def unwell(self) -> Iterator[str]:
        """Parts that the BMC calls anything but OK: `power supply PSU3 is Critical`."""
        kinds = {
            "CPU": self.cpus,
            "GPU": self.gpus,
            "network adapter": self.adapters,
            "drive": self.drives,
            "power supply": self.power_supplies,
        }
        for kind, parts in kinds.items():
            yield from (f"{kind} {part.name} is {part.health}" for part in parts if part.health not in ("", "OK"))
