"""What each host must hold, decided from its group and the catalog's rows."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from fullbore.catalog.host_profiles import ROLES, ROWS
from fullbore.catalog.versions.releases import GOOD
from fullbore.config.models import HostGroup, Site
from fullbore.plan.hosts import HostContent, content_of, group_plans, roles_for
from fullbore_agent.apply import APPLIERS
from fullbore_agent.document import checksum
from fullbore_agent.settings import LINES, READERS


def group(**changes: object) -> HostGroup:
    base: dict[str, object] = {
        "kind": "gpu",
        "rack": "r01",
        "accelerator": "h100",
        "gpus_per_host": 8,
        "interfaces": ["ens1np0", "ens2np0"],
        "hcas": ["mlx5_0", "mlx5_1"],
        "hosts": {"gpu-01": {"serial": "SN1"}},
    }
    return HostGroup.model_validate({**base, **changes})


def wants(fabric: str = "roce", sysctl: dict[str, str | int] | None = None, **changes: object) -> dict[str, str]:
    chosen = group(**changes)
    written = {"name": "lab", "cidr": "10.0.0.0/8", "fabric": fabric, "sysctl": sysctl or {}, "groups": {"gpu": chosen}}
    return {s.id: s.want for s in content(Site.model_validate(written)).settings}


def content(site: Site) -> HostContent:
    """What the one host of the group `gpu` must hold."""
    (plan,) = group_plans(site)
    return content_of(plan, plan.hosts[0])


ROCE = Site.model_validate({"name": "lab", "cidr": "10.0.0.0/8", "fabric": "roce", "groups": {"gpu": group()}})


def test_lossless_ethernet_agrees_from_nccl_to_the_switch_port() -> None:
    settings = wants("roce")
    priority = (int(settings["nccl.NCCL_IB_TC"]) >> 2) >> 3
    assert settings["nccl.NCCL_IB_TC"] == settings["tos.mlx5_0"] == "106"
    assert settings["qos.ens2np0.pfc"].split(",").index("1") == priority == 3
    assert settings["qos.ens2np0.trust"] == "dscp"
    assert settings["qos.ens1np0.pfc"] == "0,0,0,1,0,0,0,0"


@pytest.mark.parametrize("fabric", ["infiniband", "efa", "nvlink", "ethernet"])
def test_other_fabrics_get_no_ethernet_qos(fabric: str) -> None:
    settings = wants(fabric)
    lossless = ("qos.", "ecn.", "cnp.", "mtu.", "tos.", "nccl.NCCL_IB_TC", "unit.fullbore-fabric")
    assert not [id for id in settings if id.startswith((*lossless, "sysctl.net.ipv4.tcp_ecn"))]


QOS = {"dscp": 34, "dscp_to_priority": [{"dscp": 34, "priority": 5}, {"dscp": 48, "priority": 6}], "ecn": [5, 6]}


def roce(qos: dict[str, object], *, inbox: bool = False, **changes: object) -> dict[str, str]:
    """{id: want} of the role `roce` on one host."""
    written = {"name": "lab", "cidr": "10.0.0.0/8", "fabric": "roce", "mtu_bytes": 4220, "qos": qos}
    (plan,) = group_plans(Site.model_validate({**written, "groups": {"gpu": group(**changes)}}), inbox=inbox)
    return {setting.id: setting.want for setting in plan.settings if setting.role == "roce"}


def test_all_that_the_plan_decides_of_lossless_ethernet_is_carried_out() -> None:
    settings = roce(QOS, interfaces=["ens1np0"], hcas=["mlx5_0"])
    assert settings == {
        "unit.fullbore-fabric.service": "enabled,active",
        "mtu.ens1np0": "4220",
        "qos.ens1np0.trust": "dscp",
        "qos.ens1np0.dscp": "34:5",
        "qos.ens1np0.pfc": "0,0,0,0,0,1,0,0",
        "ecn.ens1np0.np": "0,0,0,0,0,1,1,0",
        "ecn.ens1np0.rp": "0,0,0,0,0,1,1,0",
        "cnp.ens1np0.dscp": "48",
        "cnp.ens1np0.prio": "6",
        "tos.mlx5_0": "138",
    }
    assert list(settings).index("qos.ens1np0.trust") < list(settings).index("qos.ens1np0.dscp")


def test_what_the_kernels_own_driver_or_a_vlan_tag_cannot_have_is_left_out() -> None:
    assert not [id for id in roce(QOS, inbox=True) if id.startswith("ecn.")]
    assert "qos.ens1np0.dscp" not in roce({"trust": "pcp"})
    assert roce({})["qos.ens1np0.dscp"] == "default"


def test_answers_may_leave_by_another_nic_only_where_there_are_several() -> None:
    id = "sysctl.net.ipv4.conf.ens1np0.rp_filter"
    assert wants()[id] == "2"
    assert id not in wants(interfaces=["ens1np0"])
    assert "sysctl.net.ipv4.conf.eth0/100.rp_filter" in wants(interfaces=["eth0.100", "eth1"])


@pytest.mark.parametrize(("fabric", "named"), [("roce", True), ("infiniband", True), ("efa", False)])
def test_hcas_are_named_exactly_where_verbs_use_them(fabric: str, named: bool) -> None:
    assert wants(fabric).get("nccl.NCCL_IB_HCA") == ("=mlx5_0:1,mlx5_1:1" if named else None)
    assert "nccl.NCCL_IB_HCA" not in wants(fabric, hcas=[])


def test_a_storage_host_gets_no_nccl_and_no_kubelet() -> None:
    settings = wants(kind="storage", accelerator=None, gpus_per_host=0)
    assert not [id for id in settings if id.startswith(("nccl.", "kubelet."))]
    assert settings["qos.ens1np0.trust"] == "dscp"


def test_the_sites_own_kernel_settings_win() -> None:
    settings = wants(sysctl={"vm.swappiness": 10, "net.ipv4.tcp_rmem": "1  2\t3", "net.ipv4.tcp_sack": 0})
    assert settings["sysctl.vm.swappiness"] == "10"
    assert settings["sysctl.net.ipv4.tcp_rmem"] == "1 2 3"
    assert settings["sysctl.net.ipv4.tcp_sack"] == "0"


@pytest.mark.parametrize(
    ("field", "value", "policy"),
    [("numa_nodes", 2, "best-effort"), ("numa_nodes", 1, "single-numa-node"), ("gpus_per_host", 1, "single-numa-node")],
)
def test_a_pod_that_takes_all_gpus_is_not_refused(field: str, value: int, policy: str) -> None:
    assert wants("roce", None, **{field: value})["kubelet.topologyManagerPolicy"] == policy


def test_many_numa_nodes_are_allowed_where_there_are_many() -> None:
    id = "kubelet.topologyManagerPolicyOptions.max-allowable-numa-nodes"
    assert id not in wants(numa_nodes=8)
    assert wants(numa_nodes=34, cpus=72 * 4)[id] == "34"


def test_settings_come_in_the_order_of_their_roles() -> None:
    settings = content(ROCE).settings
    others = ("gpu_driver", "container_runtime", "infiniband", "storage", "kubernetes")
    assert roles_for(settings) == tuple(role for role in ROLES if role not in others)
    order = [ROLES.index(setting.role) for setting in settings]
    assert order == sorted(order)
    assert len({setting.id for setting in settings}) == len(settings)


def test_the_plan_file_carries_its_own_checksum_and_is_a_setting() -> None:
    text = content(ROCE).document_text
    document = json.loads(text)
    assert document["checksum"] == checksum(document)
    assert document["host"] == "gpu-01"
    settings = {s.id: s.want for s in content(ROCE).settings}
    assert settings["file./etc/fullbore/plan.json"] == hashlib.sha256(text.encode()).hexdigest()
    assert "file./etc/fullbore/plan.json" not in {s["id"] for s in document["settings"]}


def test_nothing_else_may_stand_in_a_file_that_a_role_writes() -> None:
    """Each kind that a managed file holds, once, and for its role: what is no longer planned is drift."""
    assert {id for id, want in wants().items() if id.startswith("extra.")} == {
        f"extra.{kind}" for kind in LINES if kind not in ("opensm", "partition")
    }
    storage = wants(kind="storage", accelerator=None, gpus_per_host=0)
    assert {id for id in storage if id.startswith("extra.")} == {"extra.sysctl", "extra.limits"}


def test_every_row_can_be_read_back_and_has_a_source_and_a_role() -> None:
    for row in ROWS:
        assert row.id.partition(".")[0] in READERS, row.id
        assert row.role in ROLES, row.id
        assert row.source, row.id


def test_what_a_reboot_loses_is_applied_by_a_role_whose_unit_runs_at_boot() -> None:
    lost = {row.role for row in ROWS if row.id.partition(".")[0] in set(APPLIERS) - {"sysctl"}}
    units = {row.role for row in ROWS if row.id.startswith("unit.")}
    assert lost <= units


OTHERWISE: dict[str, object] = {
    "kind": "storage",
    "rack": "r02",
    "accelerator": "gb200",
    "gpus_per_host": 4,
    "interfaces": ["ens3np0", "ens4np0"],
    "hcas": ["mlx5_2", "mlx5_3"],
    "cpus": 224,
    "numa_nodes": 4,
    "reserved_cores": 3,
    "topology_policy": "restricted",
    "hugepages_2mib": 512,
    "profile": "dgx-h100",
    "mig": ["3g.40gb"],
    "nvme": {"read_ahead_kib": 4096},
}


@pytest.mark.parametrize("field", sorted(OTHERWISE))
def test_groups_that_are_planned_together_hold_what_each_would_alone(field: str) -> None:
    """What is decided once for equal machines is not taken over by a group that differs in anything."""
    groups = {"g-1": group(), "g-2": group(**{field: OTHERWISE[field]}), "g-3": group()}
    together = group_plans(site_with(groups), lock=GOOD)
    alone = (plan for name in groups for plan in group_plans(site_with({name: groups[name]}), lock=GOOD))
    assert together == tuple(alone)
    assert replace(together[0], name="g-2") != together[1]


def site_with(groups: dict[str, HostGroup]) -> Site:
    written: dict[str, object] = {
        "name": "lab",
        "cidr": "10.0.0.0/8",
        "fabric": "roce",
        "gpu_driver": {},
        "groups": groups,
    }
    written["container_runtime"] = {"containerd": "2.1"}
    return Site.model_validate(written)


def test_what_moves_interrupts_is_stopped_before_they_are_set() -> None:
    ids = list(wants())
    assert ids.index("stopped.irqbalance.service") < ids.index("irq.ens1np0")
    assert "stopped.irqbalance.service" not in wants(interfaces=[], hcas=[], fabric="ethernet")
