"""The standby: a second pool in the cloud's cluster, reached through a load balancer when the site is lost."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import Service, ServicePortArgs, ServiceSpecArgs
from pulumi_kubernetes.core.v1.outputs import ServiceStatus
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from fullbore._component import Component
from fullbore.cluster import Cluster
from fullbore.plan.model import StandbyPlan
from fullbore.serving import Serving
from fullbore.storage import Storage
from fullbore.weights import Weights, create_weights

INTERNAL = {
    "service.beta.kubernetes.io/aws-load-balancer-scheme": "internal",
    "service.beta.kubernetes.io/aws-load-balancer-internal": "true",
}
"""For AWS's load balancer controller and for the cloud provider before it (their reference pages, "annotations"): the
subnets made here are private, and the model asks nobody who they are. The gateway reaches it over a link between site
and VPC, which is the operator's."""


@dataclass(frozen=True, kw_only=True)
class StandbyResources:
    """What `Standby` created."""

    cluster: Cluster
    weights: Weights | None
    serving: Serving
    load_balancer: Service


class Standby(Component):
    """A cluster's namespace, a pool of the plan's size, what it reads its weights from, and its load balancer.

    `hostname` is the load balancer's name, or its address where the cloud gives no name; `port` is what it listens on.
    """

    def __init__(
        self,
        name: str,
        plan: StandbyPlan,
        *,
        image: pulumi.Input[str],
        storage: Storage | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(name, opts)
        self.plan = plan
        cluster = Cluster(self.part("cluster"), plan.cluster, opts=self.child())
        read = plan.serving.weights
        weights = create_weights(self, plan.volume, read, cluster, storage) if read and storage else None
        serving = Serving(
            self.part("serving"),
            plan.serving,
            cluster=cluster,
            image=image,
            scheduler="volcano" if plan.cluster.queue else "default-scheduler",
            weights_claim=weights.name if weights else None,
            after=[weights.claim] if weights else (),
            opts=self.child(),
        )
        balancer = self._create_load_balancer(cluster, serving)
        self.resources = StandbyResources(cluster=cluster, weights=weights, serving=serving, load_balancer=balancer)
        self.hostname: pulumi.Output[str] = balancer.status.apply(_hostname)
        self.port = plan.serving.port
        self.register_outputs({"hostname": self.hostname})

    def _create_load_balancer(self, cluster: Cluster, serving: Serving) -> Service:
        port = self.plan.serving.port
        return Service(
            self.part("load-balancer"),
            metadata=ObjectMetaArgs(
                name=f"{self.plan.serving.name}-lb",
                namespace=cluster.namespace,
                labels=serving.labels,
                annotations=INTERNAL,
            ),
            spec=ServiceSpecArgs(
                type="LoadBalancer",
                selector=serving.selector,
                ports=[ServicePortArgs(name="http", port=port, target_port=port)],
            ),
            # After the pods: a load balancer without a backend may never be handed out.
            opts=self.child(cluster.provider, depends_on=[serving.resources.deployment]),
        )


def _hostname(status: ServiceStatus | None) -> str:
    """The first ingress of a load balancer; empty where there is none, which its provider waits for."""
    balancer = status.load_balancer if status else None
    ingress = balancer.ingress if balancer else None
    return (ingress[0].hostname or ingress[0].ip or "") if ingress else ""
