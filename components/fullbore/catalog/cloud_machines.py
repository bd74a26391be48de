"""EC2 instance types whose inside is published: sockets, cores, NUMA nodes, and which node each GPU is on."""

from __future__ import annotations

from fullbore.catalog.machines import MachineRow, Slot

_P4D = (
    "aws/aws-ofi-nccl topology/p4d-24xl-topo.xml: two CPUs of 24 cores with two threads, those of node 0 numbered "
    "0-23 and 48-71; two GPUs below each of two switches a node"
)
_P4DE = "aws/aws-ofi-nccl topology/p4de-24xl-topo.xml stands beside it for this type; " + _P4D


def _p4(name: str, accelerator: str, source: str) -> MachineRow:
    return MachineRow(
        name=name,
        source=source,
        accelerators=(accelerator,),
        sockets=2,
        cores_per_socket=24,
        threads_per_core=2,
        numa_nodes=2,
        slots=tuple(Slot(numa_node=s // 2, at=f"r{s}/s", gpus=(2 * s, 2 * s + 1)) for s in range(4)),
    )


INSTANCE_MACHINES = {
    row.name: row for row in (_p4("p4d.24xlarge", "a100-40", _P4D), _p4("p4de.24xlarge", "a100-80", _P4DE))
}
"""Types that are not here have no published NUMA layout that was found (the topology of p5 in the same folder is made
to NCCL's needs and shows one node)."""
