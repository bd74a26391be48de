"""What is in a machine, from the resources that its BMC serves. Pure but for `get`.

Properties are those of the DMTF's schemas (redfish.dmtf.org/schemas/v1): ComputerSystem, Processor, PCIeDevice,
PCIeFunction, NetworkAdapter, NetworkDeviceFunction, Port, Storage, Drive, PowerSupply and its older form in Power,
SoftwareInventory, Manager.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TypeVar

from fullbore.bmc.documents import Document, Get, Tree, at, health, here, items, number, text, texts, whole
from fullbore.bmc.model import Adapter, BmcError, Boot, Cpu, Drive, Firmware, Gpu, Inventory, PowerSupply

MIB_PER_GIB = 1024
BYTES_PER_GB = 1e9
GPU_VENDORS = {"0x10de": "NVIDIA", "0x1002": "AMD"}
"""PCI vendor ids of GPUs (pci-ids.ucw.cz); a display controller of another vendor is the BMC's own console."""
RDMA_MODEL = re.compile(r"ConnectX|BlueField|\bMCX\d|\bMT\d{4,5}\b|\bOmni-Path\b", re.IGNORECASE)
"""Models that are HCAs: NVIDIA's names, part numbers (MCX...) and device names (MT...), and Cornelis'."""

_Part = TypeVar("_Part", Gpu, Adapter, Drive, PowerSupply)


def read(address: str, root: Document, get: Get) -> Inventory:
    """The machine of the BMC at `address`. `root` is the service's first document.

    Raises BmcError where it manages no machine, or several. A resource that fails is noted, and the rest is read.
    """
    unread: list[BmcError] = []
    tree = Tree(_noting(get, unread), expand=at(root, "ProtocolFeaturesSupported", "ExpandQuery", "NoLinks") is True)
    systems = list(tree.members(root, "Systems"))
    if unread and not systems:
        raise unread[0]
    system = host_system(address, systems)
    chassis = list(tree.members(root, "Chassis"))
    serials = tuple(dict.fromkeys(filter(None, (text(each, "SerialNumber") for each in chassis))))
    manager = next(tree.linked(system, "Links", "ManagedBy"), None) or {}
    return Inventory(
        serial=text(system, "SerialNumber") or next(iter(serials), ""),
        chassis_serials=serials,
        manufacturer=text(system, "Manufacturer"),
        model=text(system, "Model"),
        power=text(system, "PowerState"),
        boot=boot(system),
        memory_gib=number(system, "MemorySummary", "TotalSystemMemoryGiB"),
        bios=text(system, "BiosVersion"),
        bmc=text(manager, "FirmwareVersion"),
        cpus=tuple(_cpus(tree, system)),
        gpus=_once(_gpus(tree, each) for each in systems) or _pcie_gpus(tree, systems, chassis),
        adapters=_once(_adapters(tree, each) for each in chassis) or tuple(_interfaces(tree, system)),
        drives=_once(_drives(tree, each) for each in systems),
        power_supplies=_once(_power_supplies(tree, each) for each in chassis),
        firmware=tuple(_firmware(tree, tree.follow(root, "UpdateService") or {})),
        unread=tuple(error.message for error in unread),
    )


def _noting(get: Get, unread: list[BmcError]) -> Get:
    def noted(path: str) -> Document | None:
        try:
            return get(path)
        except BmcError as error:
            if not error.partial:
                raise
            unread.append(error)
            return None

    return noted


def host_system(address: str, systems: Iterable[Document]) -> Document:
    """The system that boots: a GPU baseboard is a system of its own beside it, which does not. Raises BmcError."""
    found = list(systems)
    if len(found) > 1:
        found = [each for each in found if at(each, "Boot", "BootSourceOverrideTarget@Redfish.AllowableValues")]
    if len(found) != 1:
        names = ", ".join(text(each, "Id") for each in found)
        got = f"manages {len(found)} machines ({names})" if found else "manages no machine"
        raise BmcError(address, f"{got}, allowed one; name the BMC of the machine itself, not of its enclosure")
    return found[0]


def boot(system: Document) -> Boot:
    return Boot(
        target=text(system, "Boot", "BootSourceOverrideTarget"),
        enabled=text(system, "Boot", "BootSourceOverrideEnabled"),
        mode=text(system, "Boot", "BootSourceOverrideMode"),
    )


def _once(places: Iterable[Iterable[_Part]]) -> tuple[_Part, ...]:
    """A part that several systems or chassis list counts once, known by its serial number.

    Within one place all count: makers leave the same filler in place of serial numbers.
    """
    found, known = list[_Part](), set[str]()
    for place in places:
        new = [part for part in place if part.serial not in known]
        found += new
        known |= {part.serial for part in new if part.serial}
    return tuple(found)


def _name(document: Document) -> str:
    return text(document, "Id") or text(document, "MemberId") or text(document, "Name")


def _cpus(tree: Tree, system: Document) -> Iterator[Cpu]:
    for each in tree.present(system, "Processors"):
        if text(each, "ProcessorType") in ("CPU", ""):
            yield Cpu(
                name=_name(each),
                model=text(each, "Model"),
                cores=whole(each, "TotalCores"),
                threads=whole(each, "TotalThreads"),
                health=health(each),
            )


def _gpus(tree: Tree, system: Document) -> Iterator[Gpu]:
    for each in tree.present(system, "Processors"):
        if text(each, "ProcessorType") in ("GPU", "Accelerator"):
            yield _gpu(each, _memory_gib(each))


def _gpu(each: Document, memory_gib: float | None) -> Gpu:
    return Gpu(
        name=_name(each),
        manufacturer=text(each, "Manufacturer"),
        model=text(each, "Model"),
        serial=text(each, "SerialNumber"),
        memory_gib=memory_gib,
        firmware=text(each, "FirmwareVersion"),
        health=health(each),
    )


def _memory_gib(processor: Document) -> float | None:
    """MemorySummary, or the older list ProcessorMemory."""
    mib = number(processor, "MemorySummary", "TotalMemorySizeMiB")
    if mib is None:
        parts = [number(each, "CapacityMiB") for each in items(processor, "ProcessorMemory")]
        mib = sum(part for part in parts if part is not None) or None
    return None if mib is None else mib / MIB_PER_GIB


def _pcie_gpus(tree: Tree, systems: Iterable[Document], chassis: Iterable[Document]) -> tuple[Gpu, ...]:
    """Where no GPU is among the processors: the PCIe devices that are one."""
    devices = [device for system in systems for device in tree.linked(system, "PCIeDevices")]
    devices = devices or [device for each in chassis for device in tree.members(each, "PCIeDevices")]
    return tuple(_gpu(device, None) for device in devices if here(device) and _is_gpu(tree, device))


def _is_gpu(tree: Tree, device: Document) -> bool:
    functions = [*tree.members(device, "PCIeFunctions"), *tree.linked(device, "Links", "PCIeFunctions")]
    return any(
        text(each, "DeviceClass") == "ProcessingAccelerators"
        or (text(each, "DeviceClass") == "DisplayController" and text(each, "VendorId").lower() in GPU_VENDORS)
        for each in functions
    )


def _adapters(tree: Tree, chassis: Document) -> Iterator[Adapter]:
    for each in tree.present(chassis, "NetworkAdapters"):
        functions = list(tree.members(each, "NetworkDeviceFunctions"))
        ports = list(tree.members(each, "Ports")) or list(tree.members(each, "NetworkPorts"))
        controllers = items(each, "Controllers")
        counts = [whole(one, "ControllerCapabilities", "NetworkPortCount") or 0 for one in controllers]
        guids, model = _guids(functions, ports), text(each, "Model")
        yield Adapter(
            name=_name(each),
            manufacturer=text(each, "Manufacturer"),
            model=model,
            serial=text(each, "SerialNumber"),
            firmware=next(filter(None, (text(one, "FirmwarePackageVersion") for one in controllers)), ""),
            rdma=bool(guids or RDMA_MODEL.search(f"{model} {text(each, 'Name')} {text(each, 'PartNumber')}")),
            ports=len(ports) or sum(counts) or len(functions) or 1,
            macs=_macs(functions, ports),
            guids=guids,
            health=health(each),
        )


def _macs(functions: Iterable[Document], ports: Iterable[Document]) -> tuple[str, ...]:
    """Permanent addresses where they are told: a bond gives its members another one."""
    found = [_first(each, "Ethernet", "PermanentMACAddress", "MACAddress") for each in functions]
    if not any(found):
        for each in ports:
            found += texts(each, "Ethernet", "AssociatedMACAddresses") or texts(each, "AssociatedNetworkAddresses")
    return tuple(dict.fromkeys(mac for mac in map(_mac, found) if mac))


def _guids(functions: Iterable[Document], ports: Iterable[Document]) -> tuple[str, ...]:
    found = [_first(each, "InfiniBand", "PermanentPortGUID", "PortGUID") for each in functions]
    if not any(found):
        found = [guid for each in ports for guid in texts(each, "InfiniBand", "AssociatedPortGUIDs")]
    return tuple(dict.fromkeys(_digits(guid, 16) for guid in found if _digits(guid, 16)))


def _first(document: Document, part: str, *names: str) -> str:
    return next(filter(None, (text(document, part, name) for name in names)), "")


def _mac(written: str) -> str:
    digits = _digits(written, 12)
    return ":".join(re.findall("..", digits))


def _digits(written: str, count: int) -> str:
    """The hexadecimal digits of an address; empty where there are more or fewer, or it is all zeros."""
    digits = re.sub(r"^0x|[^0-9a-f]", "", written.lower())
    return digits if len(digits) == count and digits.strip("0") else ""


def _interfaces(tree: Tree, system: Document) -> Iterator[Adapter]:
    """Where no adapter is listed: the interfaces that the system's firmware tells the BMC."""
    for each in tree.present(system, "EthernetInterfaces"):
        mac = _mac(text(each, "PermanentMACAddress") or text(each, "MACAddress"))
        yield Adapter(name=_name(each), macs=(mac,) if mac else (), health=health(each))


def _drives(tree: Tree, system: Document) -> Iterator[Drive]:
    """A drive behind two controllers is linked by both."""
    links = {
        text(link, "@odata.id"): link for each in tree.members(system, "Storage") for link in items(each, "Drives")
    }
    for each in filter(here, tree.linked({"Drives": list(links.values())}, "Drives")):
        size = number(each, "CapacityBytes")
        yield Drive(
            name=_name(each),
            protocol=text(each, "Protocol"),
            model=text(each, "Model"),
            serial=text(each, "SerialNumber"),
            capacity_gb=None if size is None else size / BYTES_PER_GB,
            firmware=text(each, "FirmwareVersion") or text(each, "Revision"),
            health=health(each),
        )


def _power_supplies(tree: Tree, chassis: Document) -> Iterator[PowerSupply]:
    """PowerSubsystem, or the older Power, which many BMCs serve beside it."""
    subsystem = tree.follow(chassis, "PowerSubsystem")
    supplies = list(tree.members(subsystem, "PowerSupplies")) if subsystem else []
    power = None if supplies else tree.follow(chassis, "Power")
    for each in filter(here, supplies or (items(power, "PowerSupplies") if power else [])):
        yield PowerSupply(
            name=_name(each),
            model=text(each, "Model"),
            serial=text(each, "SerialNumber"),
            capacity_watts=number(each, "PowerCapacityWatts"),
            firmware=text(each, "FirmwareVersion"),
            health=health(each),
        )


def _firmware(tree: Tree, service: Document) -> Iterator[Firmware]:
    for each in tree.members(service, "FirmwareInventory"):
        if text(each, "Version"):
            yield Firmware(name=_name(each), version=text(each, "Version"))
