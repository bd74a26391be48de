"""facts: NVML, sysfs, cgroups and shards, each read from a described machine."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from nvml_double import Device, Nvml, Process
from tune_cases import CASES, FIXTURES, facts_of, read

from fullbore_runtime import codec
from fullbore_runtime.errors import RuntimeRefusal, WeightsError
from fullbore_runtime.facts import Facts, gather
from fullbore_runtime.facts.gpus import mig_profile, sysfs_bus
from fullbore_runtime.facts.limits import may_set_mempolicy
from fullbore_runtime.facts.shards import weights
from fullbore_runtime.facts.software import parse_torch_cuda
from fullbore_runtime.manifest import file_sha256

MIB = 1 << 20
NODES = {
    "sys/devices/system/node/node0/cpulist": "0-7\n",
    "sys/devices/system/node/node0/meminfo": "Node 0 MemTotal:       1048576 kB\nNode 0 MemFree: 1 kB\n",
    "sys/devices/system/node/node10/cpulist": "8-15\n",
    "sys/bus/pci/devices/0000:1b:00.0/numa_node": "10\n",
    "proc/self/status": "Name:\tpython3\nCpus_allowed_list:\t0-3,8-11\nMems_allowed_list:\t0\n",
    "proc/meminfo": "MemTotal:       2097152 kB\n",
}
PORT = "sys/class/infiniband/{}/ports/1/"
PACKAGE = Path(sys.modules["fullbore_runtime"].__file__ or "").parent.parent


def described(root: Path, files: Mapping[str, str], nvml: Nvml | None = None, **env: str) -> Facts:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return gather(root, {"FULLBORE_PROFILE": "cuda", **env}, nvml=nvml or Nvml(refused=("nvmlInit",)))


def test_a_gpu_is_as_nvml_shows_it_and_lies_where_sysfs_says(tmp_path: Path) -> None:
    nvml = Nvml(Device(used=3 * MIB, compute=[Process(7, 2 * MIB), Process(9, None)]))
    facts = described(tmp_path, NODES, nvml)
    assert facts.driver is not None
    assert (facts.driver.version, facts.driver.cuda, facts.no_driver) == ("580.159.04", (13, 0), None)
    (gpu,) = facts.gpus
    assert (gpu.name, gpu.pci_bus, gpu.numa_node, gpu.nvlinks) == ("NVIDIA H200", "0000:1b:00.0", 10, 18)
    assert (gpu.memory_bytes, gpu.used_bytes, gpu.reserved_bytes) == (143_771 * MIB, 3 * MIB, 600 * MIB)
    assert [(process.pid, process.used_bytes) for process in gpu.processes] == [(7, 2 * MIB), (9, None)]
    assert nvml.sessions == 0, "NVML is closed again"


def test_an_older_driver_counts_its_own_memory_as_used(tmp_path: Path) -> None:
    nvml = Nvml(Device(used=3 * MIB), refused=("nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetMigMode"))
    (gpu,) = described(tmp_path, NODES, nvml).gpus
    assert (gpu.used_bytes, gpu.reserved_bytes, gpu.mig) == (603 * MIB, 0, False)


def test_slices_are_found_with_their_profiles(tmp_path: Path) -> None:
    part = Device(uuid="MIG-1", name="NVIDIA H200 MIG 1g.18gb", total=16 * MIB, used=MIB)
    (gpu,) = described(tmp_path, NODES, Nvml(Device(slices=[part]))).gpus
    assert gpu.mig
    assert [(d.uuid, d.profile, d.memory_bytes, d.used_bytes) for d in gpu.mig_devices] == [
        ("MIG-1", "1g.18gb", 16 * MIB, MIB)
    ]


def test_no_nvml_is_a_fact_with_its_reason(tmp_path: Path) -> None:
    facts = described(tmp_path, NODES)
    assert (facts.driver, facts.gpus) == (None, ())
    assert facts.no_driver == "NVML: nvmlInit: Not Supported"


TABLE = PACKAGE / "tables" / "nvidia-h200.json"


def test_the_images_kernel_tables_are_read_without_a_gpu(tmp_path: Path) -> None:
    facts = described(tmp_path, {**NODES, "opt/fullbore/kernels/nvidia-h200.json": TABLE.read_text()})
    (found,) = facts.kernels
    assert (found.table.name, found.accelerator) == ("nvidia-h200.json", "NVIDIA H200")
    assert found.digest == file_sha256(TABLE)
    assert (found.versions["vllm"], found.linear_tokens) == ("0.24.0", 16)


def test_a_table_may_be_named_and_left_out(tmp_path: Path) -> None:
    files = {**NODES, "opt/fullbore/kernels/nvidia-h200.json": TABLE.read_text()}
    (found,) = described(tmp_path / "a", files, FULLBORE_KERNELS=str(TABLE)).kernels
    assert found.table == TABLE
    assert described(tmp_path / "b", files, FULLBORE_KERNELS="").kernels == ()


def test_a_broken_kernel_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeRefusal, match="bake it again"):
        described(tmp_path, {**NODES, "opt/fullbore/kernels/x.json": "{}"})


def test_the_width_of_the_model_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"hidden_size": 4096}')
    assert weights(tmp_path, check=False).hidden == 4096
    (tmp_path / "config.json").write_text('{"hidden_size": "wide"}')
    assert weights(tmp_path, check=False).hidden is None


def test_what_cpusets_and_numa_leave_is_read(tmp_path: Path) -> None:
    facts = described(tmp_path, NODES)
    assert (facts.cpus, facts.cpu_set, facts.memory_nodes) == (8.0, "0-3,8-11", "0")
    assert [(node.number, node.cpus, node.memory_bytes) for node in facts.numa] == [
        (0, "0-7", 1 << 30),
        (10, "8-15", 0),
    ]


LIMITS: dict[str, tuple[dict[str, str], float, int]] = {
    "v2 in its own namespace": ({"cpu.max": "200000 100000", "memory.max": "1048576"}, 2.0, 1 << 20),
    "v2 seen from outside, the parent is stricter": (
        {
            "../../../proc/self/cgroup": "0::/pods/one\n",
            "pods/cpu.max": "100000 100000",
            "pods/one/cpu.max": "400000 100000",
            "pods/one/memory.max": "2097152",
            "pods/memory.max": "max",
        },
        1.0,
        2 << 20,
    ),
    "v1 seen from outside": (
        {
            "../../../proc/self/cgroup": "4:memory:/kube/a\n3:cpu,cpuacct:/kube/a\n",
            "cpu/kube/a/cpu.cfs_quota_us": "300000",
            "cpu/kube/a/cpu.cfs_period_us": "100000",
            "memory/kube/a/memory.limit_in_bytes": "4194304",
        },
        3.0,
        4 << 20,
    ),
    "more than the machine has": ({"cpu.max": "9900000 100000", "memory.max": "99999999999"}, 8.0, 2 << 30),
}


@pytest.mark.parametrize("case", LIMITS)
def test_limits_of_cgroups_count(tmp_path: Path, case: str) -> None:
    files, cpus, memory = LIMITS[case]
    below = {os.path.normpath(f"sys/fs/cgroup/{name}"): text for name, text in files.items()}
    facts = described(tmp_path, {**NODES, **below})
    assert (facts.cpus, facts.memory_bytes) == (cpus, memory)


def test_ports_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    up = {
        "state": "4: ACTIVE\n",
        "phys_state": "5: LinkUp\n",
        "rate": "400 Gb/sec (4X NDR)\n",
        "link_layer": "Ethernet\n",
    }
    down = {**up, "state": "1: DOWN\n", "phys_state": "3: Disabled\n"}
    files = {PORT.format("mlx5_10") + name: text for name, text in up.items()}
    files |= {PORT.format("mlx5_2") + name: text for name, text in down.items()}
    found = described(tmp_path, {**NODES, **files, "sys/class/infiniband/mlx5_2/device/numa_node": "-1\n"}).hcas
    assert [(hca.name, hca.up, hca.rate_gbps, hca.numa_node) for hca in found] == [
        ("mlx5_2", False, 400.0, None),
        ("mlx5_10", True, 400.0, None),
    ]


def test_a_described_double_is_read_below_its_root(tmp_path: Path) -> None:
    double = {f"double/{name}": text for name, text in NODES.items() if not name.startswith("proc/self")}
    figures = {"uuid": "GPU-1", "model": "NVIDIA H200", "bus_id": "0000:1b:00.0", "memory_total_mib": "143771"}
    double |= {f"double/gpu/0/{name}": text for name, text in figures.items()}
    facts = described(tmp_path, double, FULLBORE_SYSROOT="/double")
    assert facts.simulated
    assert (facts.cpu_set, facts.memory_bytes) == ("0-7,8-15", 2 << 30)
    assert [(gpu.name, gpu.numa_node, gpu.memory_bytes) for gpu in facts.gpus] == [("NVIDIA H200", 10, 143_771 * MIB)]


def test_every_fact_has_a_source(tmp_path: Path) -> None:
    facts = described(tmp_path, NODES)
    assert set(facts.sources) == {field.name for field in dataclasses.fields(Facts)} - {"sources"}


def test_variables_that_steer_libraries_are_facts_and_labels_of_images_are_not(tmp_path: Path) -> None:
    facts = described(tmp_path, NODES, NCCL_NVLS_ENABLE="0", NCCL_VERSION="2.28.3-1", PATH="/bin")
    assert facts.inherited == {"NCCL_NVLS_ENABLE": "0"}


def model_folder(root: Path, shards: Mapping[str, bytes], manifest: Mapping[str, str] | None) -> Path:
    for name, data in shards.items():
        (root / name).write_bytes(data)
    if manifest is not None:
        value = {"version": 1, "name": "m", "shards": dict(manifest)}
        (root / "manifest.json").write_text(json.dumps(value))
    return root


def test_shards_are_read_against_their_manifest(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, {"a.safetensors": b"a", "b.safetensors": b"b", "c.safetensors": b"c"}, None)
    digests = {name: file_sha256(folder / f"{name}.safetensors") for name in "ab"}
    manifest = {"a.safetensors": digests["a"], "b.safetensors": digests["a"], "d.safetensors": digests["b"]}
    model_folder(tmp_path, {}, manifest)
    found = {shard.name[0]: shard for shard in weights(folder, check=True, threads=4).shards}
    assert found["a"].got == found["a"].want
    assert (found["b"].got, found["b"].want) == (digests["b"], digests["a"])
    assert (found["c"].want, found["c"].got, found["c"].bytes) == (None, None, 1)
    assert (found["d"].want, found["d"].bytes) == (digests["b"], None)


def test_shards_are_not_read_for_an_explanation(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, {"a.safetensors": b"a"}, {"a.safetensors": "0" * 64})
    found = weights(folder, check=False)
    assert (found.checked, found.shards[0].got) == (False, None)


@pytest.mark.parametrize(
    ("config", "want"),
    [
        ('{"quantization_config": {"quant_method": "fp8"}}', "fp8"),
        ('{"quantization_config": null}', None),
        ("{}", None),
    ],
)
def test_a_checkpoint_says_how_it_is_quantised(tmp_path: Path, config: str, want: str | None) -> None:
    (tmp_path / "config.json").write_text(config)
    assert weights(tmp_path, check=False).quantization == want


@pytest.mark.parametrize(
    "config", ["{", "[]", '{"quantization_config": {}  , "a": 1', '{"quantization_config": {"x": 1}}']
)
def test_a_config_that_is_none_is_refused(tmp_path: Path, config: str) -> None:
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(WeightsError, match=r"config\.json: cannot be read"):
        weights(tmp_path, check=False)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("__version__ = '2.11.0+cu130'\ncuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n", (13, 0)),
        ("cuda: Optional[str] = None\n", None),
        ("", None),
    ],
)
def test_torch_says_what_it_was_built_for(text: str, want: tuple[int, int] | None) -> None:
    assert parse_torch_cuda(text) == want


def test_names_of_nvml_become_those_of_sysfs_and_of_the_plan() -> None:
    assert sysfs_bus("00000000:1B:00.0") == "0000:1b:00.0"
    assert sysfs_bus("00010000:C4:00.0") == "10000:c4:00.0"
    assert mig_profile("NVIDIA A100-SXM4-40GB MIG 3g.20gb") == "3g.20gb"


@pytest.mark.parametrize("case", CASES)
def test_kept_facts_are_read_as_they_were_written(case: str) -> None:
    facts = facts_of(case)
    assert codec.from_json(Facts, codec.to_json(facts)) == facts


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "Facts: "),
        ({"colour": 1}, "Facts: got unknown colour"),
        ([], r"Facts: must be dict, got \[\]"),
        ({"cpus": "many"}, "Facts.cpus: must be float, got 'many'"),
        ({"gpus": [{"index": True}]}, r"Facts.gpus\[0\].index: must be int, got True"),
        ({"driver": {"version": "580", "cuda": [13]}}, "Facts.driver.cuda: got 1 values, must be 2"),
    ],
)
def test_facts_that_are_none_are_refused_by_field(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        codec.from_json(Facts, value)


def runtime(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "fullbore_runtime", *args]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE), **env}
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_explain_of_another_machine_is_plain_in_a_pipe_and_json_on_request(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"version": 1, "kind": "serving", **read(FIXTURES / "h100.tp-8" / "plan.json")}))
    given = ("--explain", f"--facts={FIXTURES / 'h100.tp-8' / 'facts.json'}", f"--plan={plan}")
    plain, as_json = runtime(*given), runtime(*given, "--json")
    assert (plain.returncode, as_json.returncode) == (0, 0)
    assert "\x1b" not in plain.stdout
    lines = plain.stdout.splitlines()
    assert "  gpus: 0 NVIDIA H100 80GB HBM3 at 0000:1a:00.0, NUMA node 0, 18 NVLinks, 0.0 of 79.6 GiB in use" in lines
    assert any(line.split() == ["--tensor-parallel-size=8", "the", "plan's", "layout"] for line in lines)
    value = json.loads(as_json.stdout)
    assert value["argv"][3:5] == ["serve", "/models/m"]
    assert {"kind": "arg", "set": "--tensor-parallel-size=8", "why": "the plan's layout"} in value["settings"]


def test_without_a_gpu_it_says_what_it_would_do_and_that_it_will_not(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"version": 1, "kind": "serving", **read(FIXTURES / "no-gpu" / "plan.json")}))
    done = runtime("--explain", f"--facts={FIXTURES / 'no-gpu' / 'facts.json'}", f"--plan={plan}")
    assert done.returncode == 2
    assert "--tensor-parallel-size=4" in done.stdout
    assert "gpu: the plan needs 4, but NVML: NVML Shared Library Not Found; run it where the driver is" in done.stdout


def test_nothing_is_started_by_the_facts_of_another_machine() -> None:
    done = runtime(f"--facts={FIXTURES / 'h100.tp-8' / 'facts.json'}")
    assert (done.returncode, done.stdout) == (2, "")
    assert "is for --explain" in done.stderr


def test_shown_facts_can_be_read_back(model_directory: Path) -> None:
    done = runtime("--show-facts", FULLBORE_MODEL_DIRECTORY=str(model_directory))
    facts = codec.from_json(Facts, json.loads(done.stdout))
    assert facts.weights.name is not None
    assert facts.cpus <= len(os.sched_getaffinity(0))


def test_binding_lasts_through_exec() -> None:
    """In a process of its own: this one's binding is not to change."""
    cpu = min(os.sched_getaffinity(0))
    script = (
        "import os, sys; from fullbore_runtime.launch import bind; bind({'cpus': sys.argv[1]}); "
        "os.execv(sys.executable, [sys.executable, '-c', 'import os; print(sorted(os.sched_getaffinity(0)))'])"
    )
    env = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    done = subprocess.run(
        [sys.executable, "-c", script, str(cpu)], env=env, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == f"[{cpu}]"


def test_memory_is_bound_where_the_kernel_allows_it() -> None:
    if not may_set_mempolicy():
        pytest.skip("the kernel forbids a memory policy here")
    script = (
        "from fullbore_runtime.launch import bind; bind({'memory': '0'}); "
        "print(open('/proc/self/numa_maps').readline().split()[1])"
    )
    env = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    if "numa_maps" in done.stderr:
        pytest.skip("this kernel has no numa_maps")
    assert done.stdout.strip() == "prefer:0", done.stderr
