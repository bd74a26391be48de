"""What a person writes of a machine's inside, where the catalog does not know it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fullbore.config.base import Hca, Strict, Text, Whole

TopologyPolicy = Literal["none", "best-effort", "restricted", "single-numa-node"]


class PcieSlot(Strict):
    """Devices that hang at one place of a machine's PCIe tree."""

    numa_node: Whole = Field(ge=0, le=63, description="NUMA node of the root that the place belongs to")
    at: Text = Field(
        pattern=r"^[A-Za-z0-9_.:-]+(/[A-Za-z0-9_.:-]+)*$",
        description="the way from the host bridge down, in names of your own: 'r0' is a bridge, 'r0/s1' a switch below",
    )
    gpus: tuple[Annotated[Whole, Field(ge=0, le=63)], ...] = Field(
        default=(), description="GPUs here, by the index that nvidia-smi shows"
    )
    hcas: tuple[Hca, ...] = Field(default=(), description="RDMA devices here, e.g. mlx5_0")
    nvme: tuple[Text, ...] = Field(default=(), description="NVMe drives here, e.g. nvme0n1")


class Machine(Strict):
    """How a machine is built inside: CPUs and the PCIe tree. `lstopo` and `nvidia-smi topo -m` tell."""

    sockets: Whole = Field(ge=1, le=8, description="CPU sockets")
    cores_per_socket: Whole = Field(ge=1, le=512, description="physical cores of each socket")
    threads_per_core: Whole = Field(default=2, ge=1, le=2, description="hardware threads of each core")
    numa_nodes: Whole = Field(ge=1, le=64, description="NUMA nodes that hold CPUs")
    memory_only_nodes: Whole = Field(
        default=0, ge=0, le=64, description="NUMA nodes without CPUs, e.g. GPU memory of Grace machines"
    )
    pcie: tuple[PcieSlot, ...] = Field(default=(), max_length=128, description="the PCIe tree, place by place")
