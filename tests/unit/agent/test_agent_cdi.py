"""The CDI devices of a host, with the toolkit's own output and with the double."""

from __future__ import annotations

import shutil

from fullbore_agent.apply import apply
from fullbore_agent.cdi import parse_devices
from fullbore_agent.settings import read_all
from fullbore_agent.system import System

WANTED = [{"id": "cdi.nvidia.com/gpu", "role": "container_runtime", "want": "2"}]


def test_devices_are_counted_once_though_they_have_several_names() -> None:
    """NVIDIA Container Toolkit, Support for CDI: GPUs by index, instances by GPU and index, UUIDs, and `all`."""
    text = (
        "nvidia.com/gpu=0\nnvidia.com/gpu=1:0\nnvidia.com/gpu=1:1\n"
        "nvidia.com/gpu=GPU-8dd0ffb4-4bdb-4b2d-9d3d-4a2fb2f0c3e5\nnvidia.com/gpu=all\nnvidia.com/gds=0\n"
    )
    assert parse_devices(text, "nvidia.com/gpu") == 3
    assert parse_devices("", "nvidia.com/gpu") == 0


def test_the_specification_is_written_when_it_misses_a_gpu(system: System) -> None:
    shutil.copy(system.hardware("/usr/lib/packaged/nvidia-ctk"), system.hardware("/usr/bin/nvidia-ctk"))
    foreseen = apply(system, WANTED, check=True).changes
    assert [change.had for change in foreseen] == ["0"]
    failed = apply(system, WANTED).failures
    assert failed[0].startswith("cdi.nvidia.com/gpu: is 0, want 2 (nvidia-ctk: "), "without a driver there is no GPU"
    loaded = system.hardware("/proc/driver/nvidia/version")
    loaded.parent.mkdir(parents=True)
    loaded.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build\n")
    assert apply(system, WANTED).failures == []
    assert read_all(system, {"cdi.nvidia.com/gpu": "2"}) == {"cdi.nvidia.com/gpu": "2"}
