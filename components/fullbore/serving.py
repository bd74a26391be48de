"""A pool of identical model servers: one pod a replica, each with the GPUs of one tensor-parallel group."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
from pulumi_kubernetes.apps.v1 import (
    Deployment,
    DeploymentSpecArgs,
    DeploymentStrategyArgs,
    RollingUpdateDeploymentArgs,
)
from pulumi_kubernetes.core.v1 import ConfigMap, Service, ServiceAccount, ServicePortArgs, ServiceSpecArgs
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget, PodDisruptionBudgetSpecArgs

from fullbore._component import Component
from fullbore.cluster import LABELS, Cluster
from fullbore.plan.hosts import document_text
from fullbore.plan.model import ServingPlan
from fullbore.pods import DOCUMENT_KEY, pod_template

Scheduler = Literal["volcano", "default-scheduler"]


@dataclass(frozen=True, kw_only=True)
class ServingResources:
    """What `Serving` created."""

    config: ConfigMap
    deployment: Deployment
    service: Service
    budget: PodDisruptionBudget


class Serving(Component):
    """The replicas of one `ServingPlan`, and the headless service whose addresses are the ready ones.

    `image` is a reference by digest; `weights_claim` is there where the plan has pods mount their weights. Replicas are
    placed after what `after` names. `service` is the service's name; `host` is `SERVICE.NAMESPACE`, to which the
    cluster's own suffix belongs.
    """

    def __init__(
        self,
        name: str,
        plan: ServingPlan,
        *,
        cluster: Cluster,
        image: pulumi.Input[str],
        scheduler: Scheduler = "volcano",
        weights_claim: pulumi.Input[str] | None = None,
        after: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(name, opts)
        self.plan, self.cluster, self.scheduler = plan, cluster, scheduler
        self.weights_claim = weights_claim
        self.selector = {"app.kubernetes.io/name": "fullbore-runtime", "app.kubernetes.io/instance": plan.name}
        self.labels = {**LABELS, **self.selector}
        self.document = document_text(plan.document)
        config, service, account = self._create_config(), self._create_service(), self._create_account()
        self.resources = ServingResources(
            config=config,
            deployment=self._create_deployment(image, [config, *account, *cluster.ready, *after]),
            service=service,
            budget=self._create_budget(),
        )
        self.service = plan.name
        self.host = pulumi.Output.format("{0}.{1}", plan.name, cluster.namespace)
        self.register_outputs({"host": self.host})

    def _create_config(self) -> ConfigMap:
        return ConfigMap(
            self.part("config"),
            metadata=self._metadata(),
            data={DOCUMENT_KEY: self.document},
            opts=self.child(self.cluster.provider),
        )

    def _create_account(self) -> list[pulumi.Resource]:
        """The account that a cloud's roles are bound to; none where the plan names none."""
        name = self.plan.service_account
        if name is None:
            return []
        return [
            ServiceAccount(
                self.part("account"),
                metadata=ObjectMetaArgs(name=name, namespace=self.cluster.namespace, labels=self.labels),
                automount_service_account_token=False,
                opts=self.child(self.cluster.provider),
            )
        ]

    def _create_deployment(self, image: pulumi.Input[str], after: list[pulumi.Resource]) -> Deployment:
        template = pod_template(
            self.plan,
            image=image,
            scheduler=self.scheduler,
            priority=self.cluster.first_priority,
            labels=self.labels,
            annotations=self._pod_annotations(),
            weights_claim=self.weights_claim,
        )
        return Deployment(
            self.part("deployment"),
            metadata=self._metadata(),
            spec=DeploymentSpecArgs(
                replicas=self.plan.replicas,
                selector=LabelSelectorArgs(match_labels=self.selector),
                template=template,
                progress_deadline_seconds=self.plan.progress_s,
                # A replica takes all GPUs it was planned for: there is no room for a new one before an old one is gone.
                strategy=DeploymentStrategyArgs(
                    type="RollingUpdate", rolling_update=RollingUpdateDeploymentArgs(max_surge=0, max_unavailable=1)
                ),
            ),
            opts=self.child(self.cluster.provider, depends_on=after, custom_timeouts=self._rollout_timeouts()),
        )

    def _rollout_timeouts(self) -> pulumi.CustomTimeouts:
        """New pods all load at once; a rolling update replaces them one after the other. Providers give up after ten
        minutes if they are not told."""
        one, all_of_them = self.plan.progress_s, self.plan.progress_s * max(1, self.plan.replicas)
        return pulumi.CustomTimeouts(create=f"{one}s", update=f"{all_of_them}s")

    def _pod_annotations(self) -> Mapping[str, str]:
        """The document's hash rolls the pods when it changes; Volcano reads its queue from the pod.

        There is no gang: a replica is one pod, and serves whether or not the others run.
        """
        digest = {"fullbore/plan-sha256": hashlib.sha256(self.document.encode()).hexdigest()}
        queue = self.cluster.plan.queue
        in_queue = self.scheduler == "volcano" and queue
        return digest | ({"scheduling.volcano.sh/queue-name": queue} if in_queue else {})

    def _create_service(self) -> Service:
        """Headless, so that the gateway sees every ready pod and balances itself."""
        return Service(
            self.part("service"),
            metadata=self._metadata(),
            spec=ServiceSpecArgs(
                cluster_ip="None",
                selector=self.selector,
                ports=[ServicePortArgs(name="http", port=self.plan.port, target_port=self.plan.port)],
            ),
            opts=self.child(self.cluster.provider),
        )

    def _create_budget(self) -> PodDisruptionBudget:
        return PodDisruptionBudget(
            self.part("budget"),
            metadata=self._metadata(),
            spec=PodDisruptionBudgetSpecArgs(max_unavailable=1, selector=LabelSelectorArgs(match_labels=self.selector)),
            opts=self.child(self.cluster.provider),
        )

    def _metadata(self) -> ObjectMetaArgs:
        return ObjectMetaArgs(name=self.plan.name, namespace=self.cluster.namespace, labels=self.labels)
