"""How far a GPU is from an HCA, in the words of `nvidia-smi topo -m`, and which HCA each GPU uses."""

from __future__ import annotations

from collections import Counter

from fullbore.catalog.machines import Slot
from fullbore.plan.numa.machine import Machine

DISTANCES = ("PIX", "PXB", "PHB", "NODE", "SYS")
"""Near to far, as nvidia-smi topo -m has them: one bridge; several; the host bridge; two of a node; two nodes."""


def distance(one: Slot, other: Slot) -> str:
    """The distance between devices of two places."""
    if one.numa_node != other.numa_node:
        return "SYS"
    mine, theirs = one.at.split("/"), other.at.split("/")
    if mine[0] != theirs[0]:
        return "NODE"
    if len(mine) == 1 or len(theirs) == 1 or mine[1] != theirs[1]:
        return "PHB"
    return "PIX" if mine == theirs else "PXB"


def nearest_hca(machine: Machine, hcas: tuple[str, ...]) -> dict[int, tuple[str, str]]:
    """{GPU: (HCA, distance)}: the nearest of `hcas`, first by distance, then by socket (NUMA nodes of one socket share
    its I/O die); of those as near, the one that the fewest GPUs have, then the first listed.

    Empty where the machine has none of `hcas`.
    """
    places = {hca: slot for hca, slot in machine.hca_slots.items() if hca in hcas}
    if not places:
        return {}
    users: Counter[str] = Counter()
    order = {hca: index for index, hca in enumerate(hcas)}
    pairs: dict[int, tuple[str, str]] = {}
    for gpu, slot in sorted(machine.gpu_slots.items()):
        far = {hca: _far(machine, slot, place) for hca, place in places.items()}
        best = min(far, key=lambda hca, far=far: (*far[hca], users[hca], order[hca]))
        users[best] += 1
        pairs[gpu] = (best, DISTANCES[far[best][0]])
    return pairs


def _far(machine: Machine, one: Slot, other: Slot) -> tuple[int, bool]:
    sockets = {machine.socket_of(one.numa_node), machine.socket_of(other.numa_node)}
    return DISTANCES.index(distance(one, other)), len(sockets) > 1
