"""Machines whose inside is published: sockets, cores, NUMA nodes, and where GPUs and HCAs hang in the PCIe tree.

A place in the tree is written as the way from the host bridge down: `r0` is a bridge, `r0/s0` a switch below it,
`r0/s0/d0` a further bridge below that. Names are ours; what counts is which places share a part of their way.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Slot:
    """Devices that hang at one place: GPUs by nvidia-smi's index, HCAs and drives by name."""

    numa_node: int
    at: str
    gpus: tuple[int, ...] = ()
    hcas: tuple[str, ...] = ()
    nvme: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MachineRow:
    """One model of server. `accelerators` are those that it is sold with; HCAs are the ones of the compute fabric."""

    name: str
    source: str
    accelerators: tuple[str, ...]
    sockets: int
    cores_per_socket: int
    threads_per_core: int
    numa_nodes: int
    memory_only_nodes: int = 0
    slots: tuple[Slot, ...]


def _own_switch(placed: Iterable[tuple[int, int, str]]) -> tuple[Slot, ...]:
    """(GPU, NUMA node, HCA): each pair below a switch of its own, on ports of their own (nvidia-smi shows PXB)."""
    return tuple(
        slot
        for gpu, node, hca in placed
        for slot in (
            Slot(numa_node=node, at=f"r{gpu}/s/gpu", gpus=(gpu,)),
            Slot(numa_node=node, at=f"r{gpu}/s/hca", hcas=(hca,)),
        )
    )


_DGX_A100 = (
    "NVIDIA/nccl#1505: nvidia-smi topo -m of a DGX A100 (two EPYC 7742, NPS 4), GPUs 0-5; "
    "NVIDIA/nccl#2157: the same order; GPUs 6 and 7 are on NUMA node 5, what is left of nodes 1, 3, 5, 7"
)
_DGX_H100 = (
    "vllm-project/vllm#13855: nvidia-smi topo -m of a DGX H100 (two Xeon 8480C); H200 has the same CPUs (MLPerf "
    "inference v4.1, systems/H200-SXM-141GBx8_TRT_MaxQ.json) and the same HCA names (oci-hpc nccl-conf h200)"
)
_DGX_1 = "gist.github.com/ashwin/e139748bdba15f5af63f0146d01ee4c3: nvidia-smi topo -m of a DGX-1 (two 20-core Xeon)"
_GB200 = (
    "NVIDIA/k8s-test-infra#371 and #727: nvidia-smi topo -m of one GB200 tray; 34 NUMA nodes with the GPUs' memory: "
    "an OpenShift example of max-allowable-numa-nodes; HCA names: oci-hpc nccl-conf; their NUMA nodes: our inference"
)


def _two_gpus_a_switch(placed: Iterable[tuple[int, tuple[int, int], tuple[str, str]]]) -> tuple[Slot, ...]:
    """(NUMA node, GPUs, HCAs): two GPUs and two HCAs below one switch, a port each (PXB between any two)."""
    return tuple(
        slot
        for node, gpus, hcas in placed
        for index in (0, 1)
        for slot in (
            Slot(numa_node=node, at=f"r{node}/s/gpu{index}", gpus=(gpus[index],)),
            Slot(numa_node=node, at=f"r{node}/s/hca{index}", hcas=(hcas[index],)),
        )
    )


_ROWS = (
    MachineRow(
        name="dgx-1",
        source=_DGX_1,
        accelerators=("v100-32",),
        sockets=2,
        cores_per_socket=20,
        threads_per_core=2,
        numa_nodes=2,
        slots=tuple(
            Slot(numa_node=index // 2, at=f"r{index // 2}/s{index}", gpus=(2 * index, 2 * index + 1), hcas=(hca,))
            for index, hca in enumerate(("mlx5_0", "mlx5_1", "mlx5_2", "mlx5_3"))
        ),
    ),
    MachineRow(
        name="dgx-a100",
        source=_DGX_A100,
        accelerators=("a100-40", "a100-80"),
        sockets=2,
        cores_per_socket=64,
        threads_per_core=2,
        numa_nodes=8,
        slots=_two_gpus_a_switch(
            (
                (3, (0, 1), ("mlx5_0", "mlx5_1")),
                (1, (2, 3), ("mlx5_2", "mlx5_3")),
                (7, (4, 5), ("mlx5_6", "mlx5_7")),
                (5, (6, 7), ("mlx5_8", "mlx5_9")),
            )
        ),
    ),
    MachineRow(
        name="dgx-h100",
        source=_DGX_H100,
        accelerators=("h100", "h200"),
        sockets=2,
        cores_per_socket=56,
        threads_per_core=2,
        numa_nodes=2,
        slots=_own_switch(
            (
                (0, 0, "mlx5_0"),
                (1, 0, "mlx5_3"),
                (2, 0, "mlx5_4"),
                (3, 0, "mlx5_5"),
                (4, 1, "mlx5_6"),
                (5, 1, "mlx5_9"),
                (6, 1, "mlx5_10"),
                (7, 1, "mlx5_11"),
            )
        ),
    ),
    MachineRow(
        name="gb200-tray",
        source=_GB200,
        accelerators=("gb200",),
        sockets=2,
        cores_per_socket=72,
        threads_per_core=1,
        numa_nodes=2,
        memory_only_nodes=32,
        slots=(
            *(Slot(numa_node=gpu // 2, at=f"c2c{gpu}", gpus=(gpu,)) for gpu in range(4)),
            Slot(numa_node=0, at="r0", hcas=("mlx5_0",)),
            Slot(numa_node=0, at="r1", hcas=("mlx5_1",)),
            Slot(numa_node=1, at="r2", hcas=("mlx5_3",)),
            Slot(numa_node=1, at="r3", hcas=("mlx5_4",)),
        ),
    ),
)

MACHINES = {row.name: row for row in _ROWS}
