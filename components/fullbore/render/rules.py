"""The alerts: a table, a row each. `for_s` of None means the plan's `agent_down_for_s`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from fullbore.plan.model import MonitoringPlan

PLACE = "host, rack, group"
Job = Literal["hosts", "serving", "gpu-memory", "gateway", "replication"]
Json = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One rule, and the job whose samples it reads: without the job there is no rule."""

    name: str
    job: Job
    expr: str
    for_s: int | None
    severity: Literal["critical", "warning"]
    summary: str
    action: str


ALERTS: tuple[Alert, ...] = (
    Alert(
        name="FullboreHostAgentDown",
        job="hosts",
        expr='up{job="hosts"} == 0',
        for_s=None,
        severity="critical",
        summary="{{ $labels.host }} in {{ $labels.rack }}: the agent does not answer",
        action="check whether the host answers SSH; if it does: systemctl status fullbore-agent",
    ),
    Alert(
        name="FullborePlanInvalid",
        job="hosts",
        expr="fullbore_plan_valid == 0",
        for_s=60,
        severity="critical",
        summary="{{ $labels.host }}: /etc/fullbore/plan.json is missing, damaged or of another version",
        action="converge the host again: pulumi up",
    ),
    Alert(
        name="FullboreSettingsDrift",
        job="hosts",
        expr=f"max by ({PLACE}, role) (fullbore_drifted_settings) > 0",
        for_s=60,
        severity="warning",
        summary="{{ $labels.host }}: {{ $value }} settings of role {{ $labels.role }} differ from the plan",
        action="pulumi preview --refresh names them; pulumi up repairs them",
    ),
    # 4 is ACTIVE and 5 is LINK_UP (linux/Documentation/ABI/stable/sysfs-class-infiniband).
    Alert(
        name="FullboreRdmaLinkDown",
        job="hosts",
        expr="node_infiniband_state_id != 4 or node_infiniband_physical_state_id != 5",
        for_s=15,
        severity="critical",
        summary="{{ $labels.host }}: port {{ $labels.port }} of {{ $labels.device }} is down",
        action="check cable and switch port; serving across hosts loses this rail",
    ),
    # Fatal where it grows at all: NVSentinel docs/configuration/nic-health-monitor.md.
    Alert(
        name="FullboreRdmaLinkErrors",
        job="hosts",
        expr=" or ".join(
            f"increase(node_infiniband_{counter}_total[10m]) > 0"
            for counter in (
                "link_downed",
                "excessive_buffer_overrun_errors",
                "local_link_integrity_errors",
                "hw_rnr_nak_retry_err",
            )
        ),
        for_s=0,
        severity="critical",
        summary="{{ $labels.host }}: {{ $labels.device }} counted link errors in the last 10 minutes",
        action="drain the host, then check cable, transceiver and switch port",
    ),
    Alert(
        name="FullboreGpuMissing",
        job="hosts",
        expr=(
            f"sum by ({PLACE}) (fullbore_planned_gpus) - "
            f"(count by ({PLACE}) (DCGM_FI_DEV_FB_USED) or sum by ({PLACE}) (fullbore_planned_gpus) * 0) > 0"
        ),
        for_s=60,
        severity="critical",
        summary="{{ $labels.host }}: {{ $value }} planned GPUs are missing",
        action="nvidia-smi and dmesg on the host; an XID 79 means that it fell off the bus",
    ),
    Alert(
        name="FullboreGpuMemoryFilling",
        job="hosts",
        expr='fullbore_gpu_memory_full_seconds{host!=""} < 600',
        for_s=60,
        severity="warning",
        summary="{{ $labels.host }}: memory of GPU {{ $labels.gpu }} is full in {{ $value | humanizeDuration }}",
        action="something on the host leaks GPU memory; move its requests away before an allocation fails",
    ),
    # The monitor beside the engine: hosts that are not the site's have no agent.
    Alert(
        name="FullboreGpuMemoryFull",
        job="gpu-memory",
        expr="fullbore_gpu_memory_warning == 1",
        for_s=0,
        severity="critical",
        summary="replica {{ $labels.instance }}: memory of GPU {{ $labels.gpu }} is full within a minute",
        action="the replica's log names the process that grows; take the replica out before an allocation fails",
    ),
    Alert(
        name="FullboreNoServingReplica",
        job="serving",
        expr='(count(up{job="serving"} == 1) or vector(0)) == 0',
        for_s=15,
        severity="critical",
        summary="no serving replica answers at the site",
        action=(
            "kubectl get pods and kubectl logs (in a sandbox: podman ps --all and podman logs) say why; the standby "
            "answers meanwhile where one is declared"
        ),
    ),
    Alert(
        name="FullboreGatewayErrors",
        job="gateway",
        expr=(
            'sum(rate(envoy_http_downstream_rq_xx{envoy_http_conn_manager_prefix="gateway",'
            'envoy_response_code_class="5"}[2m])) / '
            'sum(rate(envoy_http_downstream_rq_xx{envoy_http_conn_manager_prefix="gateway"}[2m])) > 0.05'
        ),
        for_s=30,
        severity="critical",
        summary="{{ $value | humanizePercentage }} of the gateway's answers are server errors",
        action=(
            "the gateway's log names the upstream and the reason of each: kubectl logs deploy/gateway (in a sandbox: "
            "podman logs of the container whose name ends in -gateway)"
        ),
    ),
    Alert(
        name="FullboreServedByStandby",
        job="gateway",
        expr='sum(rate(envoy_cluster_zone_gateway_standby_upstream_rq_completed{envoy_cluster_name="model"}[1m])) > 0',
        for_s=0,
        severity="warning",
        summary='the standby answers {{ printf "%.1f" $value }} requests a second',
        action="the site has lost more than half of its replicas: look at FullboreNoServingReplica and the pods",
    ),
    Alert(
        name="FullboreReplicationLag",
        job="replication",
        expr="fullbore_replication_lag_seconds > fullbore_replication_rpo_seconds",
        for_s=0,
        severity="critical",
        summary="the newest whole copy of the weights is {{ $value | humanizeDuration }} old: the RPO is broken",
        action=(
            "were the site lost now, the standby would serve older weights than promised; see why the last runs of "
            "replication failed, or start one: aws datasync start-task-execution"
        ),
    ),
    Alert(
        name="FullboreReplicationUnmeasured",
        job="replication",
        expr=(
            'absent(up{job="replication"} == 1) or fullbore_replication_measured == 0 or '
            "time() - fullbore_replication_measured_timestamp_seconds > 3 * fullbore_replication_interval_seconds"
        ),
        for_s=300,
        severity="critical",
        summary="nobody knows how old the newest copy of the weights is",
        action=(
            "the exporter's log says why, no run succeeded, no credentials, AWS not reached: kubectl logs "
            "deploy/replication-lag (in a sandbox: podman logs of the container whose name ends in -replication-lag)"
        ),
    ),
)


def rules_document(plan: MonitoringPlan, *, jobs: Collection[str]) -> Json:
    """The rules file: one group, evaluated at every scrape."""
    known = {"hosts", *jobs}
    rules = [rule(alert, plan.agent_down_for_s) for alert in ALERTS if alert.job in known]
    return {"groups": [{"name": "fullbore", "rules": rules}]}


def rule(alert: Alert, agent_down_for_s: int) -> Json:
    hold = agent_down_for_s if alert.for_s is None else alert.for_s
    return {
        "alert": alert.name,
        "expr": alert.expr,
        "for": f"{hold}s",
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.summary, "action": alert.action},
    }
