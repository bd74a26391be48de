"""Which CPUs and which memory each rank is bound to. Pure.

Reading memory of another socket costs a third of the bandwidth (S07), and pages stay where they were first touched: so
ranks are bound before they start, by the engine where it can, else by the launcher.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fullbore_runtime.facts.limits import format_list, parse_list
from fullbore_runtime.facts.model import Facts
from fullbore_runtime.tune.machine import Ranks
from fullbore_runtime.tune.settings import Setting, env, flag, left


@dataclass(frozen=True)
class Places:
    """For each rank of this pod, in order: its NUMA node, and the CPUs of that node that the container may use."""

    nodes: tuple[int, ...]
    cpus: tuple[tuple[int, ...], ...]
    whole: bool
    """True where the container may use all CPUs of those nodes."""


def places(facts: Facts, ranks: Ranks) -> Places | str:
    """Where each rank belongs; or why there is nothing to bind."""
    if not ranks.gpus:
        return "no GPU is here"
    if len(facts.numa) < 2:
        return "one NUMA node: every CPU and all memory are equally near"
    by_number = {node.number: node for node in facts.numa}
    nodes = tuple(gpu.numa_node for gpu in ranks.gpus)
    unknown = [gpu.index for gpu in ranks.gpus if gpu.numa_node not in by_number]
    if unknown:
        return f"firmware does not say on which NUMA node GPU {format_list(tuple(unknown))} is"
    known = tuple(node for node in nodes if node is not None)
    allowed = set(parse_list(facts.cpu_set))
    cpus = tuple(tuple(cpu for cpu in parse_list(by_number[node].cpus) if cpu in allowed) for node in known)
    bare = sorted({node for node, near in zip(known, cpus, strict=True) if not near})
    if bare:
        return f"the container may use no CPU of NUMA node {format_list(tuple(bare))}, where its GPUs are"
    memory = parse_list(facts.memory_nodes)
    far = sorted({node for node in known if memory and node not in memory})
    if far:
        return f"the container may use no memory of NUMA node {format_list(tuple(far))}, where its GPUs are"
    whole = all(near == parse_list(by_number[node].cpus) for node, near in zip(known, cpus, strict=True))
    return Places(known, cpus, whole)


def by_vllm(facts: Facts, found: Places | str) -> Iterator[Setting]:
    """vLLM starts each worker under numactl."""
    if isinstance(found, str):
        yield left("numa-bind", found)
    elif not (facts.software.numactl and facts.mempolicy):
        yield from by_launcher(facts, found, _no_numactl(facts, "vLLM"))
    else:
        yield env("VLLM_WORKER_MULTIPROC_METHOD", "spawn", "--numa-bind does nothing for forked workers")
        yield flag("numa-bind", "each worker runs on the NUMA node of its GPU")
        nodes = tuple(str(node) for node in found.nodes)
        yield Setting("arg", "numa-bind-nodes", nodes, "the node of each GPU, as sysfs says")
        if not found.whole:
            lists = tuple(format_list(near) for near in found.cpus)
            yield Setting("arg", "numa-bind-cpus", lists, "the container may not use all CPUs of these nodes")


def by_sglang(facts: Facts, found: Places | str) -> Iterator[Setting]:
    """SGLang starts each of its processes under numactl, too."""
    if isinstance(found, str):
        yield left("numa-node", found)
    elif not (facts.software.numactl and facts.mempolicy):
        yield from by_launcher(facts, found, _no_numactl(facts, "SGLang"))
    else:
        nodes = tuple(str(node) for node in found.nodes)
        yield Setting("arg", "numa-node", nodes, "the node of each GPU, as sysfs says")


def _no_numactl(facts: Facts, engine: str) -> str:
    missing = "a memory policy, which is forbidden here (CAP_SYS_NICE)" if facts.software.numactl else "numactl"
    return f"{engine} would need {missing}"


def by_launcher(facts: Facts, found: Places, reason: str) -> Iterator[Setting]:
    """The launcher's own process, which all others come from: that can only be one node's."""
    if len(set(found.nodes)) > 1:
        yield left("bind", f"{reason}, and the launcher can only bind all ranks to one node")
        return
    yield Setting("bind", "cpus", (format_list(found.cpus[0]),), f"the node of all GPUs; {reason}")
    if facts.mempolicy:
        yield Setting("bind", "memory", (str(found.nodes[0]),), "memory of the same node first; others when it is full")
    else:
        yield left("bind memory", "a memory policy is forbidden here (CAP_SYS_NICE); first touch keeps pages near")
