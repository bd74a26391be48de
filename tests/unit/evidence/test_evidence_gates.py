"""Floors scaled to topologies, and what verdicts say."""

from __future__ import annotations

import re

import pytest
from evidence_cases import CABLES, FABRIC, HOSTS, LOCK, RAILS, group, machine, read

from fullbore.catalog.accelerators import ACCELERATORS
from fullbore.catalog.acceptance import ACCEPTANCE
from fullbore.evidence import floors
from fullbore.evidence.gates.cables import judge_cables
from fullbore.evidence.judge import DCGM, SMI, GroupOutputs, failures, judge_group, judge_host
from fullbore.evidence.model import Pair, Topology, Verdict
from fullbore.evidence.parse.links import Link


def hosts(count: int, gpus: int = 8, hcas: int = 8, link: float = 400, nvls: bool = True) -> Topology:
    return Topology(hosts=count, gpus_per_host=gpus, hcas_per_host=hcas, link_gbps=link, nvls=nvls)


@pytest.mark.parametrize(
    ("accelerator", "topology", "floor"),
    [
        pytest.param("h100", hosts(1), 440, id="NVLink SHARP inside a host"),
        pytest.param("h100", hosts(1, nvls=False), 300, id="a ring inside a host"),
        pytest.param("h200", hosts(2), 440, id="two hosts on 3200 Gbit/s"),
        pytest.param("h200", hosts(2, link=200), 220, id="two hosts on half of it"),
        pytest.param("h100", hosts(8), 300, id="eight hosts are bound by the network"),
        pytest.param("a100-80", hosts(2, hcas=16, link=100, nvls=False), 185, id="as OCI asks of two A100 hosts"),
        pytest.param("a100-80", hosts(4, hcas=2, link=200, nvls=False), 37.5, id="two ports of 200 for eight GPUs"),
        pytest.param("a100-80", hosts(1, nvls=True), None, id="A100 has no NVLink SHARP"),
        pytest.param("h100", hosts(2, hcas=0), None, id="no port, no floor"),
        pytest.param("l40s", hosts(1), None, id="no source"),
        pytest.param(None, hosts(1), None, id="no GPU"),
    ],
)
def test_all_reduce_follows_the_topology(accelerator: str | None, topology: Topology, floor: float | None) -> None:
    found = floors.all_reduce(accelerator, topology)
    assert (found.value if found else None) == pytest.approx(floor)
    assert found is None or "http" in found.source or "skills/" in found.source


@pytest.mark.parametrize(
    ("topology", "floor"),
    [
        pytest.param(hosts(1), 246, id="inside a host"),
        pytest.param(hosts(2), 60, id="half of the traffic stays inside"),
        pytest.param(hosts(16), 32, id="nearly none does"),
        pytest.param(hosts(2, hcas=4), 30, id="two GPUs share a port"),
        pytest.param(hosts(2, hcas=0), None, id="no port"),
    ],
)
def test_all_to_all_follows_the_topology(topology: Topology, floor: float | None) -> None:
    found = floors.all_to_all("h100", topology)
    assert (found.value if found else None) == pytest.approx(floor)


def test_ports_and_links_follow_their_rates() -> None:
    assert [floors.write_bandwidth(rate).value for rate in (100, 200, 400)] == [96, 192, 384]
    assert {name: floors.nvlink(name).value for name in ACCEPTANCE} == {
        "a100-40": 25,
        "a100-80": 25,
        "h100": 25,
        "h200": 25,
        "gb200": 50,
    }


def test_every_row_is_of_a_known_accelerator_and_has_sources() -> None:
    assert set(ACCEPTANCE) <= set(ACCELERATORS)
    for row in ACCEPTANCE.values():
        figures = ((row.nvls, row.nvls_source), (row.ring, row.ring_source), (row.all_to_all, row.all_to_all_source))
        assert all(source for value, source in figures if value is not None)
        assert row.source
        assert row.latency_source


def test_nothing_run_is_nothing_accepted() -> None:
    failed = failures(judge_host(machine(gpus=8, drives=("nvme0n1",)), {}))
    assert {verdict.gate for verdict in failed} == {
        "clock",
        "gpu",
        "dcgm",
        "nvlink",
        "all-reduce",
        "all-to-all",
        "nvme",
    }
    pair = Pair(host="a", hca="mlx5_0", to_host="b", to_hca="mlx5_0")
    missing = failures(judge_group(group(hosts(2), pairs=(pair,), cables=CABLES[:1]), GroupOutputs()))
    assert {verdict.gate for verdict in missing} == {
        "cabling",
        "rdma-bandwidth",
        "rdma-latency",
        "all-reduce",
        "all-to-all",
    }


def test_every_rail_is_measured_with_every_rail() -> None:
    """A pair that was not measured is named."""
    pairs = tuple(Pair(host="a", hca=one, to_host="b", to_hca=other) for one in RAILS for other in RAILS)
    text = read("ib_write_bw.oci-a100.txt").replace("98.01", "391.20")
    bandwidth = {pair: text.replace("mlx5_5", pair.hca) for pair in pairs}
    del bandwidth[pairs[6]]
    verdicts = judge_group(group(hosts(2, gpus=0), pairs=pairs), GroupOutputs(bandwidth=bandwidth))
    failed = [verdict for verdict in failures(verdicts) if verdict.gate == "rdma-bandwidth"]
    assert [verdict.path for verdict in failed] == ["rack.a:mlx5_1 to b:mlx5_2"]


def test_what_has_no_sourced_floor_is_not_judged_rather_than_passed() -> None:
    text = read("all_reduce.a100-2x8.txt")
    verdicts = judge_group(
        group(hosts(2, hcas=0), accelerator="l40s"), GroupOutputs(commands={"all_reduce_perf": text})
    )
    rate = next(verdict for verdict in verdicts if verdict.path.endswith("all_reduce_perf.busbw"))
    assert (rate.state, rate.source) == ("not judged", "")


def test_a_verdict_says_what_got_allowed_and_what_to_do() -> None:
    text = read("dcgmi-diag-r2.gb10-skipped.json")
    failed = failures(judge_host(machine(gpus=1, dcgm_level=2), {DCGM: text}))
    said = {verdict.path: str(verdict) for verdict in failed if verdict.gate == "dcgm"}
    assert said["gpu-01.gpu0.dcgm.software"].startswith(
        "gpu-01.gpu0.dcgm.software: DCGM's test software is Fail (Persistence Mode: Persistence mode for GPU 0 is "
    )
    assert said["gpu-01.gpu0.dcgm.memory"] == (
        "gpu-01.gpu0.dcgm.memory: DCGM's test memory is Skip, but must be Pass; allow the test to run (no other "
        "process on the GPU, the package of the driver's CUDA version)"
    )
    assert LOCK


@pytest.mark.parametrize(("accelerator", "fails"), [("h200", True), ("t4", False)])
def test_a_gpu_that_cannot_remap_rows_fails_only_where_it_should(accelerator: str, fails: bool) -> None:
    text = re.sub(
        r"(?m)^    Remapped Rows\n(?:        .*\n)+", "    Remapped Rows         : N/A\n", read("nvidia-smi-q.h200.txt")
    )
    assert text.count("Remapped Rows         : N/A") == 2
    failed = failures(judge_host(machine(accelerator=accelerator), {SMI: text}))
    assert any(verdict.gate == "row-remap" for verdict in failed) == fails


def as_planned() -> dict[tuple[str, str], Link]:
    return {
        (cable.host, cable.port): Link(
            host=cable.host, port=cable.port, peer=cable.peer, peer_port=cable.peer_port, gbps=106.25
        )
        for cable in CABLES
    }


def wrong(links: dict[tuple[str, str], Link]) -> dict[str, Verdict]:
    return {v.path: v for v in failures(judge_cables(group(FABRIC, cables=CABLES), links.values()))}


def test_two_swapped_cables_are_named_by_host_port_and_expected_peer() -> None:
    links = as_planned()
    one, other = links[HOSTS[0], RAILS[0]], links[HOSTS[2], RAILS[3]]
    links[one.host, one.port] = Link(**{**vars(one), "peer": other.peer, "peer_port": other.peer_port})
    links[other.host, other.port] = Link(**{**vars(other), "peer": one.peer, "peer_port": one.peer_port})
    assert {path: str(verdict) for path, verdict in wrong(links).items()} == {
        "rack.gpu-01.mlx5_0": "rack.gpu-01.mlx5_0: the other end of the cable is leaf-3 port 3, but gpu-01 mlx5_0 must "
        "be on leaf-0 port 1; it is swapped with gpu-03 mlx5_3: change the two over",
        "rack.gpu-03.mlx5_3": "rack.gpu-03.mlx5_3: the other end of the cable is leaf-0 port 1, but gpu-03 mlx5_3 must "
        "be on leaf-3 port 3; it is swapped with gpu-01 mlx5_0: change the two over",
    }


def test_three_cables_in_a_ring_name_whose_place_each_took() -> None:
    links = as_planned()
    ring = [links[HOSTS[0], rail] for rail in RAILS[:3]]
    for link, place in zip(ring, ring[1:] + ring[:1], strict=True):
        links[link.host, link.port] = Link(**{**vars(link), "peer": place.peer, "peer_port": place.peer_port})
    assert [verdict.fix for verdict in wrong(links).values()] == [
        "move it to leaf-0 port 1; its place is of gpu-01 mlx5_1",
        "move it to leaf-1 port 1; its place is of gpu-01 mlx5_2",
        "move it to leaf-2 port 1; its place is of gpu-01 mlx5_0",
    ]


def test_a_port_that_hears_two_neighbours_is_not_cabled_right() -> None:
    links = list(as_planned().values())
    links.append(Link(host=HOSTS[1], port=RAILS[1], peer="leaf-9", peer_port="9"))
    failed = failures(judge_cables(group(FABRIC, cables=CABLES), links))
    assert [(verdict.path, verdict.got) for verdict in failed] == [
        ("rack.gpu-02.mlx5_1", "leaf-1 port 2, leaf-9 port 9")
    ]
