"""The checks of an acceptance on a described machine: real processes, what they print, and why others did not run."""

from __future__ import annotations

from pathlib import Path

import pytest

from fullbore_agent.acceptance import Busy, run_checks
from fullbore_agent.system import System


def tool(folder: Path, name: str, script: str) -> None:
    path = folder / "usr/bin" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def check(name: str, *argv: str, timeout_s: float = 5) -> dict[str, object]:
    return {"name": name, "argv": list(argv), "timeout_s": timeout_s}


@pytest.fixture
def system(tmp_path: Path) -> System:
    tool(tmp_path, "nvidia-smi", "[ $1 = -q ] && echo 'Driver Version : 580' ; true")
    return System(str(tmp_path), str(tmp_path))


def test_outputs_come_by_name_and_errors_are_outputs_too(system: System, tmp_path: Path) -> None:
    tool(tmp_path, "dcgmi", "echo '{\"DCGM Diagnostic\": {}}'; exit 226")
    tool(tmp_path, "chronyc", "echo '506 Cannot talk to daemon' >&2; exit 1")
    checks = [check("a", "nvidia-smi", "-q"), check("b", "dcgmi", "diag"), check("c", "chronyc", "tracking")]
    outputs, missing = run_checks(system, checks, gpus=True)
    assert outputs == {
        "a": "Driver Version : 580\n",
        "b": '{"DCGM Diagnostic": {}}\n',
        "c": "506 Cannot talk to daemon\n",
    }
    assert missing == {}


def test_what_does_not_run_or_does_not_end_is_named(system: System, tmp_path: Path) -> None:
    tool(tmp_path, "all_reduce_perf", "exec sleep 60")
    checks = [check("a", "no-such-tool"), check("b", "all_reduce_perf", timeout_s=0.05)]
    outputs, missing = run_checks(system, checks, gpus=True)
    assert outputs == {}
    assert missing == {"a": "no-such-tool: not installed", "b": "all_reduce_perf: no answer in 0.05 s"}


def test_a_host_with_a_workload_is_refused_before_anything_runs(system: System, tmp_path: Path) -> None:
    tool(tmp_path, "nvidia-smi", "echo '4711, python3'; echo '4712, /usr/bin/vllm'")
    tool(tmp_path, "touched", f"touch {tmp_path}/ran")
    with pytest.raises(Busy, match="2 processes run on the GPUs: 4711, python3; 4712, /usr/bin/vllm"):
        run_checks(system, [check("a", "touched")], gpus=True)
    assert not (tmp_path / "ran").exists()
    run_checks(system, [check("a", "touched")], gpus=False)
    assert (tmp_path / "ran").exists()


def test_a_driver_that_cannot_answer_is_no_workload(system: System, tmp_path: Path) -> None:
    tool(
        tmp_path, "nvidia-smi", "echo 'NVIDIA-SMI has failed because it could not communicate with the driver.'; exit 9"
    )
    outputs, _ = run_checks(system, [check("a", "nvidia-smi", "-q")], gpus=True)
    assert outputs["a"].startswith("NVIDIA-SMI has failed")


def test_the_same_check_is_asked_anew(system: System, tmp_path: Path) -> None:
    tool(tmp_path, "count", f"echo x >> {tmp_path}/n; wc -l < {tmp_path}/n")
    answers = [run_checks(system, [check("a", "count")], gpus=False)[0]["a"].strip() for _ in range(2)]
    assert answers == ["1", "2"]
