"""Metrics and alerts: Prometheus with the rules, and Alertmanager."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pulumi

from fullbore._component import Component
from fullbore.cluster import Cluster
from fullbore.daemon import DaemonResources, Data, Listen, Program, WebIdentity, create_daemon
from fullbore.gateway import APP as GATEWAY
from fullbore.gateway import Gateway
from fullbore.plan.model import LagPlan, MonitoringPlan
from fullbore.render.envoy import STATS_PATH, STATS_PORT
from fullbore.render.lag import LAG_FILE, LAG_PORT, lag_document
from fullbore.render.prometheus import (
    ALERTMANAGER_FILE,
    ALERTMANAGER_PORT,
    CONFIG_FILE,
    PROMETHEUS_PORT,
    ScrapedService,
    alertmanager_files,
    prometheus_files,
)
from fullbore.replication.reader import LagReader
from fullbore.serving import Serving

PROMETHEUS_IMAGE = "docker.io/prom/prometheus:v2.42.0"
ALERTMANAGER_IMAGE = "docker.io/prom/alertmanager:v0.25.0"
"""The versions of Debian 12's packages, whose programs run in their place where no image can be pulled."""
USER = 65534
"""`nobody`, the user of both official images."""
LAG = "replication-lag"
PROMETHEUS_FOLDER = "/etc/prometheus"
ALERTMANAGER_FOLDER = "/etc/alertmanager"
LAG_FOLDER = "/etc/fullbore"
LAG_USER = 65532
"""The user of the image of images/lag."""
SAMPLES_SIZE = "50Gi"
SAMPLES_BYTES = "45GB"
"""Prometheus drops its oldest samples before the folder is full."""


@dataclass(frozen=True, kw_only=True)
class MonitoringResources:
    """What `Monitoring` created."""

    prometheus: DaemonResources
    alertmanager: DaemonResources
    lag: DaemonResources | None


class Monitoring(Component):
    """Scrapes the agents of `plan.targets` and, where they are given, the serving replicas and the gateway.

    `lag` is who may ask how far replication is; where the plan has it measured, a pod beside Prometheus does.
    """

    def __init__(
        self,
        name: str,
        plan: MonitoringPlan,
        *,
        cluster: Cluster,
        serving: Serving | None = None,
        gateway: Gateway | None = None,
        lag: LagReader | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(name, opts)
        self.plan = plan
        services = list(_services(plan, cluster, serving, gateway))
        self.resources = MonitoringResources(
            prometheus=create_daemon(self, _prometheus(plan, cluster, services), cluster, prefix="prometheus-"),
            alertmanager=create_daemon(self, _alertmanager(plan), cluster, prefix="alertmanager-"),
            lag=create_daemon(self, _lag(plan, plan.lag, lag), cluster, prefix="lag-") if plan.lag and lag else None,
        )
        self.register_outputs({})


def _services(
    plan: MonitoringPlan, cluster: Cluster, serving: Serving | None, gateway: Gateway | None
) -> Iterator[ScrapedService]:
    if serving:
        host = _host(serving.plan.name, plan, cluster)
        yield ScrapedService(job="serving", host=host, port=serving.plan.port)
        if serving.plan.monitor_port:
            yield ScrapedService(job="gpu-memory", host=host, port=serving.plan.monitor_port)
    if gateway:
        yield ScrapedService(job="gateway", host=_host(GATEWAY, plan, cluster), port=STATS_PORT, path=STATS_PATH)
    if plan.lag:
        yield ScrapedService(job="replication", host=_host(LAG, plan, cluster), port=LAG_PORT)


def _host(service: str, plan: MonitoringPlan, cluster: Cluster) -> str:
    return f"{service}.{cluster.plan.namespace}.{plan.host_suffix}"


def _prometheus(plan: MonitoringPlan, cluster: Cluster, services: list[ScrapedService]) -> Program:
    alertmanager = f"{_host('alertmanager', plan, cluster)}:{ALERTMANAGER_PORT}"
    data = Data(folder="/prometheus", size=SAMPLES_SIZE)
    return Program(
        app="prometheus",
        image=plan.prometheus_image or PROMETHEUS_IMAGE,
        args=(
            f"--config.file={PROMETHEUS_FOLDER}/{CONFIG_FILE}",
            f"--storage.tsdb.path={data.folder}",
            f"--storage.tsdb.retention.time={plan.retention_days}d",
            f"--storage.tsdb.retention.size={SAMPLES_BYTES}",
            f"--web.listen-address=0.0.0.0:{PROMETHEUS_PORT}",
        ),
        user=USER,
        listens={"http": Listen(port=PROMETHEUS_PORT, host=plan.prometheus_port)},
        ready=("/-/ready", PROMETHEUS_PORT),
        folder=PROMETHEUS_FOLDER,
        files=prometheus_files(plan, alertmanager=alertmanager, services=services),
        data=data,
        requests={"cpu": "500m", "memory": "1Gi"},
        memory_limit="4Gi",
    )


def _alertmanager(plan: MonitoringPlan) -> Program:
    data = Data(folder="/alertmanager", size="1Gi")
    return Program(
        app="alertmanager",
        image=plan.alertmanager_image or ALERTMANAGER_IMAGE,
        args=(
            f"--config.file={ALERTMANAGER_FOLDER}/{ALERTMANAGER_FILE}",
            f"--storage.path={data.folder}",
            f"--web.listen-address=0.0.0.0:{ALERTMANAGER_PORT}",
            # One replica: no gossip, for which it would look for a private address and give up without one.
            "--cluster.listen-address=",
        ),
        user=USER,
        listens={"http": Listen(port=ALERTMANAGER_PORT, host=plan.alertmanager_port)},
        ready=("/-/ready", ALERTMANAGER_PORT),
        folder=ALERTMANAGER_FOLDER,
        files=alertmanager_files(plan),
        secret=True,  # The webhook's address may hold a token.
        data=data,
        requests={"cpu": "100m", "memory": "128Mi"},
        memory_limit="512Mi",
    )


def _lag(plan: MonitoringPlan, measured: LagPlan, reader: LagReader) -> Program:
    """It takes its role by its own token: the cluster may be any whose issuer IAM knows."""
    text = pulumi.Output.from_input(reader.task_arn).apply(lambda arn: lag_document(measured, arn))
    return Program(
        app=LAG,
        image=plan.lag_image,
        args=(f"{LAG_FOLDER}/{LAG_FILE}", "--port", str(LAG_PORT)),
        user=LAG_USER,
        listens={"http": Listen(port=LAG_PORT)},
        ready=("/metrics", LAG_PORT),
        folder=LAG_FOLDER,
        files=text.apply(lambda it: {LAG_FILE: it}),
        requests={"cpu": "50m", "memory": "128Mi"},
        memory_limit="256Mi",
        identity=WebIdentity(account=reader.plan.service_account, role_arn=reader.role.role.arn),
        after=reader.role.grants,
    )
