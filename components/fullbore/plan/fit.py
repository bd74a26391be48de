"""Does the model fit: what each rank holds of weights and KV cache, against the memory of its GPU.

First form: dense and expert weights split evenly over tensor and pipeline ranks; activations and framework as one
fixed figure from a measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from fullbore.catalog.accelerators import AcceleratorRow
from fullbore.catalog.models import Mla, ModelRow
from fullbore.catalog.precisions import BYTES_PER_CACHED_VALUE, BYTES_PER_WEIGHT, BYTES_UNQUANTISED

GIB = 1024**3
MEMORY_FRACTION = 0.9
"""Share of HBM that the engine may use: vLLM's default `--gpu-memory-utilization`; CUDA graphs live in the rest."""
FIXED_GIB = 2.0
"""Activations at their peak and the framework. Measured: 1.59 + 0.22 GiB with vLLM 0.24 on one H200 (an 8B model)."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a replica is split and what it is asked for."""

    precision: str
    tensor_parallel: int
    pipeline_parallel: int
    context_tokens: int
    concurrency: int

    @property
    def gpus(self) -> int:
        return self.tensor_parallel * self.pipeline_parallel


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What the fullest rank of a replica holds, GiB, and the KV cache tokens that the replica has room for."""

    hbm_gib: float
    weights_gib: float
    fixed_gib: float
    kv_bytes_per_token: float
    kv_tokens: int
    wanted_tokens: int
    context_tokens: int

    @property
    def budget_gib(self) -> float:
        return self.hbm_gib * MEMORY_FRACTION

    @property
    def fits(self) -> bool:
        """True where at least one sequence of full length has room."""
        return self.kv_tokens >= self.context_tokens

    @property
    def short_gib(self) -> float:
        """What is missing on the fullest rank for one sequence of full length, GiB; 0 where it fits."""
        needed = self.weights_gib + self.fixed_gib + self.context_tokens * self.kv_bytes_per_token / GIB
        return max(0.0, needed - self.budget_gib)


def fit(model: ModelRow, accelerator: AcceleratorRow, layout: Layout) -> Fit:
    """The memory of the fullest rank.

    tokens = (HBM x 0.9 - weights - fixed) / bytes of KV cache a token and rank
    """
    weights = weights_bytes_per_rank(model, layout) / GIB
    per_token = kv_bytes_per_token(model, layout)
    left = accelerator.hbm_gib * MEMORY_FRACTION - weights - FIXED_GIB
    return Fit(
        hbm_gib=accelerator.hbm_gib,
        weights_gib=weights,
        fixed_gib=FIXED_GIB,
        kv_bytes_per_token=per_token,
        kv_tokens=max(0, int(left * GIB / per_token)),
        wanted_tokens=layout.context_tokens * layout.concurrency,
        context_tokens=layout.context_tokens,
    )


def weights_bytes_per_rank(model: ModelRow, layout: Layout) -> float:
    """Bytes of weights on the fullest rank: the most layers that a stage holds, and an end stage's embeddings.

    Layers are split over tensor ranks evenly; norms, which each rank holds whole, are too small to tell apart.
    """
    per_weight = BYTES_PER_WEIGHT[layout.precision]
    stage_layers = ceil(model.layers / layout.pipeline_parallel)
    layers = (parameters(model) - embedding_parameters(model)) * stage_layers / model.layers
    ends = embedding_parameters(model)
    if layout.pipeline_parallel > 1 and not model.tied_embeddings:
        ends /= 2  # the first stage holds the embedding, the last the output head
    end_bytes = max(per_weight, BYTES_UNQUANTISED)
    return (layers * per_weight + ends * end_bytes) / layout.tensor_parallel


def kv_bytes_per_token(model: ModelRow, layout: Layout) -> float:
    """Bytes of KV cache that one token takes on the fullest rank.

    MHA and GQA: 2 (key and value) x layers x KV heads x head_dim x bytes; a rank holds at least one KV head
    (vLLM replicates heads where tensor_parallel exceeds them).
    MLA: layers x (kv_lora_rank + qk_rope_head_dim) x bytes, whole on every tensor rank (DeepSeek-V2, arXiv 2405.04434,
    section 2.1.4 and table 1).
    """
    layers = ceil(model.layers / layout.pipeline_parallel)
    if model.mla:
        return layers * (model.mla.kv_lora_rank + model.mla.qk_rope_head_dim) * BYTES_PER_CACHED_VALUE
    heads = ceil(model.kv_heads / layout.tensor_parallel)
    return 2 * layers * heads * model.head_dim * BYTES_PER_CACHED_VALUE


def parameters(model: ModelRow) -> int:
    """Parameters of the whole model, from its shapes; multi-token prediction layers, which serving drops, left out."""
    norms = 2 * model.hidden
    dense_layers = model.moe.first_k_dense if model.moe else model.layers
    total = model.layers * (_attention(model) + norms) + dense_layers * 3 * model.hidden * model.intermediate
    total += (model.layers - dense_layers) * _experts(model)
    return total + model.hidden + embedding_parameters(model)


def embedding_parameters(model: ModelRow) -> int:
    """The embedding and, where it is not the same matrix, the output head."""
    return model.vocab * model.hidden * (1 if model.tied_embeddings else 2)


def _attention(model: ModelRow) -> int:
    if model.mla:
        return _latent_attention(model, model.mla)
    queries, keys = model.heads * model.head_dim, model.kv_heads * model.head_dim
    bias = queries + 2 * keys if model.qkv_bias else 0
    return model.hidden * (2 * queries + 2 * keys) + bias


def _latent_attention(model: ModelRow, mla: Mla) -> int:
    """Projections down and up for queries and for the compressed key-value pair, their norms, and the output."""
    queries = model.hidden * mla.q_lora_rank + mla.q_lora_rank
    queries += mla.q_lora_rank * model.heads * (mla.qk_nope_head_dim + mla.qk_rope_head_dim)
    cache = model.hidden * (mla.kv_lora_rank + mla.qk_rope_head_dim) + mla.kv_lora_rank
    cache += mla.kv_lora_rank * model.heads * (mla.qk_nope_head_dim + mla.v_head_dim)
    return queries + cache + model.heads * mla.v_head_dim * model.hidden


def _experts(model: ModelRow) -> int:
    """Gate and experts of one layer; 0 for a dense model."""
    if model.moe is None:
        return 0
    gate = model.moe.routed * (model.hidden + (1 if model.moe.gate_bias else 0))
    return gate + (model.moe.routed + model.moe.shared) * 3 * model.hidden * model.moe.intermediate
