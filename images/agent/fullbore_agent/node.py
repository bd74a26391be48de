"""The host as a node of a Kubernetes cluster, as the API server tells its own kubelet."""

from __future__ import annotations

import json
from typing import Any

from .system import System

KUBELET_CONF = "/etc/kubernetes/kubelet.conf"
"""The kubelet's own credentials; kubeadm writes it when the host has joined."""
PLAN_FILE = "/etc/fullbore/plan.json"
ABSENT = "absent"


def _kubectl(system: System) -> tuple[str, ...]:
    """Raises FileNotFoundError where the host has joined no cluster."""
    credentials = system.file(KUBELET_CONF)
    credentials.stat()
    return ("kubectl", f"--kubeconfig={credentials}", "--request-timeout=10s")


def _name(system: System) -> str:
    return json.loads(system.file(PLAN_FILE).read_text())["host"]


def _node(system: System) -> dict[str, Any]:
    return json.loads(system.run(*_kubectl(system), "get", "node", _name(system), "--output=json"))


def read_member(system: System, key: str, want: str) -> str:
    """ "yes" where the cluster knows the node; what the API server says where it does not."""
    del key, want
    return "yes" if _node(system)["kind"] == "Node" else ABSENT


def read_label(system: System, key: str, want: str) -> str:
    del want
    return _node(system)["metadata"].get("labels", {}).get(key, ABSENT)


def read_taint(system: System, key: str, want: str) -> str:
    """VALUE:EFFECT; the wanted one where a key has several."""
    taints = _node(system).get("spec", {}).get("taints", [])
    found = [f"{taint.get('value', '')}:{taint['effect']}" for taint in taints if taint["key"] == key]
    return want if want in found else ",".join(found) or ABSENT


def set_label(system: System, key: str, want: str) -> None:
    """A kubelet may label its own node, but not taint it (kubernetes.io: NodeRestriction)."""
    system.change(*_kubectl(system), "label", "--overwrite", "node", _name(system), f"{key}={want}")
