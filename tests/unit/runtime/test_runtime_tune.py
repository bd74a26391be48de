"""tune: facts and plan in, launch out. A new case is a new folder below tests/fixtures/runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tune_cases import CASES, FIXTURES, facts_of, plan_of, read, tuned, written

from fullbore_runtime.document import Document
from fullbore_runtime.errors import RuntimeRefusal
from fullbore_runtime.facts.limits import format_list, parse_list
from fullbore_runtime.facts.model import Gpu, NumaNode
from fullbore_runtime.launch import command
from fullbore_runtime.tune import Launch, tune
from fullbore_runtime.tune.engines import graph_sizes
from fullbore_runtime.tune.machine import IDLE_BYTES, choose

GIB = 1 << 30


@pytest.mark.parametrize("case", CASES)
def test_facts_and_plan_give_the_launch_that_is_written_down(case: str) -> None:
    assert written(tuned(case)) == read(FIXTURES / case / "launch.json")


@pytest.mark.parametrize("case", CASES)
def test_a_refused_launch_raises_every_reason(case: str) -> None:
    launch = tuned(case)
    if not launch.refusals:
        launch.check()
        return
    with pytest.raises(RuntimeRefusal) as refused:
        launch.check()
    assert all(reason in str(refused.value) for reason in launch.refusals)


@pytest.mark.parametrize("case", CASES)
def test_the_engine_has_every_argument_that_is_set(case: str) -> None:
    launch = tuned(case)
    known = (FIXTURES / f"{launch.engine}-arguments.txt").read_text(encoding="utf-8").splitlines()
    assert set(launch.args) <= set(known)


@pytest.mark.parametrize("case", CASES)
def test_every_setting_has_a_reason_and_is_made_once(case: str) -> None:
    launch = tuned(case)
    assert all(setting.why for setting in launch.settings)
    names = [(setting.kind, setting.name) for setting in launch.settings]
    assert len(names) == len(set(names))


def test_the_fixtures_hold_both_ends_of_every_decision() -> None:
    launches = [tuned(case) for case in CASES]
    assert {launch.engine for launch in launches} == {"vllm", "sglang"}
    assert {bool(launch.refusals) for launch in launches} == {True, False}
    assert any(launch.binds for launch in launches)
    assert any("numa-bind" in launch.args for launch in launches)


def test_vllm_takes_the_model_as_a_word() -> None:
    argv = command(tuned("h200.one"))
    assert argv[1:5] == ["-m", "vllm.entrypoints.cli.main", "serve", "/models/m"]
    assert "--gpu-memory-utilization=0.9" in argv


def test_a_list_is_several_words_and_a_flag_is_one() -> None:
    argv = command(tuned("cpuset.part-of-both"))
    at = argv.index("--numa-bind-nodes")
    assert argv[at + 1 : at + 9] == ["0"] * 4 + ["1"] * 4
    assert "--numa-bind" in argv


def test_a_double_of_a_machine_is_explained_and_never_started() -> None:
    launch = tune(replace(facts_of("h200.one"), simulated=True), plan_of("h200.one"))
    assert any("described double" in reason for reason in launch.refusals)


def test_without_a_plan_gpus_are_not_guessed_at() -> None:
    assert "there is no /etc/fullbore/plan.json" in tune(facts_of("h200.one"), None).refusals[0]


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        ({"concurrency": 33}, "not to be slower with them up to 32 sequences, and 33 are planned"),
        ({"concurrency": None}, "up to 32 sequences, and the plan says no concurrency"),
        ({"concurrency": 64, "data_parallel": 2}, None),
        ({"precision": "bf16"}, "only kernels for fp16 were measured"),
        ({"mig_profile": "1g.18gb"}, "on whole GPUs"),
    ],
)
def test_kernels_are_left_out_where_they_were_not_measured_to_win(plan: dict[str, Any], why: str | None) -> None:
    launch = tune(facts_of("h200.kernels"), replace(plan_of("h200.kernels"), **plan))
    assert ("FULLBORE_KERNELS" in launch.env) is (why is None)
    left = [setting.why for setting in launch.of("left") if setting.name == "FULLBORE_KERNELS"]
    assert why is None or why in left[0]
    assert why is None or not {"additional-config", "kernel-config"} & launch.args.keys()


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        ({"concurrency": 64}, None),
        ({"concurrency": 65}, "not to be slower with them up to 64 sequences, and 65 are planned"),
        ({"tensor_parallel": 2}, "int4 was measured on one GPU, and 2 are planned"),
        ({"precision": "fp8", "concurrency": 1}, None),
        ({"precision": "fp8"}, "up to 1 sequences, and 32 are planned"),
        ({"precision": "int8"}, "only kernels for fp16, fp8, int4 were measured to win"),
    ],
)
def test_a_quantised_model_has_what_was_measured_in_its_precision(plan: dict[str, Any], why: str | None) -> None:
    launch = tune(facts_of("h200.int4"), replace(plan_of("h200.int4"), **plan))
    assert ("FULLBORE_KERNELS" in launch.env) is (why is None)
    assert ("linear-backend" in launch.args) is (why is None and plan.get("precision") is None)
    assert why is None or any(why in setting.why for setting in launch.of("left"))


def test_a_layout_that_was_not_measured_keeps_the_engines_kernels() -> None:
    facts = facts_of("h200.int4")
    other = replace(facts, weights=replace(facts.weights, quantization="compressed-tensors", bits=None))
    assert "linear-backend" not in tune(other, plan_of("h200.int4")).args


def test_a_checkpoint_of_other_bits_than_planned_is_refused() -> None:
    plan = replace(plan_of("h200.int4"), precision="int8")
    refused = tune(facts_of("h200.int4"), plan).refusals
    assert any("the plan says int8, but the checkpoint's weights have 4 bits" in reason for reason in refused)


@pytest.mark.parametrize(("case", "refused"), [("t4", True), ("a100-sxm.tp-4", False), ("h200.one", False)])
def test_an_fp8_cache_is_refused_where_no_attention_reads_it(case: str, refused: bool) -> None:
    launch = tune(facts_of(case), replace(plan_of(case), kv_precision="fp8"))
    assert any(reason.startswith("kv_precision") for reason in launch.refusals) is refused


def test_shards_are_read_first_where_nothing_would_wait_for_a_check_beside() -> None:
    facts = facts_of("h200.int4")
    alone = replace(facts, software=replace(facts.software, plugin=False))
    read = replace(facts, weights=replace(facts.weights, checked=True))
    sglang = replace(plan_of("h200.int4"), engine="sglang")
    for launch in (tune(alone, plan_of("h200.int4")), tune(read, plan_of("h200.int4")), tune(facts, sglang)):
        assert "fullbore_runtime.check" not in {beside.name for beside in launch.of("beside")}


@pytest.mark.parametrize(
    ("kernels", "why"),
    [
        ({"accelerator": "NVIDIA H100 80GB HBM3"}, "no kernels were measured on this accelerator"),
        ({"versions": {"vllm": "0.23.0"}}, "against vLLM 0.23.0, and this is 0.24.0"),
        ({"norms": {}, "linear_tokens": 0}, "no kernel was measured to win in a whole model"),
    ],
)
def test_kernels_of_another_accelerator_or_engine_are_left_out(kernels: dict[str, Any], why: str) -> None:
    facts = facts_of("h200.kernels")
    changed = replace(facts, kernels=tuple(replace(table, **kernels) for table in facts.kernels))
    launch = tune(changed, plan_of("h200.kernels"))
    assert "FULLBORE_KERNELS" not in launch.env
    assert any(why in setting.why for setting in launch.of("left"))


def test_without_a_gpu_the_planned_one_decides_about_kernels() -> None:
    facts = replace(facts_of("h200.kernels"), gpus=(), driver=None, no_driver="NVML: no library")
    assert tune(facts, plan_of("h200.kernels")).env["FULLBORE_KERNELS"] == "/opt/fullbore/kernels/nvidia-h200.json"


def test_norms_of_another_width_are_the_engines() -> None:
    facts = facts_of("h200.kernels")
    other = replace(facts, weights=replace(facts.weights, hidden=5120))
    launch = tune(other, plan_of("h200.kernels"))
    assert "FULLBORE_KERNELS" in launch.env
    assert "kernel-config" not in launch.args


def gpu(index: int, node: int | None, used: int) -> Gpu:
    return Gpu(
        index=index,
        uuid=f"GPU-{index}",
        name="NVIDIA H100 80GB HBM3",
        pci_bus=f"0000:{index:02x}:00.0",
        compute_capability=(9, 0),
        memory_bytes=80 * GIB,
        used_bytes=used,
        numa_node=node,
    )


GPUS = st.lists(
    st.tuples(st.sampled_from([None, 0, 1, 2]), st.sampled_from([0, IDLE_BYTES, IDLE_BYTES + 1])), max_size=8
).map(lambda pairs: tuple(gpu(index, node, used) for index, (node, used) in enumerate(pairs)))


@given(GPUS, st.integers(1, 8))
def test_chosen_gpus_are_some_of_those_seen_and_idle_ones_come_first(seen: tuple[Gpu, ...], count: int) -> None:
    chosen = choose(seen, count)
    assert len(chosen) == min(count, len(seen))
    assert list(chosen) == sorted(chosen, key=lambda gpu: gpu.index)
    assert set(chosen) <= set(seen)
    if sum(gpu.used_bytes <= IDLE_BYTES for gpu in seen) >= count:
        assert all(gpu.used_bytes <= IDLE_BYTES for gpu in chosen)


@given(GPUS, st.integers(1, 8))
def test_chosen_gpus_are_of_one_node_where_one_has_enough(seen: tuple[Gpu, ...], count: int) -> None:
    idle = [gpu for gpu in seen if gpu.used_bytes <= IDLE_BYTES]
    nodes = [gpu.numa_node for gpu in idle]
    if len(seen) > count and any(nodes.count(node) >= count for node in nodes):
        assert len({gpu.numa_node for gpu in choose(seen, count)}) == 1


@given(st.integers(1, 2000), st.one_of(st.none(), st.integers(1, 20_000)))
def test_graphs_cover_the_sequences_up_to_the_limit(most: int, batch_tokens: int | None) -> None:
    sizes = graph_sizes(most, batch_tokens)
    top = min(2 * most, 512, batch_tokens or 512)
    assert sizes == tuple(sorted(set(sizes)))
    assert sizes[0] == 1
    assert sizes[-1] <= top
    # The next size of the ladder would be too large: no batch below the limit is padded by more than one step.
    assert top - sizes[-1] < 16


@given(st.sets(st.integers(0, 400), max_size=60))
def test_a_cpu_list_is_read_as_it_was_written(cpus: set[int]) -> None:
    assert parse_list(format_list(cpus)) == tuple(sorted(cpus))


@given(
    allowed=st.sets(st.integers(0, 15), min_size=1),
    mempolicy=st.booleans(),
    numactl=st.booleans(),
    places=st.lists(st.sampled_from([None, 0, 1]), min_size=2, max_size=2),
    engine=st.sampled_from(["vllm", "sglang"]),
)
def test_no_rank_is_bound_to_what_the_container_may_not_use(
    allowed: set[int], mempolicy: bool, numactl: bool, places: list[int | None], engine: str
) -> None:
    facts = facts_of("h100.tp-8")
    facts = replace(
        facts,
        numa=(NumaNode(number=0, cpus="0-7"), NumaNode(number=1, cpus="8-15")),
        cpu_set=format_list(allowed),
        mempolicy=mempolicy,
        software=replace(facts.software, numactl=numactl),
        gpus=tuple(gpu(index, node, 0) for index, node in enumerate(places)),
    )
    launch = tune(facts, Document(model="m", engine=engine, tensor_parallel=2))
    bound = [cpu for text in cpu_lists(launch) for cpu in parse_list(text)]
    assert set(bound) <= allowed
    assert mempolicy or not ({"numa-bind", "numa-node"} & launch.args.keys() or "memory" in launch.binds)
    if None in places:
        assert not bound


def cpu_lists(launch: Launch) -> list[str]:
    """CPUs that ranks are bound to: by name, or whole nodes of eight."""
    nodes = launch.args.get("numa-bind-nodes", "").split() if "numa-bind-cpus" not in launch.args else []
    by_node = [f"{int(node) * 8}-{int(node) * 8 + 7}" for node in nodes]
    return [*by_node, *launch.args.get("numa-bind-cpus", "").split(), *filter(None, [launch.binds.get("cpus", "")])]


def test_every_case_names_itself_in_its_own_folder() -> None:
    assert all({path.name for path in (FIXTURES / case).iterdir()} == FILES for case in CASES)
    assert len(CASES) > 20


FILES = {"facts.json", "plan.json", "launch.json"}


def test_the_recorded_arguments_name_their_version() -> None:
    for engine, version in (("vllm", "0.24.0"), ("sglang", "0.5.23")):
        assert version in Path(FIXTURES / f"{engine}-arguments.txt").read_text(encoding="utf-8").splitlines()[0]
