"""`nvidia-smi -q` and `nvidia-smi nvlink -s`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fullbore.evidence.unreadable import Unreadable, number

_GPU = re.compile(r"^GPU ([0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9])\s*$")
_LINK_GPU = re.compile(r"^GPU (\d+): (.+?) \(UUID: ")
_LINK = re.compile(r"^\s+Link (\d+): (<inactive>|[\d.]+ GB/s)\s*$")

Tree = Mapping[tuple[str, ...], str]
"""{path of headings and key: value}."""


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU. Counts of errors are of uncorrectable ones since the driver was loaded."""

    bus: str
    serial: str
    """Serial number of the board; the GPU's UUID where it has none."""
    product: str
    pcie_generation: int
    pcie_width: int
    ecc: str
    uncorrectable: int
    unrepairable: str
    """"Yes" where memory or a unit waits for a repair or cannot be repaired."""
    remap_pending: str
    """"Yes" or "No"; "N/A", as the next one, where the GPU cannot remap rows."""
    remap_failed: str
    remapped: int
    recovery: str
    """What the driver asks for; "None" where nothing, or where the driver is too old to say."""
    fabric: str
    """State of the NVLink switches' fabric: "Completed, Success"; "N/A" where there are none."""


@dataclass(frozen=True, kw_only=True)
class Smi:
    driver: str
    gpus: tuple[Gpu, ...]


def parse_query(text: str) -> Smi:
    """`nvidia-smi -q`: every GPU that it says is attached."""
    head, *blocks = _blocks(text)
    driver = _need(head, "Driver Version")
    attached = int(number(_need(head, "Attached GPUs"), "Attached GPUs"))
    gpus = tuple(_gpu(block) for block in blocks)
    if len(gpus) != attached:
        raise Unreadable(f"{attached} GPUs are attached, but {len(gpus)} are described")
    return Smi(driver=driver, gpus=gpus)


def _blocks(text: str) -> list[dict[tuple[str, ...], str]]:
    """The fields before the first GPU, then those of each GPU under ("GPU",) too."""
    blocks: list[dict[tuple[str, ...], str]] = [{}]
    stack: list[tuple[int, str]] = []
    for line in text.splitlines():
        gpu = _GPU.match(line)
        if gpu:
            blocks.append({("GPU",): gpu[1]})
            stack = []
            continue
        key, is_field, value = f"{line.rstrip()} ".partition(" : ")
        indent = len(line) - len(line.lstrip(" "))
        while stack and stack[-1][0] >= indent:
            stack.pop()
        stack.append((indent, key.strip()))
        if is_field:
            blocks[-1][tuple(name for _, name in stack)] = value.strip()
    return blocks


def _need(tree: Tree, *path: str) -> str:
    value = tree.get(path)
    if value is None:
        raise Unreadable(f"{tree.get(('GPU',), 'nvidia-smi')} has no '{' / '.join(path)}'")
    return value


def _gpu(tree: Tree) -> Gpu:
    link = ("PCI", "GPU Link Info")
    remaps = tree.get(("Remapped Rows",)) != "N/A"
    rows = _need(tree, "Remapped Rows", "Uncorrectable Error") if remaps else "0"
    return Gpu(
        bus=tree[("GPU",)],
        serial=_serial(tree),
        product=_need(tree, "Product Name"),
        pcie_generation=int(number(_need(tree, *link, "PCIe Generation", "Current"), "PCIe Generation")),
        pcie_width=int(number(_need(tree, *link, "Link Width", "Current"), "Link Width")),
        ecc=_need(tree, "ECC Mode", "Current"),
        uncorrectable=_uncorrectable(tree),
        unrepairable=_worst(tree),
        remap_pending=_need(tree, "Remapped Rows", "Pending") if remaps else "N/A",
        remap_failed=_need(tree, "Remapped Rows", "Remapping Failure Occurred") if remaps else "N/A",
        remapped=int(number(rows, "Remapped Rows")),
        recovery=tree.get(("GPU Recovery Action",), "None"),
        fabric=", ".join(tree.get(("Fabric", key), "N/A") for key in ("State", "Status")),
    )


def _serial(tree: Tree) -> str:
    number = tree.get(("Serial Number",), "N/A")
    return number if number not in ("N/A", "0") else tree.get(("GPU UUID",), "N/A")


def _uncorrectable(tree: Tree) -> int:
    """SRAM and DRAM, under the names that they have on Ampere (one of SRAM) and on Hopper (parity and SEC-DED)."""
    counts = [
        number(value, path[-1])
        for path, value in tree.items()
        if path[:2] == ("ECC Errors", "Volatile") and "Uncorrectable" in path[-1]
    ]
    if len(counts) < 2:
        raise Unreadable(f"{tree[('GPU',)]} has no uncorrectable errors of SRAM and DRAM under 'ECC Errors / Volatile'")
    return int(sum(counts))


_BROKEN = (
    ("ECC Errors", "Aggregate", "SRAM Threshold Exceeded"),
    ("ECC Errors", "Channel Repair Pending"),
    ("ECC Errors", "TPC Repair Pending"),
    ("ECC Errors", "Unrepairable Memory"),
)


def _worst(tree: Tree) -> str:
    """ "Yes" where one of them is; drivers before 550 print none of them."""
    said = [tree[path] for path in _BROKEN if path in tree]
    return next((value for value in said if value != "No"), "No")


def parse_links(text: str) -> dict[int, dict[int, float]]:
    """`nvidia-smi nvlink -s`: {GPU: {link: GB/s one way, 0 where it is inactive}}."""
    gpus: dict[int, dict[int, float]] = {}
    current: dict[int, float] | None = None
    for line in text.splitlines():
        gpu, link = _LINK_GPU.match(line), _LINK.match(line)
        if gpu:
            current = gpus.setdefault(int(gpu[1]), {})
        elif link and current is not None:
            current[int(link[1])] = 0.0 if link[2] == "<inactive>" else number(link[2], f"link {link[1]}")
    if not gpus:
        raise Unreadable("no GPU is listed")
    return gpus
