"""The front door: an Envoy whose endpoints follow the replicas, with the standby behind the site."""

from __future__ import annotations

import pulumi

from fullbore._component import Component
from fullbore.cluster import Cluster
from fullbore.daemon import Listen, Program, create_daemon
from fullbore.plan.model import GatewayPlan
from fullbore.render.envoy import HTTP_PORT, STATS_PORT, envoy_text
from fullbore.render.envoy_cluster import Upstream
from fullbore.serving import Serving
from fullbore.standby import Standby

APP = "gateway"
IMAGE = "docker.io/envoyproxy/envoy:v1.40.0"
USER = 101
"""The user `envoy` of the official image."""
FOLDER = "/etc/envoy"
FILE = "envoy.yaml"


class Gateway(Component):
    """Envoy on `plan.port` of its node; `url` is where clients send OpenAI's calls.

    Everything that a failover needs is in the configuration that it holds already: the names of both pools and their
    health checks.
    """

    def __init__(
        self,
        name: str,
        plan: GatewayPlan,
        *,
        cluster: Cluster,
        serving: Serving,
        standby: Standby | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(name, opts)
        self.plan = plan
        files = self._config_text(serving, standby).apply(lambda text: {FILE: text})
        self.resources = create_daemon(self, _program(plan, files), cluster)
        self.url = f"http://{plan.address}:{plan.port}"
        self.register_outputs({"url": self.url})

    def _config_text(self, serving: Serving, standby: Standby | None) -> pulumi.Output[str]:
        suffix, timeout_s, site_port = self.plan.host_suffix, self.plan.timeout_s, serving.plan.port

        def render(site: str, other: str) -> str:
            pool = Upstream(host=other, port=standby.port) if standby else None
            return envoy_text(site=Upstream(host=f"{site}.{suffix}", port=site_port), standby=pool, timeout_s=timeout_s)

        other = standby.hostname if standby else ""
        return pulumi.Output.all(site=serving.host, other=other).apply(lambda it: render(it["site"], it["other"]))


def _program(plan: GatewayPlan, files: pulumi.Output[dict[str, str]]) -> Program:
    return Program(
        app=APP,
        image=plan.image or IMAGE,
        command=("envoy",),
        # One Envoy a container: the shared memory of hot restarts is not wanted.
        args=("-c", f"{FOLDER}/{FILE}", "--log-level", "info", "--disable-hot-restart"),
        user=USER,
        listens={"http": Listen(port=HTTP_PORT, host=plan.port), "stats": Listen(port=STATS_PORT)},
        ready=("/ready", STATS_PORT),
        folder=FOLDER,
        files=files,
        requests={"cpu": "1", "memory": "512Mi"},
        # Envoy refuses work at 95 % of 512 MiB of heap; what it maps besides that has room below this.
        memory_limit="1Gi",
    )
