"""The simulated nodes of both clusters, from the environment. Pure: objects in, objects out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fullbore.catalog.instances import INSTANCES
from fullbore.config.models import Environment, HostGroup

Object = dict[str, Any]

OWNED = "fullbore/simulated"
"""Label of every node made here; a node with it that is no longer asked for is removed."""
TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}

PRODUCTS: Mapping[str, str] = {
    "t4": "Tesla-T4",
    "v100-32": "Tesla-V100-SXM2-32GB",
    "a100-40": "NVIDIA-A100-SXM4-40GB",
    "a100-80": "NVIDIA-A100-SXM4-80GB",
    "l40s": "NVIDIA-L40S",
    "h100": "NVIDIA-H100-80GB-HBM3",
    "h200": "NVIDIA-H200",
    "b200": "NVIDIA-B200",
    "gb200": "NVIDIA-GB200",
}
"""`nvidia.com/gpu.product` as GPU Feature Discovery writes it: NVML's product name with dashes for spaces."""

DEFAULT_INSTANCE = "p5.48xlarge"
CLOUD_CPUS, CLOUD_MEMORY_GIB = 192, 2048
"""Of a cloud node whatever its type, as for p5.48xlarge: what is scheduled here asks for GPUs."""


def site_nodes(environment: Environment) -> list[Object]:
    """One node for each host of the GPU groups first, then numbered ones, and one CPU node for infrastructure."""
    assert environment.sandbox
    groups = [g for g in (environment.site.groups.values() if environment.site else ()) if g.kind == "gpu"]
    zone = environment.site.name if environment.site else environment.name
    named = [(host, group) for group in groups for host in group.hosts]
    gpu: list[Object] = []
    for i in range(environment.sandbox.gpu_nodes if groups else 0):
        name, group = named[i] if i < len(named) else (f"gpu-sim-{i + 1:03d}", groups[i % len(groups)])
        gpu.append(_gpu_node(name, group, zone))
    return [*gpu, _node("infra-01", {"fullbore/class": "infra", "topology.kubernetes.io/zone": zone}, 32, 128)]


def cloud_nodes(environment: Environment) -> list[Object]:
    """Nodes of the first node group, spread over its zones, with the labels that EKS gives them."""
    assert environment.sandbox
    cloud = environment.cloud
    if cloud is None:
        return []
    name, group = next(iter(cloud.node_groups.items()), ("default", None))
    instance = group.instance_type if group else DEFAULT_INSTANCE
    row = INSTANCES.get(instance, INSTANCES[DEFAULT_INSTANCE])
    addresses = cloud.cidr.network_address + 10
    return [
        _node(
            f"ip-{str(addresses + i).replace('.', '-')}.{cloud.region}.compute.internal",
            {
                "fullbore/class": "gpu",
                "fullbore/accelerator": row.accelerator,
                "eks.amazonaws.com/nodegroup": name,
                "eks.amazonaws.com/capacityType": "SPOT" if group and group.capacity == "spot" else "ON_DEMAND",
                "node.kubernetes.io/instance-type": instance,
                "topology.kubernetes.io/region": cloud.region,
                "topology.kubernetes.io/zone": cloud.region + cloud.zones[i % len(cloud.zones)],
                **_gpu_labels(row.accelerator, row.gpus),
            },
            CLOUD_CPUS,
            CLOUD_MEMORY_GIB,
            row.gpus,
        )
        for i in range(environment.sandbox.standby_nodes)
    ]


def _gpu_node(name: str, group: HostGroup, zone: str) -> Object:
    accelerator = group.accelerator or "h100"
    labels = {
        "fullbore/class": "gpu",
        "fullbore/accelerator": accelerator,
        "fullbore/rack": group.rack,
        "topology.kubernetes.io/zone": zone,
        **_gpu_labels(accelerator, group.gpus_per_host),
    }
    return _node(name, labels, group.cpus, group.memory_gib, group.gpus_per_host)


def _gpu_labels(accelerator: str, gpus: int) -> dict[str, str]:
    return {
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.count": str(gpus),
        "nvidia.com/gpu.product": PRODUCTS[accelerator],
    }


def _node(name: str, labels: Mapping[str, str], cpus: int, memory_gib: float, gpus: int = 0) -> Object:
    resources = {"cpu": str(cpus), "memory": f"{int(memory_gib * 1024)}Mi", "pods": "110", "ephemeral-storage": "1Ti"}
    if gpus:
        resources["nvidia.com/gpu"] = str(gpus)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                OWNED: "true",
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/os": "linux",
                "kubernetes.io/hostname": name,
                **labels,
            },
        },
        "spec": {"taints": [TAINT]} if gpus else {},
        "status": {"capacity": resources, "allocatable": resources},
    }
