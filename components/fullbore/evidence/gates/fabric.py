"""The fabric: RDMA pair by pair, NCCL's collectives, and the clock that their traces need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fullbore.evidence import floors
from fullbore.evidence.floors import Floor
from fullbore.evidence.model import Group, Machine, Pair, Topology, Verdict
from fullbore.evidence.parse.chrony import parse_tracking
from fullbore.evidence.parse.fio import parse_fio
from fullbore.evidence.parse.nccl_tests import parse_collective
from fullbore.evidence.parse.perftest import parse_bandwidth, parse_latency
from fullbore.evidence.unreadable import Unreadable
from fullbore.evidence.verdicts import did_not_run, measured, required, unreadable

_PAIR_FIX = "clean or change the cable, then check the port's error counters and the host's NUMA binding"


def judge_pairs(group: Group, bandwidth: Mapping[Pair, str], latency: Mapping[Pair, str]) -> Iterator[Verdict]:
    """`ib_write_bw` and `ib_write_lat` between every planned pair of ports."""
    for pair in group.pairs:
        path = f"{group.name}.{pair}"
        yield _bandwidth(group, path, pair, bandwidth.get(pair))
        yield _latency(group, path, pair, latency.get(pair))


def _bandwidth(group: Group, path: str, pair: Pair, text: str | None) -> Verdict:
    gate, command = "rdma-bandwidth", "ib_write_bw"
    if text is None:
        return did_not_run(gate, path, command)
    try:
        got = parse_bandwidth(text)
        _same_device(got.device, pair.hca)
    except Unreadable as error:
        return unreadable(gate, path, command, error)
    floor = floors.write_bandwidth(group.topology.link_gbps)
    return measured(gate, path, "the rate of ib_write_bw", got.gbps, floor, _PAIR_FIX)


def _latency(group: Group, path: str, pair: Pair, text: str | None) -> Verdict:
    gate, command = "rdma-latency", "ib_write_lat"
    if text is None:
        return did_not_run(gate, path, command)
    try:
        got = parse_latency(text)
        _same_device(got.device, pair.hca)
    except Unreadable as error:
        return unreadable(gate, path, command, error)
    return measured(
        gate, path, "the latency of ib_write_lat", got.us, floors.write_latency(group.accelerator), _PAIR_FIX
    )


def _same_device(got: str, want: str) -> None:
    if got != want:
        raise Unreadable(f"it is of {got}, not of {want}")


def judge_collective(name: str, path: str, accelerator: str | None, topology: Topology, text: str) -> Iterator[Verdict]:
    """`all_reduce_perf` or `alltoall_perf`: nothing came out wrong, all ranks took part, and fast enough."""
    run = parse_collective(text)
    if run.name and run.name != name:
        raise Unreadable(f"it is of {run.name}, not of {name}")
    gate = "all-reduce" if name == "all_reduce_perf" else "all-to-all"
    ranks = topology.hosts * topology.gpus_per_host
    where = f"{path}.{name}"
    source = "https://github.com/NVIDIA/nccl-tests"
    got, want = f"{run.ranks} on {run.hosts} hosts", f"{ranks} on {topology.hosts} hosts"
    fix = "start it on every GPU of every host; a rank that is missing names the GPU or host"
    yield required(gate, f"{where}.ranks", "the number of ranks", got, want, source, fix)
    none = Floor(value=0, unit="values", source=source, most=True)
    fix = "find the host by running it on halves of them; wrong values mean a bad GPU, link or memory"
    yield measured(gate, f"{where}.wrong", "the number of wrong values", run.wrong, none, fix)
    floor = (floors.all_reduce if gate == "all-reduce" else floors.all_to_all)(accelerator, topology)
    fix = "find the slow host by running it on halves of them; then its NVLinks, HCAs and NCCL settings"
    yield measured(gate, f"{where}.busbw", f"the bus bandwidth of {name}", run.busbw, floor, fix)


def judge_clock(machine: Machine, text: str) -> Iterator[Verdict]:
    """The clock is synchronised, and its error is bounded."""
    tracking = parse_tracking(text)
    path = f"{machine.host}.clock"
    fix = "give chrony reachable servers (chronyc sources)"
    source = "https://chrony-project.org/doc/4.5/chronyc.html, tracking"
    leap = "Normal" if tracking.leap in ("Insert second", "Delete second") else tracking.leap
    yield required("clock", path, "the leap status", leap, "Normal", source, fix)
    yield measured("clock", f"{path}.error", "the bound of the clock's error", tracking.error_s, floors.clock(), fix)


def judge_drive(machine: Machine, drive: str, text: str) -> Iterator[Verdict]:
    """Random reads of 4 KiB from one drive, as fio measured them."""
    rates = parse_fio(text)
    path = f"{machine.host}.{drive}"
    fix = "look at the drive's SMART log and its PCIe link"
    none = Floor(value=0, unit="", source="https://fio.readthedocs.io/en/latest/fio_doc.html", most=True)
    yield measured("nvme", f"{path}.error", "fio's error number", rates.error, none, fix)
    yield measured("nvme", path, "random reads", rates.read_iops, floors.nvme_read_iops(), fix)
