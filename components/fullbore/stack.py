"""The whole environment as one component: each declared part, wired to the others."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from fullbore._component import Component
from fullbore.cloud import Cloud, aws_provider
from fullbore.cluster import Cluster
from fullbore.gateway import Gateway
from fullbore.monitoring import Monitoring
from fullbore.plan.model import Plan
from fullbore.replication import LagReader, Replication, TimeControl
from fullbore.runtime_image import RuntimeImage
from fullbore.serving import Serving
from fullbore.site import Site
from fullbore.standby import Standby
from fullbore.storage import Storage


class HybridStack(Component):
    """Bare metal, cloud, image, cluster, serving, gateway, monitoring and standby of one plan.

    A part that the plan does not have is None. `outputs` are the stack's exports.
    """

    def __init__(self, name: str, plan: Plan, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.plan = plan
        self.site = Site("site", plan.site, opts=self.child()) if plan.site else None
        self._create_cloud()
        self._create_serving()
        self.outputs = self._exports()
        self.register_outputs(dict(self.outputs))

    def _create_cloud(self) -> None:
        plan, tags = self.plan, self.plan.tags
        self.cloud = self.storage = self.replication = self.time_control = None
        if plan.cloud is None:
            return
        aws = aws_provider("aws", plan.cloud.region, plan.cloud.endpoint_url, tags=tags, opts=self.child())
        inherit = pulumi.ResourceOptions(parent=self, providers=[aws])
        self.cloud = Cloud("cloud", plan.cloud, tags=tags, opts=inherit)
        if plan.storage:
            self.storage = Storage("storage", plan.storage, cloud=self.cloud, tags=tags, opts=inherit)
        if plan.replication and self.storage:
            self.replication = Replication(
                "replication", plan.replication, cloud=self.cloud, storage=self.storage, tags=tags, opts=inherit
            )
        if plan.time_control and self.storage:
            self.time_control = TimeControl(
                "replication", plan.time_control, storage=self.storage, tags=tags, opts=inherit
            )

    def _create_serving(self) -> None:
        plan = self.plan
        self.cluster = Cluster("cluster", plan.cluster, opts=self.child()) if plan.cluster else None
        self.image = RuntimeImage("runtime", plan.image, opts=self.child()) if plan.image else None
        self.serving = self.standby = self.gateway = self.monitoring = None
        if self.cluster is None:
            return
        if self.image and plan.serving:
            self.serving = Serving(
                "serving",
                plan.serving,
                cluster=self.cluster,
                image=self.image.ref,
                after=list(self.site.evidence.values()) if self.site else (),
                opts=self.child(),
            )
        if self.image and plan.standby:
            # The last to go when all is destroyed is the network, which a load balancer in it would hold.
            opts = self.child(depends_on=[self.cloud] if self.cloud else None)
            self.standby = Standby("standby", plan.standby, image=self.image.ref, storage=self.storage, opts=opts)
        if plan.gateway and self.serving:
            self.gateway = Gateway(
                "gateway",
                plan.gateway,
                cluster=self.cluster,
                serving=self.serving,
                standby=self.standby,
                opts=self.child(),
            )
        if plan.monitoring:
            self.monitoring = Monitoring(
                "monitoring",
                plan.monitoring,
                cluster=self.cluster,
                serving=self.serving,
                gateway=self.gateway,
                lag=self._lag_reader(),
                opts=self.child(),
            )

    def _lag_reader(self) -> LagReader | None:
        copying = self.replication or self.time_control
        return copying.resources.reader if copying else None

    def _exports(self) -> Mapping[str, pulumi.Input[object]]:
        exports: dict[str, pulumi.Input[object]] = {"estimatedCost": round(self.plan.cost.total, 2)}
        if self.site:
            exports["hosts"] = self.site.hosts
            if self.site.evidence:
                exports["siteEvidence"] = self.site.accepted
        if self.gateway:
            exports["gatewayUrl"] = self.gateway.url
        if self.image:
            exports["imageRef"] = self.image.ref
        if self.standby:
            exports["standby"] = self.standby.hostname
        return exports
