"""The NUMA plan of a group of machines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from fullbore.catalog.host_profiles import HUGEPAGES_2MIB
from fullbore.config.kubernetes import Kubernetes
from fullbore.config.models import Environment, HostGroup
from fullbore.plan.model import NumaPlan, RankPlan
from fullbore.plan.numa.cpus import cpu_list, rank_cpus, reserved_by_node, reserved_cpus
from fullbore.plan.numa.kubelet import PodShape, strictest_policy
from fullbore.plan.numa.machine import Machine, machine_of
from fullbore.plan.numa.pairs import nearest_hca
from fullbore.plan.pools import layout_of


def planned_pod(env: Environment) -> PodShape | None:
    """What a serving pod asks of its host; None where nothing is served."""
    layout = layout_of(env)
    if env.serving is None or layout is None:
        return None
    own = env.serving.cpus or 0  # only a pod that asks for both has either to itself (QoS class Guaranteed)
    return PodShape(gpus=layout.gpus, cpus=own, memory_mib=(env.serving.memory_gib or 0) * 1024 if own else 0)


def node_memory_mib(given: Kubernetes | None, group: HostGroup) -> int | None:
    """MiB of each NUMA node that the memory manager may give; None where the group's kubelets have none."""
    if group.kind != "gpu" or given is None or given.reserved_memory_mib is None:
        return None
    nodes = machine_of(group).numa_nodes
    return max(0, int((group.memory_gib * 1024 - _hugepages(group) * 2) / nodes) - given.reserved_memory_mib)


def numa_plan(group: HostGroup, pod: PodShape | None = None, node_mib: int | None = None) -> NumaPlan:
    """`pod` is what the hosts run; where it is not known, pods of one GPU or of all, with one CPU, are presumed.

    `node_mib` is as node_memory_mib gives it.
    """
    asked = _Asked(
        hcas=group.hcas,
        reserved_cores=group.reserved_cores,
        topology_policy=group.topology_policy,
        hugepages_2mib=_hugepages(group),
        node_mib=node_mib,
    )
    return _decided(machine_of(group), asked, pod)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What a group says besides its machine."""

    hcas: tuple[str, ...]
    reserved_cores: int
    topology_policy: str | None
    hugepages_2mib: int
    node_mib: int | None


@lru_cache(maxsize=128)
def _decided(machine: Machine, asked: _Asked, pod: PodShape | None) -> NumaPlan:
    """Decided once for all groups of equal machines: a site of thousands of hosts has few kinds."""
    return NumaPlan(
        origin=machine.origin,
        numa_nodes=machine.all_nodes,
        reserved_cpus=reserved_cpus(machine, asked.reserved_cores),
        topology_policy=asked.topology_policy or policy_for(machine, pod, asked.reserved_cores, asked.node_mib),
        cpus_across_nodes=pod is not None and pod.cpus * machine.numa_nodes > machine.cpus,
        ranks=_ranks(asked, machine),
        interrupts=_interrupts(asked, machine),
        nvme={drive: slot.numa_node for slot in machine.slots for drive in slot.nvme},
        hugepages_2mib=asked.hugepages_2mib,
    )


def _ranks(asked: _Asked, machine: Machine) -> tuple[RankPlan, ...]:
    pairs = nearest_hca(machine, asked.hcas)
    cpus = rank_cpus(machine, asked.reserved_cores)
    return tuple(
        RankPlan(
            gpu=gpu,
            numa_node=slot.numa_node,
            hca=pairs[gpu][0] if gpu in pairs else "",
            distance=pairs[gpu][1] if gpu in pairs else "",
            cpus=cpu_list(cpus[gpu]),
        )
        for gpu, slot in sorted(machine.gpu_slots.items())
    )


def _interrupts(asked: _Asked, machine: Machine) -> dict[str, str]:
    """On the reserved CPUs of the HCA's node, so that none runs on a rank's core. Not from an assumed tree: a wrong
    node would be worse than what the kernel knows by itself."""
    kept = reserved_by_node(machine, asked.reserved_cores)
    if not machine.known or not kept:
        return {}
    places = machine.hca_slots
    return {hca: cpu_list(kept[places[hca].numa_node]) for hca in asked.hcas if hca in places}


def policy_for(machine: Machine, pod: PodShape | None, reserved_cores: int, node_mib: int | None = None) -> str:
    """The strictest policy for what a machine runs. Where that is not known, pods of one GPU or of all, with one CPU,
    are presumed; a pod larger than the host is told by another check, and does not decide here."""
    gpus = len(machine.gpu_slots)
    if pod is None or pod.gpus > gpus:
        pods = tuple(PodShape(gpus=count, cpus=1) for count in {min(1, gpus), gpus})
    else:
        pods = (pod,)
    return strictest_policy(machine, pods, reserved_cores=reserved_cores, node_mib=node_mib)


def _hugepages(group: HostGroup) -> int:
    if group.hugepages_2mib is not None:
        return group.hugepages_2mib
    return HUGEPAGES_2MIB.get(group.accelerator or "", 0) if group.kind == "gpu" else 0
