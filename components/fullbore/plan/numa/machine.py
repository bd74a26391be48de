"""A machine's inside, from the catalog, from the environment's description, or assumed from the group's figures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from fullbore.catalog.machines import MACHINES, MachineRow, Slot
from fullbore.config.models import HostGroup
from fullbore.config.models import Machine as Described


@dataclass(frozen=True, kw_only=True)
class Machine:
    """CPUs, NUMA nodes and the PCIe tree of one host. `known` is false where the tree is an assumption."""

    origin: str
    sockets: int
    cores: int
    threads_per_core: int
    numa_nodes: int
    """Nodes that hold CPUs."""
    memory_only_nodes: int
    slots: tuple[Slot, ...]
    known: bool

    @property
    def cpus(self) -> int:
        return self.cores * self.threads_per_core

    @property
    def all_nodes(self) -> int:
        return self.numa_nodes + self.memory_only_nodes

    @property
    def gpu_slots(self) -> dict[int, Slot]:
        return {gpu: slot for slot in self.slots for gpu in slot.gpus}

    @property
    def hca_slots(self) -> dict[str, Slot]:
        return {hca: slot for slot in self.slots for hca in slot.hcas}

    def socket_of(self, node: int) -> int:
        """The socket of a NUMA node that holds CPUs; nodes are numbered socket after socket."""
        return node * self.sockets // self.numa_nodes

    def cores_of(self, node: int) -> list[tuple[int, ...]]:
        """The cores of a NUMA node, each as its CPUs.

        Linux numbers one thread of every core first, node after node, then the siblings in the same order
        (Documentation/admin-guide/cputopology.rst shows where a kernel says so; all topologies of the catalog do).
        """
        share = self.cores // self.numa_nodes
        first = range(node * share, (node + 1) * share)
        return [tuple(core + thread * self.cores for thread in range(self.threads_per_core)) for core in first]


def machine_of(group: HostGroup) -> Machine:
    """The catalog's profile wins over a description; where there is neither, devices are spread evenly, in order."""
    row = MACHINES.get(group.profile) if group.profile else None
    if row:
        return from_row(row)
    if group.machine:
        return _described(group.machine)
    return _assumed(group.cpus, group.numa_nodes, group.gpus_per_host, group.hcas)


def from_row(row: MachineRow) -> Machine:
    """A machine of the catalog."""
    return Machine(
        origin=row.name,
        sockets=row.sockets,
        cores=row.sockets * row.cores_per_socket,
        threads_per_core=row.threads_per_core,
        numa_nodes=row.numa_nodes,
        memory_only_nodes=row.memory_only_nodes,
        slots=row.slots,
        known=True,
    )


def _described(given: Described) -> Machine:
    return Machine(
        origin="described",
        sockets=given.sockets,
        cores=given.sockets * given.cores_per_socket,
        threads_per_core=given.threads_per_core,
        numa_nodes=given.numa_nodes,
        memory_only_nodes=given.memory_only_nodes,
        slots=tuple(
            Slot(numa_node=s.numa_node, at=s.at, gpus=s.gpus, hcas=s.hcas, nvme=s.nvme)
            for s in given.pcie
            if s.numa_node < given.numa_nodes
        ),
        known=True,
    )


@lru_cache(maxsize=128)
def _assumed(cpus: int, nodes: int, gpus_per_host: int, hcas: tuple[str, ...]) -> Machine:
    """Two sockets, two threads a core, each device on a host bridge of its own, spread over the nodes in order."""
    gpus = tuple(
        Slot(numa_node=gpu * nodes // gpus_per_host, at=f"gpu{gpu}", gpus=(gpu,)) for gpu in range(gpus_per_host)
    )
    named = tuple(
        Slot(numa_node=index * nodes // len(hcas), at=f"hca{index}", hcas=(hca,)) for index, hca in enumerate(hcas)
    )
    return Machine(
        origin="assumed",
        sockets=min(2, nodes),
        cores=cpus // 2,
        threads_per_core=2,
        numa_nodes=nodes,
        memory_only_nodes=0,
        slots=(*gpus, *named),
        known=False,
    )
