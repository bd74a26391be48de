"""What a model is made of, and which rank holds how much of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Literal, NamedTuple

from fullbore.catalog.architecture import Mla, ModelRow
from fullbore.plan.fit.layout import Layout

Split = Literal["tensor", "kv", "experts", "whole"]


@dataclass(frozen=True)
class Part:
    """Parameters of one kind in one layer, or at an end, of a model, and how ranks split them."""

    kind: str
    parameters: int
    split: Split
    quantised: bool = True


class Held(NamedTuple):
    """A part, the share of it that one rank holds, and how many ranks of the replica hold each parameter of it."""

    part: Part
    share: Fraction
    copies: int


@lru_cache(maxsize=64)
def parameters(model: ModelRow) -> int:
    """Parameters of the whole model, from its shapes; multi-token prediction layers, which serving drops, left out."""
    whole = Layout(precision="bf16", context_tokens=1, concurrency=1)
    return sum(held.part.parameters for held in held_by_rank(model, whole, stage=0))


@lru_cache(maxsize=64)
def active_parameters(model: ModelRow) -> int:
    """Parameters that one token is multiplied with: of the experts only those it takes, and no input embedding."""
    idle = 0
    if model.moe:
        one = 3 * model.hidden * model.moe.intermediate
        idle = (model.layers - model.dense_layers) * (model.moe.routed - model.moe.top_k) * one
    return parameters(model) - idle - (0 if model.tied_embeddings else model.vocab * model.hidden)


def layer_parts(model: ModelRow, index: int) -> tuple[Part, ...]:
    """The parts of one layer, counted from 0; dense layers come before those with experts, and are alike."""
    norms = Part("norms", 2 * model.hidden, "whole", quantised=False)
    feed_forward = _dense(model) if index < model.dense_layers else _mixture(model)
    return (norms, *_attention(model), *feed_forward)


def _attention(model: ModelRow) -> tuple[Part, ...]:
    if model.mla:
        return _latent(model, model.mla)
    queries, keys = model.heads * model.head_dim, model.kv_heads * model.head_dim
    parts = [
        Part("attention", 2 * model.hidden * queries, "tensor"),
        Part("attention", 2 * model.hidden * keys, "kv"),
    ]
    if model.qkv_bias:
        parts += [Part("biases", queries, "tensor", quantised=False), Part("biases", 2 * keys, "kv", quantised=False)]
    if model.output_bias:
        parts.append(Part("biases", model.hidden, "whole", quantised=False))
    if model.qk_norm:
        parts.append(Part("norms", 2 * model.head_dim, "whole", quantised=False))
    return tuple(parts)


def _latent(model: ModelRow, mla: Mla) -> tuple[Part, ...]:
    """Down-projections are held whole, up-projections are split by heads (vLLM models/deepseek_v2.py)."""
    per_head = mla.qk_nope_head_dim + mla.qk_rope_head_dim
    down = model.hidden * (mla.kv_lora_rank + mla.qk_rope_head_dim + (mla.q_lora_rank or 0))
    up = model.heads * per_head * (mla.q_lora_rank or model.hidden)
    up += mla.kv_lora_rank * model.heads * (mla.qk_nope_head_dim + mla.v_head_dim)
    norms = mla.kv_lora_rank + (mla.q_lora_rank or 0)
    biases = norms + mla.qk_rope_head_dim if model.qkv_bias else 0
    biases += model.hidden if model.output_bias else 0
    return (
        Part("attention", down, "whole"),
        Part("attention", up + model.heads * mla.v_head_dim * model.hidden, "tensor"),
        Part("norms", norms, "whole", quantised=False),
        *_any(Part("biases", biases, "whole", quantised=False)),
    )


def _any(part: Part) -> tuple[Part, ...]:
    return (part,) if part.parameters else ()


def _dense(model: ModelRow) -> tuple[Part, ...]:
    """Gate, up and down projection of one layer; biases of the first two are split with their rows."""
    split, whole = (2 * model.intermediate, model.hidden) if model.mlp_bias else (0, 0)
    return (
        Part("feed-forward", 3 * model.hidden * model.intermediate, "tensor"),
        *_any(Part("biases", split, "tensor", quantised=False)),
        *_any(Part("biases", whole, "whole", quantised=False)),
    )


def _mixture(model: ModelRow) -> tuple[Part, ...]:
    """Router, routed experts and shared experts of one layer; nothing for a dense model."""
    if model.moe is None:
        return ()
    one = 3 * model.hidden * model.moe.intermediate
    router = model.moe.routed * (model.hidden + (1 if model.moe.gate_bias else 0))
    return (
        Part("router", router, "whole", quantised=False),
        Part("experts", model.moe.routed * one, "experts"),
        Part("shared experts", model.moe.shared * one, "tensor"),
    )


def stage_layers(model: ModelRow, layout: Layout) -> tuple[range, ...]:
    """Layers of each pipeline stage; a remainder goes to the stages before the last (vLLM distributed/utils.py)."""
    stages = layout.pipeline_parallel
    base, rest = divmod(model.layers, stages)
    sizes = [base + (1 if stages - 1 - rest <= stage < stages - 1 else 0) for stage in range(stages)]
    starts = [sum(sizes[:stage]) for stage in range(stages)]
    return tuple(range(start, start + size) for start, size in zip(starts, sizes, strict=True))


def held_by_rank(model: ModelRow, layout: Layout, stage: int) -> Iterator[Held]:
    """What each rank of a pipeline stage holds; the ranks of a stage hold equally much.

    The sum of parameters x share / copies over all ranks of the replica is the model.
    """
    layers = stage_layers(model, layout)[stage]
    dense = max(0, min(layers.stop, model.dense_layers) - layers.start)
    for index, count in ((0, dense), (model.layers - 1, len(layers) - dense)):
        for part in layer_parts(model, index) if count else ():
            yield _held(replace(part, parameters=part.parameters * count), model, layout)
    last = layout.pipeline_parallel - 1
    matrix = Part("embeddings", model.vocab * model.hidden, "tensor", quantised=False)
    both_ends = model.tied_embeddings and last > 0
    copies = layout.data_parallel * (2 if both_ends else 1)
    if stage == 0:
        yield Held(matrix, Fraction(1, layout.tensor_parallel), copies)
    if stage == last and (both_ends or not model.tied_embeddings):
        yield Held(matrix, Fraction(1, layout.tensor_parallel), copies)
    if stage == last:
        yield _held(Part("norms", model.hidden, "whole", quantised=False), model, layout)


def _held(part: Part, model: ModelRow, layout: Layout) -> Held:
    tp, dp = layout.tensor_parallel, layout.data_parallel
    if part.split == "whole":
        return Held(part, Fraction(1), tp * dp)
    if part.split == "experts":
        return Held(part, Fraction(1, layout.expert_ranks), 1)
    pieces = min(tp, model.kv_heads) if part.split == "kv" else tp
    return Held(part, Fraction(1, pieces), dp * tp // pieces)
