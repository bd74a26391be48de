"""What is read out of real outputs of the tools, and what is refused as unreadable."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml
from evidence_cases import FIXTURES, read

from fullbore.evidence.parse.chrony import parse_tracking
from fullbore.evidence.parse.dcgm import Outcome, parse_diag
from fullbore.evidence.parse.fio import parse_fio
from fullbore.evidence.parse.links import Link, parse_linkinfo, parse_lldp, parse_ports
from fullbore.evidence.parse.nccl_tests import parse_collective
from fullbore.evidence.parse.nvidia_smi import parse_links, parse_query
from fullbore.evidence.parse.perftest import parse_bandwidth, parse_latency
from fullbore.evidence.unreadable import Unreadable


def test_every_fixture_names_its_source() -> None:
    sources = yaml.safe_load(read("sources.yaml"))
    files = {path.name for path in FIXTURES.iterdir()} - {"sources.yaml"}
    assert set(sources) == files
    assert all(entry["source"] and isinstance(entry["real"], bool) for entry in sources.values())


def test_nvidia_smi_of_two_h200() -> None:
    smi = parse_query(read("nvidia-smi-q.h200.txt"))
    assert smi.driver == "580.159.04"
    assert [gpu.bus for gpu in smi.gpus] == ["00000000:00:06.0", "00000000:00:07.0"]
    gpu = smi.gpus[1]
    assert (gpu.product, gpu.pcie_generation, gpu.pcie_width) == ("NVIDIA H200", 5, 16)
    assert (gpu.ecc, gpu.uncorrectable, gpu.unrepairable) == ("Enabled", 0, "No")
    assert (gpu.remap_pending, gpu.remap_failed, gpu.remapped) == ("No", "No", 0)
    assert (gpu.recovery, gpu.fabric) == ("None", "Completed, Success")


def test_nvlinks_of_two_h200() -> None:
    links = parse_links(read("nvidia-smi-nvlink.h200.txt"))
    assert links == {gpu: dict.fromkeys(range(18), 26.562) for gpu in (0, 1)}


def test_dcgm_3() -> None:
    outcomes = parse_diag(read("dcgmi-diag-r3.t4.json"))
    assert [outcome.status for outcome in outcomes if outcome.test == "software"] == ["Pass"] * 9
    pcie = next(outcome for outcome in outcomes if outcome.test == "pcie")
    assert (pcie.gpu, pcie.host_rates) == (0, {"GPU to Host": 13.15, "Host to GPU": 13.11})
    assert [outcome.test for outcome in outcomes if outcome.status == "Skip"] == ["eud_test"]


def test_dcgm_4_with_a_setting_that_is_wrong_and_tests_that_did_not_run() -> None:
    software, memory, pcie = parse_diag(read("dcgmi-diag-r2.gb10-skipped.json"))
    assert (software.test, software.gpu, software.status) == ("software", 0, "Fail")
    assert software.said[0].startswith("Persistence Mode: Persistence mode for GPU 0 is disabled")
    assert (memory, pcie) == (
        Outcome(test="memory", gpu=0, status="Skip", said=()),
        Outcome(test="pcie", gpu=0, status="Skip", said=()),
    )


def test_dcgm_4_measures_the_way_to_the_host() -> None:
    pcie = parse_diag(read("dcgmi-diag-r2.gb10.json"))[-1]
    assert pcie.host_rates == {"GPU to Host": 58.62, "Host to GPU": 58.88}


def test_all_reduce_of_two_a100_hosts() -> None:
    run = parse_collective(read("all_reduce.a100-2x8.txt"))
    assert (run.name, run.ranks, run.hosts, run.wrong) == ("all_reduce_perf", 16, 2, 0)
    assert run.largest_bytes == 4 << 30
    assert run.busbw == pytest.approx(185.594, abs=0.01)  # what the tool itself calls Avg bus bandwidth


def test_all_to_all_of_two_a100_hosts_is_the_mean_over_large_messages() -> None:
    run = parse_collective(read("alltoall.a100-2x8.txt"))
    assert (run.name, run.ranks, run.hosts, run.wrong) == ("", 16, 2, 0)
    assert run.busbw == pytest.approx((37.43 + 37.71 + 37.89 + 37.96 + 37.46 + 37.80 + 37.95 + 38.01) / 8)


@pytest.mark.parametrize(
    ("name", "why"),
    [("alltoall.h800-failed.txt", "did not run to its end"), ("all_reduce.h100-8x8.txt", "lists no rank")],
)
def test_a_collective_that_proves_nothing(name: str, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        parse_collective(read(name))


def test_rdma_between_two_hosts() -> None:
    got = parse_bandwidth(read("ib_write_bw.oci-a100.txt"))
    assert (got.device, got.message_bytes, got.gbps) == ("mlx5_5", 65536, 98.01)
    assert parse_bandwidth(read("ib_write_bw.spark.txt")).gbps == 92.56  # the lowest of five seconds
    latency = parse_latency(read("ib_write_lat.spark.txt"))
    assert (latency.device, latency.message_bytes, latency.us) == ("rocep1s0f1", 2, 1.47)


def test_mib_become_gbit() -> None:
    text = read("ib_write_bw.oci-a100.txt").replace("Gb/sec", "MB/sec").replace("98.01", "11728.47")
    assert parse_bandwidth(text).gbps == pytest.approx(11728.47 * 8 * 2**20 / 1e9)


def test_small_messages_measure_no_bandwidth() -> None:
    text = read("ib_write_bw.small-messages.txt")
    with pytest.raises(Unreadable, match="not titled 'RDMA_Write BW Test'"):
        parse_bandwidth(text)
    with pytest.raises(Unreadable, match="largest message has 8 bytes"):
        parse_bandwidth(text.replace("Post List ", ""))


def test_iblinkinfo() -> None:
    links = parse_linkinfo(read("iblinkinfo.v100.txt"))
    hosts = [link for link in links if link.port == "HCA-1"]
    assert [(link.host, link.peer, link.peer_port) for link in hosts] == [
        ("gpu-v100-0", "ibswitch254", "1"),
        ("gpu-v100-1", "ibswitch254", "2"),
        ("gpu-v100-3", "ibswitch254", "3"),
    ]
    assert {link.gbps for link in hosts} == {4 * 25.78125}


def test_ibnetdiscover() -> None:
    links = parse_ports(read("ibnetdiscover-p.edr.txt"))
    assert links[0] == Link(host="o0001", port="HCA-1", peer="ib-i1l1s01", peer_port="10", gbps=4 * 25.78125)
    assert [link.host for link in links] == ["o0001", "o0002", "p0001"]


@pytest.mark.parametrize(("name", "parse"), [("iblinkinfo", parse_linkinfo), ("ibnetdiscover-p", parse_ports)])
def test_a_real_subnet_manager_s_view_of_two_swapped_cables(
    name: str, parse: Callable[[str], tuple[Link, ...]]
) -> None:
    """opensm and infiniband-diags over simulated switches, once as planned and once with the cables swapped."""
    good, swapped = (set(parse(read(f"{name}.{fabric}.txt"))) for fabric in ("rails", "swapped"))
    assert len(good) == 16
    assert {(link.host, link.port, link.peer, link.peer_port) for link in swapped - good} == {
        ("gpu-01", "mlx5_0", "leaf-2", "3"),
        ("gpu-03", "mlx5_2", "leaf-0", "1"),
    }


def test_lldp() -> None:
    links = parse_lldp(read("lldpcli-json0.lldpd-tests.json"), "ns-1")
    assert links == (Link(host="ns-1", port="eth0", peer="ns-2.example.com", peer_port="eth1"),)


def test_lldp_in_the_form_that_changes_is_refused() -> None:
    with pytest.raises(Unreadable, match="json0"):
        parse_lldp('{"lldp": {"interface": {"eth0": {}}}}', "ns-1")


def test_chrony() -> None:
    far = parse_tracking(read("chronyc-tracking.far.txt"))
    assert (far.offset_s, far.leap, far.source) == (-0.000001501, "Normal", "1.2.3.4 (a.b.c)")
    assert far.error_s == pytest.approx(0.000001501 + 0.024780 + 0.373169 / 2)


def test_fio() -> None:
    rates = parse_fio(read("fio-randread.txt"))
    assert rates.error == 0
    assert rates.read_iops == pytest.approx(134_196.494)
    assert rates.write_iops == 0
    assert rates.read_bytes_s == pytest.approx(rates.read_iops * 4096, rel=0.01)
