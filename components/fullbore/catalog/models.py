"""Models: the figures of their published `config.json` that decide how much memory they take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Mla:
    """Multi-head latent attention: the cache holds one compressed vector and one rotary key a token and layer."""

    q_lora_rank: int
    kv_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int


@dataclass(frozen=True, kw_only=True)
class Moe:
    """Mixture of experts, from layer `first_k_dense` on."""

    routed: int
    shared: int
    intermediate: int
    first_k_dense: int
    gate_bias: bool


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
    tied_embeddings: bool = False
    mla: Mla | None = None
    moe: Moe | None = None

    @property
    def attention(self) -> str:
        if self.mla:
            return "MLA"
        return "MHA" if self.kv_heads == self.heads else "GQA"


def _llama(name: str, source: str, *, context: int, big: bool) -> ModelRow:
    return ModelRow(
        name=name,
        source=source,
        layers=80 if big else 32,
        hidden=8192 if big else 4096,
        intermediate=28672 if big else 14336,
        heads=64 if big else 32,
        kv_heads=8,
        head_dim=128,
        vocab=128_256,
        max_context_tokens=context,
    )


def _qwen2(
    name: str, *, layers: int, hidden: int, intermediate: int, heads: int, kv_heads: int, vocab: int
) -> ModelRow:
    return ModelRow(
        name=name,
        source=f"huggingface.co/deepseek-ai/{_HUB[name]}/blob/main/config.json",
        layers=layers,
        hidden=hidden,
        intermediate=intermediate,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=128,
        vocab=vocab,
        max_context_tokens=131_072,
        qkv_bias=True,
    )


_HUB = {
    "deepseek-r1-distill-qwen-1.5b": "DeepSeek-R1-Distill-Qwen-1.5B",
    "deepseek-r1-distill-qwen-7b": "DeepSeek-R1-Distill-Qwen-7B",
    "deepseek-r1-distill-qwen-14b": "DeepSeek-R1-Distill-Qwen-14B",
    "deepseek-r1-distill-qwen-32b": "DeepSeek-R1-Distill-Qwen-32B",
}

_ROWS = (
    ModelRow(
        name="deepseek-r1-671b",
        source="huggingface.co/deepseek-ai/DeepSeek-R1/blob/main/config.json",
        layers=61,
        hidden=7168,
        intermediate=18_432,
        heads=128,
        kv_heads=128,
        head_dim=192,
        vocab=129_280,
        max_context_tokens=163_840,
        mla=Mla(q_lora_rank=1536, kv_lora_rank=512, qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128),
        moe=Moe(routed=256, shared=1, intermediate=2048, first_k_dense=3, gate_bias=True),
    ),
    _qwen2(
        "deepseek-r1-distill-qwen-1.5b",
        layers=28,
        hidden=1536,
        intermediate=8960,
        heads=12,
        kv_heads=2,
        vocab=151_936,
    ),
    _qwen2(
        "deepseek-r1-distill-qwen-7b",
        layers=28,
        hidden=3584,
        intermediate=18_944,
        heads=28,
        kv_heads=4,
        vocab=152_064,
    ),
    _qwen2(
        "deepseek-r1-distill-qwen-14b",
        layers=48,
        hidden=5120,
        intermediate=13_824,
        heads=40,
        kv_heads=8,
        vocab=152_064,
    ),
    _qwen2(
        "deepseek-r1-distill-qwen-32b",
        layers=64,
        hidden=5120,
        intermediate=27_648,
        heads=40,
        kv_heads=8,
        vocab=152_064,
    ),
    _llama(
        "deepseek-r1-distill-llama-8b",
        "huggingface.co/deepseek-ai/DeepSeek-R1-Distill-Llama-8B/blob/main/config.json",
        context=131_072,
        big=False,
    ),
    _llama(
        "deepseek-r1-distill-llama-70b",
        "huggingface.co/deepseek-ai/DeepSeek-R1-Distill-Llama-70B/blob/main/config.json",
        context=131_072,
        big=True,
    ),
    _llama("llama-3-8b", "huggingface.co/meta-llama/Meta-Llama-3-8B/blob/main/config.json", context=8192, big=False),
    _llama("llama-3-70b", "huggingface.co/meta-llama/Meta-Llama-3-70B/blob/main/config.json", context=8192, big=True),
)

MODELS = {row.name: row for row in _ROWS}
