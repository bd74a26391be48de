"""Which fields of a Hugging Face `config.json` decide a model's shape, its context or how its weights are stored.

Written from the configuration classes of `transformers` (src/transformers/models/*/configuration_*.py) and its page on
quantisation, not from what the catalog reads, so that a field which the catalog forgot is found. What is not named here
(token ids, dropout, a version, a kernel's format) changes no memory, or no architecture of its type has it.
"""

from collections.abc import Mapping
from typing import Any

EVERY = {
    *("model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("num_key_value_heads", "vocab_size", "max_position_embeddings", "tie_word_embeddings"),
    *("rope_scaling", "quantization_config"),
}
MOE = {"num_experts_per_tok"}
OF_TYPE: dict[str, set[str]] = {
    "llama": {"head_dim", "attention_bias", "mlp_bias"},
    "mistral": {"head_dim", "attention_bias", "mlp_bias"},  # vLLM runs it as Llama (models/llama.py)
    "mixtral": {"head_dim", "num_local_experts", *MOE},
    "qwen2": set(),
    "qwen3": {"head_dim", "attention_bias"},
    "qwen3_moe": {
        *("head_dim", "attention_bias", "num_experts", "moe_intermediate_size", "mlp_only_layers"),
        *("decoder_sparse_step", *MOE),
    },
    "deepseek_v3": {
        *("q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "n_routed_experts"),
        *("n_shared_experts", "moe_intermediate_size", "first_k_dense_replace", "moe_layer_freq", "topk_method"),
        *("attention_bias", *MOE),
    },
}
SCALED_BY = {"yarn": {"rope_type", "type", "factor", "original_max_position_embeddings"}}
"""Of `rope_scaling`, where it stretches positions beyond what `max_position_embeddings` counts."""
WITHIN = {
    "quantization_config": {
        *("quant_method", "bits", "group_size", "weight_block_size", "config_groups"),
        *("modules_to_not_convert", "ignored_layers", "ignore"),
    },
}
WITHIN_GROUPS = {"weights", "num_bits", "type", "group_size"}
"""Of `quantization_config.config_groups`, whatever the groups are called."""


def decides(config: Mapping[str, Any], path: tuple[str | int, ...]) -> bool:
    """Whether what stands at a path of the file is to be told when it changes."""
    names = [part for part in path if isinstance(part, str)]
    if not names:
        return True
    if names[0] not in EVERY | OF_TYPE[config["model_type"]]:
        return False
    if "config_groups" in names[:2] and len(names) > 2:
        return len(names) == 3 or set(names[3:]) <= WITHIN_GROUPS
    if names[0] == "rope_scaling" and len(names) > 1:
        return names[1] in SCALED_BY.get(_kind(config), {"rope_type", "type"})
    return len(names) == 1 or names[1] in WITHIN.get(names[0], set())


def _kind(config: Mapping[str, Any]) -> str:
    scaling = config["rope_scaling"]
    return scaling.get("rope_type", scaling.get("type"))
