"""NUMA nodes and RDMA ports, from sysfs."""

from __future__ import annotations

import re
from pathlib import Path

from fullbore_runtime.facts.limits import read_text
from fullbore_runtime.facts.model import Hca, NumaNode


def numa_nodes(root: Path) -> tuple[NumaNode, ...]:
    """The machine's NUMA nodes; empty where the kernel names none."""
    folders = [folder for folder in (root / "sys/devices/system/node").glob("node*") if folder.name[4:].isdigit()]
    return tuple(_node(folder) for folder in sorted(folders, key=lambda folder: int(folder.name[4:])))


def _node(folder: Path) -> NumaNode:
    total = re.search(r"MemTotal:\s*(\d+) kB", read_text(folder / "meminfo"))
    return NumaNode(
        number=int(folder.name[4:]),
        cpus=read_text(folder / "cpulist"),
        memory_bytes=int(total.group(1)) * 1024 if total else 0,
    )


def pci_numa_node(root: Path, bus: str) -> int | None:
    """NUMA node of a PCI device; None where firmware does not tell, which the kernel writes as -1."""
    return _node_number(root / "sys/bus/pci/devices" / bus / "numa_node")


def _node_number(path: Path) -> int | None:
    text = read_text(path)
    return int(text) if text.isdigit() else None


def hcas(root: Path) -> tuple[Hca, ...]:
    """Every port of every RDMA device, in the order of their names."""
    folders = (root / "sys/class/infiniband").glob("*/ports/*")
    return tuple(sorted((_hca(folder) for folder in folders), key=lambda hca: (_natural(hca.name), hca.port)))


def _hca(folder: Path) -> Hca:
    """States read as '4: ACTIVE' and '5: LinkUp', rates as '400 Gb/sec (4X NDR)'."""
    device = folder.parent.parent
    return Hca(
        name=device.name,
        port=int(folder.name),
        state=_word(read_text(folder / "state")),
        physical_state=_word(read_text(folder / "phys_state")),
        rate_gbps=float((read_text(folder / "rate").split() or ["0"])[0]),
        link_layer=read_text(folder / "link_layer") or "unknown",
        numa_node=_node_number(device / "device/numa_node"),
    )


def _word(text: str) -> str:
    return text.partition(":")[2].strip() or "unknown"


def _natural(name: str) -> tuple[str, int]:
    """mlx5_2 comes before mlx5_10."""
    digits = re.search(r"\d+$", name)
    return (name[: digits.start()], int(digits.group())) if digits else (name, -1)
