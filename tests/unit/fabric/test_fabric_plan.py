"""Where traffic lands, what processes are told, what the switch must hold, and what the links must carry."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbore.catalog.models import MODELS
from fullbore.catalog.runtimes import NCCL_SYSTEM, RUNTIMES
from fullbore.catalog.switches import SWITCHES
from fullbore.config import parse
from fullbore.config.models import Environment, Site
from fullbore.plan import make_plan
from fullbore.plan.fabric import host_queues, landings, need_gbps
from fullbore.plan.fabric.landing import CONTROL
from fullbore.plan.fabric.make import group_environment, hca_list
from fullbore.plan.fabric.need import Flow, all_reduce_bytes, expert_bytes, flows, kv_transfer_bytes
from fullbore.plan.fit import Layout
from fullbore.plan.model import FabricPlan, Plan
from fullbore.plan.numa import numa_plan

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"


def environment(fabric: str = "roce", group: dict[str, Any] | None = None, **site: Any) -> Environment:
    host = {"serial": "SN1", "address": "192.0.2.1", "host_key": KEY}
    gpu = {
        "kind": "gpu",
        "rack": "r01",
        "accelerator": "h100",
        "gpus_per_host": 8,
        "interfaces": ["ens1np0", "ens2np0"],
        "hcas": ["mlx5_0", "mlx5_1"],
        "hosts": {"gpu-01": host},
        **(group or {}),
    }
    ssh = {"private_key_file": "/etc/fullbore/ssh/key"}
    whole = {"name": "hall", "cidr": "192.0.2.0/24", "fabric": fabric, "ssh": ssh, "groups": {"gpu": gpu}, **site}
    return parse({"name": "example", "site": whole})


def site_of(env: Environment) -> Site:
    assert env.site
    return env.site


def fabric_of(plan: Plan) -> FabricPlan:
    assert plan.site
    assert plan.site.fabric
    return plan.site.fabric


PRIORITIES = st.lists(st.integers(0, 7), max_size=3, unique=True)
CLASSES = st.none() | st.integers(0, 255)
MAPS = st.lists(
    st.fixed_dictionaries({"dscp": st.integers(0, 63), "priority": st.integers(0, 7)}),
    max_size=3,
    unique_by=lambda entry: entry["dscp"],
)


@st.composite
def roce(draw: st.DrawFn) -> Environment:
    """Any RoCE fabric, its switch described or not, with any runtimes on it."""
    qos: dict[str, Any] = {
        "trust": draw(st.sampled_from(["dscp", "pcp"])),
        "dscp": draw(st.integers(0, 63)),
        "dscp_to_priority": draw(MAPS),
        "pfc": draw(st.none() | PRIORITIES),
        "ecn": draw(st.none() | PRIORITIES),
        "host_traffic_class": draw(CLASSES),
    }
    switch = {
        "profile": draw(st.none() | st.sampled_from(sorted(SWITCHES))),
        "trust": draw(st.sampled_from([None, "dscp", "pcp", "none"])),
        "dscp_to_priority": draw(st.none() | MAPS),
        "pfc": draw(st.none() | PRIORITIES),
        "ecn": draw(st.none() | PRIORITIES),
    }
    runtimes = {
        "nccl": {"traffic_class": draw(CLASSES), "control_traffic_class": draw(CLASSES)},
        "ucx": draw(st.none() | st.fixed_dictionaries({"traffic_class": CLASSES})),
        "nvshmem": draw(
            st.none()
            | st.fixed_dictionaries({"traffic_class": CLASSES, "transport": st.sampled_from(["ibgda", "ibrc"])})
        ),
        "mooncake": draw(st.none() | st.fixed_dictionaries({"traffic_class": CLASSES})),
    }
    return environment(qos=qos, switch=draw(st.none() | st.just(switch)), runtimes=runtimes)


@given(roce())
def test_lossless_means_that_both_ends_pause_the_same_priority(env: Environment) -> None:
    site, fabric = site_of(env), fabric_of(make_plan(env))
    for landing in fabric.landings:
        assert 0 <= landing.priority <= 7
        assert landing.paused_by_host == (landing.priority in (fabric.pfc or ()))
        if site.switch is None:
            assert landing.lossless == landing.paused_by_host
        else:
            agree = landing.priority == landing.switch_priority
            assert landing.lossless == (landing.paused_by_host and bool(landing.paused_by_switch) and agree)


@given(roce())
def test_what_the_rule_tells_is_what_is_not_lossless(env: Environment) -> None:
    plan = make_plan(env)
    told = {problem.message.partition(" has traffic class")[0] for problem in plan.problems}
    told = {name for name in told if name in {landing.runtime for landing in fabric_of(plan).landings}}
    rules = {problem.rule for problem in plan.problems}
    lossy = {landing.runtime: landing for landing in fabric_of(plan).landings if not landing.lossless}
    hosts, control = host_queues(site_of(env)), lossy.get(CONTROL)
    assert hosts
    if "fabric-lossy" in rules:
        assert not rules & {"traffic-not-lossless", "control-not-lossless"}
        return
    if control and hosts.trust == "dscp" and control.priority != hosts.priority(hosts.dscp):
        del lossy[CONTROL]  # a queue of its own, on purpose
        assert ("control-not-lossless" in rules) == control.same_priority
    else:
        assert "control-not-lossless" not in rules
    assert ("traffic-not-lossless" in rules) == bool(lossy)
    assert set(lossy) <= told


@given(roce())
def test_a_host_wide_class_decides_for_verbs_and_for_nobody_else(env: Environment) -> None:
    site = site_of(env)
    forced = site.qos.host_traffic_class
    for landing in landings(site):
        nvshmem = site.runtimes.nvshmem
        row = f"nvshmem-{nvshmem.transport}" if landing.runtime == "nvshmem" and nvshmem else landing.runtime.split()[0]
        over = forced is not None and RUNTIMES[row].path == "verbs"
        assert landing.traffic_class == (forced if over else landing.asked)


@given(roce())
def test_what_the_switch_must_hold_makes_every_planned_mark_lossless(env: Environment) -> None:
    """A switch that holds the table, with all runtimes left to the plan, has nothing to complain about."""
    site = site_of(env)
    table = {line.item: line.value for line in fabric_of(make_plan(env)).switch}
    if table["trust"] != "dscp" or table["PFC priorities"] == "none":
        return
    entries = [
        {"dscp": int(item.removeprefix("priority of DSCP ")), "priority": int(value)}
        for item, value in table.items()
        if item.startswith("priority of DSCP ")
    ]
    numbers = {item: [int(n) for n in table[item].split(", ")] for item in ("PFC priorities",)}
    own = next(entry["priority"] for entry in entries if entry["dscp"] == site.qos.dscp)
    switch = {"trust": "dscp", "dscp_to_priority": entries, "pfc": numbers["PFC priorities"], "cnp_priority": 6}
    qos = site.qos.model_dump() | {"host_traffic_class": None}
    again = make_plan(environment(qos=qos, switch=switch))
    assert fabric_of(again).landings[0].lossless == (own in numbers["PFC priorities"])
    assert "host-switch-differ" not in {problem.rule for problem in again.problems}


def test_the_usual_marks_land_on_priority_3() -> None:
    """106 = DSCP 26 x 4 + ECT(0); the default map gives priority 3."""
    env = environment(switch={"profile": "cumulus-lossless"}, runtimes={"ucx": {}, "nvshmem": {}, "mooncake": {}})
    found = fabric_of(make_plan(env)).landings
    assert {(one.traffic_class, one.dscp, one.priority, one.lossless, one.marked) for one in found} == {
        (106, 26, 3, True, True)
    }
    assert [one.runtime for one in found] == ["nccl", "ucx", "nvshmem", "mooncake"]


@pytest.mark.parametrize(
    ("traffic_class", "dscp", "priority"), [(41, 10, 1), (106, 26, 3), (160, 40, 5), (184, 46, 5), (64, 16, 2)]
)
def test_traffic_classes_seen_in_the_field(traffic_class: int, dscp: int, priority: int) -> None:
    """41 oci-hpc, 106 NVIDIA, 160 spiderpool: TC = DSCP x 4 + ECN, priority = DSCP / 8."""
    [landing] = landings(site_of(environment(runtimes={"nccl": {"traffic_class": traffic_class}})))
    assert (landing.dscp, landing.priority) == (dscp, priority)


def test_control_messages_of_nccl_may_land_elsewhere() -> None:
    runtimes = {"nccl": {"control_traffic_class": 192}}
    fabric = fabric_of(make_plan(environment(runtimes=runtimes)))
    assert [(one.runtime, one.priority) for one in fabric.landings] == [("nccl", 3), ("nccl control", 6)]
    assert fabric.system["NCCL_IB_FIFO_TC"] == "192"


@pytest.mark.parametrize("fabric", ["infiniband", "efa", "nvlink", "ethernet"])
def test_only_roce_has_priorities_and_a_switch_table(fabric: str) -> None:
    plan = fabric_of(make_plan(environment(fabric)))
    assert (plan.landings, plan.switch, plan.traffic_class, plan.pfc) == ((), (), None, None)


@pytest.mark.parametrize(
    ("fabric", "link", "system", "nccl"),
    [
        ("infiniband", 400, {}, {}),
        ("roce", 400, {"NCCL_IB_TC": "106"}, {}),
        ("efa", 400, {}, {"FI_EFA_USE_HUGE_PAGE": "0"}),
        ("nvlink", 400, {}, {}),
        ("ethernet", 100, {"NCCL_SOCKET_NTHREADS": "4", "NCCL_NSOCKS_PERTHREAD": "4"}, {}),
        ("ethernet", 25, {}, {}),
    ],
)
def test_each_fabric_has_its_own_variables(
    fabric: str, link: int, system: dict[str, str], nccl: dict[str, str]
) -> None:
    plan = fabric_of(make_plan(environment(fabric, link_gbps=link)))
    assert plan.system == system
    assert plan.applications.get("nccl", {}) == nccl


@given(roce(), st.none() | st.integers(0, 255))
def test_the_host_s_file_holds_only_variables_for_system_configuration(env: Environment, gid: int | None) -> None:
    site = site_of(env).model_copy(update={"gid_index": gid})
    plan = make_plan(env.model_copy(update={"site": site}))
    assert plan.site
    group = plan.site.groups[0]
    written = {s.id.removeprefix("nccl."): s.want for s in group.settings if s.id.startswith("nccl.")}
    assert set(written) <= NCCL_SYSTEM
    assert written.get("NCCL_IB_GID_INDEX") == (None if gid is None else str(gid))
    assert written["NCCL_IB_HCA"] == "=mlx5_0:1,mlx5_1:1"


def test_queue_pairs_are_for_the_application_and_not_for_the_host() -> None:
    plan = make_plan(environment(runtimes={"nccl": {"qps_per_connection": 4}}))
    assert fabric_of(plan).applications["nccl"] == {"NCCL_IB_QPS_PER_CONNECTION": "4"}
    assert "NCCL_IB_QPS_PER_CONNECTION" not in fabric_of(plan).system


def test_processes_get_the_hcas_of_their_gpus() -> None:
    group = {
        "profile": "dgx-h100",
        "cpus": 224,
        "interfaces": [],
        "hcas": ["mlx5_0", "mlx5_3", "mlx5_4", "mlx5_5", "mlx5_6", "mlx5_9", "mlx5_10", "mlx5_11"],
    }
    env = environment("infiniband", group, runtimes={"ucx": {}, "nvshmem": {}})
    chosen = site_of(env).groups["gpu"]
    lines = group_environment(site_of(env), chosen, numa_plan(chosen).ranks)
    assert lines["nvshmem"]["NVSHMEM_HCA_PE_MAPPING"].startswith("mlx5_0:1:1,mlx5_3:1:1,mlx5_4:1:1")
    assert lines["ucx"] == {"UCX_NET_DEVICES": ",".join(f"{hca}:1" for hca in chosen.hcas)}
    assert hca_list(()) == ""


def test_a_host_wide_class_is_written_to_each_device() -> None:
    plan = make_plan(environment(qos={"host_traffic_class": 106}))
    assert plan.site
    settings = {s.id: (s.want, s.role) for s in plan.site.groups[0].settings}
    assert settings["tclass.mlx5_1"] == ("106", "roce")
    without = make_plan(environment()).site
    assert without
    assert not [s for s in without.groups[0].settings if s.id.startswith("tclass.")]


def layout(tp: int, pp: int = 1) -> Layout:
    return Layout(precision="bf16", tensor_parallel=tp, pipeline_parallel=pp, context_tokens=4096, concurrency=8)


R1, LLAMA = MODELS["deepseek-r1-671b"], MODELS["llama-3-70b"]


def test_bytes_between_hosts_of_a_token() -> None:
    """By hand from the published shapes, and DeepSeek-V3's 70 KB of cache a token (arXiv 2505.09343, table 1)."""
    assert kv_transfer_bytes(R1, layout(8)) == 61 * (512 + 64) * 2 == 70_272
    assert kv_transfer_bytes(LLAMA, layout(8)) == 2 * 80 * 8 * 128 * 2
    assert all_reduce_bytes(LLAMA, 16) == 80 * 2 * 8192 * 2 * 2 * 15 / 16
    assert expert_bytes(R1, 2) == 58 * 1 * 7168 * 3
    assert expert_bytes(LLAMA, 4) == 0
    assert need_gbps(Flow(what="x", bytes_per_token=1e6), 1000) == 8.0


@given(st.sampled_from([1, 2, 4, 8, 16, 32]), st.sampled_from([1, 2, 4]), st.integers(1, 8))
def test_a_replica_within_a_host_sends_nothing(tp: int, pp: int, gpus: int) -> None:
    found = list(flows(R1, layout(tp, pp), gpus_per_host=gpus))
    assert (not found) == (tp * pp <= gpus or (pp == 1 and tp <= gpus))
    assert all(flow.bytes_per_token > 0 for flow in found)


def test_experts_of_the_layout_spread_over_hosts_by_themselves() -> None:
    wide = Layout(
        precision="fp8", data_parallel=16, expert_parallel=True, context_tokens=4096, concurrency=64, tensor_parallel=1
    )
    [flow] = flows(R1, wide, gpus_per_host=8)
    assert flow.bytes_per_token == expert_bytes(R1, 2)


@given(st.integers(2, 512), st.integers(2, 64))
def test_more_ranks_and_hosts_never_send_less(ranks: int, hosts: int) -> None:
    assert all_reduce_bytes(R1, ranks) < all_reduce_bytes(R1, ranks + 1) < 2 * all_reduce_bytes(R1, 2)
    assert expert_bytes(R1, hosts) <= expert_bytes(R1, hosts + 1)


def test_rows_have_sources_and_priorities_that_exist() -> None:
    assert all(row.source for row in (*SWITCHES.values(), *RUNTIMES.values()))
    assert all(row.path in ("verbs", "devx") for row in RUNTIMES.values())
    for row in SWITCHES.values():
        assert {*row.pfc, *row.ecn, row.cnp_priority} <= set(range(8))
        assert row.ecn_min_bytes < row.ecn_max_bytes
