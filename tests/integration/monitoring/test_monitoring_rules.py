"""The rendered files before the real promtool and amtool: accepted, and each alert both firing and silent."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from fullbore.plan.model import MonitoringPlan, ScrapeTarget
from fullbore.render.prometheus import (
    ALERTMANAGER_FILE,
    CONFIG_FILE,
    RULES_FILE,
    ScrapedService,
    alertmanager_config,
    alertmanager_files,
    prometheus_config,
    prometheus_files,
)
from fullbore.render.rules import ALERTS, rules_document

PROMTOOL, AMTOOL = shutil.which("promtool"), shutil.which("amtool")
SERVICES = (
    ScrapedService(job="serving", host="serving.fullbore.test", port=8000),
    ScrapedService(job="gpu-memory", host="serving.fullbore.test", port=8001),
    ScrapedService(job="gateway", host="gateway.fullbore.test", port=9902, path="/stats/prometheus"),
)
LAG = "lag.test:9751"
COPY = 'environment="prod",method="datasync"'
HOST = 'host="gpu-01",rack="r01",group="gpu"'
DOWNSTREAM = 'envoy_http_downstream_rq_xx{envoy_http_conn_manager_prefix="gateway",envoy_response_code_class='
STANDBY = 'envoy_cluster_zone_gateway_standby_upstream_rq_completed{envoy_cluster_name="model"}'


def plan(webhook_url: str | None = None, lag_exporter: str | None = None) -> MonitoringPlan:
    return MonitoringPlan(
        retention_days=15,
        scrape_interval_s=2,
        agent_down_for_s=4,
        webhook_url=webhook_url,
        targets=(
            ScrapeTarget(host="gpu-01", rack="r01", group="gpu", address="10.0.0.1", port=9750),
            ScrapeTarget(host="nvme-01", rack="r02", group="storage", address="10.0.0.2", port=9750),
        ),
        prometheus_port=9090,
        alertmanager_port=9093,
        host_suffix="test",
        lag_exporter=lag_exporter,
    )


@dataclass
class Case:
    """Samples of one scrape every 5 s that make an alert fire at `at`, and others that do not."""

    fires: dict[str, str]
    silent: dict[str, str]
    labels: dict[str, str] = field(default_factory=dict)
    at: str = "3m"


def measured(how: str = "1x120", *, at: str = "0+5x120", up: str = "1x120") -> dict[str, str]:
    """What the exporter says by scrape: whether it measured, and when it last did; it tries every 60 s."""
    return {
        'up{job="replication",instance="lag"}': up,
        f"fullbore_replication_measured{{{COPY}}}": how,
        f"fullbore_replication_interval_seconds{{{COPY}}}": "60x120",
        f"fullbore_replication_measured_timestamp_seconds{{{COPY}}}": at,
    }


PORT = {"device": "mlx5_0", "port": "1"}
PLACE = {"host": "gpu-01", "rack": "r01", "group": "gpu"}
CASES: dict[str, Case] = {
    "FullboreHostAgentDown": Case(
        fires={f'up{{job="hosts",{HOST}}}': "1x3 0x60"},
        silent={f'up{{job="hosts",{HOST}}}': "1x60"},
        labels={"job": "hosts", **PLACE},
    ),
    "FullborePlanInvalid": Case(
        fires={f"fullbore_plan_valid{{{HOST}}}": "0x60"},
        silent={f"fullbore_plan_valid{{{HOST}}}": "1x60"},
        labels=PLACE,
    ),
    "FullboreSettingsDrift": Case(
        fires={f'fullbore_drifted_settings{{{HOST},role="rdma"}}': "2x60"},
        silent={f'fullbore_drifted_settings{{{HOST},role="rdma"}}': "0x60"},
        labels={**PLACE, "role": "rdma"},
    ),
    "FullboreRdmaLinkDown": Case(
        fires={f'node_infiniband_state_id{{{HOST},device="mlx5_0",port="1"}}': "1x60"},
        silent={
            f'node_infiniband_state_id{{{HOST},device="mlx5_0",port="1"}}': "4x60",
            f'node_infiniband_physical_state_id{{{HOST},device="mlx5_0",port="1"}}': "5x60",
        },
        labels={**PLACE, **PORT},
    ),
    "FullboreRdmaLinkErrors": Case(
        fires={f'node_infiniband_hw_rnr_nak_retry_err_total{{{HOST},device="mlx5_0",port="1"}}': "3x20 4x40"},
        silent={f'node_infiniband_hw_rnr_nak_retry_err_total{{{HOST},device="mlx5_0",port="1"}}': "3x60"},
        labels={**PLACE, **PORT},
    ),
    "FullboreGpuMissing": Case(
        fires={f"fullbore_planned_gpus{{{HOST}}}": "2x60", f'DCGM_FI_DEV_FB_USED{{{HOST},gpu="0"}}': "5x60"},
        silent={
            f"fullbore_planned_gpus{{{HOST}}}": "2x60",
            f'DCGM_FI_DEV_FB_USED{{{HOST},gpu="0"}}': "5x60",
            f'DCGM_FI_DEV_FB_USED{{{HOST},gpu="1"}}': "5x60",
        },
        labels=PLACE,
    ),
    "FullboreGpuMemoryFilling": Case(
        fires={f'fullbore_gpu_memory_full_seconds{{{HOST},gpu="3"}}': "300x60"},
        silent={f'fullbore_gpu_memory_full_seconds{{{HOST},gpu="3"}}': "3600x60"},
        labels={**PLACE, "gpu": "3"},
    ),
    "FullboreGpuMemoryFull": Case(
        fires={'fullbore_gpu_memory_warning{instance="a:8001",gpu="0"}': "0x3 1x57"},
        silent={'fullbore_gpu_memory_warning{instance="a:8001",gpu="0"}': "0x60"},
        labels={"instance": "a:8001", "gpu": "0"},
    ),
    "FullboreNoServingReplica": Case(
        fires={'up{job="serving",instance="a"}': "0x60", 'up{job="serving",instance="b"}': "0x60"},
        silent={'up{job="serving",instance="a"}': "0x60", 'up{job="serving",instance="b"}': "1x60"},
    ),
    "FullboreGatewayErrors": Case(
        fires={DOWNSTREAM + '"5"}': "0+1x60", DOWNSTREAM + '"2"}': "0+9x60"},
        silent={DOWNSTREAM + '"5"}': "0+1x60", DOWNSTREAM + '"2"}': "0+30x60"},
    ),
    "FullboreReplicationLag": Case(
        fires={
            f"fullbore_replication_lag_seconds{{{COPY}}}": "3590+5x60",
            f"fullbore_replication_rpo_seconds{{{COPY}}}": "3600x60",
        },
        silent={
            f"fullbore_replication_lag_seconds{{{COPY}}}": "3600x60",
            f"fullbore_replication_rpo_seconds{{{COPY}}}": "3600x60",
        },
        labels={"environment": "prod", "method": "datasync"},
    ),
    "FullboreReplicationUnmeasured": Case(
        fires={},
        silent=measured("0x20 1x100"),
        at="9m",
    ),
    "FullboreServedByStandby": Case(fires={STANDBY: "0+1x60"}, silent={STANDBY: "7x60"}),
}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    rendered = prometheus_files(
        plan(lag_exporter=LAG), alertmanager="alertmanager.fullbore.test:9093", services=SERVICES
    )
    for name, text in (rendered | alertmanager_files(plan())).items():
        (tmp_path / name).write_text(text)
    return tmp_path


def tool(program: str | None, *args: str | Path) -> str:
    """Run a tool that must succeed; its output."""
    assert program, "promtool and amtool come with the packages prometheus and prometheus-alertmanager"
    done = subprocess.run([program, *map(str, args)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_promtool_accepts_the_configuration(files: Path) -> None:
    assert f"{len(ALERTS)} rules found" in tool(PROMTOOL, "check", "config", files / CONFIG_FILE)


@pytest.mark.parametrize("webhook_url", [None, "http://127.0.0.1:9/hook"])
def test_amtool_accepts_the_configuration(tmp_path: Path, webhook_url: str | None) -> None:
    (file,) = [tmp_path / name for name in alertmanager_files(plan(webhook_url))]
    assert file.name == ALERTMANAGER_FILE
    file.write_text(alertmanager_files(plan(webhook_url))[ALERTMANAGER_FILE])
    assert "SUCCESS" in tool(AMTOOL, "check-config", file)


def test_every_alert_has_a_case() -> None:
    assert set(CASES) == {alert.name for alert in ALERTS}


@pytest.mark.parametrize("name", CASES)
def test_an_alert_fires_on_its_cause(files: Path, name: str) -> None:
    case = CASES[name]
    alert = next(alert for alert in ALERTS if alert.name == name)
    expected = {"exp_labels": {**case.labels, "severity": alert.severity}}
    run_rules(files, name, case, case.fires, [expected])


@pytest.mark.parametrize("name", CASES)
def test_an_alert_is_silent_without_it(files: Path, name: str) -> None:
    run_rules(files, name, CASES[name], CASES[name].silent, [])


def test_a_replica_that_was_never_seen_counts_as_none(files: Path) -> None:
    case = CASES["FullboreNoServingReplica"]
    run_rules(files, "FullboreNoServingReplica", case, {}, [{"exp_labels": {"severity": "critical"}}])


@pytest.mark.parametrize(
    ("series", "labels"),
    [
        (measured("0x120"), {"environment": "prod", "method": "datasync"}),
        (measured(at="0x120"), {"environment": "prod", "method": "datasync"}),
        (measured(up="0x120"), {}),
    ],
    ids=["cannot measure", "stands still", "is down"],
)
def test_a_lag_that_is_not_measured_is_told(files: Path, series: dict[str, str], labels: dict[str, str]) -> None:
    case = CASES["FullboreReplicationUnmeasured"]
    expected = [{"exp_labels": {**labels, "severity": "critical"}}]
    run_rules(files, "FullboreReplicationUnmeasured", case, series, expected)


def test_a_measurement_that_was_late_once_is_not_told(files: Path) -> None:
    case = CASES["FullboreReplicationUnmeasured"]
    run_rules(files, "FullboreReplicationUnmeasured", case, measured(at="0x60 305+5x60"), [])


def test_a_host_without_any_gpu_misses_all(files: Path) -> None:
    expected = [{"exp_labels": {**PLACE, "severity": "critical"}}]
    series = {f"fullbore_planned_gpus{{{HOST}}}": "8x60"}
    run_rules(files, "FullboreGpuMissing", CASES["FullboreGpuMissing"], series, expected)


def test_an_agent_may_be_silent_for_as_long_as_the_plan_says(files: Path) -> None:
    short = Case(fires={f'up{{job="hosts",{HOST}}}': "1 0x60"}, silent={}, at="8s")
    run_rules(files, "FullboreHostAgentDown", short, short.fires, [])


def run_rules(
    folder: Path, name: str, case: Case, series: dict[str, str], expected: Sequence[Mapping[str, object]]
) -> None:
    """promtool's unit test of one alert, with what a person would read."""
    annotated = [{**item, "exp_annotations": texts(name, series)} for item in expected]
    test = unit_test(name, case, series, annotated)
    (folder / "test.yml").write_text(yaml.safe_dump(test))
    tool(PROMTOOL, "test", "rules", folder / "test.yml")


def unit_test(name: str, case: Case, series: dict[str, str], alerts: list[dict[str, object]]) -> dict[str, object]:
    inputs = [{"series": key, "values": values} for key, values in series.items()]
    checked = {"eval_time": case.at, "alertname": name, "exp_alerts": alerts}
    return {
        "rule_files": [RULES_FILE],
        "evaluation_interval": "5s",
        "tests": [{"interval": "5s", "input_series": inputs, "alert_rule_test": [checked]}],
    }


SUMMARIES = {
    "FullboreHostAgentDown": "gpu-01 in r01: the agent does not answer",
    "FullborePlanInvalid": "gpu-01: /etc/fullbore/plan.json is missing, damaged or of another version",
    "FullboreSettingsDrift": "gpu-01: 2 settings of role rdma differ from the plan",
    "FullboreRdmaLinkDown": "gpu-01: port 1 of mlx5_0 is down",
    "FullboreRdmaLinkErrors": "gpu-01: mlx5_0 counted link errors in the last 10 minutes",
    "FullboreGpuMissing": "gpu-01: {missing} planned GPUs are missing",
    "FullboreGpuMemoryFilling": "gpu-01: memory of GPU 3 is full in 5m 0s",
    "FullboreGpuMemoryFull": "replica a:8001: memory of GPU 0 is full within a minute",
    "FullboreNoServingReplica": "no serving replica answers at the site",
    "FullboreGatewayErrors": "10% of the gateway's answers are server errors",
    "FullboreServedByStandby": "the standby answers 0.2 requests a second",
    "FullboreReplicationLag": "the newest whole copy of the weights is 1h 2m 50s old: the RPO is broken",
    "FullboreReplicationUnmeasured": "nobody knows how old the newest copy of the weights is",
}


def texts(name: str, series: dict[str, str]) -> dict[str, str]:
    """What a person reads: the summary as written here, and the action of the table."""
    alert = next(alert for alert in ALERTS if alert.name == name)
    missing = "8" if len(series) == 1 else "1"
    return {"summary": SUMMARIES[name].format(missing=missing), "action": alert.action}


def test_what_to_do_is_said_for_a_sandbox_too_which_has_no_kubectl() -> None:
    actions = [alert.action for alert in ALERTS if "kubectl" in alert.action]
    assert actions
    assert [action for action in actions if "in a sandbox: podman" not in action] == []


def test_what_is_not_deployed_has_no_job_and_no_rule() -> None:
    config = prometheus_config(plan(), alertmanager="a:9093", services=())
    jobs = config["scrape_configs"]
    assert isinstance(jobs, list)
    assert [job["job_name"] for job in jobs] == ["prometheus", "alertmanager", "hosts"]
    text = yaml.safe_dump(rules_document(plan(), jobs=()))
    assert "FullboreHostAgentDown" in text
    assert "FullboreNoServingReplica" not in text


def test_every_sample_of_a_host_says_where_it_is() -> None:
    config = prometheus_config(plan(), alertmanager="a:9093", services=())
    jobs = config["scrape_configs"]
    assert isinstance(jobs, list)
    hosts = next(job for job in jobs if job["job_name"] == "hosts")
    assert hosts["static_configs"][0] == {
        "targets": ["10.0.0.1:9750"],
        "labels": {"host": "gpu-01", "rack": "r01", "group": "gpu"},
    }


def test_without_a_webhook_nobody_is_told_but_the_route_stands() -> None:
    assert alertmanager_config(plan())["receivers"] == [{"name": "default"}]
    told = {"name": "default", "webhook_configs": [{"url": "http://hook", "send_resolved": True}]}
    assert alertmanager_config(plan("http://hook"))["receivers"] == [told]
