"""The memory monitor, on an NVML double whose programs allocate as time goes by."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from urllib.request import urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nvml_double import Device, Nvml, Process

from fullbore_runtime.memory import QUIET, RECENT, Outlook
from fullbore_runtime.metrics import gpu_memory_text
from fullbore_runtime.monitor import Monitor, say, serve

MIB, GIB = 1 << 20, 1 << 30


class Machine:
    """One GPU and a program on it. `program` says how many bytes it has at a time; what does not fit fails."""

    def __init__(self, program: Callable[[float], float], *, quiet: float = QUIET, within_s: float = 60.0) -> None:
        self.device = Device(total=80 * GIB, reserved=GIB, compute=[Process(4711, 0), Process(99, GIB)])
        self.nvml = Nvml(self.device)
        self.program, self.now, self.failed_at = program, 0.0, math.inf
        self.warnings: list[tuple[float, Outlook]] = []
        self.monitor = Monitor(
            self.nvml,
            lambda outlook: self.warnings.append((self.now, outlook)),
            within_s=within_s,
            quiet=quiet,
            clock=lambda: self.now,
        )

    def run(self, seconds: int, interval_s: float = 1.0) -> None:
        for step in range(int(seconds / interval_s)):
            self.now = step * interval_s
            wanted = int(self.program(self.now))
            if wanted + GIB > self.device.total - self.device.reserved:
                self.failed_at = self.now
                return
            self.device.compute[0].used_bytes = wanted
            self.device.used = wanted + GIB
            self.monitor.look()


def test_a_leak_is_told_of_a_minute_before_the_allocation_that_fails() -> None:
    machine = Machine(lambda now: 10 * GIB + now * 256 * MIB)
    machine.run(1000)
    at, outlook = machine.warnings[0]
    assert machine.failed_at == pytest.approx(272, abs=1)
    assert machine.failed_at - at == pytest.approx(60, abs=2)
    assert outlook.full_in_s == pytest.approx(machine.failed_at - at, abs=2)
    assert outlook.growing == {4711: pytest.approx(256 * MIB)}
    assert len(machine.warnings) == 1, "a warning is given once, when it begins"


def test_a_warning_names_the_gpu_the_rest_and_who_takes_it(capsys: pytest.CaptureFixture[str]) -> None:
    machine = Machine(lambda now: 10 * GIB + now * 256 * MIB)
    machine.run(1000)
    say(machine.warnings[0][1])
    line = json.loads(capsys.readouterr().err)
    assert line["warning"] == "gpu_memory"
    assert line["message"].startswith("gpu 0 (GPU-0000): 15.0 of 80.0 GiB are left, and will be used up in 60 s")
    assert line["message"].endswith("process 4711 grows by 256 MiB/s")


STILL: dict[str, Callable[[float], float]] = {
    "flat": lambda now: 78 * GIB,
    "shrinks": lambda now: 70 * GIB - now * MIB,
    "comes and goes below its peak": lambda now: 77 * GIB if now == 0 else 70 * GIB + (now % 7) * GIB,
    "returns to its peak": lambda now: 76 * GIB - (now % 7) * GIB,
    "loaded long ago": lambda now: min(now, 10) * 2 * GIB,
    "so slow that it does not matter now": lambda now: 10 * GIB + now * MIB,
}


@pytest.mark.parametrize("case", STILL)
def test_what_does_not_run_out_is_not_told_of(case: str) -> None:
    machine = Machine(STILL[case])
    machine.run(900)
    assert not machine.warnings
    assert math.isinf(machine.failed_at)


def test_an_engine_that_takes_its_share_at_the_start_is_not_told_of() -> None:
    """0.9 of the memory in eight seconds, and 2 % more for its graphs: quiet below half of what is left outside."""
    machine = Machine(lambda now: min(now * 9 * GIB, 71 * GIB) + (1.5 * GIB if now > 60 else 0), quiet=0.95)
    machine.run(300)
    assert not machine.warnings


def test_a_leak_beyond_the_engine_s_share_is_told_of() -> None:
    machine = Machine(lambda now: 71 * GIB + max(0.0, now - 300) * 64 * MIB, quiet=0.95)
    machine.run(2000)
    assert machine.failed_at < math.inf
    assert machine.failed_at - machine.warnings[0][0] > 30


def test_a_leak_in_large_steps_is_told_of_before_the_step_that_fails() -> None:
    machine = Machine(lambda now: 10 * GIB + (now // 20) * 2 * GIB)
    machine.run(2000)
    assert machine.failed_at - machine.warnings[0][0] > 15


@given(rate=st.integers(64, 4096), start=st.integers(0, 60), begins=st.integers(0, 400))
def test_every_steady_leak_is_told_of_in_time(rate: int, start: int, begins: int) -> None:
    machine = Machine(lambda now: start * GIB + max(0.0, now - begins) * rate * MIB)
    machine.run(2_000)
    assert math.isfinite(machine.failed_at)
    at = machine.warnings[0][0]
    seen_for = machine.failed_at - max(begins, begins + (40 - start) * 1024 / rate)
    assert at < machine.failed_at
    # As early as asked for, unless the leak is over before five readings above half of the memory have shown it.
    assert machine.failed_at - at >= min(60, seen_for - RECENT) - 5


def test_two_gpus_are_watched_apart_and_one_that_is_lost_does_not_stop_the_other() -> None:
    nvml = Nvml(Device(uuid="GPU-a"), Device(uuid="GPU-b", used=5 * GIB))
    monitor = Monitor(nvml, lambda outlook: None, clock=lambda: 0.0)
    assert [outlook.reading.used for outlook in monitor.look()] == [0, 5 * GIB]
    whole = nvml.nvmlDeviceGetHandleByIndex

    def lost(index: int) -> Device:
        if index == 0:
            raise nvml.NVMLError("GPU is lost")
        return whole(index)

    nvml.nvmlDeviceGetHandleByIndex = lost
    assert [outlook.reading.uuid for outlook in monitor.look()] == ["GPU-b"]


def test_metrics_have_the_names_of_dcgm_and_a_line_for_each_process() -> None:
    machine = Machine(lambda now: 2 * GIB)
    machine.run(3)
    lines = gpu_memory_text(machine.monitor.outlooks).splitlines()
    label = 'gpu="0",UUID="GPU-0000",modelName="NVIDIA H200"'
    assert f"DCGM_FI_DEV_FB_USED{{{label}}} 3072" in lines
    assert f"DCGM_FI_DEV_FB_RESERVED{{{label}}} 1024" in lines
    assert f"DCGM_FI_DEV_FB_FREE{{{label}}} {76 * 1024}" in lines
    assert f"fullbore_gpu_memory_full_seconds{{{label}}} +Inf" in lines
    assert f"fullbore_gpu_memory_warning{{{label}}} 0" in lines
    assert f'fullbore_gpu_process_memory_bytes{{{label},pid="4711"}} {2 * GIB}' in lines
    assert lines.count("# TYPE DCGM_FI_DEV_FB_USED gauge") == 1


def test_a_process_whose_memory_nvml_does_not_tell_has_no_line() -> None:
    nvml = Nvml(Device(compute=[Process(1, None)]))
    monitor = Monitor(nvml, lambda outlook: None)
    monitor.look()
    assert "pid=" not in gpu_memory_text(monitor.outlooks)


def test_metrics_are_served() -> None:
    monitor = Monitor(Nvml(Device(used=GIB)), lambda outlook: None)
    monitor.look()
    server = serve(monitor, 0)
    try:
        with urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=10) as response:
            assert b"DCGM_FI_DEV_FB_USED" in response.read()
    finally:
        server.shutdown()
        server.server_close()
