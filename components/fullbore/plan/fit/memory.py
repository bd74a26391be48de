"""Does the model fit: what each rank holds, by kind, and the KV cache that is left.

The engine is vLLM. Its KV cache is what a share of the memory leaves after weights, the peak of activations and what
libraries take; CUDA graphs and the CUDA context lie outside of that share. The figures below were fitted to the 53
runs of vLLM 0.19 on H100 that llm-d-planner published (llm-d-incubation/llm-d-planner accuracy/accuracy_report.md,
April 2026); docs/fit.md shows how far each is off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from fullbore.catalog.accelerators import AcceleratorRow
from fullbore.catalog.architecture import ModelRow
from fullbore.catalog.precisions import BYTES_UNQUANTISED, compute_bytes, stored
from fullbore.plan.fit.layout import Layout
from fullbore.plan.fit.parts import held_by_rank, stage_layers

GIB = 1024**3
MEMORY_FRACTION = 0.9
"""Share of HBM that the engine may use: `--gpu-memory-utilization`, which the plan sets."""
BLOCK_TOKENS = 16
"""Tokens of one block of KV cache: vLLM's default."""
CONTEXT_GIB = 0.51
"""CUDA context before anything is loaded (vLLM 0.19 on H100: `non_torch_memory=0.51GiB` at worker start)."""
LIBRARIES_GIB = 0.25
"""What CUDA libraries take while the model runs on one GPU: 0.24-0.26 in those runs, 0.22 with vLLM 0.24 on H200."""
COLLECTIVES_GIB = {1: 0.0, 2: 1.83, 4: 1.92}
"""NCCL, custom all-reduce and fused all-reduce, by ranks of a group: 2.08 and 2.17 GiB less the libraries in those
runs. Above 4 ranks that of 4: aiconfigurator's table, too, has one figure for 4 and 8 (systems/h100_sxm.yaml)."""
GRAPHS_GIB_PER_LAYER = 0.0284
"""CUDA graphs: 0.91 GiB for 32 layers (vLLM 0.19, H100), 1.01 for 36 (vLLM 0.24, H200)."""
SCRATCH_BYTES = 0.12e9
"""Activations that grow with neither tokens nor vocabulary; the intercept of the fit."""
INDEX_BYTES = 8
"""Sampling sorts the logits: a value and a 64-bit index beside each."""
LATENT_CHUNK_TOKENS = 64 * 1024
"""Most cached tokens that MLA decompresses at once in prefill (vLLM v1/attention/backends/mla/common.py)."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Settings of the engine that decide about memory."""

    memory_fraction: float = MEMORY_FRACTION
    batch_tokens: int | None = None
    """Most tokens of one step; the accelerator's default if None."""


@dataclass(frozen=True, kw_only=True)
class RankMemory:
    """What one rank of a pipeline stage holds, GiB by kind, and the tokens that its KV cache has room for."""

    weights: Mapping[str, float]
    buffers_gib: float
    activations_gib: float
    graphs_gib: float
    collectives_gib: float
    libraries_gib: float
    budget_gib: float
    kv_bytes_per_token: float

    @property
    def weights_gib(self) -> float:
        """Parameters, and tables that are made from them when they are loaded."""
        return sum(self.weights.values()) + self.buffers_gib

    @property
    def fixed_gib(self) -> float:
        """What is neither weights nor KV cache, within the budget."""
        return self.activations_gib + self.collectives_gib + self.libraries_gib

    @property
    def kv_gib(self) -> float:
        return max(0.0, self.budget_gib - self.weights_gib - self.fixed_gib)

    @property
    def kv_tokens(self) -> int:
        """Whole blocks of tokens."""
        return int(self.kv_gib * GIB / self.kv_bytes_per_token) // BLOCK_TOKENS * BLOCK_TOKENS


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What the ranks of a replica hold, by pipeline stage, and whether that is enough for what is asked."""

    layout: Layout
    hbm_gib: float
    ranks: tuple[RankMemory, ...]

    @property
    def fullest(self) -> RankMemory:
        return min(self.ranks, key=lambda rank: (rank.kv_tokens, -rank.weights_gib))

    @property
    def rank_tokens(self) -> int:
        """KV cache tokens of one data-parallel rank: a sequence lies within it."""
        return self.fullest.kv_tokens

    @property
    def kv_tokens(self) -> int:
        """KV cache tokens of the replica."""
        return self.rank_tokens * self.layout.data_parallel

    @property
    def wanted_tokens(self) -> int:
        return self.layout.context_tokens * self.layout.concurrency

    @property
    def fits(self) -> bool:
        """True where each data-parallel rank has room for at least one sequence of full length."""
        return self.rank_tokens >= self.layout.context_tokens

    @property
    def full(self) -> bool:
        """True where every sequence in flight has room at full length."""
        return self.rank_tokens >= self.layout.context_tokens * self.layout.sequences

    @property
    def full_sequences(self) -> int:
        """Sequences of full length that the replica has room for."""
        return self.rank_tokens // self.layout.context_tokens * self.layout.data_parallel

    @property
    def short_gib(self) -> float:
        """What is missing on the fullest rank for one sequence of full length, GiB; 0 where it fits."""
        rank = max(self.ranks, key=lambda r: self._needed_gib(r) - r.budget_gib)
        return max(0.0, self._needed_gib(rank) - rank.budget_gib)

    def _needed_gib(self, rank: RankMemory) -> float:
        blocks = -(-self.layout.context_tokens // BLOCK_TOKENS) * BLOCK_TOKENS
        return rank.weights_gib + rank.fixed_gib + blocks * rank.kv_bytes_per_token / GIB


def fit(model: ModelRow, accelerator: AcceleratorRow, layout: Layout, engine: Engine | None = None) -> Fit:
    """The memory of every stage's ranks. The layout must be legal (`illegal` is empty)."""
    used = engine or Engine()
    stages = range(layout.pipeline_parallel)
    ranks = tuple(_rank(model, accelerator, layout, stage, used) for stage in stages)
    return Fit(layout=layout, hbm_gib=accelerator.hbm_gib, ranks=ranks)


def _rank(model: ModelRow, accelerator: AcceleratorRow, layout: Layout, stage: int, engine: Engine) -> RankMemory:
    layers = len(stage_layers(model, layout)[stage])
    graphs = GRAPHS_GIB_PER_LAYER * layers
    outside = accelerator.hbm_gib - CONTEXT_GIB - graphs
    return RankMemory(
        weights={kind: size / GIB for kind, size in weight_bytes(model, layout, stage).items()},
        buffers_gib=buffer_bytes(model, layout, layers) / GIB,
        activations_gib=activation_bytes(model, layout, stage, engine.batch_tokens or accelerator.batch_tokens) / GIB,
        graphs_gib=graphs,
        collectives_gib=collectives_gib(layout),
        libraries_gib=LIBRARIES_GIB,
        budget_gib=min(accelerator.hbm_gib * engine.memory_fraction, outside),
        kv_bytes_per_token=kv_bytes_per_token(model, layout, layers),
    )


def weight_bytes(model: ModelRow, layout: Layout, stage: int) -> dict[str, float]:
    """Bytes of parameters on one rank of a stage, by kind."""
    return dict(_weight_bytes(model, layout, stage))


@lru_cache(maxsize=4096)
def _weight_bytes(model: ModelRow, layout: Layout, stage: int) -> tuple[tuple[str, float], ...]:
    """Remembered, for the same layouts are asked for on every kind of GPU."""
    quantised = stored(layout.precision, model.quantised).bytes_per_weight
    small = max(quantised, BYTES_UNQUANTISED)
    kept = _kept_shares(model, layout, stage)
    sizes = dict[str, float]()
    for part, share, _ in held_by_rank(model, layout, stage):
        whole = kept.get(part.kind, 0.0) if part.quantised else 1.0
        each = whole * small + (1 - whole) * quantised
        sizes[part.kind] = sizes.get(part.kind, 0.0) + part.parameters * float(share) * each
    return tuple(sizes.items())


def _kept_shares(model: ModelRow, layout: Layout, stage: int) -> dict[str, float]:
    """{kind: share of it that a checkpoint keeps in 16 bits}; all layers that it keeps may be of one stage."""
    if model.quantised is None or model.quantised.precision != layout.precision:
        return {}
    layers = stage_layers(model, layout)[stage]
    dense = max(0, min(layers.stop, model.dense_layers) - layers.start)
    own = {"attention": len(layers), "feed-forward": dense}
    return {
        kind: min(1.0, count / max(1, own.get(kind, len(layers) - dense)))
        for kind, count in model.quantised.kept_layers
    }


def buffer_bytes(model: ModelRow, layout: Layout, layers: int) -> float:
    """Tables that a rank makes when it loads: rotary angles for every position, and for MLA the up-projections of the
    cache once more, in the form that decoding multiplies with (vLLM v1/attention/backends/mla/common.py)."""
    each = compute_bytes(layout.precision)
    rotary = model.max_context_tokens * model.rotary_dim * each
    if model.mla is None:
        return rotary
    heads = model.heads / layout.tensor_parallel
    up = model.mla.kv_lora_rank * heads * (model.mla.qk_nope_head_dim + model.mla.v_head_dim)
    return rotary + layers * up * each


def activation_bytes(model: ModelRow, layout: Layout, stage: int, tokens: int) -> float:
    """The peak while `tokens` tokens run through a stage: the larger of a layer and of sampling, and expert scratch.

    A layer: tokens x (3 x feed-forward width / TP + 3 x hidden) values: gate, up and their product; the residual, the
    normalised and the new hidden state. MLA also decompresses a chunk of the cache: tokens x heads x (key + value).
    Sampling: sequences x vocabulary x (logit + fp32 copy + 8-byte index), on the last stage.
    Experts: tokens x experts a token takes x (hidden + 2 x expert width / ranks) values, kept from then on.
    """
    each = compute_bytes(layout.precision)
    hidden = tokens * model.hidden * each
    layer = tokens * 3 * _width(model) / layout.tensor_parallel * each + 3 * hidden
    if model.mla:
        heads = model.heads / layout.tensor_parallel
        chunk = min(LATENT_CHUNK_TOKENS, layout.context_tokens * layout.sequences)
        layer += chunk * heads * (model.mla.qk_nope_head_dim + model.mla.v_head_dim) * each
    sampling = layout.sequences * model.vocab * (each + 4 + INDEX_BYTES) + hidden
    last = stage == layout.pipeline_parallel - 1
    return (max(layer, sampling) if last else layer) + SCRATCH_BYTES + _expert_scratch(model, layout, tokens) * each


def _width(model: ModelRow) -> int:
    """Width of the widest feed-forward block that every token takes."""
    shared = model.moe.shared * model.moe.intermediate if model.moe else 0
    return max(model.intermediate if model.dense_layers else 0, shared)


def _expert_scratch(model: ModelRow, layout: Layout, tokens: int) -> float:
    """Values that the fused experts keep as scratch on a rank.

    The tokens of all data-parallel ranks pass through, dispatched evenly where whole experts are spread over them.
    """
    if model.moe is None:
        return 0.0
    slices = 1 if layout.expert_parallel else layout.expert_ranks
    dispatched = layout.expert_parallel and layout.data_parallel > 1
    routed = tokens * layout.data_parallel * model.moe.top_k / (layout.expert_ranks if dispatched else 1)
    return routed * (model.hidden + 2 * model.moe.intermediate / slices)


def collectives_gib(layout: Layout) -> float:
    """GiB of communication buffers on a rank; handing over to the next pipeline stage takes next to nothing."""
    ranks = layout.expert_ranks
    return COLLECTIVES_GIB[max(size for size in COLLECTIVES_GIB if size <= ranks)]


def kv_bytes_per_token(model: ModelRow, layout: Layout, layers: int) -> float:
    """Bytes of KV cache that one token takes on one rank that runs `layers` layers.

    MHA and GQA: 2 (key and value) x layers x KV heads x head_dim x bytes; a rank holds at least one KV head
    (vLLM replicates heads where tensor_parallel exceeds them).
    MLA: layers x (kv_lora_rank + qk_rope_head_dim) x bytes, whole on every tensor rank (DeepSeek-V2, arXiv 2405.04434,
    section 2.1.4 and table 1).
    """
    if model.mla:
        return layers * (model.mla.kv_lora_rank + model.mla.qk_rope_head_dim) * layout.kv_bytes
    heads = -(-model.kv_heads // layout.tensor_parallel)
    return 2 * layers * heads * model.head_dim * layout.kv_bytes
