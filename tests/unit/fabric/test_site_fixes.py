"""What a problem of machines or fabrics tells to do removes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fullbore.config import parse
from fullbore.config.yaml_text import read_mapping
from fullbore.plan import make_plan

FIXTURES = Path(__file__).parents[2] / "fixtures" / "plan"
GROUP = "site.groups.gpu"
HCAS = ["mlx5_0", "mlx5_3", "mlx5_4", "mlx5_5", "mlx5_6", "mlx5_9", "mlx5_10", "mlx5_11"]
Fix = dict[str, Any]

MACHINES: list[tuple[str, Fix]] = [
    ("host-profile-unknown", {f"{GROUP}.profile": "dgx-h100"}),
    ("machine-invalid.both", {f"{GROUP}.machine": None}),
    (
        "machine-differs",
        {
            f"{GROUP}.cpus": 224,
            f"{GROUP}.numa_nodes": 2,
            f"{GROUP}.gpus_per_host": 8,
            f"{GROUP}.accelerator": "h100",
            f"{GROUP}.hcas": HCAS,
        },
    ),
    ("gpu-far-from-hca", {f"{GROUP}.hcas": ["mlx5_0", "mlx5_1"]}),
    ("reserved-cpus-none", {f"{GROUP}.reserved_cores": 7}),
    ("topology-policy-refuses", {f"{GROUP}.topology_policy": "restricted"}),
    ("topology-policy-refuses.cpus-of-one-node", {f"{GROUP}.topology_policy": "best-effort"}),
    ("topology-policy-refuses.cpus-of-one-node", {"serving.cpus": 114}),
    ("pod-cpus-refused", {"serving.cpus": 108, "serving.memory_gib": 64}),
    ("host-memory-short", {"serving.memory_gib": 1016}),
    ("host-memory-short.hugepages", {f"{GROUP}.hugepages_2mib": 32767}),
]
FABRICS: list[tuple[str, Fix]] = [
    (
        "roce-only-setting",
        {"site.fabric": "roce", "site.mtu_bytes": 4192, f"{GROUP}.interfaces": ["ens1np0", "ens2np0"]},
    ),
    ("roce-only-setting", {"site.qos": {}, "site.switch": None, "site.gid_index": None}),
    ("switch-profile-unknown", {"site.switch.profile": "cumulus-lossless"}),
    ("traffic-not-lossless", {"site.runtimes.nccl.traffic_class": 106}),
    ("traffic-not-lossless.pcp", {"site.qos.trust": "dscp", "site.switch.trust": "dscp"}),
    ("traffic-not-lossless.switch-lossy", {"site.switch.pfc": [3]}),
    (
        "traffic-not-lossless.switch-map",
        {"site.switch.dscp_to_priority": [{"dscp": 26, "priority": 3}], "site.switch.pfc": [3], "site.switch.ecn": [3]},
    ),
    ("traffic-not-lossless.forced", {"site.qos.host_traffic_class": 106}),
    ("fabric-lossy", {"site.qos.pfc": [3], "site.switch.pfc": [3]}),
    ("runtimes-disagree", {"site.runtimes.ucx.traffic_class": 106, "site.qos.pfc": [3], "site.switch.pfc": [3]}),
    ("host-switch-differ", {"site.switch.trust": "dscp", "site.switch.pfc": [3]}),
    (
        "host-switch-differ.map",
        {"site.switch.dscp_to_priority": [{"dscp": 26, "priority": 3}], "site.qos.pfc": [3], "site.switch.pfc": [3]},
    ),
    (
        "congestion-unmarked",
        {"site.qos.ecn": [3, 5], "site.switch.ecn": [3, 5], "site.runtimes.nccl.traffic_class": 106},
    ),
    ("congestion-unmarked.switch", {"site.switch.ecn": [3, 4]}),
    ("cnp-priority", {"site.qos.cnp_priority": 6, "site.qos.cnp_dscp": 48}),
    (
        "traffic-class-overridden",
        {"site.runtimes.mooncake.traffic_class": 106, "site.runtimes.nvshmem.traffic_class": 106},
    ),
    ("mtu-too-small", {"site.mtu_bytes": 4192, "site.switch.mtu_bytes": 4192}),
    ("nccl-not-system", {"site.nccl_conf": {}}),
    ("fabric-devices", {f"{GROUP}.hcas": ["mlx5_0", "mlx5_1"], f"{GROUP}.interfaces": ["ens1np0", "ens2np0"]}),
    ("load-unused", {"site.load": {}}),
    ("fabric-too-slow", {"site.link_gbps": 101}),
    ("fabric-too-slow.no-network", {"site.fabric": "infiniband"}),
]
"""(fixture, what its problems say to write)."""


def changed(env: dict[str, Any], path: str, value: Any) -> None:
    *folders, name = path.split(".")
    for folder in folders:
        env = env[folder]
    env[name] = value


@pytest.mark.parametrize(("case", "fix"), [*MACHINES, *FABRICS])
def test_the_fix_removes_the_problem_and_makes_no_other(case: str, fix: Fix) -> None:
    env = read_mapping(FIXTURES / case / "in.yaml")
    rule = case.partition(".")[0]
    assert rule in {problem.rule for problem in make_plan(parse(env)).problems}
    for path, value in fix.items():
        changed(env, path, value)
    assert make_plan(parse(env)).problems == ()


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("host-profile-unknown", "did you mean dgx-h100?"),
        ("reserved-cpus-none", "7 or less"),
        ("topology-policy-refuses", "take restricted"),
        ("topology-policy-refuses.cpus-of-one-node", "take best-effort, or ask for 114 CPUs"),
        ("pod-cpus-refused", "take 108"),
        ("host-memory-short", "take 1016 at most"),
        ("traffic-not-lossless", "take 106"),
        ("traffic-not-lossless.forced", "take 106"),
        ("cnp-priority", "e.g. 6"),
        ("mtu-too-small", "take 4192 or more"),
        ("fabric-too-slow", "take 101 or more"),
    ],
)
def test_the_problem_names_the_value_that_the_fix_writes(case: str, told: str) -> None:
    rule = case.partition(".")[0]
    problems = make_plan(parse(read_mapping(FIXTURES / case / "in.yaml"))).problems
    assert any(told in problem.message for problem in problems if problem.rule == rule)
