"""Rules about the inside of machines: what is known of them, and whether planned pods can have what they ask for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from difflib import get_close_matches
from math import lcm

from fullbore.catalog.machines import MACHINES
from fullbore.config.models import Environment, HostGroup
from fullbore.plan.change import put, remove
from fullbore.plan.checks.base import Finding, Rule, Subject, counted
from fullbore.plan.numa import (
    Machine,
    PodShape,
    admits,
    machine_of,
    nearest_hca,
    node_memory_mib,
    numa_plan,
    planned_pod,
    reserved_by_node,
    strictest_policy,
)

HUGE_PAGES_A_GIB = 512
"""Huge pages of 2 MiB in one GiB."""


def _groups(env: Environment) -> Iterator[tuple[str, HostGroup]]:
    for name, group in env.site.groups.items() if env.site else ():
        yield f"site.groups.{name}", group


def _unknown_profile(subject: Subject) -> Iterable[Finding]:
    for path, group in _groups(subject.env):
        if group.profile and group.profile not in MACHINES:
            near = get_close_matches(group.profile, MACHINES, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            message = f"{group.profile[:60]} is not in the catalog; {hint}known: {', '.join(sorted(MACHINES))}; "
            alike = bool(near) and _agrees(group.model_copy(update={"profile": near[0]}))
            changes = (put(f"{path}.profile", near[0]),) if alike else ()
            yield Finding(f"{path}.profile", f"{message}describe another machine in {path}.machine instead", changes)


def _invalid(subject: Subject) -> Iterable[Finding]:
    for path, group in _groups(subject.env):
        if group.profile and group.machine:
            message = f"the catalog knows {group.profile[:60]}; remove machine or profile"
            yield Finding(f"{path}.machine", message, (remove(f"{path}.machine"),))
        for field, message in _faults(group):
            yield Finding(f"{path}.machine.{field}", message)


def _faults(group: HostGroup) -> Iterator[tuple[str, str]]:
    """(field, message) of what a description cannot mean."""
    given = group.machine
    if given is None:
        return
    cores = given.sockets * given.cores_per_socket
    if cores % given.numa_nodes:
        yield "numa_nodes", f"{cores} cores cannot be split evenly over {given.numa_nodes} nodes; count those with CPUs"
    for index, slot in enumerate(given.pcie):
        if slot.numa_node >= given.numa_nodes:
            message = f"got {slot.numa_node}, allowed 0 to {given.numa_nodes - 1}, the nodes that hold CPUs"
            yield f"pcie[{index}].numa_node", message
    devices = Counter(str(name) for slot in given.pcie for name in (*slot.gpus, *slot.hcas, *slot.nvme))
    for name, times in devices.items():
        if times > 1:
            yield "pcie", f"{name} is at {times} places; list each device once"
    bridges: dict[str, set[int]] = {}
    for slot in given.pcie:
        bridges.setdefault(slot.at.split("/")[0], set()).add(slot.numa_node)
    for bridge, nodes in bridges.items():
        if len(nodes) > 1:
            yield "pcie", f"host bridge {bridge} is on NUMA nodes {sorted(nodes)}; a bridge belongs to one, rename one"


def _differs(subject: Subject) -> Iterable[Finding]:
    for path, group in _groups(subject.env):
        yield from _differences(path, group)


def _agrees(group: HostGroup) -> bool:
    return not any(True for _ in _differences("", group))


def _differences(path: str, group: HostGroup) -> Iterator[Finding]:
    machine = machine_of(group)
    if not machine.known:
        return
    source = f"profile {machine.origin}" if group.profile else "machine"
    for field, got, has in _figures(group, machine):
        if got != has:
            message = f"got {got}, but {source} has {has}; write {has} or correct {source}"
            yield Finding(f"{path}.{field}", message, (put(f"{path}.{field}", has),))
    missing = [hca for hca in group.hcas if hca not in machine.hca_slots]
    if missing:
        known = ", ".join(machine.hca_slots) or "none"
        message = f"{', '.join(missing)}: not in {source}, which has {known}; name those or correct {source}"
        yield Finding(f"{path}.hcas", message, (put(f"{path}.hcas", list(machine.hca_slots)),))
    row = MACHINES.get(group.profile or "")
    if row and group.accelerator and group.accelerator not in row.accelerators:
        allowed = " or ".join(row.accelerators)
        message = f"got {group.accelerator}, but {source} comes with {allowed}"
        yield Finding(f"{path}.accelerator", message, (put(f"{path}.accelerator", row.accelerators[0]),))


def _figures(group: HostGroup, machine: Machine) -> tuple[tuple[str, int, int], ...]:
    return (
        ("cpus", group.cpus, machine.cpus),
        ("numa_nodes", group.numa_nodes, machine.all_nodes),
        ("gpus_per_host", group.gpus_per_host, len(machine.gpu_slots)),
    )


def _far(subject: Subject) -> Iterable[Finding]:
    for path, group in _groups(subject.env):
        machine = machine_of(group)
        if not machine.known:
            continue
        far = _crossing(machine, group.hcas)
        if far:
            named = ", ".join(f"GPU {gpu} to {hca}" for gpu, hca in far.items())
            message = f"{named}: the fabric's traffic of these GPUs crosses between sockets"
            changes = (
                () if _crossing(machine, tuple(machine.hca_slots)) else (put(f"{path}.hcas", [*machine.hca_slots]),)
            )
            yield Finding(f"{path}.hcas", f"{message}; list an HCA of each GPU's socket", changes)


def _crossing(machine: Machine, hcas: tuple[str, ...]) -> dict[int, str]:
    """{GPU: its nearest HCA} of those on different sockets."""
    places, gpus = machine.hca_slots, machine.gpu_slots
    return {
        gpu: hca
        for gpu, (hca, _) in nearest_hca(machine, hcas).items()
        if machine.socket_of(places[hca].numa_node) != machine.socket_of(gpus[gpu].numa_node)
    }


def _no_reserved(subject: Subject) -> Iterable[Finding]:
    for path, group in _groups(subject.env):
        machine = machine_of(group)
        if group.kind == "gpu" and not reserved_by_node(machine, group.reserved_cores):
            share = machine.cores // machine.numa_nodes
            message = f"got {group.reserved_cores}, but a NUMA node has {counted(share, 'core')}, so that none can be "
            fix = f"lower it to {share - 1} or less" if share > 1 else "correct cpus or numa_nodes"
            changes = (put(f"{path}.reserved_cores", share - 1),) if share > 1 else ()
            yield Finding(f"{path}.reserved_cores", f"{message}kept and the kubelet pins no CPU; {fix}", changes)


def _hosting(env: Environment) -> Iterator[tuple[str, HostGroup, Machine, PodShape, int]]:
    """Groups that hold the serving pods: path, group, machine, pod, and how many such pods a host has GPUs for."""
    pod = planned_pod(env)
    if pod is None:
        return
    for path, group in _groups(env):
        if group.kind == "gpu" and group.gpus_per_host >= pod.gpus:
            yield path, group, machine_of(group), pod, group.gpus_per_host // pod.gpus


def _policy_refuses(subject: Subject) -> Iterable[Finding]:
    for path, group, machine, pod, pods in _hosting(subject.env):
        asked = group.topology_policy
        given = subject.env.site.kubernetes if subject.env.site else None
        node_mib = node_memory_mib(given, group)
        cores = group.reserved_cores
        if asked is None or admits(asked, machine, pod, reserved_cores=cores, pods=pods, node_mib=node_mib):
            continue
        better = strictest_policy(machine, (pod,), reserved_cores=cores, node_mib=node_mib)
        cpus = f" and {pod.cpus} CPUs" if pod.cpus else ""
        message = (
            f"got {asked}, which refuses a pod of {counted(pod.gpus, 'GPU')}{cpus} on this machine of "
            f"{counted(machine.numa_nodes, 'NUMA node')}: {_why(asked, machine, pod, node_mib)}; take {better}"
            f"{_more_cpus(asked, group, machine, pod, node_mib)}"
        )
        yield Finding(f"{path}.topology_policy", message, (put(f"{path}.topology_policy", better),))


def _why(policy: str, machine: Machine, pod: PodShape, node_mib: int | None) -> str:
    held = Counter(slot.numa_node for slot in machine.gpu_slots.values())
    most = max(held.values(), default=0)
    if policy == "single-numa-node" and pod.gpus > most:
        return f"a node has {counted(most, 'GPU')} at most"
    own = "CPUs, its memory" if pod.memory_mib and node_mib is not None else "CPUs"
    return f"its {own} and its GPUs do not come from the same, fewest nodes"


def _more_cpus(policy: str, group: HostGroup, machine: Machine, pod: PodShape, node_mib: int | None) -> str:
    """The other way out: the smallest number of CPUs with which the policy admits the pod, where there is one."""
    for cpus in range(pod.cpus, machine.cpus, machine.threads_per_core) if pod.cpus else ():
        more = replace(pod, cpus=cpus)
        if admits(policy, machine, more, reserved_cores=group.reserved_cores, node_mib=node_mib):
            return f", or ask for {cpus} CPUs in serving.cpus"
    return ""


def _pod_cpus(subject: Subject) -> Iterable[Finding]:
    serving = subject.env.serving
    if serving is None or serving.cpus is None:
        return
    if serving.memory_gib is None:
        message = "missing, but serving.cpus is given; only a pod that asks for both gets CPUs to itself, add it"
        yield Finding("serving.memory_gib", message)
    changes = tuple(put("serving.cpus", cpus) for cpus in _granted(subject.env))
    for path, group, machine, pod, pods in _hosting(subject.env):
        threads = machine.threads_per_core
        if pod.cpus % threads:
            message = f"got {pod.cpus}, but the kubelet hands out whole cores of {threads} threads on {path}"
            whole = max(threads, pod.cpus - pod.cpus % threads)
            yield Finding("serving.cpus", f"{message} (full-pcpus-only); take {whole}", changes)
        kept, most = _kept(machine, group), _most_cpus(machine, group, pods)
        if pod.cpus > most:
            message = f"{counted(pods, 'pod')} of {pod.cpus} CPUs need {pods * pod.cpus}, but a host of {path} has"
            left = f"{machine.cpus - kept} besides {kept} reserved"
            yield Finding("serving.cpus", f"{message} {left}; take {most} at most", changes)


def _kept(machine: Machine, group: HostGroup) -> int:
    """CPUs of the machine that are reserved."""
    return sum(map(len, reserved_by_node(machine, group.reserved_cores).values()))


def _most_cpus(machine: Machine, group: HostGroup, pods: int) -> int:
    """CPUs that each of so many pods can have, in whole cores."""
    threads = machine.threads_per_core
    return (machine.cpus - _kept(machine, group)) // pods // threads * threads


def _granted(env: Environment) -> Iterator[int]:
    """The most CPUs, no more than are asked for, that every group can give each of its pods; none where that is 0."""
    hosting = list(_hosting(env))
    for _, _, _, pod, _ in hosting[:1]:
        whole = lcm(*(machine.threads_per_core for _, _, machine, _, _ in hosting))
        most = min(pod.cpus, *(_most_cpus(machine, group, pods) for _, group, machine, _, pods in hosting))
        if most // whole:
            yield most // whole * whole


def _memory(subject: Subject) -> Iterable[Finding]:
    serving, env = subject.env.serving, subject.env
    for path, group in _groups(env):
        huge, kept = _huge_gib(group), _reserved_gib(env, group)
        if huge >= group.memory_gib:
            most = int(group.memory_gib * HUGE_PAGES_A_GIB) - 1
            message = f"huge pages take {huge:g} GiB, but a host has {group.memory_gib:g} GiB"
            changes = (put(f"{path}.hugepages_2mib", most),) if most >= 0 else ()
            yield Finding(
                f"{path}.hugepages_2mib", f"{message}; take fewer than {most + 1} pages, best far fewer", changes
            )
        elif kept and huge + kept >= group.memory_gib:
            nodes = machine_of(group).numa_nodes
            message = (
                f"{counted(nodes, 'NUMA node')} of {path} keep {kept:g} GiB, but a host has {group.memory_gib:g} GiB, "
                f"{huge:g} of it huge pages; keep less"
            )
            yield Finding(RESERVED, message, (remove(RESERVED),))
    room = tuple(put("serving.memory_gib", most) for most in _room(env))
    for path, group, _, _, pods in _hosting(env):
        huge, kept = _huge_gib(group), _reserved_gib(env, group)
        left = group.memory_gib - huge - kept
        if serving and serving.memory_gib and 0 < left < pods * serving.memory_gib:
            system = f" and {kept:g} GiB kept for the system" if kept else ""
            message = (
                f"{counted(pods, 'pod')} of {serving.memory_gib} GiB need {pods * serving.memory_gib} GiB, but a host "
                f"of {path} has {left:g} GiB besides {huge:g} GiB of huge pages{system}; "
                f"take {int(left / pods)} at most"
            )
            yield Finding("serving.memory_gib", message, room)


RESERVED = "site.kubernetes.reserved_memory_mib"


def _huge_gib(group: HostGroup) -> float:
    return numa_plan(group).hugepages_2mib / HUGE_PAGES_A_GIB


def _reserved_gib(env: Environment, group: HostGroup) -> float:
    """What the nodes of a machine keep for the system, GiB; 0 where that is left to the cluster."""
    given = env.site.kubernetes if env.site and group.kind == "gpu" else None
    return (given.reserved_memory_mib or 0) * machine_of(group).numa_nodes / 1024 if given else 0.0


def _room(env: Environment) -> Iterator[int]:
    """The most memory, GiB, that every group has for each of its pods besides what is taken; none where that is 0."""
    left = [
        int((group.memory_gib - _huge_gib(group) - _reserved_gib(env, group)) / pods)
        for _, group, _, _, pods in _hosting(env)
    ]
    most = min((gib for gib in left if gib > 0), default=0)
    if most:
        yield most


RULES = (
    Rule(
        id="host-profile-unknown",
        severity="error",
        summary="the catalog has no such machine",
        find=_unknown_profile,
    ),
    Rule(
        id="machine-invalid",
        severity="error",
        summary="the description of a machine contradicts itself",
        find=_invalid,
    ),
    Rule(
        id="machine-differs",
        severity="error",
        summary="a group's figures are not those of its machine",
        find=_differs,
    ),
    Rule(
        id="gpu-far-from-hca",
        severity="warning",
        summary="a GPU's nearest RDMA device is on another socket",
        find=_far,
    ),
    Rule(
        id="reserved-cpus-none",
        severity="warning",
        summary="no CPU can be kept for the system, so the kubelet pins none",
        find=_no_reserved,
    ),
    Rule(
        id="topology-policy-refuses",
        severity="error",
        summary="the kubelet's topology manager would refuse the planned pods",
        find=_policy_refuses,
    ),
    Rule(
        id="pod-cpus-refused",
        severity="error",
        summary="a pod cannot have the CPUs that it asks for",
        find=_pod_cpus,
    ),
    Rule(
        id="host-memory-short",
        severity="error",
        summary="huge pages, pods and what is kept for the system need more memory than a host has",
        find=_memory,
    ),
)
