"""CPU sets: what is kept for the system, and what each rank runs on."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from fullbore.plan.numa.machine import Machine


@lru_cache(maxsize=256)
def reserved_by_node(machine: Machine, cores: int) -> dict[int, list[int]]:
    """{NUMA node: CPUs kept for the system}: the first `cores` of each node, all threads of them.

    Every node gives some, so that each one's interrupts and system daemons have a near CPU (our inference; the
    kubelet's static CPU manager itself asks for one CPU at least). Empty where a node would have none left.
    """
    if machine.cores // machine.numa_nodes <= cores:
        return {}
    return {
        node: sorted(cpu for core in machine.cores_of(node)[:cores] for cpu in core)
        for node in range(machine.numa_nodes)
    }


def reserved_cpus(machine: Machine, cores: int) -> str:
    """The CPUs kept for the system as a CPU list, e.g. "0-1,32-33"."""
    return cpu_list(cpu for cpus in reserved_by_node(machine, cores).values() for cpu in cpus)


def rank_cpus(machine: Machine, cores: int) -> dict[int, list[int]]:
    """{GPU: CPUs of its rank}: whole cores of the GPU's own node, shared out evenly, without the reserved ones.

    A GPU gets no CPUs (an empty list) where its node has more GPUs than cores left.
    """
    kept = reserved_by_node(machine, cores)
    result: dict[int, list[int]] = {}
    for node in range(machine.numa_nodes):
        gpus = sorted(gpu for gpu, slot in machine.gpu_slots.items() if slot.numa_node == node)
        free = machine.cores_of(node)[cores if kept else 0 :]
        share = len(free) // len(gpus) if gpus else 0
        for index, gpu in enumerate(gpus):
            own = free[index * share : (index + 1) * share]
            result[gpu] = sorted(cpu for core in own for cpu in core)
    return result


def cpu_list(cpus: Iterable[int]) -> str:
    """[0, 1, 32, 33] -> "0-1,32-33", as the kernel and the kubelet write CPU lists."""
    spans: list[list[int]] = []
    for cpu in sorted(cpus):
        if spans and cpu == spans[-1][1] + 1:
            spans[-1][1] = cpu
        else:
            spans.append([cpu, cpu])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in spans)
