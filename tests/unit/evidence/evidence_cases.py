"""Healthy outputs as subjects of the campaign: each a text, and the judge that it goes through."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fullbore.evidence.judge import (
    ALL_REDUCE,
    ALL_TO_ALL,
    CLOCK,
    DCGM,
    FIO,
    LINKINFO,
    NVLINK,
    PORTS,
    SMI,
    GroupOutputs,
    judge_group,
    judge_host,
)
from fullbore.evidence.model import Cable, Group, Machine, Pair, Topology, Verdict

FIXTURES = Path(__file__).parents[2] / "fixtures" / "evidence"
LOCK = {"gpu_driver": "580.159.04", "nccl": "2.31.2", "kernel": "6.8"}


def read(name: str) -> str:
    return (FIXTURES / name).read_text(encoding="utf-8")


@dataclass(frozen=True)
class Subject:
    """A healthy output of one tool: `judge` gives the verdicts that come of its text."""

    name: str
    text: str
    judge: Callable[[str], tuple[Verdict, ...]]


def machine(**changes: Any) -> Machine:
    return Machine(**{"host": "gpu-01", "accelerator": "h200", "gpus": 2, "lock": LOCK, "nvls": True, **changes})


def _of_host(command: str, **changes: Any) -> Callable[[str], tuple[Verdict, ...]]:
    """What one command's text is judged as; what the other commands lack is not looked at."""

    def judge(text: str) -> tuple[Verdict, ...]:
        verdicts = judge_host(machine(**changes), {command: text})
        return tuple(v for v in verdicts if v.got != "missing" or command in v.what)

    return judge


def group(topology: Topology, **changes: Any) -> Group:
    return Group(**{"name": "rack", "accelerator": "a100-80", "topology": topology, **changes})


def _of_group(command: str, topology: Topology, **changes: Any) -> Callable[[str], tuple[Verdict, ...]]:
    def judge(text: str) -> tuple[Verdict, ...]:
        verdicts = judge_group(group(topology, **changes), GroupOutputs(commands={command: text}))
        return tuple(v for v in verdicts if v.got != "missing" or command in v.what)

    return judge


def ranks(hosts: int, gpus: int, product: str) -> str:
    """The list of devices that nccl-tests prints before its table."""
    lines = [
        f"#  Rank {rank:2d} Group  0 Pid  {4000 + rank} on node{rank // gpus:02d} device  {rank % gpus} "
        f"[0x{16 + rank % gpus:02x}] {product}"
        for rank in range(hosts * gpus)
    ]
    return "# Using devices\n" + "\n".join(lines) + "\n"


PAIR = Pair(host="gpu-01", hca="mlx5_5", to_host="gpu-02", to_hca="mlx5_5")
SPARK = Pair(host="gpu-01", hca="rocep1s0f1", to_host="gpu-02", to_hca="rocep1s0f1")


def _bandwidth(text: str) -> tuple[Verdict, ...]:
    topology = Topology(hosts=2, gpus_per_host=0, hcas_per_host=1, link_gbps=100)
    verdicts = judge_group(group(topology, pairs=(PAIR,)), GroupOutputs(bandwidth={PAIR: text}))
    return tuple(v for v in verdicts if v.gate == "rdma-bandwidth")


def _latency(text: str) -> tuple[Verdict, ...]:
    topology = Topology(hosts=2, gpus_per_host=0, hcas_per_host=1, link_gbps=100)
    verdicts = judge_group(group(topology, pairs=(SPARK,)), GroupOutputs(latency={SPARK: text}))
    return tuple(v for v in verdicts if v.gate == "rdma-latency")


def healthy_dcgm(gpus: int) -> str:
    """DCGM 4.5's form (see dcgmi-diag-r2.gb10.json) for a host of several GPUs on which all of level 3 passed."""
    shown: dict[str, Any] = json.loads(read("dcgmi-diag-r2.gb10.json"))
    memory, pcie = shown["DCGM Diagnostic"]["test_categories"][1:]
    tests = {"Deployment": ["software"], "Hardware": ["memory", "diagnostic"], "Integration": ["pcie"]}
    tests["Stress"] = ["memory_bandwidth", "targeted_stress", "targeted_power"]
    info = {"memory": memory["tests"][0]["results"][0]["info"], "pcie": pcie["tests"][0]["results"][0]["info"]}

    def test(name: str) -> dict[str, Any]:
        said = {"info": info[name]} if name in info else {}
        base = {"entity_group": "GPU", "entity_group_id": 1, "status": "Pass", **said}
        return {
            "name": name,
            "results": [{**base, "entity_id": gpu} for gpu in range(gpus)],
            "test_summary": {"status": "Pass"},
        }

    categories = [{"category": name, "tests": [test(each) for each in each_of]} for name, each_of in tests.items()]
    return json.dumps({**shown, "DCGM Diagnostic": {"test_categories": categories}}, indent=1)


HOSTS = tuple(f"gpu-{number:02d}" for number in range(1, 5))
RAILS = tuple(f"mlx5_{number}" for number in range(4))
CABLES = tuple(
    Cable(host=host, port=hca, peer=f"leaf-{rail}", peer_port=str(place))
    for place, host in enumerate(HOSTS, 1)
    for rail, hca in enumerate(RAILS)
)
FABRIC = Topology(hosts=4, gpus_per_host=0, hcas_per_host=4, link_gbps=100)


def healthy_lldp(host: str) -> str:
    """lldpd's form (see lldpcli-json0.lldpd-tests.json) for a host whose ports hear the planned switches."""
    shown: dict[str, Any] = json.loads(read("lldpcli-json0.lldpd-tests.json"))["lldp"][0]["interface"][0]
    interfaces = [
        {
            **shown,
            "name": cable.port,
            "chassis": [{**shown["chassis"][0], "name": [{"value": cable.peer}]}],
            "port": [{**shown["port"][0], "descr": [{"value": cable.peer_port}]}],
        }
        for cable in CABLES
        if cable.host == host
    ]
    return json.dumps({"lldp": [{"interface": interfaces}]}, indent=1)


def _lldp(text: str) -> tuple[Verdict, ...]:
    """The other hosts are cabled as planned."""
    outputs = GroupOutputs(lldp={**{host: healthy_lldp(host) for host in HOSTS}, HOSTS[1]: text})
    return judge_group(group(FABRIC, cables=CABLES), outputs)


A100 = {"accelerator": "a100-80"}
SUBJECTS = {
    subject.name: subject
    for subject in (
        Subject("smi", read("nvidia-smi-q.h200.txt"), _of_host(SMI)),
        Subject("nvlink", read("nvidia-smi-nvlink.h200.txt"), _of_host(NVLINK)),
        Subject("dcgm", healthy_dcgm(4), _of_host(DCGM, gpus=4)),
        Subject("dcgm3", read("dcgmi-diag-r3.t4.json"), _of_host(DCGM, gpus=1, accelerator="t4")),
        Subject(
            "all_reduce",
            read("all_reduce.a100-2x8.txt"),
            _of_group(ALL_REDUCE, Topology(hosts=2, gpus_per_host=8, hcas_per_host=16, link_gbps=100), **A100),
        ),
        Subject(
            "all_reduce-64",
            read("all_reduce.h100-8x8.txt").replace("...\n", ranks(8, 8, "NVIDIA H100 80GB HBM3")),
            _of_group(
                ALL_REDUCE,
                Topology(hosts=8, gpus_per_host=8, hcas_per_host=8, link_gbps=400, nvls=True),
                accelerator="h100",
            ),
        ),
        Subject(
            "alltoall",
            read("alltoall.a100-2x8.txt"),
            _of_group(ALL_TO_ALL, Topology(hosts=2, gpus_per_host=8, hcas_per_host=8, link_gbps=200), **A100),
        ),
        Subject("bandwidth", read("ib_write_bw.oci-a100.txt"), _bandwidth),
        Subject("latency", read("ib_write_lat.spark.txt"), _latency),
        Subject(
            "linkinfo", read("iblinkinfo.rails.txt"), _of_group(LINKINFO, FABRIC, cables=CABLES, subnet_manager=True)
        ),
        Subject(
            "ports", read("ibnetdiscover-p.rails.txt"), _of_group(PORTS, FABRIC, cables=CABLES, subnet_manager=True)
        ),
        Subject("lldp", healthy_lldp(HOSTS[1]), _lldp),
        Subject("clock", read("chronyc-tracking.pps.txt"), _of_host(CLOCK, gpus=0, accelerator=None)),
        Subject(
            "fio",
            re.sub(r'"iops" : \d{4,}\.\d+', '"iops" : 812345.678901', read("fio-randread.txt"), count=1),
            _of_host(f"{FIO} nvme0n1", gpus=0, accelerator=None, drives=("nvme0n1",)),
        ),
    )
}
