"""What a `config.json` says of its quantisation and of how far its positions are stretched."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbore.catalog.architecture import ModelRow, Quantised
from fullbore.catalog.hub import HubConfigError, model_row
from fullbore.catalog.models import MODELS
from fullbore.catalog.precisions import PRECISIONS, stored
from fullbore.config import parse
from fullbore.config.yaml_text import read_mapping
from fullbore.plan.change import apply, put
from fullbore.plan.checks import check
from fullbore.plan.fit import Layout, active_parameters, illegal
from fullbore.plan.fit.memory import weight_bytes
from fullbore.plan.fit.parts import parameters

FIXTURES = Path(__file__).parents[2] / "fixtures/plan"
SHAPES = {
    "model_type": "mistral",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 32000,
    "max_position_embeddings": 8192,
}


KIMI_K2 = {
    "model_type": "kimi_k2",
    "num_hidden_layers": 61,
    "hidden_size": 7168,
    "intermediate_size": 18432,
    "moe_intermediate_size": 2048,
    "num_attention_heads": 64,
    "num_key_value_heads": 64,
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "n_routed_experts": 384,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "first_k_dense_replace": 1,
    "topk_method": "noaux_tc",
    "vocab_size": 163840,
    "max_position_embeddings": 131072,
}
"""Shapes of moonshotai/Kimi-K2-Instruct; its model card says 1T parameters, of which 32B are active."""


def test_kimi_k2_is_of_the_shape_of_deepseek_v3() -> None:
    kimi = model_row("kimi-k2", "config.json", KIMI_K2)
    assert kimi == model_row("kimi-k2", "config.json", {**KIMI_K2, "model_type": "deepseek_v3"})
    assert round(parameters(kimi) / 1e12, 1) == 1.0
    assert round(active_parameters(kimi) / 1e9) == 32


def test_the_page_names_every_architecture_that_is_read_and_no_other() -> None:
    with pytest.raises(HubConfigError, match="allowed ") as refused:
        row(model_type="deepseek_v32")
    allowed = str(refused.value).partition("allowed ")[2].split(", ")
    page = (Path(__file__).parents[3] / "docs" / "fit.md").read_text(encoding="utf-8")
    told = page.partition("`model_type` is one of ")[2].partition(".")[0]
    assert [name.strip().strip("`") for name in told.replace("\n", " ").split(",")] == allowed


def row(**fields: Any) -> ModelRow:
    return model_row("house", "config.json", {**SHAPES, **fields})


def compressed(**weights: Any) -> dict[str, Any]:
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": weights}}}


@pytest.mark.parametrize(
    ("config", "means"),
    [
        ({"quant_method": "awq", "bits": 4, "group_size": 64}, Quantised(precision="int4", group=64)),
        ({"quant_method": "gptq", "bits": 4}, Quantised(precision="int4", group=128)),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, Quantised(precision="int8", group=None)),
        ({"quant_method": "fp8"}, Quantised(precision="fp8", group=None)),
        ({"quant_method": "fp8", "weight_block_size": [64, 32]}, Quantised(precision="fp8", group=32, rows=64)),
        (compressed(num_bits=8, type="float", strategy="channel"), Quantised(precision="fp8", group=None)),
        (compressed(num_bits=4, type="int", group_size=32), Quantised(precision="int4", group=32)),
        (
            {"quant_method": "fp8", "ignored_layers": ["lm_head", "re:.*mlp\\.gate$", "model.layers.3.mlp.gate_proj"]},
            Quantised(
                precision="fp8", group=None, kept=("model.layers.3.mlp.gate_proj",), kept_layers=(("feed-forward", 1),)
            ),
        ),
    ],
)
def test_each_way_to_quantise_is_a_precision_and_a_group(config: dict[str, Any], means: Quantised) -> None:
    assert row(quantization_config=config).quantised == means


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"quant_method": "bitsandbytes"},
        {"quant_method": "awq", "bits": [4]},
        {"quant_method": "awq", "bits": 3},
        {"quant_method": "gptq", "bits": 4, "group_size": 0},
        {"quant_method": "fp8", "weight_block_size": 128},
        {"quant_method": "compressed-tensors", "config_groups": []},
        compressed(num_bits=4, type="float"),
        {"quant_method": "awq", "bits": 4, "modules_to_not_convert": "lm_head"},
        {"quant_method": "fp8", "ignored_layers": [7]},
        {"quant_method": "gptq", "bits": 4, "dynamic": {"-:.*mlp.*": {}}},
        {"quant_method": "gptq", "bits": 4, "modules_in_block_to_quantize": [["self_attn.q_proj"]]},
        compressed(num_bits=4) | {"config_groups": {name: {"weights": {"num_bits": 4}} for name in "ab"}},
        compressed(num_bits=4) | {"config_groups": {"a": {"weights": {"num_bits": 4}, "targets": ["re:.*mlp.*"]}}},
        "awq",
    ],
)
def test_what_is_not_known_is_refused(config: object) -> None:
    with pytest.raises(HubConfigError):
        row(quantization_config=config)


@pytest.mark.parametrize(
    ("ignored", "attention", "block"),
    [
        (["lm_head", "re:.*norm.*", "re:.*mlp\\.gate$", "model.embed_tokens"], 0, 0),
        (["re:.*mlp.*"], 0, 32),
        (["re:.*(norm|mlp|self_attn).*"], 32, 32),
        (["re:.*self_attn\\.(q|k|v)_proj$"], 32, 0),
        (["re:.*gate.*"], 32, 32),
        (["re:model\\.layers\\.(0|31)\\.mlp"], 0, 2),
        (["re:model\\.layers\\.3.*"], 3, 3),
        (["re:model\\.layers\\.3\\..*down_proj"], 0, 1),
        ([f"model.layers.0.self_attn.{name}_proj" for name in "qkvo"], 1, 0),
        (["model.layers.32.mlp"], 0, 0),
        (["re:(a+)+$", "re:(norm)?.*"], 32, 32),
        (["re:" + "(a|b)" * 40], 32, 32),
        (["re:[^x]*"], 32, 32),
        (["proj"], 32, 32),
    ],
)
def test_what_stays_in_16_bits_is_never_counted_as_less(ignored: list[str], attention: int, block: int) -> None:
    """Of 32 layers; a pattern that is not understood may mean all of them."""
    quantised = row(quantization_config={"quant_method": "fp8", "ignored_layers": ignored})
    plain, layout = row(), Layout(precision="fp8", context_tokens=1, concurrency=1)
    assert quantised.quantised
    kept = dict(quantised.quantised.kept_layers)
    assert (kept.get("attention", 0), kept.get("feed-forward", 0)) == (attention, block)
    whole, held = (
        weight_bytes(model, replace(layout, precision=name), 0) for model, name in ((plain, "bf16"), (quantised, "fp8"))
    )
    if attention == block == 32:
        assert held == whole
    assert bool(quantised.quantised.kept) == (attention + block > 0)


def test_a_model_of_more_layers_than_any_is_refused() -> None:
    with pytest.raises(HubConfigError, match=r"num_hidden_layers: got '100000', allowed .* at most 4096"):
        row(num_hidden_layers=100_000)


def test_layers_of_a_mixture_are_kept_by_kind() -> None:
    """DeepSeek-V3: 3 dense layers before 58 with experts; a stage may hold all layers that are kept."""
    config = json.loads((FIXTURES.parent / "hub/deepseek-fp8.json").read_text())
    ignored = ["model.layers.0.mlp", "model.layers.60.mlp.experts", "re:.*shared_experts.*"]
    changed = {**config["quantization_config"], "modules_to_not_convert": ignored}
    model = model_row("v3", "", {**config, "quantization_config": changed})
    assert model.quantised
    assert dict(model.quantised.kept_layers) == {"feed-forward": 1, "experts": 1, "shared experts": 58}
    two = Layout(precision="fp8", pipeline_parallel=2, context_tokens=1, concurrency=1)
    sizes = weight_bytes(model, two, 1)
    assert sizes["shared experts"] == pytest.approx(
        weight_bytes(model, replace(two, precision="bf16"), 1)["shared experts"]
    )
    assert sizes["experts"] > weight_bytes(model_row("v3", "", config), two, 1)["experts"]
    # As makers of int4 experts write it: experts' matrices lie below mlp.experts.N, not below mlp itself.
    dense = {**config["quantization_config"], "modules_to_not_convert": [r"re:.*mlp\.(gate|up|gate_up|down)_proj.*"]}
    kept = model_row("v3", "", {**config, "quantization_config": dense}).quantised
    assert kept
    assert dict(kept.kept_layers) == {"feed-forward": 3}


def test_a_config_without_it_says_nothing() -> None:
    assert row().quantised is None
    assert {model.quantised for model in MODELS.values()} == {None}


@pytest.mark.parametrize(
    ("scaling", "tokens"),
    [
        (None, 8192),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8192}, 32768),
        ({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 2048}, 8192),
        ({"type": "yarn", "factor": 4, "original_max_position_embeddings": 16384}, 65536),
        ({"type": "yarn", "factor": 4}, 32768),
        ({"type": "linear", "factor": 2.0}, 16384),
        ({"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 1024}, 8192),
        ({"rope_type": "default"}, 8192),
    ],
)
def test_positions_reach_as_far_as_they_are_stretched(scaling: object, tokens: int) -> None:
    assert row(rope_scaling=scaling).max_context_tokens == tokens


@pytest.mark.parametrize("scaling", [{"type": "yarn_s"}, {"type": "yarn", "original_max_position_embeddings": "8k"}])
def test_a_scaling_that_is_not_known_is_refused(scaling: object) -> None:
    with pytest.raises(HubConfigError, match=r"rope_scaling\.\w+: got"):
        row(rope_scaling=scaling)


def test_biases_that_a_file_asks_for_are_counted() -> None:
    """transformers, modeling_llama.py (LlamaMLP) and modeling_deepseek_v3.py (DeepseekV3Attention)."""
    assert parameters(row(mlp_bias=True)) - parameters(row()) == 32 * (2 * 14336 + 4096)
    config = json.loads((FIXTURES.parent / "hub/deepseek-fp8.json").read_text())
    without, with_bias = (model_row("v3", "", {**config, "attention_bias": given}) for given in (False, True))
    assert parameters(with_bias) - parameters(without) == 61 * (1536 + 512 + 64 + 7168)


@given(st.one_of(st.none(), st.booleans(), st.floats(), st.text(), st.lists(st.integers()), st.integers()))
def test_any_factor_makes_a_row_or_a_reason(factor: object) -> None:
    scaling = {"type": "yarn", "factor": factor}
    if factor is None or (isinstance(factor, int | float) and not isinstance(factor, bool) and 1 <= factor <= 1024):
        assert row(rope_scaling=scaling).max_context_tokens >= 8192
    else:
        with pytest.raises(HubConfigError, match=r"rope_scaling\.factor: got"):
            row(rope_scaling=scaling)


def test_scales_of_smaller_groups_take_more_memory_and_allow_finer_cuts() -> None:
    layout = Layout(precision="int4", tensor_parallel=2, context_tokens=4096, concurrency=1)
    fine, coarse = (row(quantization_config={"quant_method": "awq", "bits": 4, "group_size": n}) for n in (32, 128))
    small, large = weight_bytes(coarse, layout, 0)["feed-forward"], weight_bytes(fine, layout, 0)["feed-forward"]
    assert large / small == pytest.approx((0.5 + 2.5 / 32) / (0.5 + 2.5 / 128))
    cut = Layout(precision="int4", tensor_parallel=32, context_tokens=4096, concurrency=1)
    assert any("feed-forward" in wrong.reason for wrong in illegal(coarse, cut))
    assert not any("feed-forward" in wrong.reason for wrong in illegal(fine, cut))


@pytest.mark.parametrize("name", sorted(PRECISIONS))
def test_a_checkpoint_of_another_precision_changes_nothing(name: str) -> None:
    assert stored(name, None) == PRECISIONS[name]
    other = "fp8" if name == "int4" else "int4"
    assert stored(name, Quantised(precision=other, group=7)) == PRECISIONS[name]


@pytest.mark.parametrize(("name", "group", "rows"), [("fp8", 128, 128), ("int8", None, 1), ("int4", 128, 1)])
def test_the_catalog_s_rows_are_the_usual_groups(name: str, group: int | None, rows: int) -> None:
    assert stored(name, Quantised(precision=name, group=group, rows=rows)) == PRECISIONS[name]


@pytest.mark.parametrize("stored_in", [None, {"quant_method": "fp8"}])
def test_no_precision_is_proposed_that_the_checkpoint_has_not(stored_in: dict[str, Any] | None, tmp_path: Path) -> None:
    """A model of 141 GB in fp8 on one H100, which 4 bits would mend if there were such weights."""
    large = {**SHAPES, "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 160}
    content = large if stored_in is None else {**large, "quantization_config": stored_in}
    (tmp_path / "config.json").write_text(json.dumps(content))
    values = read_mapping(FIXTURES / "precision-differs.at-load/in.yaml")
    changed = apply(values, put("site.groups.gpu.accelerator", "h100"), put("serving.tensor_parallel", 1))
    problems = check(parse(changed, tmp_path))
    [misfit] = [problem for problem in problems if problem.rule == "model-does-not-fit"]
    assert "set tensor_parallel" in misfit.message
    assert "set precision" not in misfit.message
