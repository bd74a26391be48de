"""Pairs, CPU sets and kubelet settings, for machines of the catalog and for any that can be described."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbore.catalog.accelerators import ACCELERATORS
from fullbore.catalog.machines import MACHINES, Slot
from fullbore.config.kubernetes import Kubernetes
from fullbore.config.models import HostGroup
from fullbore.plan.numa import (
    DISTANCES,
    POLICIES,
    PodShape,
    admits,
    distance,
    machine_of,
    nearest_hca,
    node_memory_mib,
    numa_plan,
    rank_cpus,
    reserved_by_node,
    reserved_cpus,
    strictest_policy,
)


def group(profile: str | None = None, **changes: object) -> HostGroup:
    base: dict[str, object] = {"kind": "gpu", "rack": "r01", "hosts": {"gpu-01": {"serial": "SN1"}}}
    row = MACHINES.get(profile or "")
    if row:
        base |= {
            "profile": profile,
            "accelerator": row.accelerators[0],
            "gpus_per_host": sum(len(slot.gpus) for slot in row.slots),
            "numa_nodes": row.numa_nodes + row.memory_only_nodes,
            "cpus": row.sockets * row.cores_per_socket * row.threads_per_core,
            "hcas": [hca for slot in row.slots for hca in slot.hcas],
        }
    return HostGroup.model_validate({**base, **changes})


@st.composite
def described(draw: st.DrawFn) -> HostGroup:
    """A group whose machine is described: up to eight nodes, devices anywhere."""
    nodes = draw(st.sampled_from([1, 2, 4, 8]))
    sockets = draw(st.sampled_from([1, 2])) if nodes > 1 else 1
    gpus, hcas = draw(st.integers(1, 8)), draw(st.integers(0, 8))
    place = st.tuples(st.integers(0, nodes - 1), st.integers(0, 1), st.sampled_from(["", "/s0", "/s1", "/s0/d0"]))

    def slot(kind: str, name: object) -> dict[str, object]:
        node, bridge, below = draw(place)
        return {"numa_node": node, "at": f"n{node}b{bridge}{below}", kind: [name]}

    pcie = [slot("gpus", gpu) for gpu in range(gpus)] + [slot("hcas", f"mlx5_{hca}") for hca in range(hcas)]
    machine = {
        "sockets": sockets,
        "cores_per_socket": draw(st.integers(1, 16)) * nodes,
        "threads_per_core": draw(st.sampled_from([1, 2])),
        "numa_nodes": nodes,
        "pcie": pcie,
    }
    cores = draw(st.integers(1, 4))
    listed = [f"mlx5_{hca}" for hca in range(hcas)]
    return group(machine=machine, gpus_per_host=gpus, numa_nodes=nodes, hcas=listed, reserved_cores=cores)


def cpus_of(text: str) -> set[int]:
    spans = (span.partition("-") for span in text.split(",") if span)
    return {cpu for low, _, high in spans for cpu in range(int(low), int(high or low) + 1)}


@given(described())
def test_each_gpu_has_one_hca_and_none_is_nearer(chosen: HostGroup) -> None:
    machine = machine_of(chosen)
    pairs = nearest_hca(machine, chosen.hcas)
    assert set(pairs) == (set(range(chosen.gpus_per_host)) if chosen.hcas else set())
    for gpu, (hca, far) in pairs.items():
        slot = machine.gpu_slots[gpu]
        assert far == distance(slot, machine.hca_slots[hca])
        nearest = min(DISTANCES.index(distance(slot, machine.hca_slots[other])) for other in chosen.hcas)
        assert DISTANCES.index(far) == nearest


@given(described())
def test_cpus_of_ranks_are_apart_in_their_node_and_not_the_systems(chosen: HostGroup) -> None:
    machine = machine_of(chosen)
    kept = {cpu for cpus in reserved_by_node(machine, chosen.reserved_cores).values() for cpu in cpus}
    seen: set[int] = set()
    for gpu, cpus in rank_cpus(machine, chosen.reserved_cores).items():
        node = machine.gpu_slots[gpu].numa_node
        of_node = {cpu for core in machine.cores_of(node) for cpu in core}
        assert set(cpus) <= of_node
        assert not set(cpus) & (seen | kept)
        for core in machine.cores_of(node):
            assert len(set(core) & set(cpus)) in (0, len(core)), "a core is not shared between ranks"
        seen |= set(cpus)


@given(described())
def test_the_plan_says_the_same_as_text(chosen: HostGroup) -> None:
    plan, machine = numa_plan(chosen), machine_of(chosen)
    everything = [cpus_of(rank.cpus) for rank in plan.ranks] + [cpus_of(plan.reserved_cpus)]
    assert sum(map(len, everything)) == len(set().union(*everything)) <= machine.cpus
    for hca, cpus in plan.interrupts.items():
        node = machine.hca_slots[hca].numa_node
        assert cpus_of(cpus) <= cpus_of(plan.reserved_cpus)
        assert cpus_of(cpus) <= {cpu for core in machine.cores_of(node) for cpu in core}


@given(described(), st.integers(1, 8), st.integers(0, 64))
def test_the_chosen_policy_admits_and_every_looser_one_does(chosen: HostGroup, gpus: int, cpus: int) -> None:
    machine, pod = machine_of(chosen), PodShape(gpus=min(gpus, chosen.gpus_per_host), cpus=cpus)
    cores = chosen.reserved_cores
    verdicts = [admits(policy, machine, pod, reserved_cores=cores) for policy in POLICIES]
    assert verdicts == sorted(verdicts)
    assert strictest_policy(machine, (pod,), reserved_cores=cores) == POLICIES[verdicts.index(True)]


@given(st.integers(1, 512), st.integers(1, 64), st.integers(0, 16), st.integers(0, 16))
def test_an_assumed_machine_is_planned_whatever_its_figures(cpus: int, nodes: int, gpus: int, hcas: int) -> None:
    listed = [f"mlx5_{hca}" for hca in range(hcas)]
    plan = numa_plan(group(cpus=cpus, numa_nodes=nodes, gpus_per_host=gpus, hcas=listed))
    assert len(plan.ranks) == gpus
    assert cpus_of(plan.reserved_cpus) <= set(range(cpus))
    assert plan.interrupts == {}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((0, "r0/s0"), (0, "r0/s0"), "PIX"),
        ((0, "r0/s0/a"), (0, "r0/s0/b"), "PXB"),
        ((0, "r0/s0/a"), (0, "r0/s0"), "PXB"),
        ((0, "r0/s0"), (0, "r0/s1"), "PHB"),
        ((0, "r0"), (0, "r0"), "PHB"),
        ((0, "r0/s0"), (0, "r1/s0"), "NODE"),
        ((0, "r0/s0"), (1, "r0/s0"), "SYS"),
    ],
)
def test_distances_are_those_of_nvidia_smi(one: tuple[int, str], other: tuple[int, str], expected: str) -> None:
    first, second = (Slot(numa_node=node, at=at) for node, at in (one, other))
    assert distance(first, second) == distance(second, first) == expected


def test_a_dgx_h100_has_the_pairs_and_cpus_that_nvidia_smi_shows() -> None:
    """The table of vllm-project/vllm#13855: PXB pairs, CPUs 0-55,112-167 and 56-111,168-223."""
    plan = numa_plan(group("dgx-h100"))
    pairs = {rank.gpu: (rank.hca, rank.distance, rank.numa_node) for rank in plan.ranks}
    hcas = ("mlx5_0", "mlx5_3", "mlx5_4", "mlx5_5", "mlx5_6", "mlx5_9", "mlx5_10", "mlx5_11")
    assert pairs == {gpu: (hca, "PXB", gpu // 4) for gpu, hca in enumerate(hcas)}
    assert cpus_of(plan.ranks[0].cpus) <= cpus_of("0-55,112-167")
    assert cpus_of(plan.ranks[7].cpus) <= cpus_of("56-111,168-223")
    assert plan.ranks[0].cpus == "2-14,114-126"
    assert plan.reserved_cpus == "0-1,56-57,112-113,168-169"
    assert plan.interrupts["mlx5_9"] == "56-57,168-169"


def test_a_dgx_a100_has_its_gpus_on_the_odd_nodes() -> None:
    """NVIDIA/nccl#1505: GPU 0 on node 3 with CPUs 48-63,176-191, GPU 2 on node 1, GPU 4 on node 7."""
    plan = numa_plan(group("dgx-a100"))
    assert [rank.numa_node for rank in plan.ranks] == [3, 3, 1, 1, 7, 7, 5, 5]
    assert cpus_of(plan.ranks[0].cpus) < cpus_of("48-63,176-191")
    assert {rank.distance for rank in plan.ranks} == {"PXB"}
    assert len({rank.hca for rank in plan.ranks}) == 8


def test_a_grace_tray_counts_its_gpus_memory_as_nodes() -> None:
    plan = numa_plan(group("gb200-tray"))
    assert plan.numa_nodes == 34
    assert plan.ranks[3].cpus == "109-143"
    assert plan.reserved_cpus == "0-1,72-73"


def test_of_two_hcas_on_other_nodes_the_one_on_the_same_socket_is_nearer() -> None:
    machine = {
        "sockets": 2,
        "cores_per_socket": 64,
        "numa_nodes": 8,
        "pcie": [
            {"numa_node": 1, "at": "r1", "gpus": [0, 1]},
            {"numa_node": 3, "at": "r3", "hcas": ["mlx5_0"]},
            {"numa_node": 7, "at": "r7", "hcas": ["mlx5_1"]},
        ],
    }
    plan = numa_plan(group(machine=machine, gpus_per_host=2, numa_nodes=8, cpus=256, hcas=["mlx5_1", "mlx5_0"]))
    assert [(rank.hca, rank.distance) for rank in plan.ranks] == [("mlx5_0", "SYS")] * 2


H100 = machine_of(group("dgx-h100"))


@pytest.mark.parametrize(
    ("gpus", "cpus", "expected"),
    [
        (4, 0, "single-numa-node"),
        (4, 104, "single-numa-node"),
        (8, 0, "restricted"),  # the GPUs ask for both nodes, and nothing else says otherwise
        (8, 16, "best-effort"),  # 16 CPUs fit one node, the GPUs need two: the hints never agree
        (8, 208, "restricted"),  # CPUs of both nodes: the hints agree again
        (4, 112, "best-effort"),  # a node has 112 CPUs, but 4 of them are reserved
        (3, 8, "single-numa-node"),
    ],
)
def test_the_policy_follows_from_the_pod(gpus: int, cpus: int, expected: str) -> None:
    assert strictest_policy(H100, (PodShape(gpus=gpus, cpus=cpus),), reserved_cores=2) == expected


@pytest.mark.parametrize(
    ("gpus", "cpus", "gib", "expected"),
    [
        (8, 208, 1024, "restricted"),  # CPUs, GPUs and memory all need both nodes
        (8, 208, 500, "best-effort"),  # 500 GiB fit one node of 1012
        (4, 100, 1012, "single-numa-node"),
        (4, 100, 1016, "best-effort"),  # memory needs both nodes, the GPUs one
    ],
)
def test_memory_that_is_given_by_nodes_decides_too(gpus: int, cpus: int, gib: int, expected: str) -> None:
    """Nodes of 1024 GiB less 8 GiB of huge pages and 4 GiB for the system."""
    chosen = group("dgx-h100", hugepages_2mib=8192, memory_gib=2048)
    node_mib = node_memory_mib(Kubernetes(reserved_memory_mib=4096), chosen)
    pod = PodShape(gpus=gpus, cpus=cpus, memory_mib=gib * 1024)
    assert node_mib == 1012 * 1024
    assert numa_plan(chosen, pod, node_mib).topology_policy == expected
    without = strictest_policy(H100, (replace(pod, memory_mib=0),), reserved_cores=2)
    assert numa_plan(chosen, pod, node_memory_mib(Kubernetes(), chosen)).topology_policy == without


def test_a_second_pod_must_find_room_too() -> None:
    """Three pods of 72 CPUs: two fill a node each, the third would take some of both."""
    pod = PodShape(gpus=2, cpus=72)
    assert admits("restricted", H100, pod, reserved_cores=2, pods=2)
    assert not admits("restricted", H100, pod, reserved_cores=2, pods=3)


def test_a_machine_of_many_nodes_is_not_made_to_try_them_all() -> None:
    machine = machine_of(group(numa_nodes=34, cpus=288, gpus_per_host=8))
    assert strictest_policy(machine, (PodShape(gpus=1),), reserved_cores=2) == "best-effort"


@pytest.mark.parametrize(
    ("cpus", "nodes", "expected"),
    [(128, 2, "0-1,32-33,64-65,96-97"), (16, 1, "0-1,8-9"), (8, 2, ""), (2, 1, ""), (72, 34, "")],
)
def test_two_cores_of_each_node_are_kept_for_the_system(cpus: int, nodes: int, expected: str) -> None:
    assert reserved_cpus(machine_of(group(cpus=cpus, numa_nodes=nodes)), 2) == expected


def test_rows_have_a_source_known_gpus_and_each_device_once() -> None:
    for row in MACHINES.values():
        assert row.source
        assert set(row.accelerators) <= set(ACCELERATORS)
        devices = [name for slot in row.slots for name in (*slot.gpus, *slot.hcas, *slot.nvme)]
        assert len(devices) == len(set(devices))
        assert all(slot.numa_node < row.numa_nodes for slot in row.slots)
        assert row.sockets * row.cores_per_socket % row.numa_nodes == 0
        gpus = [gpu for slot in row.slots for gpu in slot.gpus]
        assert sorted(gpus) == list(range(len(gpus)))
