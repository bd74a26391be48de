"""A machine as a node of an existing cluster: packages, the kubelet's configuration, labels and taints. Pure.

Kinds of setting that only this role has, as the API server tells the node's own kubelet:

    node.member     "yes" where the machine is a node of a cluster
    label.KEY       value of the node's label
    taint.KEY       VALUE:EFFECT of the node's taint
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fullbore.catalog.kubernetes import EVICTION_MIB, IP_FORWARD, JOIN_VERSIONS, PACKAGES
from fullbore.config.kubernetes import Kubernetes
from fullbore.config.models import HostGroup, Site
from fullbore.plan.gpu_driver import HELD, Lock
from fullbore.plan.model import FilePlan, Setting
from fullbore.plan.numa.machine import machine_of
from fullbore.plan.versions import compare

ROLE = "kubernetes"
HEADER = f"# Written by Fullbore (role {ROLE}); changes made here are undone.\n"
CONFIG_FOLDER = "/etc/kubernetes/kubelet.conf.d"
CONFIG_FILE = f"{CONFIG_FOLDER}/90-fullbore.conf"
ARGUMENTS_FILE = "/etc/default/kubelet"
OWN_DOMAIN = "fullbore.io"
"""Of labels that are planned, and of the one that marks a node which was drained."""
ZONE_LABEL = "topology.kubernetes.io/zone"


def joins(site: Site, group: HostGroup) -> Kubernetes | None:
    """How the machines of a group join; None where they do not."""
    return site.kubernetes if group.kind == "gpu" else None


def node_settings(site: Site, name: str, group: HostGroup, lock: Lock) -> Iterator[Setting]:
    """In the order in which they are set; none where the machines are no nodes."""
    given = joins(site, group)
    if given is None or not lock:
        return
    if IP_FORWARD not in site.sysctl:
        yield Setting(id=f"sysctl.{IP_FORWARD}", role="baseline", want="1")
    wants = {f"package.{package}": lock["kubernetes"] + HELD for package in PACKAGES}
    wants |= {"unit.kubelet.service": "enabled,active", "node.member": "yes"}
    wants |= {f"label.{key}": value for key, value in labels(site, name, group, given).items()}
    wants |= {f"taint.{key}": value for key, value in sorted(given.taints.items())}
    yield from (Setting(id=id, role=ROLE, want=want) for id, want in wants.items())


def node_files(site: Site, name: str, group: HostGroup, lock: Lock, settings: Iterable[Setting]) -> Iterator[FilePlan]:
    """The kubelet's own part of its configuration, and the arguments that it starts with."""
    given = joins(site, group)
    if given is None or not lock:
        return
    yield FilePlan(path=CONFIG_FILE, role=ROLE, text=config_text(group, given, settings))
    pairs = ",".join(f"{key}={value}" for key, value in labels(site, name, group, given).items())
    taints = ",".join(f"{key}={value}" for key, value in sorted(given.taints.items()))
    arguments = {"config-dir": CONFIG_FOLDER, "node-labels": pairs, "register-with-taints": taints}
    words = " ".join(f"--{flag}={value}" for flag, value in arguments.items() if value)
    yield FilePlan(path=ARGUMENTS_FILE, role=ROLE, text=f'{HEADER}KUBELET_EXTRA_ARGS="{words}"\n')


def labels(site: Site, name: str, group: HostGroup, given: Kubernetes) -> dict[str, str]:
    """{label: value} of the nodes of a group, by name; those that a kubelet may give itself (NodeRestriction)."""
    planned = {
        f"{OWN_DOMAIN}/accelerator": group.accelerator or "",
        f"{OWN_DOMAIN}/group": name,
        f"{OWN_DOMAIN}/rack": group.rack,
        ZONE_LABEL: site.name,
    }
    return dict(sorted({**planned, **given.labels}.items()))


def config_text(group: HostGroup, given: Kubernetes, settings: Iterable[Setting]) -> str:
    """The drop-in KubeletConfiguration: what the NUMA plan says to the kubelet, and the memory manager.

    JSON, which is YAML too. Dotted keys lie one level deeper.
    """
    config: dict[str, Any] = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}
    for setting in settings:
        kind, _, key = setting.id.partition(".")
        if kind == "kubelet":
            outer, _, inner = key.partition(".")
            config |= {outer: {**config.get(outer, {}), inner: setting.want} if inner else setting.want}
    return json.dumps({**config, **_memory(group, given)}, indent=2) + "\n"


def _memory(group: HostGroup, given: Kubernetes) -> Mapping[str, object]:
    """The static memory manager; what it reserves must be all that is reserved (kubernetes.io: Utilizing the NUMA-aware
    Memory Manager, Reserved memory flag)."""
    kept = given.reserved_memory_mib
    if kept is None:
        return {}
    nodes = machine_of(group).numa_nodes
    return {
        "memoryManagerPolicy": "Static",
        "reservedMemory": [{"numaNode": node, "limits": {"memory": f"{kept}Mi"}} for node in range(nodes)],
        "systemReserved": {"memory": f"{kept * nodes - EVICTION_MIB}Mi"},
        "kubeReserved": {"memory": "0"},
    }


def join_variables(site: Site, group: HostGroup, lock: Lock) -> dict[str, str]:
    """What the role needs to join a machine: the file's path, and the version of kubeadm's configuration."""
    given = joins(site, group)
    if given is None or not lock:
        return {}
    version = next(api for first, api in JOIN_VERSIONS if compare(lock["kubernetes"], first) >= 0)
    return {"file": given.join_file or "", "api": version}
