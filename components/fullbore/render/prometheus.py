"""Prometheus' and Alertmanager's configuration, rendered from plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import yaml

from fullbore.plan.model import MonitoringPlan, ScrapeTarget
from fullbore.render.rules import rules_document

PROMETHEUS_PORT = 9090
ALERTMANAGER_PORT = 9093
CONFIG_FILE = "prometheus.yml"
RULES_FILE = "rules.yml"
ALERTMANAGER_FILE = "alertmanager.yml"
LONGEST_SCRAPE_S = 10
GROUP_WAIT_S = 1
"""Alerts of one cause arrive within an evaluation of each other; waiting longer would only delay the first message."""

Json = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class ScrapedService:
    """A Service whose pods are scraped: each address of a headless one, or the one address of another."""

    job: Literal["serving", "gpu-memory", "gateway", "replication"]
    host: str
    port: int
    path: str = "/metrics"


def prometheus_files(plan: MonitoringPlan, *, alertmanager: str, services: Sequence[ScrapedService]) -> dict[str, str]:
    """Prometheus' files by name; `alertmanager` is HOST:PORT."""
    return {
        CONFIG_FILE: dump(prometheus_config(plan, alertmanager=alertmanager, services=services)),
        RULES_FILE: dump(rules_document(plan, jobs=watched_jobs(plan, services))),
    }


def prometheus_config(plan: MonitoringPlan, *, alertmanager: str, services: Sequence[ScrapedService]) -> Json:
    """prometheus.yml."""
    interval = duration(plan.scrape_interval_s)
    return {
        "global": {
            "scrape_interval": interval,
            "scrape_timeout": duration(min(plan.scrape_interval_s, LONGEST_SCRAPE_S)),
            "evaluation_interval": interval,
        },
        "rule_files": [RULES_FILE],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [
            {"job_name": "prometheus", "static_configs": [{"targets": [f"localhost:{PROMETHEUS_PORT}"]}]},
            {"job_name": "alertmanager", "static_configs": [{"targets": [alertmanager]}]},
            {"job_name": "hosts", "static_configs": [host_config(target) for target in plan.targets]},
            *(service_job(service, interval) for service in services),
            *([lag_job(plan.lag_exporter)] if plan.lag_exporter else []),
        ],
    }


def watched_jobs(plan: MonitoringPlan, services: Sequence[ScrapedService]) -> list[str]:
    """Jobs besides that of the hosts."""
    return [*(service.job for service in services), *(["replication"] if plan.lag_exporter else [])]


def lag_job(address: str) -> Json:
    """Others' exporter of the replication's lag, at a fixed address."""
    return {"job_name": "replication", "static_configs": [{"targets": [address]}]}


def host_config(target: ScrapeTarget) -> Json:
    """One agent; the host's place is a label of every sample."""
    labels = {"host": target.host, "rack": target.rack, "group": target.group}
    return {"targets": [f"{target.address}:{target.port}"], "labels": labels}


def service_job(service: ScrapedService, interval: str) -> Json:
    """Every address of a name, asked again at each scrape: pods come and go."""
    lookup: Json = {"names": [service.host], "type": "A", "port": service.port, "refresh_interval": interval}
    return {"job_name": service.job, "metrics_path": service.path, "dns_sd_configs": [lookup]}


def alertmanager_files(plan: MonitoringPlan) -> dict[str, str]:
    """Alertmanager's file by name."""
    return {ALERTMANAGER_FILE: dump(alertmanager_config(plan))}


def alertmanager_config(plan: MonitoringPlan) -> Json:
    """One route. Without a webhook alerts are kept, grouped and shown by its API, and sent to nobody."""
    receiver: Json = {"name": "default"}
    if plan.webhook_url is not None:
        receiver["webhook_configs"] = [{"url": plan.webhook_url, "send_resolved": True}]
    return {
        "route": {
            "receiver": "default",
            # One message for all hosts of a rack that fail together.
            "group_by": ["alertname", "rack"],
            "group_wait": duration(GROUP_WAIT_S),
            "group_interval": "30s",
            "repeat_interval": "4h",
        },
        "receivers": [receiver],
        # A host that is silent needs no further message about what it last said.
        "inhibit_rules": [
            {
                "source_matchers": ["alertname = FullboreHostAgentDown"],
                "target_matchers": ["alertname != FullboreHostAgentDown"],
                "equal": ["host"],
            }
        ],
    }


def duration(seconds: float) -> str:
    """Prometheus' form of a duration: a whole number of seconds."""
    return f"{seconds:.0f}s"


def dump(value: Json) -> str:
    return yaml.safe_dump(value, sort_keys=False, width=120)
