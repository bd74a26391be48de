"""The host as a node of a cluster, as the API server's answers tell it."""

from __future__ import annotations

import json
import shutil

import pytest
from agent_machine import put

from fullbore_agent.apply import apply
from fullbore_agent.node import KUBELET_CONF, PLAN_FILE
from fullbore_agent.settings import read_all
from fullbore_agent.system import System

NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "gpu-01", "labels": {"fullbore.io/rack": "r01"}},
    "spec": {"taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]},
}
LABEL = [{"id": "label.fullbore.io/rack", "role": "kubernetes", "want": "r02"}]


@pytest.fixture
def node(system: System) -> System:
    """A host that has joined."""
    shutil.copy(system.hardware("/usr/lib/packaged/kubectl"), system.hardware("/usr/bin/kubectl"))
    put(system, KUBELET_CONF, "kind: Config\n")
    put(system, PLAN_FILE, '{"host": "gpu-01"}')
    record = system.hardware("/state/cluster/gpu-01")
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps(NODE))
    return system


def held(system: System, *ids: str, want: str = "") -> list[str]:
    return list(read_all(system, dict.fromkeys(ids, want)).values())


def test_a_host_without_the_kubelets_credentials_is_no_node(system: System) -> None:
    assert held(system, "node.member", "label.a", "taint.b") == ["absent"] * 3


def test_a_node_is_what_the_cluster_says_of_it(node: System) -> None:
    assert held(node, "node.member", "label.fullbore.io/rack", "label.other") == ["yes", "r01", "absent"]
    assert held(node, "taint.nvidia.com/gpu", "taint.other") == ["present:NoSchedule", "absent"]
    assert held(node, "taint.nvidia.com/gpu", want=":NoExecute") == ["present:NoSchedule"]


def test_a_cluster_that_does_not_know_the_node_is_told_as_it_says(node: System) -> None:
    node.hardware("/state/cluster/gpu-01").unlink()
    assert held(node, "node.member") == ['error: kubectl: Error from server (NotFound): nodes "gpu-01" not found']


def test_a_label_is_set_and_the_second_time_nothing(node: System) -> None:
    assert [change.had for change in apply(node, LABEL).changes] == ["r01"]
    assert apply(node, LABEL) == ([], [])
    other = [{"id": "taint.nvidia.com/gpu", "role": "kubernetes", "want": ":NoExecute"}]
    assert apply(node, other) == ([], []), "a node may not change its taints: they are only read"
