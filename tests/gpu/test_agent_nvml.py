"""The agent's GPU metrics from a real driver."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from fullbore_agent.hardware import gpus
from fullbore_agent.system import System

pynvml = pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")


@pytest.fixture(autouse=True)
def driver() -> None:
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        pytest.skip(f"no NVIDIA driver: {error}")


def test_gpus_are_those_of_the_driver() -> None:
    found, failed = gpus(System(""))
    assert failed == 0
    assert len(found) == pynvml.nvmlDeviceGetCount()
    for gpu in found:
        assert gpu.uuid.startswith("GPU-")
        assert gpu.memory is not None
        total, used = gpu.memory
        assert total > 1024
        assert 0 <= used <= total
        assert gpu.temperature_c is not None
        assert 0 < gpu.temperature_c < 110
        assert gpu.power_w is not None
        assert gpu.power_w > 0


def test_the_collector_serves_them_as_real(tmp_path: Path) -> None:
    prometheus_client = pytest.importorskip("prometheus_client")
    from fullbore_agent.metrics import HostCollector

    registry = prometheus_client.CollectorRegistry()
    registry.register(HostCollector(System(""), tmp_path / "none"))
    samples = {sample.name: sample for metric in registry.collect() for sample in metric.samples}
    free = samples["DCGM_FI_DEV_FB_FREE"]
    assert free.labels["simulated"] == "false"
    assert free.value > 0
    assert samples["fullbore_gpu_memory_full_seconds"].value == math.inf
