"""What the kubelets of cloud nodes are told: as at the site where the type's inside is known, and what harms none
where it is not."""

from __future__ import annotations

from fullbore.catalog.cloud_machines import INSTANCE_MACHINES
from fullbore.catalog.shapes import SHAPES
from fullbore.config.models import Environment
from fullbore.plan.model import KubeletPlan
from fullbore.plan.numa.kubelet import PodShape
from fullbore.plan.numa.machine import from_row
from fullbore.plan.numa.make import policy_for
from fullbore.plan.pools import layout_of

RESERVED_CORES = 2
"""Physical cores of each NUMA node that are kept for the system, as at the site."""
LARGEST_SHARE = 8
"""No more than one CPU in so many is kept: the smallest types have four (our inference)."""
THREADS = 2


def standby_pod(env: Environment) -> PodShape | None:
    """What a pod of the standby asks of its node: GPUs, and no CPUs of its own; None where there is no standby."""
    layout = layout_of(env)
    return PodShape(gpus=layout.gpus) if env.standby and layout else None


def kubelet_plan(instance_type: str, pod: PodShape | None) -> KubeletPlan:
    """The strictest policy that admits `pod` where the NUMA layout of the type is published, else `best-effort`, which
    aligns what it can and refuses no pod."""
    row, shape = INSTANCE_MACHINES.get(instance_type), SHAPES.get(instance_type)
    machine = from_row(row) if row else None
    nodes = machine.numa_nodes if machine else 1
    vcpus = shape.vcpus if shape else 0
    return KubeletPlan(
        topology_policy=policy_for(machine, pod, RESERVED_CORES) if machine else "best-effort",
        reserved_cpus=max(1, min(RESERVED_CORES * THREADS * nodes, vcpus // LARGEST_SHARE)),
        cpus_across_nodes=bool(machine and pod and pod.cpus * nodes > machine.cpus),
    )
