"""What the agent serves, from the plan and the double."""

from __future__ import annotations

import json
import math
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from agent_machine import GROUP
from prometheus_client import CollectorRegistry, generate_latest

from fullbore.config.models import Site
from fullbore.plan.hosts import content_of, document_text, group_plans
from fullbore_agent import hardware
from fullbore_agent.document import BadPlan, load
from fullbore_agent.metrics import SETTINGS_FRESH_S, HostCollector
from fullbore_agent.system import System

SITE = Site.model_validate({"name": "lab", "cidr": "10.0.0.0/8", "fabric": "roce", "groups": {"gpu": GROUP}})


class Clock:
    now = 5000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    (group,) = group_plans(SITE)
    path.write_text(content_of(group, group.hosts[0]).document_text)
    return path


def registry(system: System, plan: Path, clock: Clock) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(HostCollector(system, plan, clock))
    return registry


def test_identity_drift_rdma_gpus_and_load(system: System, plan: Path) -> None:
    metrics = registry(system, plan, Clock())
    get = metrics.get_sample_value
    host = {"host": "gpu-01", "serial": "SN1", "site": "lab", "rack": "r01", "kind": "gpu", "simulated": "true"}
    port = {"device": "mlx5_0", "port": "1"}
    gpu = {"gpu": "1", "UUID": "GPU-sn1-1", "modelName": "NVIDIA H100 80GB HBM3", "simulated": "true"}
    system.hardware("/sys/class/infiniband/mlx5_0/ports/1/counters/port_rcv_data").write_text("1000\n")
    assert get("fullbore_plan_valid") == 1
    assert get("fullbore_host_info", host) == 1
    managed = get("fullbore_managed_settings", {"role": "rdma"})
    assert managed
    assert get("fullbore_drifted_settings", {"role": "rdma"}) == managed - 1, "all but extra.nccl: there is no file yet"
    assert get("node_infiniband_state_id", port) == 4
    assert get("node_infiniband_rate_bytes_per_second", port) == 50e9
    assert get("node_infiniband_port_data_received_bytes_total", port) == 4000
    assert get("DCGM_FI_DEV_FB_FREE", gpu) == 81559
    assert get("fullbore_gpu_memory_full_seconds", gpu) == math.inf
    assert get("node_memory_MemAvailable_bytes") == 60 * 1024
    assert get("node_load5") == 2


def test_drift_is_read_again_when_it_is_old(system: System, plan: Path) -> None:
    clock = Clock()
    metrics = registry(system, plan, clock)
    role = {"role": "numa"}
    before = metrics.get_sample_value("fullbore_drifted_settings", role)
    for file in system.hardware("/sys/devices/system/cpu").glob("cpu*/cpufreq/scaling_governor"):
        file.write_text("performance\n")
    clock.now += SETTINGS_FRESH_S - 1
    assert metrics.get_sample_value("fullbore_drifted_settings", role) == before
    clock.now += 1
    assert before is not None
    assert metrics.get_sample_value("fullbore_drifted_settings", role) == before - 1


def test_scrapes_that_overlap_read_the_settings_once(
    system: System, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scraper that gives up asks again while the first answer is still being made."""
    reads: list[str] = []
    again = threading.Thread(target=lambda: generate_latest(metrics))

    def read_slowly(*_: object) -> dict[str, dict[str, int]]:
        reads.append("begun")
        if not again.is_alive():
            again.start()
            again.join(0.2)  # It cannot end before this one has.
        return {}

    monkeypatch.setattr("fullbore_agent.metrics.role_counts", read_slowly)
    metrics = registry(system, plan, Clock())
    generate_latest(metrics)
    again.join()
    assert reads == ["begun"]


def test_memory_that_grows_is_foreseen(system: System, plan: Path) -> None:
    clock = Clock()
    metrics = registry(system, plan, clock)
    gpu = {"gpu": "0", "UUID": "GPU-sn1-0", "modelName": "NVIDIA H100 80GB HBM3", "simulated": "true"}
    for used in (1559, 11559, 21559, 31559):
        system.hardware("/gpu/0/memory_used_mib").write_text(f"{used}\n")
        clock.now += 10
        left = metrics.get_sample_value("fullbore_gpu_memory_full_seconds", gpu)
    assert left == pytest.approx(50)


def test_a_plan_that_cannot_be_used_is_told_and_the_rest_is_served(system: System, plan: Path) -> None:
    plan.write_text(plan.read_text().replace('"rack":"r01"', '"rack":"r02"'))
    metrics = registry(system, plan, Clock())
    assert metrics.get_sample_value("fullbore_plan_valid") == 0
    assert metrics.get_sample_value("node_load1") == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "No such file"),
        ("{", "not JSON"),
        ("[]", "holds no object"),
        ('{"version": 2}', "version 2, but this agent reads 1"),
        ('{"version": 1, "checksum": "sha256:0"}', "checksum does not match"),
    ],
)
def test_a_bad_plan_is_refused_with_its_reason(tmp_path: Path, text: str | None, reason: str) -> None:
    path = tmp_path / "plan.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadPlan, match=reason) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_the_agent_reads_what_the_plan_writes(plan: Path) -> None:
    assert load(plan)["host"] == "gpu-01"
    assert plan.read_text() == document_text(json.loads(plan.read_text()))


@pytest.mark.parametrize(
    ("samples", "seconds"),
    [
        ([(0, 0), (1, 10)], math.inf),
        ([(0, 10), (1, 10), (2, 10)], math.inf),
        ([(0, 30), (1, 20), (2, 10)], math.inf),
        ([(0, 0), (1, 10), (2, 20)], 8),
        ([(0, 80), (1, 90), (2, 100)], 0),
        ([(5, 1), (5, 2), (5, 3)], math.inf),
    ],
)
def test_when_memory_runs_out(samples: list[tuple[float, float]], seconds: float) -> None:
    assert hardware.seconds_until_full(samples, 100) == pytest.approx(seconds)


def test_no_gpus_where_there_is_neither_nvml_nor_a_double(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert hardware.gpus(System("", system.root)) == ([], 0)
    found, failed = hardware.gpus(system)
    assert (len(found), failed) == (2, 0)


class FakeNvml(ModuleType):
    """Two GPUs: one under MIG, one that fell off the bus."""

    NVML_TEMPERATURE_GPU = 0

    class NVMLError(Exception):
        pass

    def __init__(self) -> None:
        super().__init__("pynvml")

    def __getattr__(self, name: str) -> Callable[..., Any]:
        answers = {
            "nvmlDeviceGetCount": 2,
            "nvmlDeviceGetName": "H100",
            "nvmlDeviceGetTemperature": 40,
            "nvmlDeviceGetPowerUsage": 100_000,
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=80 * 2**20, used=2**20),
        }

        def call(*args: int) -> Any:
            if name == "nvmlDeviceGetHandleByIndex" and args[0] == 1:
                raise self.NVMLError("GPU is lost")
            if name == "nvmlDeviceGetUtilizationRates":
                raise self.NVMLError("Not Supported")
            if name in ("nvmlDeviceGetHandleByIndex", "nvmlDeviceGetUUID"):
                return args[0] if name.endswith("Index") else f"GPU-{args[0]}"
            return answers.get(name)

        return call


def test_a_gpu_that_fails_does_not_hide_the_others(system: System, plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    text = generate_latest(registry(System("", system.root), plan, Clock())).decode()
    assert re.findall(r'^DCGM_FI_DEV_FB_USED\{.*UUID="GPU-(\d)"', text, re.MULTILINE) == ["0"], (
        "one fewer than fullbore_planned_gpus: FullboreGpuMissing fires"
    )
    assert 'DCGM_FI_DEV_POWER_USAGE{UUID="GPU-0",gpu="0",modelName="H100",simulated="false"} 100.0' in text
    assert "DCGM_FI_DEV_GPU_UTIL{" not in text
    assert "fullbore_planned_gpus 2.0" in text
    assert 'fullbore_failed_readings{kind="gpu"} 2.0' in text


def test_a_port_that_vanishes_while_it_is_read_does_not_hide_the_other(system: System, plan: Path) -> None:
    port = system.hardware("/sys/class/infiniband/mlx5_0/ports/1")
    (port / "state").unlink()
    (port / "rate").write_text("")
    get = registry(system, plan, Clock()).get_sample_value
    gone, there = {"device": "mlx5_0", "port": "1"}, {"device": "mlx5_1", "port": "1"}
    assert get("node_infiniband_state_id", gone) is None
    assert get("node_infiniband_rate_bytes_per_second", gone) is None
    assert get("node_infiniband_physical_state_id", gone) == 5
    assert get("node_infiniband_state_id", there) == 4
    assert get("fullbore_failed_readings", {"kind": "rdma"}) == 2
    assert get("fullbore_failed_readings", {"kind": "gpu"}) == 0
