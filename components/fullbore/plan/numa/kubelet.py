"""Whether the kubelet's topology manager admits a pod, decided as the kubelet decides it.

Each provider (CPU, device and memory manager) names the sets of NUMA nodes that could serve its part of the request,
and prefers those with as few nodes as the request needs on an empty machine. A choice of one set from each is preferred
only where all the sets are preferred and equal (kubernetes pkg/kubelet/cm/topologymanager/policy.go, mergePermutation;
cpumanager/policy_static.go, generateCPUTopologyHints; memorymanager/policy_static.go, calculateHints). `restricted`
admits where a preferred choice exists, `single-numa-node` where one of a single node does; the others always admit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from fullbore.plan.numa.cpus import reserved_by_node
from fullbore.plan.numa.machine import Machine

POLICIES = ("single-numa-node", "restricted", "best-effort", "none")
"""Strictest first."""
NODES_BY_DEFAULT = 8
"""The topology manager refuses to start with more NUMA nodes unless max-allowable-numa-nodes says otherwise
(kubernetes.io: Control Topology Management Policies on a node)."""

_Nodes = tuple[int, ...]
_Stock = Mapping[int, int]
"""{NUMA node: how many of a resource it has}; empty where nobody hands it out by nodes."""
_Stocks = tuple[_Stock, _Stock, _Stock]
"""CPUs, GPUs and memory (MiB)."""


@dataclass(frozen=True, kw_only=True)
class PodShape:
    """What a pod asks for: whole GPUs, and logical CPUs and MiB of memory (0 where it does not ask for its own)."""

    gpus: int
    cpus: int = 0
    memory_mib: int = 0


def admits(
    policy: str,
    machine: Machine,
    pod: PodShape,
    *,
    reserved_cores: int,
    pods: int | None = None,
    node_mib: int | None = None,
) -> bool:
    """True where the kubelet admits `pods` such pods one after the other; as many as there are GPUs for if None.

    `node_mib` is what the memory manager may give of each node; None where there is none.
    """
    if policy not in ("restricted", "single-numa-node"):
        return True
    if machine.numa_nodes > NODES_BY_DEFAULT:
        return False  # the kubelet would try 2^nodes sets for each pod: not to be asked for
    total, free = _stocks(machine, reserved_cores, node_mib)
    most = 1 if policy == "single-numa-node" else machine.numa_nodes
    for _ in range(_fitting(machine, pod) if pods is None else pods):
        chosen = _choice(total, free, pod, most)
        if chosen is None:
            return False
        free = _taken(free, pod, chosen)
    return True


def strictest_policy(
    machine: Machine, pods: tuple[PodShape, ...], *, reserved_cores: int, node_mib: int | None = None
) -> str:
    """The strictest policy that admits each of `pods`, as often as it fits the machine."""
    return next(
        p
        for p in POLICIES
        if all(admits(p, machine, pod, reserved_cores=reserved_cores, node_mib=node_mib) for pod in pods)
    )


def _fitting(machine: Machine, pod: PodShape) -> int:
    return len(machine.gpu_slots) // pod.gpus if pod.gpus else 1


def _stocks(machine: Machine, reserved_cores: int, node_mib: int | None) -> tuple[_Stocks, _Stocks]:
    """All of the machine's, and those free on an empty one. Reserved CPUs count as the machine's: a request that fits a
    node only together with them prefers that one node and cannot have it. Reserved memory does not."""
    kept = reserved_by_node(machine, reserved_cores)
    nodes = range(machine.numa_nodes)
    cpus = {node: len(machine.cores_of(node)) * machine.threads_per_core for node in nodes}
    gpus = {node: sum(slot.numa_node == node for slot in machine.gpu_slots.values()) for node in nodes}
    memory = {} if node_mib is None else dict.fromkeys(nodes, node_mib)
    return (cpus, gpus, memory), ({node: cpus[node] - len(kept.get(node, ())) for node in nodes}, gpus, memory)


def _choice(total: _Stocks, free: _Stocks, pod: PodShape, most: int) -> _Nodes | None:
    """The nodes that all providers prefer, the fewest and lowest, of `most` nodes at most; None where they disagree."""
    asked = [(t, f, n) for t, f, n in zip(total, free, _numbers(pod), strict=True) if n and t]
    widths = {_least_width(stock, number) for stock, _, number in asked}
    if not widths:
        return ()
    if len(widths) > 1 or None in widths:
        return None
    width = widths.pop()
    if width is None or width > most:
        return None
    sets = combinations(sorted(total[0]), width)
    return next((s for s in sets if all(_sum(stock, s) >= number for _, stock, number in asked)), None)


def _least_width(stock: _Stock, number: int) -> int | None:
    """How few nodes hold `number` on an empty machine; None where all together do not."""
    held = 0
    for width, most in enumerate(sorted(stock.values(), reverse=True), start=1):
        held += most
        if held >= number:
            return width
    return None


def _sum(stock: _Stock, nodes: _Nodes) -> int:
    return sum(stock[node] for node in nodes)


def _numbers(pod: PodShape) -> tuple[int, int, int]:
    return pod.cpus, pod.gpus, pod.memory_mib


def _taken(free: _Stocks, pod: PodShape, nodes: _Nodes) -> _Stocks:
    cpus, gpus, memory = (dict(stock) for stock in free)
    for stock, number in zip((cpus, gpus, memory), _numbers(pod), strict=True):
        for node, part in _parts(stock, number, nodes) if stock else ():
            stock[node] -= part
    return cpus, gpus, memory


def _parts(stock: _Stock, number: int, nodes: _Nodes) -> Iterator[tuple[int, int]]:
    for node in nodes:
        part = min(number, stock[node])
        number -= part
        yield node, part
