"""The weights as pods mount them: a volume for a file system that is there, and the claim of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
from pulumi_kubernetes.core.v1 import (
    CSIPersistentVolumeSourceArgs,
    ObjectReferenceArgs,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpecArgs,
    PersistentVolumeSpecArgs,
    VolumeResourceRequirementsArgs,
)
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from fullbore._component import Component
from fullbore.cluster import LABELS, Cluster
from fullbore.plan.model import WeightsPlan
from fullbore.storage import Storage

MODES = ("ReadWriteMany",)
"""The only mode for several nodes that both drivers know (aws-fsx-csi-driver, pkg/driver/controller.go, volumeCaps;
aws-efs-csi-driver, pkg/driver/node.go, volumeCapAccessModes). That nothing is written is said at each mount."""
ASKED = {"storage": "1Gi"}
"""A claim cannot change: it asks for less than any volume has, so that a file system may grow."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What pods mount, by the name of `claim`."""

    volume: PersistentVolume
    claim: PersistentVolumeClaim
    name: pulumi.Output[str]


@dataclass(frozen=True, kw_only=True)
class Volume:
    """What a driver mounts. `after` is what must be there before the first mount."""

    driver: str
    handle: pulumi.Input[str]
    attributes: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]])
    options: tuple[str, ...] = ()
    after: tuple[pulumi.Resource, ...] = ()


def volume(plan: WeightsPlan, storage: Storage) -> Volume:
    """The file system's root. Raises ValueError where there is none, which the plan rules out."""
    lustre, shared = storage.resources.lustre, storage.resources.shared
    if plan.kind == "lustre" and lustre:
        # FSx for Lustre user guide, "Mounting from an Amazon EC2 instance"; aws-fsx-csi-driver, static_provisioning.
        system = lustre.file_system
        return Volume(
            driver="fsx.csi.aws.com",
            handle=system.id,
            attributes={"dnsname": system.dns_name, "mountname": system.mount_name},
            options=("relatime", "flock"),
            after=(lustre.link,),
        )
    if plan.kind == "shared" and shared:
        # TLS, which the file system's policy asks for, is the driver's default (aws-efs-csi-driver, encryptInTransit).
        return Volume(
            driver="efs.csi.aws.com",
            handle=shared.file_system.id,
            after=(shared.policy, *shared.targets.values()),
        )
    raise ValueError(f"storage.{plan.kind}: is not declared, but pods are planned to mount it")


def create_weights(owner: Component, name: str, plan: WeightsPlan, cluster: Cluster, storage: Storage) -> Weights:
    """A volume, which only the claim of the cluster's namespace may take, and that claim.

    Both are named after the file system: neither can be changed to another, nor go before the pods that mount it. So
    new pods mount another file system before the old one is let go.
    """
    found = volume(plan, storage)
    named = pulumi.Output.format("{0}-{1}", name, found.handle)
    claimed = pulumi.Output.format("weights-{0}", found.handle)
    made = PersistentVolume(
        owner.part("weights"),
        metadata=ObjectMetaArgs(name=named, labels=dict(LABELS)),
        spec=PersistentVolumeSpecArgs(
            access_modes=list(MODES),
            capacity={"storage": f"{plan.size_gib}Gi"},
            storage_class_name="",
            # What is in the file system belongs to `Storage`.
            persistent_volume_reclaim_policy="Retain",
            mount_options=list(found.options) or None,
            claim_ref=ObjectReferenceArgs(
                api_version="v1",
                kind="PersistentVolumeClaim",
                namespace=cluster.namespace,
                name=claimed,
            ),
            csi=CSIPersistentVolumeSourceArgs(
                driver=found.driver,
                volume_handle=found.handle,
                volume_attributes=dict(found.attributes) or None,
                read_only=True,
            ),
        ),
        opts=owner.child(cluster.provider, depends_on=list(found.after)),
    )
    claim = PersistentVolumeClaim(
        owner.part("weights"),
        metadata=ObjectMetaArgs(name=claimed, namespace=cluster.namespace, labels=dict(LABELS)),
        spec=PersistentVolumeClaimSpecArgs(
            access_modes=list(MODES),
            # None but the volume above: an empty class is that of no provisioner.
            storage_class_name="",
            volume_name=named,
            resources=VolumeResourceRequirementsArgs(requests=dict(ASKED)),
        ),
        opts=owner.child(cluster.provider, depends_on=[made]),
    )
    return Weights(volume=made, claim=claim, name=claimed)
