"""A Kubernetes cluster that exists already, made ready for serving: namespace, priorities and a queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import Provider
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import Namespace
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.scheduling.v1 import PriorityClass

from fullbore._component import Component
from fullbore.plan.model import ClusterPlan

LABELS: Mapping[str, str] = {"app.kubernetes.io/part-of": "fullbore", "app.kubernetes.io/managed-by": "pulumi"}
"""Labels of every object that the components make."""


@dataclass(frozen=True, kw_only=True)
class ClusterResources:
    """What `Cluster` created. `queue` is None where the plan names none: Volcano is not there."""

    provider: Provider
    namespace: Namespace
    priority_classes: Mapping[str, PriorityClass]
    queue: CustomResource | None


class Cluster(Component):
    """Namespace, priority classes and Volcano queue of one cluster, and the provider that reaches it.

    `namespace` is the namespace's name once it exists; `ready` is what a workload must depend on.
    """

    def __init__(self, name: str, plan: ClusterPlan, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.plan = plan
        self.provider = self._create_provider()
        self.resources = ClusterResources(
            provider=self.provider,
            namespace=self._create_namespace(),
            priority_classes={each: self._create_priority_class(each) for each in plan.priority_classes},
            queue=self._create_queue() if plan.queue else None,
        )
        # Not through `apply`, which would not run in a preview: the uid beside the name is not known there.
        self.namespace: pulumi.Output[str] = self.resources.namespace.metadata.name
        self.register_outputs({"namespace": self.namespace})

    @property
    def ready(self) -> list[pulumi.Resource]:
        """Everything that admission or a scheduler looks up when a pod appears."""
        made = self.resources
        return [*made.priority_classes.values(), *([made.queue] if made.queue else [])]

    @property
    def first_priority(self) -> str:
        """The priority class of serving, which yields to nothing else in the plan: the highest."""
        return max(self.plan.priority_classes, key=self.plan.priority_classes.__getitem__)

    def _create_provider(self) -> Provider:
        # A changed ConfigMap or Secret rolls its pods through a hash annotation; replaced, they would be without one.
        return Provider(
            self.part("provider"),
            kubeconfig=self.plan.kubeconfig,
            enable_config_map_mutable=True,
            enable_secret_mutable=True,
            opts=self.child(),
        )

    def _create_namespace(self) -> Namespace:
        return Namespace(
            self.part("namespace"),
            metadata=ObjectMetaArgs(name=self.plan.namespace, labels=dict(LABELS)),
            opts=self.child(self.provider),
        )

    def _create_priority_class(self, priority: str) -> PriorityClass:
        return PriorityClass(
            self.part(priority),
            metadata=ObjectMetaArgs(name=priority, labels=dict(LABELS)),
            value=self.plan.priority_classes[priority],
            description=f"{priority} of the fullbore environment",
            # A name that is taken by a replacement needs the old one gone.
            opts=self.child(self.provider, delete_before_replace=True),
        )

    def _create_queue(self) -> CustomResource:
        return CustomResource(
            self.part("queue"),
            api_version="scheduling.volcano.sh/v1beta1",
            kind="Queue",
            metadata=ObjectMetaArgs(name=self.plan.queue, labels=dict(LABELS)),
            spec={"weight": self.plan.queue_weight, "reclaimable": True},
            opts=self.child(self.provider),
        )
