"""Memory of a model, against what its publishers and a measurement say."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fullbore.catalog.accelerators import ACCELERATORS
from fullbore.catalog.models import MODELS, ModelRow
from fullbore.plan.fit import GIB, Layout, fit, kv_bytes_per_token, parameters, weights_bytes_per_rank

PUBLISHED = {
    "deepseek-r1-671b": 671_026_419_200,
    "deepseek-r1-distill-qwen-1.5b": 1_777_088_000,
    "deepseek-r1-distill-qwen-7b": 7_615_616_512,
    "deepseek-r1-distill-qwen-14b": 14_770_033_664,
    "deepseek-r1-distill-qwen-32b": 32_763_876_352,
    "deepseek-r1-distill-llama-8b": 8_030_261_248,
    "deepseek-r1-distill-llama-70b": 70_553_706_496,
    "llama-3-8b": 8_030_261_248,
    "llama-3-70b": 70_553_706_496,
}
"""Parameters that the model hub counts in the published weights (for 671B without the prediction layer)."""


def layout(tp: int = 1, pp: int = 1, precision: str = "bf16", context: int = 8192, concurrency: int = 1) -> Layout:
    return Layout(
        precision=precision, tensor_parallel=tp, pipeline_parallel=pp, context_tokens=context, concurrency=concurrency
    )


@pytest.mark.parametrize("name", sorted(MODELS))
def test_parameters_are_those_published(name: str) -> None:
    assert parameters(MODELS[name]) == PUBLISHED[name]


def test_the_cache_of_grouped_queries() -> None:
    # 2 (key, value) x 32 layers x 8 heads x 128 x 2 bytes
    assert kv_bytes_per_token(MODELS["llama-3-8b"], layout()) == 131_072
    assert kv_bytes_per_token(MODELS["llama-3-8b"], layout(tp=8)) == 131_072 / 8
    assert kv_bytes_per_token(MODELS["llama-3-8b"], layout(tp=16)) == 131_072 / 8


def test_the_latent_cache_is_whole_on_every_tensor_rank() -> None:
    # 61 layers x (512 + 64) x 2 bytes
    assert kv_bytes_per_token(MODELS["deepseek-r1-671b"], layout()) == 70_272
    assert kv_bytes_per_token(MODELS["deepseek-r1-671b"], layout(tp=8)) == 70_272


QWEN3_8B = ModelRow(
    name="qwen3-8b",
    source="the shape that was measured",
    layers=36,
    hidden=4096,
    intermediate=12_288,
    heads=32,
    kv_heads=8,
    head_dim=128,
    vocab=151_936,
    max_context_tokens=40_960,
)


def test_against_a_run_of_vllm_on_an_h200() -> None:
    """vLLM 0.24, FP16, utilisation 0.9: 15.27 GiB of weights, 791,792 tokens of cache at 147,456 bytes each."""
    result = fit(QWEN3_8B, ACCELERATORS["h200"], layout())
    assert result.weights_gib == pytest.approx(15.27, rel=0.005)
    assert result.kv_bytes_per_token == 147_456
    assert result.kv_tokens == pytest.approx(791_792, rel=0.03)


def test_deepseek_in_eight_bits_fits_h200_and_not_h100() -> None:
    eight = layout(tp=8, precision="fp8", context=32_768)
    assert fit(MODELS["deepseek-r1-671b"], ACCELERATORS["h200"], eight).fits
    assert not fit(MODELS["deepseek-r1-671b"], ACCELERATORS["h100"], eight).fits


SIZES = st.sampled_from([1, 2, 4, 8])
ANY_MODEL = st.sampled_from(sorted(MODELS))


@settings(deadline=None)
@given(ANY_MODEL, SIZES, SIZES)
def test_ranks_together_hold_at_least_the_model(name: str, tp: int, pp: int) -> None:
    model = MODELS[name]
    held = weights_bytes_per_rank(model, layout(tp, pp)) * tp * pp
    assert held >= parameters(model) * 2 * (1 - 1e-12)


@settings(deadline=None)
@given(ANY_MODEL, SIZES, SIZES, st.sampled_from(["fp32", "bf16", "fp8", "int4"]))
def test_more_memory_never_leaves_fewer_tokens(name: str, tp: int, pp: int, precision: str) -> None:
    rows = sorted(ACCELERATORS.values(), key=lambda row: row.hbm_gib)
    tokens = [fit(MODELS[name], row, layout(tp, pp, precision)).kv_tokens for row in rows]
    assert tokens == sorted(tokens)


@settings(deadline=None)
@given(ANY_MODEL, SIZES, st.integers(128, 10**6))
def test_what_is_short_is_what_is_missing(name: str, tp: int, context: int) -> None:
    for row in ACCELERATORS.values():
        result = fit(MODELS[name], row, layout(tp, context=context))
        left = result.budget_gib - result.weights_gib - result.fixed_gib
        need = context * result.kv_bytes_per_token / GIB
        assert result.fits == (int(max(0.0, left) * GIB / result.kv_bytes_per_token) >= context)
        assert result.short_gib == pytest.approx(max(0.0, need - left))
