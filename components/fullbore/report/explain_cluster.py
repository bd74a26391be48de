"""What an explanation tells of clusters: who reaches the cloud's, what pods are given, gateway and metrics. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from fullbore.config.models import Environment
from fullbore.plan.checks.base import counted
from fullbore.plan.model import CloudPlan, GatewayPlan, ImagePlan, MonitoringPlan, Plan, ServingPlan
from fullbore.report.section import Row, Section, fact

_LONG_PROMPTS = {
    "refuse": "a prompt that leaves no room for an answer is refused",
    "truncate": "the oldest part of a prompt is cut off where it leaves no room for an answer",
}
_FILE_SYSTEMS = {"lustre": "FSx for Lustre", "shared": "EFS"}


def access_section(env: Environment, plan: Plan) -> Section:
    rows = tuple(_access(plan.cloud)) if plan.cloud else ()
    return Section(title="cloud network and access", rows=rows)


def _access(plan: CloudPlan) -> Iterator[Row]:
    reached = "every address" if plan.api_from is None else ", ".join(plan.api_from) or "no address"
    yield fact("the cluster's API is reached from", reached, "over the internet; through the VPC always")
    endpoints = f"{len(plan.private_services)} services and S3"
    yield fact("private endpoints", endpoints, ", ".join(plan.private_services))
    blocks = plan.pod_addresses == "prefix"
    yield fact("addresses of pods", plan.pod_addresses, "in blocks of 16" if blocks else "one by one")
    logs = plan.flow_logs_days
    yield fact("flow logs are kept (days)", logs or "none written", "of all traffic of the VPC" if logs else "")
    key = ("own key", "a KMS key of the environment's own") if plan.own_key else ("EKS' own", "")
    yield fact("key of Kubernetes secrets", *key)
    roles = ", ".join(f"{job.namespace}/{job.service_account}" for job in plan.jobs)
    yield fact("roles of pods", "EKS Pod Identity" if plan.pod_identity else "none of their own", roles)


def pods_section(env: Environment, plan: Plan) -> Section:
    rows = tuple(_pods(plan.serving, plan)) if plan.serving else ()
    return Section(title="serving: pods", rows=rows)


def _pods(serving: ServingPlan, plan: Plan) -> Iterator[Row]:
    document = serving.document
    if plan.image:
        yield _image(plan.image)
    yield fact("engine", str(document.get("engine", "the image's own")), f"profile {document['profile']} of the image")
    manifest = str(document.get("weights_sha256", ""))
    yield fact("manifest of the weights", manifest[:12] or "any", "one with another sha256 does not start")
    policy = str(document.get("context_policy", "refuse"))
    yield fact("long prompts", policy, _LONG_PROMPTS[policy])
    yield fact("CPUs of a pod's own", serving.cpus or "none", "at the site; logical CPUs")
    yield fact("memory of a pod (GiB)", serving.memory_gib or "not asked for", "at the site")
    mounted = plan.standby.serving.weights if plan.standby else None
    if mounted:
        yield fact("weights of the standby", _FILE_SYSTEMS[mounted.kind], f"mounted, folder {mounted.folder}/")
    if plan.cluster:
        weight = f"queue {plan.cluster.queue} with weight {plan.cluster.queue_weight}"
        yield fact("namespace", plan.cluster.namespace, f"at the site in Volcano's {weight}")
    yield fact("a rollout may stand still for (s)", serving.progress_s, "as long as one pod may take to load its model")


def _image(plan: ImagePlan) -> Row:
    note = f"digest {plan.digest.partition(':')[2][:12]}" if plan.digest else "built by this update"
    return fact("image", f"{plan.registry}/{plan.repository}", note)


def doors_section(env: Environment, plan: Plan) -> Section:
    gateway = _gateway(plan.gateway) if plan.gateway else ()
    metrics = _metrics(plan.monitoring, plan) if plan.monitoring else ()
    return Section(title="gateway and metrics", rows=(*gateway, *metrics))


def _gateway(plan: GatewayPlan) -> Iterator[Row]:
    yield fact("clients speak to", f"http://{plan.address}:{plan.port}", "Envoy at the site; see docs/architecture.md")
    yield fact("longest response (s)", plan.timeout_s, "is cut off then")


def _metrics(plan: MonitoringPlan, whole: Plan) -> Iterator[Row]:
    hosts = counted(len(plan.targets), "host")
    yield fact("metrics are kept (days)", plan.retention_days, f"of the agents of {hosts}, pods and the gateway")
    yield fact("they are asked for every (s)", plan.scrape_interval_s, "by Prometheus")
    yield fact("alert when an agent is silent for (s)", plan.agent_down_for_s, "FullboreHostAgentDown")
    told = next((flow.to for flow in whole.flows if flow.path == "monitoring.webhook_url"), "")
    yield fact("alerts go to", told or "nobody", "by a webhook" if told else "they show in Alertmanager only")
    if whole.lag:
        by = "a pod beside Prometheus" if plan.lag else plan.lag_exporter
        limit = f"alert above {whole.lag.rpo_s:,} s" if whole.lag.rpo_s and by else ""
        yield fact("lag of replication is measured by", by or "nobody", limit)
