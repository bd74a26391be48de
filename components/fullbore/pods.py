"""The pod template of a serving pool. Plain arguments, no resources."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
from pulumi_kubernetes.core.v1 import (
    AffinityArgs,
    CapabilitiesArgs,
    ConfigMapVolumeSourceArgs,
    ContainerArgs,
    ContainerPortArgs,
    EmptyDirVolumeSourceArgs,
    EnvVarArgs,
    EnvVarSourceArgs,
    HTTPGetActionArgs,
    ObjectFieldSelectorArgs,
    PersistentVolumeClaimVolumeSourceArgs,
    PodAffinityTermArgs,
    PodAntiAffinityArgs,
    PodSecurityContextArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    ProbeArgs,
    ResourceRequirementsArgs,
    SeccompProfileArgs,
    SecurityContextArgs,
    TolerationArgs,
    VolumeArgs,
    VolumeMountArgs,
    WeightedPodAffinityTermArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from fullbore.plan.model import ServingPlan

GPU = "nvidia.com/gpu"
USER = 65532
"""The runtime image's user: not root, with no entry in /etc/passwd to be confused with."""
DOCUMENT_KEY = "plan.json"
DOCUMENT_FOLDER = "/etc/fullbore"
WEIGHTS_FOLDER = "/weights"
"""Where pods that mount the model have it."""
LOAD_S = 3600
"""Seconds that a model may take to load before the pod is restarted: 700 GB from storage at 0.2 GB/s."""
PROBE_S = 2
"""Seconds between readiness probes: a replica that hangs leaves the pool after three."""


def pod_template(
    plan: ServingPlan,
    *,
    image: pulumi.Input[str],
    scheduler: str,
    priority: str,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    weights_claim: pulumi.Input[str] | None = None,
) -> PodTemplateSpecArgs:
    """One replica: `plan.gpus` GPUs, the plan's document and its weights mounted, Ready when the model answers."""
    return PodTemplateSpecArgs(
        metadata=ObjectMetaArgs(labels=dict(labels), annotations=dict(annotations)),
        spec=PodSpecArgs(
            scheduler_name=scheduler,
            priority_class_name=priority,
            automount_service_account_token=False,
            service_account_name=plan.service_account,
            enable_service_links=False,
            security_context=PodSecurityContextArgs(
                run_as_non_root=True,
                run_as_user=USER,
                run_as_group=USER,
                fs_group=USER,
                seccomp_profile=SeccompProfileArgs(type="RuntimeDefault"),
            ),
            affinity=_spread(labels),
            tolerations=_tolerations(plan.taints),
            containers=[_container(plan, image)],
            volumes=_volumes(plan, weights_claim),
        ),
    )


def _tolerations(taints: Mapping[str, str]) -> list[TolerationArgs]:
    """GPU nodes are tainted to keep other pods away: by NVIDIA's operator and by managed node groups always alike, and
    as they are planned to be, VALUE:EFFECT by key."""
    usual = TolerationArgs(key=GPU, operator="Exists", effect="NoSchedule")
    planned = ((key, taint.rpartition(":")) for key, taint in sorted(taints.items()))
    return [usual] + [
        TolerationArgs(key=key, operator="Equal", value=value, effect=effect)
        for key, (value, _, effect) in planned
        if (key, effect) != (GPU, "NoSchedule")
    ]


def _container(plan: ServingPlan, image: pulumi.Input[str]) -> ContainerArgs:
    resources = _resources(plan)
    health = HTTPGetActionArgs(path="/health", port=plan.port)
    return ContainerArgs(
        name="runtime",
        image=image,
        ports=[ContainerPortArgs(name=name, container_port=port) for name, port in _ports(plan)],
        env=[
            EnvVarArgs(name="FULLBORE_PORT", value=str(plan.port)),
            EnvVarArgs(name="FULLBORE_POOL", value=plan.name),
            EnvVarArgs(name="POD_NAME", value_from=_field("metadata.name")),
            *([EnvVarArgs(name="FULLBORE_MODEL_DIRECTORY", value=WEIGHTS_FOLDER)] if plan.weights else []),
        ],
        resources=ResourceRequirementsArgs(limits=resources, requests=resources),
        startup_probe=ProbeArgs(http_get=health, period_seconds=PROBE_S, failure_threshold=LOAD_S // PROBE_S),
        readiness_probe=ProbeArgs(http_get=health, period_seconds=PROBE_S, timeout_seconds=2, failure_threshold=3),
        security_context=SecurityContextArgs(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            capabilities=CapabilitiesArgs(drop=["ALL"]),
        ),
        volume_mounts=_mounts(plan),
    )


def _mounts(plan: ServingPlan) -> list[VolumeMountArgs]:
    mounts = [
        VolumeMountArgs(name="plan", mount_path=DOCUMENT_FOLDER, read_only=True),
        VolumeMountArgs(name="tmp", mount_path="/tmp"),
    ]
    if plan.weights:
        # A folder that is not there yet keeps the container from starting: the kubelet may not make it.
        mounts.append(
            VolumeMountArgs(name="weights", mount_path=WEIGHTS_FOLDER, sub_path=plan.weights.folder, read_only=True)
        )
    return mounts


def _ports(plan: ServingPlan) -> list[tuple[str, int]]:
    """Where the engine and, on GPUs, the memory monitor beside it listen."""
    return [("http", plan.port), *([("monitor", plan.monitor_port)] if plan.monitor_port else [])]


def _resources(plan: ServingPlan) -> dict[str, str]:
    """Requests and limits alike: the kubelet pins CPUs only for pods that ask for CPUs and memory so."""
    asked = {"cpu": plan.cpus, "memory": f"{plan.memory_gib}Gi" if plan.memory_gib else None, GPU: plan.gpus}
    return {name: str(amount) for name, amount in asked.items() if amount is not None}


def _field(path: str) -> EnvVarSourceArgs:
    return EnvVarSourceArgs(field_ref=ObjectFieldSelectorArgs(field_path=path))


def _spread(labels: Mapping[str, str]) -> AffinityArgs:
    """One host's loss should cost one replica: preferred, because a pool may have more replicas than hosts."""
    term = PodAffinityTermArgs(
        topology_key="kubernetes.io/hostname", label_selector=LabelSelectorArgs(match_labels=dict(labels))
    )
    preferred = WeightedPodAffinityTermArgs(weight=100, pod_affinity_term=term)
    return AffinityArgs(
        pod_anti_affinity=PodAntiAffinityArgs(preferred_during_scheduling_ignored_during_execution=[preferred])
    )


def _volumes(plan: ServingPlan, weights_claim: pulumi.Input[str] | None) -> list[VolumeArgs]:
    volumes = [
        VolumeArgs(name="plan", config_map=ConfigMapVolumeSourceArgs(name=plan.name)),
        VolumeArgs(name="tmp", empty_dir=EmptyDirVolumeSourceArgs()),
    ]
    if plan.weights and weights_claim:
        claim = PersistentVolumeClaimVolumeSourceArgs(claim_name=weights_claim, read_only=True)
        volumes.append(VolumeArgs(name="weights", persistent_volume_claim=claim))
    return volumes
