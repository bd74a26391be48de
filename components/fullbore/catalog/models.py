"""Models: their published `config.json`, field by field, and nothing else: what they hold is computed from it."""

from __future__ import annotations

from fullbore.catalog.architecture import Mla, ModelRow, Moe
from fullbore.catalog.hub import Config, model_row

__all__ = ["MODELS", "Mla", "ModelRow", "Moe"]

_DEEPSEEK_V3: Config = {
    "model_type": "deepseek_v3",
    "num_hidden_layers": 61,
    "hidden_size": 7168,
    "intermediate_size": 18_432,
    "moe_intermediate_size": 2048,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "first_k_dense_replace": 3,
    "topk_method": "noaux_tc",
    "vocab_size": 129_280,
    "max_position_embeddings": 163_840,
}


def _llama(layers: int, hidden: int, intermediate: int, heads: int, context: int) -> Config:
    return {
        "model_type": "llama",
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_attention_heads": heads,
        "num_key_value_heads": 8,
        "vocab_size": 128_256,
        "max_position_embeddings": context,
    }


def _qwen2(layers: int, hidden: int, intermediate: int, heads: int, kv_heads: int, vocab: int = 152_064) -> Config:
    return {
        "model_type": "qwen2",
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": vocab,
        "max_position_embeddings": 131_072,
    }


def _qwen3(layers: int, hidden: int, intermediate: int, heads: int, *, tied: bool = False) -> Config:
    return {
        "model_type": "qwen3",
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_attention_heads": heads,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151_936,
        "max_position_embeddings": 40_960,
        "tie_word_embeddings": tied,
    }


def _qwen3_moe(layers: int, hidden: int, intermediate: int, expert: int, heads: int) -> Config:
    return {
        **_qwen3(layers, hidden, intermediate, heads),
        "model_type": "qwen3_moe",
        "num_key_value_heads": 4,
        "moe_intermediate_size": expert,
        "num_experts": 128,
        "num_experts_per_tok": 8,
    }


def _mixtral(layers: int, hidden: int, intermediate: int, heads: int, context: int) -> Config:
    return {
        "model_type": "mixtral",
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_attention_heads": heads,
        "num_key_value_heads": 8,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
        "vocab_size": 32_000,
        "max_position_embeddings": context,
    }


_LLAMA_8B, _LLAMA_70B = (32, 4096, 14_336, 32), (80, 8192, 28_672, 64)

_PUBLISHED: tuple[tuple[str, str, Config], ...] = (
    ("deepseek-v3-671b", "deepseek-ai/DeepSeek-V3", _DEEPSEEK_V3),
    ("deepseek-r1-671b", "deepseek-ai/DeepSeek-R1", _DEEPSEEK_V3),
    (
        "deepseek-r1-distill-qwen-1.5b",
        "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B",
        _qwen2(28, 1536, 8960, 12, 2, vocab=151_936),
    ),
    ("deepseek-r1-distill-qwen-7b", "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", _qwen2(28, 3584, 18_944, 28, 4)),
    ("deepseek-r1-distill-qwen-14b", "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B", _qwen2(48, 5120, 13_824, 40, 8)),
    ("deepseek-r1-distill-qwen-32b", "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", _qwen2(64, 5120, 27_648, 40, 8)),
    ("deepseek-r1-distill-llama-8b", "deepseek-ai/DeepSeek-R1-Distill-Llama-8B", _llama(*_LLAMA_8B, context=131_072)),
    (
        "deepseek-r1-distill-llama-70b",
        "deepseek-ai/DeepSeek-R1-Distill-Llama-70B",
        _llama(*_LLAMA_70B, context=131_072),
    ),
    ("llama-3-8b", "meta-llama/Meta-Llama-3-8B", _llama(*_LLAMA_8B, context=8192)),
    ("llama-3-70b", "meta-llama/Meta-Llama-3-70B", _llama(*_LLAMA_70B, context=8192)),
    ("llama-3.1-8b", "meta-llama/Llama-3.1-8B", _llama(*_LLAMA_8B, context=131_072)),
    ("llama-3.1-70b", "meta-llama/Llama-3.1-70B", _llama(*_LLAMA_70B, context=131_072)),
    ("qwen3-0.6b", "Qwen/Qwen3-0.6B", _qwen3(28, 1024, 3072, 16, tied=True)),
    ("qwen3-1.7b", "Qwen/Qwen3-1.7B", _qwen3(28, 2048, 6144, 16, tied=True)),
    ("qwen3-4b", "Qwen/Qwen3-4B", _qwen3(36, 2560, 9728, 32, tied=True)),
    ("qwen3-8b", "Qwen/Qwen3-8B", _qwen3(36, 4096, 12_288, 32)),
    ("qwen3-14b", "Qwen/Qwen3-14B", _qwen3(40, 5120, 17_408, 40)),
    ("qwen3-32b", "Qwen/Qwen3-32B", _qwen3(64, 5120, 25_600, 64)),
    ("qwen3-30b-a3b", "Qwen/Qwen3-30B-A3B", _qwen3_moe(48, 2048, 6144, 768, 32)),
    ("qwen3-235b-a22b", "Qwen/Qwen3-235B-A22B", _qwen3_moe(94, 4096, 12_288, 1536, 64)),
    ("mixtral-8x7b", "mistralai/Mixtral-8x7B-v0.1", _mixtral(32, 4096, 14_336, 32, 32_768)),
    ("mixtral-8x22b", "mistralai/Mixtral-8x22B-v0.1", _mixtral(56, 6144, 16_384, 48, 65_536)),
)

MODELS = {
    name: model_row(name, f"huggingface.co/{repository}/blob/main/config.json", config)
    for name, repository, config in _PUBLISHED
}
