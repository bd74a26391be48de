"""Memory of a model: what its publishers count, and what must hold for every model, GPU and layout."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbore.catalog.accelerators import ACCELERATORS, AcceleratorRow
from fullbore.catalog.models import MODELS, ModelRow
from fullbore.catalog.precisions import PRECISIONS
from fullbore.plan.fit import (
    GIB,
    Layout,
    active_parameters,
    candidates,
    changes,
    fit,
    illegal,
    most_tokens_per_s,
    pairs,
    parameters,
    ranked,
    runs,
    speed,
)
from fullbore.plan.fit.latency import HBM_SHARE
from fullbore.plan.fit.memory import kv_bytes_per_token, weight_bytes
from fullbore.plan.fit.parts import held_by_rank, stage_layers
from fullbore.plan.fit.search import legal_layouts

Case = tuple[ModelRow, AcceleratorRow, Layout]

PUBLISHED = {
    "deepseek-v3-671b": 671_026_419_200,
    "deepseek-r1-671b": 671_026_419_200,
    "deepseek-r1-distill-qwen-1.5b": 1_777_088_000,
    "deepseek-r1-distill-qwen-7b": 7_615_616_512,
    "deepseek-r1-distill-qwen-14b": 14_770_033_664,
    "deepseek-r1-distill-qwen-32b": 32_763_876_352,
    "deepseek-r1-distill-llama-8b": 8_030_261_248,
    "deepseek-r1-distill-llama-70b": 70_553_706_496,
    "llama-3-8b": 8_030_261_248,
    "llama-3-70b": 70_553_706_496,
    "llama-3.1-8b": 8_030_261_248,
    "llama-3.1-70b": 70_553_706_496,
    "qwen3-8b": 8_190_735_360,
    "qwen3-32b": 32_762_123_264,
    "qwen3-30b-a3b": 30_532_122_624,
    "qwen3-235b-a22b": 235_093_634_560,
    "mixtral-8x7b": 46_702_792_704,
}
"""Parameters that the model hub counts in the published weights (for 671B without the prediction layer)."""
ROUNDED = {"qwen3-0.6b": 0.6e9, "qwen3-1.7b": 1.7e9, "qwen3-4b": 4.0e9, "qwen3-14b": 14.8e9, "mixtral-8x22b": 141e9}
"""Parameters as the model card rounds them, where the hub's count holds a tied matrix twice or is not known."""
ACTIVE = {
    "deepseek-v3-671b": 37e9,
    "qwen3-30b-a3b": 3.3e9,
    "qwen3-235b-a22b": 22e9,
    "mixtral-8x7b": 12.9e9,
    "mixtral-8x22b": 39e9,
}
"""Activated parameters as the model cards round them; they count the input embedding, which no token multiplies."""


def layout(tp: int = 1, pp: int = 1, dp: int = 1, **kwargs: object) -> Layout:
    values: dict[str, object] = {"precision": "bf16", "context_tokens": 8192, "concurrency": 1} | kwargs
    return Layout(tensor_parallel=tp, pipeline_parallel=pp, data_parallel=dp, **values)  # type: ignore[arg-type]


def test_every_model_is_compared_to_its_publisher() -> None:
    assert {*PUBLISHED, *ROUNDED} == set(MODELS)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_parameters_are_those_published(name: str) -> None:
    assert parameters(MODELS[name]) == PUBLISHED[name]


@pytest.mark.parametrize("name", sorted(ROUNDED))
def test_parameters_round_to_those_on_the_card(name: str) -> None:
    assert parameters(MODELS[name]) == pytest.approx(ROUNDED[name], rel=0.02)


@pytest.mark.parametrize("name", sorted(ACTIVE))
def test_active_parameters_are_those_on_the_card(name: str) -> None:
    model = MODELS[name]
    assert ACTIVE[name] == pytest.approx(active_parameters(model) + model.vocab * model.hidden, rel=0.02)


def test_the_cache_of_grouped_queries() -> None:
    # 2 (key, value) x 32 layers x 8 heads x 128 x 2 bytes
    model = MODELS["llama-3-8b"]
    assert kv_bytes_per_token(model, layout(), model.layers) == 131_072
    assert kv_bytes_per_token(model, layout(tp=8), model.layers) == 131_072 / 8
    assert kv_bytes_per_token(model, layout(tp=16), model.layers) == 131_072 / 8
    assert kv_bytes_per_token(model, layout(kv_precision="fp8"), model.layers) == 131_072 / 2
    assert kv_bytes_per_token(model, layout(precision="fp32"), model.layers) == 131_072 * 2


def test_the_latent_cache_is_whole_on_every_tensor_rank() -> None:
    # 61 layers x (512 + 64) x 2 bytes
    model = MODELS["deepseek-r1-671b"]
    assert kv_bytes_per_token(model, layout(), model.layers) == 70_272
    assert kv_bytes_per_token(model, layout(tp=8), model.layers) == 70_272


def test_a_remainder_of_layers_goes_to_the_stages_before_the_last() -> None:
    sizes = [len(stage) for stage in stage_layers(MODELS["deepseek-r1-671b"], layout(pp=4))]
    assert sizes == [15, 15, 16, 15]


def test_whole_experts_may_be_legal_where_their_slices_are_not() -> None:
    asked = layout(tp=8, precision="fp8")
    assert illegal(MODELS["qwen3-235b-a22b"], asked)
    assert not illegal(MODELS["qwen3-235b-a22b"], replace(asked, expert_parallel=True))


def test_a_pipeline_of_a_tied_model_holds_the_embedding_at_both_ends() -> None:
    model = MODELS["qwen3-0.6b"]
    split = [weight_bytes(model, layout(pp=2), stage)["embeddings"] for stage in (0, 1)]
    assert split == [weight_bytes(model, layout(), 0)["embeddings"]] * 2


SIZES = st.sampled_from([1, 2, 4, 8])
MODEL = st.sampled_from(sorted(MODELS)).map(MODELS.__getitem__)
GPU = st.sampled_from(sorted(ACCELERATORS)).map(ACCELERATORS.__getitem__)
LAYOUTS = st.builds(
    layout,
    tp=SIZES,
    pp=SIZES,
    dp=SIZES,
    precision=st.sampled_from(sorted(PRECISIONS)),
    expert_parallel=st.booleans(),
    kv_precision=st.sampled_from(["auto", "fp8"]),
    context_tokens=st.integers(128, 200_000),
    concurrency=st.integers(1, 1024),
)


@st.composite
def legal(draw: st.DrawFn) -> tuple[ModelRow, AcceleratorRow, Layout]:
    """A model, a GPU, and a layout that the model allows on up to 16 of them."""
    model, asked = draw(MODEL), draw(LAYOUTS)
    splits = tuple(legal_layouts(model, asked, 16))
    return model, draw(GPU), draw(st.sampled_from(splits))


CASES = legal()


@given(CASES)
def test_what_the_ranks_hold_together_is_the_model(case: Case) -> None:
    model, _, asked = case
    stage_ranks = asked.tensor_parallel * asked.data_parallel
    held = sum(
        stage_ranks * part.parameters * share / copies
        for stage in range(asked.pipeline_parallel)
        for part, share, copies in held_by_rank(model, asked, stage)
    )
    assert held == parameters(model)
    assert isinstance(held, Fraction)


@given(CASES, st.floats(0, 200))
def test_more_memory_never_makes_a_fit_worse(case: Case, more: float) -> None:
    model, gpu, asked = case
    small, large = fit(model, gpu, asked), fit(model, replace(gpu, hbm_gib=gpu.hbm_gib + more), asked)
    assert large.rank_tokens >= small.rank_tokens
    assert large.short_gib <= small.short_gib
    assert large.fits >= small.fits
    assert large.full >= small.full


@given(CASES, st.integers(1, 100_000))
def test_a_longer_context_never_leaves_more_tokens(case: Case, more: int) -> None:
    model, gpu, asked = case
    short = fit(model, gpu, asked)
    long = fit(model, gpu, replace(asked, context_tokens=asked.context_tokens + more))
    assert long.kv_tokens <= short.kv_tokens
    assert long.full_sequences <= short.full_sequences
    assert long.fits <= short.fits


@given(CASES)
def test_what_is_short_is_what_is_missing(case: Case) -> None:
    model, gpu, asked = case
    result = fit(model, gpu, asked)
    assert result.fits == (result.short_gib < 1e-9)
    assert all(rank.kv_gib * GIB + 1 >= rank.kv_tokens * rank.kv_bytes_per_token for rank in result.ranks)


MIXTURE = st.sampled_from(sorted(name for name, row in MODELS.items() if row.moe)).map(MODELS.__getitem__)


@given(MIXTURE, GPU, st.sampled_from(["bf16", "fp8"]), st.integers(1, 256), st.sampled_from([2, 4, 8]))
def test_data_parallelism_scales_throughput(
    model: ModelRow, gpu: AcceleratorRow, precision: str, batch: int, ranks: int
) -> None:
    """Each rank serves as many sequences as one did alone and holds fewer experts: the step grows by the links only."""
    one = layout(precision=precision, concurrency=batch)
    many = replace(one, data_parallel=ranks, expert_parallel=True, concurrency=batch * ranks)
    alone, shared = speed(model, gpu, one), speed(model, gpu, many)
    assert shared.gpus == ranks * alone.gpus
    assert shared.step_s <= (alone.step_s + shared.links_s) * (1 + 1e-9)
    assert shared.tokens_per_s == pytest.approx(ranks * batch / shared.step_s)
    assert fit(model, gpu, many).kv_tokens % ranks == 0


@given(MIXTURE, GPU, st.integers(1, 40), st.sampled_from([2, 4, 8]))
def test_ranks_without_a_sequence_deliver_no_token(
    model: ModelRow, gpu: AcceleratorRow, batch: int, ranks: int
) -> None:
    """A step gives each sequence one token, so that they are as many as are in flight, however ranks share them."""
    asked = replace(layout(precision="fp8", concurrency=batch), data_parallel=ranks, expert_parallel=True)
    found, most = speed(model, gpu, asked), most_tokens_per_s(model, gpu, asked)
    full = replace(asked, concurrency=asked.sequences * ranks)
    assert found.tokens_per_s == pytest.approx(batch / found.step_s)
    assert most == pytest.approx(most_tokens_per_s(model, gpu, full) * batch / full.concurrency)


@given(CASES)
def test_no_estimate_is_beyond_what_the_memory_feeds(case: Case) -> None:
    model, gpu, asked = case
    most, estimate = most_tokens_per_s(model, gpu, asked), speed(model, gpu, asked).tokens_per_s
    assert 0 < estimate <= most * HBM_SHARE * (1 + 1e-9)


def enough_tried(
    model: ModelRow, gpu: AcceleratorRow, asked: Layout, machine: int, all_sequences: bool
) -> Iterator[bool]:
    """Of each change that is named: does it help, and is it legal."""
    for change in changes(model, gpu, asked, machine, lambda result: result.full if all_sequences else result.fits):
        values = dict(change.values)
        row = ACCELERATORS[str(values.pop("accelerator", gpu.name))]
        after = replace(asked, **values)  # type: ignore[arg-type]
        result = fit(model, row, after)
        yield not illegal(model, after) and (result.full if all_sequences else result.fits)
        yield bool(change.values)


@given(CASES, st.booleans())
def test_every_change_that_is_named_helps(case: Case, all_sequences: bool) -> None:
    model, gpu, asked = case
    result = fit(model, gpu, asked)
    done = result.full if all_sequences else result.fits
    assert done or all(enough_tried(model, gpu, asked, 8, all_sequences))


@given(CASES, st.booleans())
def test_every_pair_of_changes_that_is_named_helps(case: Case, all_sequences: bool) -> None:
    model, gpu, asked = case
    for change in pairs(model, gpu, asked, 8, lambda result: result.full if all_sequences else result.fits):
        after = replace(asked, **dict(change.values))  # type: ignore[arg-type]
        result = fit(model, gpu, after)
        assert len(change.values) >= 2
        assert not illegal(model, after)
        assert result.full if all_sequences else result.fits


@given(CASES)
def test_the_best_layout_is_legal_fits_and_beats_the_others(case: Case) -> None:
    model, gpu, asked = case
    found = candidates(model, gpu, asked, 8)
    by_cost, by_latency = ranked(found, "cost"), ranked(found, "latency")
    assert all(c.fit.fits and c.layout.gpus <= 8 and not illegal(model, c.layout) for c in found)
    full = [c for c in found if c.fit.full] or list(found)
    if found:
        assert by_cost[0].speed.gpu_s_per_token == min(c.speed.gpu_s_per_token for c in full)
        assert by_latency[0].speed.step_s == min(c.speed.step_s for c in full)


def test_old_gpus_run_what_their_units_can() -> None:
    assert not runs("bf16", ACCELERATORS["t4"])
    assert runs("fp16", ACCELERATORS["v100-32"])
    assert not runs("int8", ACCELERATORS["b200"])
    assert runs("fp8", ACCELERATORS["a100-80"])


def test_one_gpu_is_the_cheapest_where_the_model_fits_one_and_more_are_faster() -> None:
    """Of a small model; both that TP 2 is faster and that it costs more GPU time a token was measured on H200."""
    found = candidates(MODELS["qwen3-8b"], ACCELERATORS["h200"], layout(precision="fp16"), 2)
    assert str(ranked(found, "cost")[0].layout) == "TP 1"
    assert str(ranked(found, "latency")[0].layout) == "TP 2"
