"""What the environment plans of a machine beside what its BMC says. Pure.

What a BMC does not say is no difference: Redfish makes it optional. One that lists any processor lists the GPUs too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fullbore.bmc.model import Inventory
from fullbore.catalog.accelerators import ACCELERATORS
from fullbore.config.models import Host, HostGroup, Site
from fullbore.plan.numa import machine_of

MODULES: Final = 32
"""Memory may differ by less than one module of as many, for BMCs leave out what the firmware keeps; no host board of
the catalog's machines has more (NVIDIA DGX H100/H200 user guide: 32 DIMMs)."""
GPU_MEMORY_SHARE: Final = 0.15
"""By how much GPU memory may differ: the catalog has what programs get, a BMC what is soldered; models of a family
differ by more (40 and 80 GB)."""


@dataclass(frozen=True, kw_only=True)
class PlannedHost:
    """One machine of the environment, and the group that says what is in it."""

    group_name: str
    name: str
    group: HostGroup
    host: Host

    @property
    def group_path(self) -> str:
        return f"site.groups.{self.group_name}"

    @property
    def path(self) -> str:
        return f"{self.group_path}.hosts.{self.name}"

    @property
    def nvme(self) -> int | None:
        """NVMe drives; None where the machine is not described so far."""
        return sum(len(slot.nvme) for slot in machine_of(self.group).slots) or None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One field of the environment that the machine is not like. `field` is its last name."""

    path: str
    field: str
    planned: str
    found: str

    def __str__(self) -> str:
        return f"{self.path}: planned {self.planned}, found {self.found}"


def planned_hosts(site: Site) -> tuple[PlannedHost, ...]:
    """Sorted by group and name."""
    return tuple(
        PlannedHost(group_name=group_name, name=name, group=group, host=group.hosts[name])
        for group_name, group in sorted(site.groups.items())
        for name in sorted(group.hosts)
    )


def differences(planned: PlannedHost, found: Inventory) -> tuple[Difference, ...]:
    """In the order of the fields in the file."""
    return tuple(_differences(planned, found))


def _differences(planned: PlannedHost, found: Inventory) -> Iterator[Difference]:
    group, host = planned.group, planned.host
    if found.serial and host.serial not in (found.serial, *found.chassis_serials):
        yield _at(planned.path, "serial", host.serial, found.serial)
    if found.gpus and (family := _other_family(group.accelerator, found)):
        yield _at(planned.group_path, "accelerator", group.accelerator or "none", family)
    if (found.gpus or found.cpus) and len(found.gpus) != group.gpus_per_host:
        yield _at(planned.group_path, "gpus_per_host", group.gpus_per_host, len(found.gpus))
    if found.threads is not None and found.threads != group.cpus:
        yield _at(planned.group_path, "cpus", group.cpus, found.threads)
    if found.memory_gib is not None and abs(found.memory_gib - group.memory_gib) >= group.memory_gib / MODULES:
        yield _at(planned.group_path, "memory_gib", f"{group.memory_gib:g}", f"{found.memory_gib:g}")
    if found.hcas and (ports := hca_ports(found)) < len(group.hcas):
        yield _at(planned.group_path, "hcas", len(group.hcas), f"{ports} ports")
    if planned.nvme is not None and found.drives and len(found.nvme) < planned.nvme:
        yield _at(planned.group_path, "machine.pcie", f"{planned.nvme} NVMe drives", len(found.nvme))
    yield from _guids(planned, found)


def hca_ports(found: Inventory) -> int:
    """Ports that can carry the fabric: the kernel makes one RDMA device of each."""
    return sum(adapter.ports for adapter in found.hcas)


def _at(where: str, field: str, planned: object, found: object) -> Difference:
    return Difference(path=f"{where}.{field}", field=field, planned=str(planned), found=str(found))


def _other_family(accelerator: str | None, found: Inventory) -> str:
    """What the GPUs are where it is not what is planned; empty where they are, or where the BMC's words do not say."""
    row = ACCELERATORS.get(accelerator or "")
    for gpu in found.gpus:
        known = {name for name in ACCELERATORS if _names(gpu.model, name)}
        if known and accelerator not in known:
            return gpu.model
        if row and gpu.memory_gib is not None and abs(gpu.memory_gib / row.hbm_gib - 1) > GPU_MEMORY_SHARE:
            return f"{gpu.model or 'a GPU'} with {gpu.memory_gib:g} GiB"
    return ""


def _names(model: str, accelerator: str) -> bool:
    """Whether a model is of the accelerator's family: `NVIDIA H100 80GB HBM3` of h100, and not of gh100."""
    family = accelerator.partition("-")[0]
    return re.search(rf"(?<![a-z0-9]){family}(?![0-9])", model.lower()) is not None


def _guids(planned: PlannedHost, found: Inventory) -> Iterator[Difference]:
    """Ports whose GUID none of the machine's adapters has; nothing where the BMC tells of none."""
    there = {guid for adapter in found.adapters for guid in adapter.guids}
    for device, guid in planned.host.port_guids.items():
        if there and guid.lower().removeprefix("0x") not in there:
            yield _at(f"{planned.path}.port_guids", device, guid, "no adapter with it")
