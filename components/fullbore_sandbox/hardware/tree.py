"""The files of the double: pure tables of path -> text, and one function that writes what is missing.

Formats are those of the Linux kernel's sysfs and procfs. CPUs are numbered as Linux numbers x86 CPUs with two
threads a core: one thread of every core first, NUMA node after node, then the siblings.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from fullbore.catalog.gpu_driver import DRIVER_PACKAGES, FABRIC_MANAGER, SUBNET_MANAGER
from fullbore.catalog.kubernetes import PACKAGES
from fullbore.catalog.versions.releases import CHANGEABLE
from fullbore.config.models import HostGroup
from fullbore.plan.container_runtime import TOOLKIT

TOOLS = Path(__file__).parent / "tools"
VERSION = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
"""Of what is described: a host that was described by another one gets new hardware."""
IRQS_PER_INTERFACE = 8
FIRST_IRQ = 64
RATE_NAMES = {100: "4X EDR", 200: "4X HDR", 400: "4X NDR", 800: "4X XDR"}

KERNEL_DEFAULTS = {
    "vm.swappiness": "60",
    "vm.min_free_kbytes": "67584",
    "vm.nr_hugepages": "0",
    "vm.zone_reclaim_mode": "0",
    "vm.overcommit_memory": "0",
    "kernel.numa_balancing": "1",
    "kernel.threads-max": "4127362",
    "fs.inotify.max_user_instances": "128",
    "fs.inotify.max_user_watches": "65536",
    "net.core.rmem_max": "212992",
    "net.core.wmem_max": "212992",
    "net.core.rmem_default": "212992",
    "net.core.wmem_default": "212992",
    "net.core.netdev_max_backlog": "1000",
    "net.ipv4.neigh.default.gc_thresh1": "128",
    "net.ipv4.neigh.default.gc_thresh2": "512",
    "net.ipv4.neigh.default.gc_thresh3": "1024",
}
"""Settings of the whole kernel, which a container must not change; those of a network namespace are real instead."""

COUNTERS = (
    "link_downed",
    "link_error_recovery",
    "local_link_integrity_errors",
    "excessive_buffer_overrun_errors",
    "port_rcv_data",
    "port_rcv_errors",
    "port_xmit_data",
    "port_xmit_discards",
    "port_xmit_wait",
    "symbol_error",
)
HW_COUNTERS = (
    "local_ack_timeout_err",
    "np_cnp_sent",
    "np_ecn_marked_roce_packets",
    "out_of_sequence",
    "packet_seq_err",
    "rnr_nak_retry_err",
    "roce_adp_retrans",
    "roce_slow_restart",
    "rp_cnp_handled",
    "rx_icrc_encapsulated",
)

GPU_MODELS: dict[str, tuple[str, int]] = {
    "t4": ("Tesla T4", 15360),
    "v100-32": ("Tesla V100-SXM2-32GB", 32768),
    "a100-40": ("NVIDIA A100-SXM4-40GB", 40960),
    "a100-80": ("NVIDIA A100-SXM4-80GB", 81920),
    "l40s": ("NVIDIA L40S", 46068),
    "h100": ("NVIDIA H100 80GB HBM3", 81559),
    "h200": ("NVIDIA H200", 143771),
    "b200": ("NVIDIA B200", 183359),
    "gb200": ("NVIDIA GB200", 189471),
}
"""Accelerator -> (name and memory in MiB, as nvidia-smi shows them)."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What is described: one host of a group."""

    name: str
    group: HostGroup
    link_gbps: int = 400

    @property
    def serial(self) -> str:
        return self.group.hosts[self.name].serial

    def node_of(self, index: int, count: int) -> int:
        """NUMA node of the index-th of `count` devices: spread evenly, in order."""
        return index * self.group.numa_nodes // count

    def node_cpus(self, node: int) -> str:
        """CPU list of a NUMA node: its share of the cores, and their siblings."""
        cores = self.group.cpus // 2
        share = cores // self.group.numa_nodes
        first, last = node * share, (node + 1) * share - 1
        return f"{first}-{last},{first + cores}-{last + cores}"


def write(root: Path, group: HostGroup, host_name: str) -> None:
    """Write the double of one host below `root`; only what is missing, so that what tools changed there stays."""
    machine = Machine(name=host_name, group=group)
    for path, text in files(machine):
        target = root / path
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text + "\n")
    for path, to in links(machine):
        target = root / path
        if not target.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(to)
    _write_tools(TOOLS, root / "usr/bin")
    _write_tools(TOOLS / "packaged", root / "usr/lib/packaged")


def _write_tools(source: Path, folder: Path) -> None:
    """The tools are code and not state: always the present ones. Those of `packaged` come with a package."""
    folder.mkdir(parents=True, exist_ok=True)
    for tool in sorted(source.iterdir()):
        if tool.is_file():
            shutil.copyfile(tool, folder / tool.name)
            (folder / tool.name).chmod(0o755)


def files(machine: Machine) -> Iterator[tuple[str, str]]:
    """(path below the root, text without the last newline) of every file."""
    yield "sys/class/dmi/id/product_serial", machine.serial
    for key, value in KERNEL_DEFAULTS.items():
        yield "proc/sys/" + key.replace(".", "/"), value
    yield from _cpus(machine)
    yield from _numa_nodes(machine)
    yield from _nics(machine)
    yield from _gpus(machine)
    yield from _drives()
    for name, versions in _archive(gpus=bool(machine.group.gpus_per_host)).items():
        yield f"state/archive/{name}", "\n".join(versions)


CONTAINERD: tuple[str, ...] = ("2.1.4-1~debian.12~bookworm", "1.7.28-1~debian.12~bookworm", "1.6.33-1")


def _archive(*, gpus: bool) -> dict[str, list[str]]:
    """What the machine's apt can install, newest first: containerd, and for GPUs all drivers and toolkits that the
    catalog knows, under each of their names."""
    found: dict[str, list[str]] = {name: list(CONTAINERD) for name in ("containerd", "containerd.io")}
    if not gpus:
        return found
    found |= {name: ["1.34.1-1.1", "1.33.5-1.1", "1.32.9-1.1"] for name in PACKAGES}
    for name in TOOLKIT:
        found[name] = [f"{version}-1" for version in reversed(CHANGEABLE["container_toolkit"])]
    names = {name for row in DRIVER_PACKAGES for name in row.names} | set(FABRIC_MANAGER)
    found[SUBNET_MANAGER] = ["2025.06.11-1"]
    for version in reversed(CHANGEABLE["gpu_driver"]):
        for name in names:
            found.setdefault(name.format(branch=version.partition(".")[0]), []).append(f"{version}-1ubuntu1")
    return found


def links(machine: Machine) -> Iterator[tuple[str, str]]:
    """(path of a symbolic link, where it points) as in sysfs: classes point at devices."""
    for index, (interface, hca) in enumerate(_nic_pairs(machine)):
        device = _nic_address(index)
        if interface:
            yield f"sys/class/net/{interface}", f"../../devices/pci0000:00/{device}/net/{interface}"
            yield f"sys/devices/pci0000:00/{device}/net/{interface}/device", "../.."
        if hca:
            yield f"sys/class/infiniband/{hca}", f"../../devices/pci0000:00/{device}/infiniband/{hca}"
            yield f"sys/devices/pci0000:00/{device}/infiniband/{hca}/device", "../.."
        yield f"sys/bus/pci/devices/{device}", f"../../../devices/pci0000:00/{device}"
    for index in range(machine.group.gpus_per_host):
        yield f"sys/bus/pci/devices/{_gpu_address(index)}", f"../../../devices/pci0000:00/{_gpu_address(index)}"


def _cpus(machine: Machine) -> Iterator[tuple[str, str]]:
    cores = machine.group.cpus // 2
    share = max(1, cores // machine.group.numa_nodes)
    for cpu in range(cores * 2):
        folder, core = f"sys/devices/system/cpu/cpu{cpu}", cpu % cores
        yield f"{folder}/cpufreq/scaling_governor", "powersave"
        yield f"{folder}/cpufreq/scaling_available_governors", "performance powersave"
        yield f"{folder}/topology/core_id", str(core % share)
        yield f"{folder}/topology/physical_package_id", str(core // share)
        yield f"{folder}/topology/thread_siblings_list", f"{core},{core + cores}"


def _numa_nodes(machine: Machine) -> Iterator[tuple[str, str]]:
    nodes = machine.group.numa_nodes
    yield "sys/devices/system/node/online", f"0-{nodes - 1}" if nodes > 1 else "0"
    total_kib = int(machine.group.memory_gib * 2**20 / nodes)
    for node in range(nodes):
        folder = f"sys/devices/system/node/node{node}"
        yield f"{folder}/cpulist", machine.node_cpus(node)
        yield f"{folder}/distance", " ".join("10" if other == node else "21" for other in range(nodes))
        lines = (("MemTotal", total_kib), ("MemFree", total_kib * 9 // 10), ("MemUsed", total_kib // 10))
        yield f"{folder}/meminfo", "\n".join(f"Node {node} {name + ':':15} {kib:>8} kB" for name, kib in lines)


def _nics(machine: Machine) -> Iterator[tuple[str, str]]:
    pairs = _nic_pairs(machine)
    for index, (interface, hca) in enumerate(pairs):
        folder = f"sys/devices/pci0000:00/{_nic_address(index)}"
        node = machine.node_of(index, len(pairs))
        yield from _pci(folder, vendor="0x15b3", device="0x1021", class_="0x020000", machine=machine, node=node)
        for irq in range(FIRST_IRQ + index * IRQS_PER_INTERFACE, FIRST_IRQ + (index + 1) * IRQS_PER_INTERFACE):
            yield f"{folder}/msi_irqs/{irq}", "msix"
            yield f"proc/irq/{irq}/smp_affinity_list", f"0-{machine.group.cpus - 1}"
        if interface:
            yield from _interface(f"{folder}/net/{interface}", machine, index)
            yield f"proc/sys/net/ipv4/conf/{interface}/rp_filter", "1"
        if hca:
            yield from _port(f"{folder}/infiniband/{hca}", machine, index)
            yield f"sys/kernel/config/rdma_cm/{hca}/ports/1/default_roce_tos", "0"
            yield f"{folder}/infiniband/{hca}/tc/1/traffic_class", ""


def _interface(folder: str, machine: Machine, index: int) -> Iterator[tuple[str, str]]:
    yield f"{folder}/operstate", "up"
    yield f"{folder}/mtu", "9000"
    if _nic_pairs(machine)[index][0].startswith("ib"):
        # ARPHRD_INFINIBAND, and what IPoIB has where it is not offloaded to the NIC.
        yield f"{folder}/type", "32"
        yield f"{folder}/mode", "datagram"
    # As NVIDIA's driver has them: marks of every priority are answered until somebody says otherwise.
    for end in ("np", "rp"):
        for priority in range(8):
            yield f"{folder}/ecn/roce_{end}/enable/{priority}", "1"
    yield f"{folder}/ecn/roce_np/cnp_dscp", "48"
    yield f"{folder}/ecn/roce_np/cnp_802p_prio", "6"
    yield f"{folder}/speed", str(machine.link_gbps * 1000)
    yield f"{folder}/address", f"94:6d:ae:00:00:{index:02x}"


def _port(folder: str, machine: Machine, index: int) -> Iterator[tuple[str, str]]:
    yield f"{folder}/node_type", "1: CA"
    yield f"{folder}/fw_ver", "28.43.2566"
    yield f"{folder}/node_guid", f"946d:ae03:0000:{index:04x}"
    port = f"{folder}/ports/1"
    yield f"{port}/state", "4: ACTIVE"
    yield f"{port}/phys_state", "5: LinkUp"
    yield f"{port}/rate", f"{machine.link_gbps} Gb/sec ({RATE_NAMES.get(machine.link_gbps, '4X')})"
    yield f"{port}/link_layer", "Ethernet"
    for name in COUNTERS:
        yield f"{port}/counters/{name}", "0"
    for name in HW_COUNTERS:
        yield f"{port}/hw_counters/{name}", "0"


def _gpus(machine: Machine) -> Iterator[tuple[str, str]]:
    """PCI devices as in sysfs, and figures that only NVML gives in one folder a GPU below `gpu`."""
    count = machine.group.gpus_per_host
    model, memory_mib = GPU_MODELS.get(machine.group.accelerator or "", ("NVIDIA GPU", 0))
    for index in range(count):
        folder = f"sys/devices/pci0000:00/{_gpu_address(index)}"
        node = machine.node_of(index, count)
        yield from _pci(folder, vendor="0x10de", device="0x2330", class_="0x030200", machine=machine, node=node)
        figures = {
            "uuid": f"GPU-{machine.serial.lower()}-{index}",
            "model": model,
            "bus_id": _gpu_address(index),
            "memory_total_mib": str(memory_mib),
            "memory_used_mib": "0",
            "temperature_c": "34",
            "power_w": "70",
            "utilization_percent": "0",
        }
        for name, value in figures.items():
            yield f"gpu/{index}/{name}", value


def _drives() -> Iterator[tuple[str, str]]:
    """Two NVMe drives with the kernel's own read-ahead and path policy."""
    for number in range(2):
        yield f"sys/block/nvme{number}n1/queue/read_ahead_kb", "128"
        yield f"sys/class/nvme-subsystem/nvme-subsys{number}/iopolicy", "numa"
        yield f"sys/class/nvme-subsystem/nvme-subsys{number}/subsystype", "nvm"


def _pci(
    folder: str, *, vendor: str, device: str, class_: str, machine: Machine, node: int
) -> Iterator[tuple[str, str]]:
    yield f"{folder}/vendor", vendor
    yield f"{folder}/device", device
    yield f"{folder}/class", class_
    yield f"{folder}/numa_node", str(node)
    yield f"{folder}/local_cpulist", machine.node_cpus(node)


def _nic_pairs(machine: Machine) -> list[tuple[str, str]]:
    """(interface, HCA) of each NIC; one of them is empty where there are more of the other."""
    return list(zip_longest(machine.group.interfaces, machine.group.hcas, fillvalue=""))


def _nic_address(index: int) -> str:
    return f"0000:{0x20 + index:02x}:00.0"


def _gpu_address(index: int) -> str:
    return f"0000:{0x80 + index:02x}:00.0"
