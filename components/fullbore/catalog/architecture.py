"""What of a decoder-only transformer decides its memory and speed: its shapes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Mla:
    """Multi-head latent attention: the cache holds one compressed vector and one rotary key a token and layer.

    `q_lora_rank` is None where queries are not compressed (DeepSeek-V2-Lite).
    """

    q_lora_rank: int | None
    kv_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int


@dataclass(frozen=True, kw_only=True)
class Moe:
    """Mixture of experts, from layer `first_k_dense` on; a token takes `top_k` of the routed and all shared experts."""

    routed: int
    shared: int
    top_k: int
    intermediate: int
    first_k_dense: int = 0
    gate_bias: bool = False


@dataclass(frozen=True, kw_only=True)
class Quantised:
    """How a checkpoint is quantised: a precision of the catalog, and the neighbouring weights, of so many rows, that
    share a scale; `group` is None where a whole channel or matrix does. `kept` names modules that are not quantised,
    beside those that are counted so of every model, and `kept_layers` says of how many layers at most, by kind of part.
    """

    precision: str
    group: int | None
    rows: int = 1
    kept: tuple[str, ...] = ()
    kept_layers: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class ModelRow:
    """One decoder-only transformer; the names are those of a Hugging Face configuration, shortened."""

    name: str
    source: str
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    max_context_tokens: int
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    tied_embeddings: bool = False
    mla: Mla | None = None
    moe: Moe | None = None
    quantised: Quantised | None = None
    """What the checkpoint says of itself; None where it says nothing, and holds what its `torch_dtype` says."""

    @property
    def attention(self) -> str:
        if self.mla:
            return "MLA"
        return "MHA" if self.kv_heads == self.heads else "GQA"

    @property
    def rotary_dim(self) -> int:
        return self.mla.qk_rope_head_dim if self.mla else self.head_dim

    @property
    def dense_layers(self) -> int:
        """Layers with one feed-forward block for all tokens."""
        return self.moe.first_k_dense if self.moe else self.layers
