"""facts -> tune -> launch: what is chosen, why, and when the process refuses to start."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fullbore.plan.hosts import document_text
from fullbore_runtime import weights
from fullbore_runtime.document import Document, canonical_sha256
from fullbore_runtime.errors import DocumentError, RuntimeRefusal, WeightsError
from fullbore_runtime.explain import explain
from fullbore_runtime.facts import Facts
from fullbore_runtime.launch import command
from fullbore_runtime.tune import tune

Machine = Callable[..., tuple[Facts, Document | None]]
PACKAGE = Path(sys.modules["fullbore_runtime"].__file__ or "").parent.parent
PLAN = {
    "version": 1,
    "kind": "serving",
    "model": "deepseek-r1",
    "profile": "cpu",
    "context_tokens": 256,
    "concurrency": 3,
}
MEMINFO = {"proc/meminfo": "MemTotal:       16384000 kB\nMemFree: 1 kB\n"}


def test_without_a_plan_defaults_are_used_and_said(machine: Machine) -> None:
    tuned = tune(*machine(MEMINFO))
    assert tuned.args["served-model-name"].startswith("fullbore-bytes-")
    assert (tuned.args["max-model-len"], tuned.args["max-num-seqs"], tuned.args["port"]) == ("512", "8", "8000")
    assert tuned.warnings == ("no /etc/fullbore/plan.json: defaults are used",)


def test_the_plan_decides_what_is_served(machine: Machine) -> None:
    tuned = tune(*machine(MEMINFO, plan={**PLAN, "port": 8123}, FULLBORE_POOL="standby", POD_NAME="pod-a"))
    got = {
        name: tuned.args[name] for name in ("served-model-name", "max-model-len", "max-num-seqs", "port", "pool", "pod")
    }
    assert got == {
        "served-model-name": "deepseek-r1",
        "max-model-len": "256",
        "max-num-seqs": "3",
        "port": "8123",
        "pool": "standby",
        "pod": "pod-a",
    }


def test_a_context_policy_reaches_the_server(machine: Machine) -> None:
    assert tune(*machine(MEMINFO, plan={**PLAN, "context_policy": "truncate"})).args["context-policy"] == "truncate"
    assert "context-policy" not in tune(*machine(MEMINFO, plan=PLAN)).args


def test_the_document_that_the_plan_writes_is_the_one_that_is_read(machine: Machine) -> None:
    _, document = machine({**MEMINFO, "etc/fullbore/plan.json": document_text(PLAN)})
    assert document is not None
    assert document.model == "deepseek-r1"


def test_less_memory_means_fewer_sequences(machine: Machine) -> None:
    limit = (96 << 20) + 2 * 512 * 2 * 3 * 2 * 8 * 4 + 1
    tuned = tune(*machine({**MEMINFO, "sys/fs/cgroup/memory.max": f"{limit}\n"}))
    assert tuned.args["max-num-seqs"] == "2"
    assert tuned.args["max-waiting"] == "8"


CGROUPS: dict[str, tuple[dict[str, str], float]] = {
    "v2 half a CPU": ({"sys/fs/cgroup/cpu.max": "50000 100000\n"}, 0.5),
    "v1 half a CPU": (
        {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"},
        0.5,
    ),
    "v2 no quota": ({"sys/fs/cgroup/cpu.max": "max 100000\n"}, len(os.sched_getaffinity(0))),
    "v1 no quota": (
        {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"},
        len(os.sched_getaffinity(0)),
    ),
    "more than the machine has": ({"sys/fs/cgroup/cpu.max": "99900000 100000\n"}, len(os.sched_getaffinity(0))),
    "no cgroup": ({}, len(os.sched_getaffinity(0))),
}


@pytest.mark.parametrize("case", CGROUPS)
def test_cpus_are_what_the_container_may_use(machine: Machine, case: str) -> None:
    files, cpus = CGROUPS[case]
    facts, plan = machine({**MEMINFO, **files})
    assert facts.cpus == cpus
    assert tune(facts, plan).env["OMP_NUM_THREADS"] == str(max(1, int(cpus)))


@pytest.mark.parametrize(
    ("file", "text", "want"),
    [
        ("sys/fs/cgroup/memory.max", "1073741824\n", 1 << 30),
        ("sys/fs/cgroup/memory.max", "max\n", 16384000 * 1024),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n", 1 << 30),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n", 16384000 * 1024),
    ],
)
def test_memory_is_what_the_container_may_use(machine: Machine, file: str, text: str, want: int) -> None:
    assert machine({**MEMINFO, file: text})[0].memory_bytes == want


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "newer version": ({**PLAN, "version": 2}, "version: got 2, but this image reads 1"),
    "no version": ({}, "version: got None"),
    "another machine's document": ({**PLAN, "kind": "gpu"}, "kind: got 'gpu', must be 'serving'"),
    "no model": ({"version": 1, "kind": "serving"}, "model: is missing"),
    "wrong type": ({**PLAN, "concurrency": "many"}, "concurrency: must be a whole number of at least 1, got 'many'"),
    "changed by hand": (
        {**PLAN, "concurrency": 4, "checksum": f"sha256:{canonical_sha256(PLAN)}"},
        "checksum: got sha256:",
    ),
    "another profile": ({**PLAN, "profile": "cuda"}, "profile: the plan says 'cuda', but this image is 'cpu'"),
    "a model that is not in here": (
        {"version": 1, "kind": "serving", "model": "deepseek-r1"},
        "model: the plan says 'deepseek-r1', but this image holds 'fullbore-bytes-",
    ),
    "other weights": ({**PLAN, "weights_sha256": "0" * 64}, f"weights_sha256: the plan says {'0' * 64}"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_plan_that_contradicts_is_refused_with_the_reason(machine: Machine, case: str) -> None:
    plan, message = REFUSED[case]
    with pytest.raises(RuntimeRefusal) as refused:
        tune(*machine(MEMINFO, plan=plan)).check()
    assert message in str(refused.value)


def test_all_contradictions_are_said_at_once(machine: Machine) -> None:
    with pytest.raises(RuntimeRefusal) as refused:
        tune(*machine({**MEMINFO, "sys/fs/cgroup/memory.max": "1000\n"}, plan={**PLAN, "profile": "cuda"})).check()
    assert "profile:" in str(refused.value)
    assert "memory: the container may use 0 MiB" in str(refused.value)


def test_a_plan_that_is_no_json_is_refused(machine: Machine) -> None:
    with pytest.raises(DocumentError, match="is not JSON"):
        machine({"etc/fullbore/plan.json": "{"})


def test_explain_gives_every_setting_with_why(machine: Machine) -> None:
    facts, plan = machine(MEMINFO, plan=PLAN)
    tuned = tune(facts, plan)
    blocks = [block.splitlines() for block in explain(facts, tuned).split("\n\n")]
    assert [block[0] for block in blocks] == ["facts", "settings of fullbore", "warnings"]
    assert all(line.endswith(setting.why) for line, setting in zip(blocks[1][1:], tuned.settings, strict=True))
    assert all(setting.why for setting in tuned.settings)


def test_the_engine_understands_every_argument_that_tune_yields(machine: Machine) -> None:
    argv = command(tune(*machine(MEMINFO, FULLBORE_POOL="serving", POD_NAME="p")))
    done = subprocess.run([*argv, "--help"], env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert all(arg.split("=")[0] in done.stdout for arg in argv[3:])


def test_a_damaged_shard_is_refused_by_name(model_directory: Path, tmp_path: Path) -> None:
    copy = damaged(model_directory, tmp_path)
    with pytest.raises(WeightsError, match=r"shard weights-00002-of-00002\.npz: sha256 is [0-9a-f]{64}"):
        weights.load(copy, weights.read_manifest(copy))


def test_a_missing_shard_is_refused_by_name(model_directory: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(model_directory, tmp_path / "model"))
    (copy / "weights-00001-of-00002.npz").unlink()
    with pytest.raises(WeightsError, match=r"shard weights-00001-of-00002\.npz: cannot be read"):
        weights.load(copy, weights.read_manifest(copy))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 9}', '{"version": 1, "name": "x", "shape": {"depth": 1}}']
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(WeightsError, match=r"manifest\.json"):
        weights.read_manifest(tmp_path)


def test_the_process_ends_with_the_reason_when_a_shard_is_damaged(model_directory: Path, tmp_path: Path) -> None:
    copy = damaged(model_directory, tmp_path)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "fullbore_runtime.server",
            f"--model-dir={copy}",
            "--served-model-name=m",
            "--port=0",
            "--max-model-len=512",
            "--default-max-tokens=8",
            "--max-num-seqs=1",
            "--max-waiting=1",
            "--host=127.0.0.1",
        ],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("refusing to start: shard weights-00002-of-00002.npz: sha256 is ")
    assert "Traceback" not in done.stderr


def damaged(model_directory: Path, tmp_path: Path) -> Path:
    copy = Path(shutil.copytree(model_directory, tmp_path / "damaged"))
    shard = copy / "weights-00002-of-00002.npz"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    return copy


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PACKAGE)}
