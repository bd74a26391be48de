"""What a person writes of how the site's GPU machines join its Kubernetes cluster."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fullbore.config.base import Strict, Text, Whole

LabelKey = Annotated[
    str, Field(pattern=r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", max_length=317)
]
LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$", max_length=63)]
"""kubernetes.io: Labels and Selectors, syntax and character set."""
TaintValue = Annotated[
    str,
    Field(pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?:(NoSchedule|PreferNoSchedule|NoExecute)$"),
]


class Kubernetes(Strict):
    """The GPU machines become nodes of the cluster that cluster.kubeconfig reaches, at the lock's version."""

    join_file: Text | None = Field(
        default=None,
        pattern=r"^/",
        description="full path, where the update runs, of a kubeconfig with a bootstrap token (kubeadm join "
        "--discovery-file), never its content; machines that are nodes already need none",
    )
    labels: dict[LabelKey, LabelValue] = Field(
        default={},
        description="further labels of the nodes, besides group, rack, accelerator and zone, which are "
        "planned; of Kubernetes' own only those that a kubelet may set",
    )
    taints: dict[LabelKey, TaintValue] = Field(
        default={"nvidia.com/gpu": "present:NoSchedule"},
        description="taints that nodes join with and serving pods tolerate, VALUE:EFFECT by key; a node that has "
        "joined may not change its own",
    )
    reserved_memory_mib: Whole | None = Field(
        default=None,
        ge=512,
        description="memory of each NUMA node that is kept for the system, MiB; with it the memory manager gives pods "
        "memory of their own NUMA nodes, which is off if left out",
    )
