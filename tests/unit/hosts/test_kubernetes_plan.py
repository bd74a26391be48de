"""What the role that joins a cluster is given: packages, the kubelet's configuration, labels and taints."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fullbore.catalog.versions.releases import GOOD
from fullbore.config.models import HostGroup, Site
from fullbore.plan.hosts import group_plans
from fullbore.plan.model import GroupPlan

GPU: dict[str, object] = {"kind": "gpu", "rack": "r01", "accelerator": "h100", "gpus_per_host": 8}
STORAGE: dict[str, object] = {"kind": "storage", "rack": "r01"}
CONFIG = "/etc/kubernetes/kubelet.conf.d/90-fullbore.conf"


def plans(kubernetes: dict[str, object] | None, *groups: dict[str, object], lock: str = "1.33") -> list[GroupPlan]:
    site = {
        "name": "hall-1",
        "cidr": "10.0.0.0/8",
        "fabric": "ethernet",
        "kubernetes": kubernetes,
        "groups": {
            f"group-{index}": HostGroup.model_validate({**group, "hosts": {f"host-{index}": {"serial": "SN1"}}})
            for index, group in enumerate(groups)
        },
    }
    return list(group_plans(Site.model_validate(site), lock={**GOOD, "kubernetes": lock}))


def wants(plan: GroupPlan) -> dict[str, str]:
    return {setting.id: setting.want for setting in plan.settings}


def config(plan: GroupPlan) -> dict[str, Any]:
    return json.loads(next(file.text for file in plan.files if file.path == CONFIG))


def test_only_gpu_machines_join_and_only_where_the_site_says_so() -> None:
    (alone,) = plans(None, GPU)
    node, disk = plans({}, GPU, STORAGE)
    assert not {"kubernetes"} & {*alone.roles, *disk.roles}
    assert (alone.join, disk.join) == ({}, {})
    assert node.roles[-1] == "kubernetes", "after what it needs: the runtime, and the NUMA settings"
    assert wants(node)["package.kubelet"] == "1.33,hold"
    assert wants(node)["sysctl.net.ipv4.ip_forward"] == "1"
    assert "sysctl.net.ipv4.ip_forward" not in wants(disk)


def test_the_kubelet_gets_what_the_numa_plan_decides() -> None:
    (node,) = plans({}, GPU)
    made = config(node)
    dotted = {id.removeprefix("kubelet."): want for id, want in wants(node).items() if id.startswith("kubelet.")}
    assert made.pop("kind") == "KubeletConfiguration"
    assert made.pop("apiVersion") == "kubelet.config.k8s.io/v1beta1"
    flat = {f"{key}.{inner}" if inner else key: item for key, inner, item in _flat(made)}
    assert flat == dotted
    assert flat["cpuManagerPolicyOptions.full-pcpus-only"] == "true"


def _flat(config: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (key, inner, item)
        for key, value in config.items()
        for inner, item in (value.items() if isinstance(value, dict) else [("", value)])
    ]


def test_all_that_the_memory_manager_reserves_is_reserved() -> None:
    """Else the kubelet refuses to start: what it reserves by node must be what is reserved in all."""
    (node,) = plans({"reserved_memory_mib": 1024}, {**GPU, "numa_nodes": 4})
    made = config(node)
    by_node = [int(each["limits"]["memory"].removesuffix("Mi")) for each in made["reservedMemory"]]
    assert [each["numaNode"] for each in made["reservedMemory"]] == [0, 1, 2, 3]
    assert sum(by_node) == int(made["systemReserved"]["memory"].removesuffix("Mi")) + 100
    assert made["kubeReserved"] == {"memory": "0"}


def test_labels_and_taints_are_settings_and_arguments_at_joining() -> None:
    one, two = plans({"labels": {"team": "a"}, "taints": {"x.io/y": ":NoExecute"}}, GPU, {**GPU, "rack": "r02"})
    assert wants(two)["label.fullbore.io/rack"] == "r02"
    assert wants(two)["label.fullbore.io/group"] == "group-1"
    assert wants(one)["label.topology.kubernetes.io/zone"] == "hall-1"
    assert wants(one)["taint.x.io/y"] == ":NoExecute"
    arguments = next(file.text for file in one.files if file.path == "/etc/default/kubelet")
    assert "--node-labels=fullbore.io/accelerator=h100,fullbore.io/group=group-0," in arguments
    assert "team=a" in arguments
    assert "--register-with-taints=x.io/y=:NoExecute" in arguments
    (default,) = plans({}, GPU)
    assert wants(default)["taint.nvidia.com/gpu"] == "present:NoSchedule"


@pytest.mark.parametrize(("lock", "api"), [("1.30", "v1beta3"), ("1.31", "v1beta4"), ("1.33", "v1beta4")])
def test_kubeadm_is_told_in_the_form_that_it_reads(lock: str, api: str) -> None:
    (node,) = plans({"join_file": "/etc/fullbore/join"}, GPU, lock=lock)
    assert node.join == {"file": "/etc/fullbore/join", "api": api}


def test_no_secret_is_in_what_a_host_is_told() -> None:
    """The discovery file is named by its path alone."""
    (node,) = plans({"join_file": "/etc/fullbore/join"}, GPU)
    told = [*(file.text for file in node.files), *wants(node).values(), json.dumps(dict(node.document))]
    assert not [text for text in told if "/etc/fullbore/join" in text]
