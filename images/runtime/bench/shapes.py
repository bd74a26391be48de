"""Shapes of published models, and folders that an engine can load: config.json, a tokenizer, weights if asked for.

The shapes are those of the models' config.json; the weights are random, so that nothing has to be downloaded.
"""

from __future__ import annotations

import json
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

Config = dict[str, Any]


def _qwen3(layers: int, hidden: int, intermediate: int, heads: int, kv_heads: int = 8) -> Config:
    return {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": hidden,
        "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": 128,
        "intermediate_size": intermediate, "vocab_size": 151_936, "hidden_act": "silu", "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000, "max_position_embeddings": 40_960, "tie_word_embeddings": False,
        "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": 151_643, "eos_token_id": 151_645,
        "torch_dtype": "float16", "use_cache": True, "initializer_range": 0.02,
    }  # fmt: skip


SHAPES: dict[str, Config] = {
    "qwen3-8b": _qwen3(36, 4096, 12_288, 32),
    "qwen3-14b": _qwen3(40, 5120, 17_408, 40),
    "qwen3-30b-a3b": {
        **_qwen3(48, 2048, 6144, 32, 4), "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe",
        "moe_intermediate_size": 768, "num_experts": 128, "num_experts_per_tok": 8, "norm_topk_prob": True,
        "decoder_sparse_step": 1, "mlp_only_layers": [], "router_aux_loss_coef": 0.001, "torch_dtype": "bfloat16",
    },
    "llama-3.1-8b": {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14_336, "vocab_size": 128_256,
        "hidden_act": "silu", "rms_norm_eps": 1e-5, "rope_theta": 500_000.0, "max_position_embeddings": 131_072,
        "tie_word_embeddings": False, "attention_bias": False, "mlp_bias": False, "bos_token_id": 128_000,
        "eos_token_id": 128_001, "torch_dtype": "bfloat16", "initializer_range": 0.02,
    },
    "deepseek-v2-lite": {
        "architectures": ["DeepseekV2ForCausalLM"], "model_type": "deepseek_v2", "hidden_size": 2048,
        "num_hidden_layers": 27, "num_attention_heads": 16, "num_key_value_heads": 16, "intermediate_size": 10_944,
        "moe_intermediate_size": 1408, "n_routed_experts": 64, "n_shared_experts": 2, "num_experts_per_tok": 6,
        "first_k_dense_replace": 1, "moe_layer_freq": 1, "n_group": 1, "topk_group": 1, "topk_method": "greedy",
        "scoring_func": "softmax", "norm_topk_prob": False, "routed_scaling_factor": 1.0, "kv_lora_rank": 512,
        "q_lora_rank": None, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
        "vocab_size": 102_400, "hidden_act": "silu", "rms_norm_eps": 1e-6, "rope_theta": 10_000,
        "max_position_embeddings": 163_840, "attention_bias": False, "attention_dropout": 0.0,
        "tie_word_embeddings": False, "bos_token_id": 100_000, "eos_token_id": 100_001, "torch_dtype": "bfloat16",
        "initializer_range": 0.02, "rope_scaling": {
            "type": "yarn", "factor": 40, "beta_fast": 32, "beta_slow": 1, "mscale": 0.707, "mscale_all_dim": 0.707,
            "original_max_position_embeddings": 4096,
        },
    },
}  # fmt: skip


def folder(path: Path, config: Config) -> Path:
    """A folder with config.json, a tokenizer of numbered words, and a shard without tensors: for dummy weights."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(config))
    words = {f"w{number}": number for number in range(config["vocab_size"])}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": words, "unk_token": "w0"},
    }  # fmt: skip
    (path / "tokenizer.json").write_text(json.dumps(tokenizer))
    named = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "w0", "model_max_length": 10**9}
    (path / "tokenizer_config.json").write_text(json.dumps(named))
    empty = b"{}      "
    (path / "model.safetensors").write_bytes(struct.pack("<Q", len(empty)) + empty)
    return path


def qwen3_tensors(config: Config) -> dict[str, tuple[int, ...]]:
    """{name in a checkpoint: shape} of a dense Qwen3."""
    hidden, wide, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (config["vocab_size"], hidden)}
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        found |= {
            f"{at}input_layernorm.weight": (hidden,), f"{at}post_attention_layernorm.weight": (hidden,),
            f"{at}self_attn.q_proj.weight": (queries, hidden), f"{at}self_attn.k_proj.weight": (keys, hidden),
            f"{at}self_attn.v_proj.weight": (keys, hidden), f"{at}self_attn.o_proj.weight": (hidden, queries),
            f"{at}self_attn.q_norm.weight": (head,), f"{at}self_attn.k_norm.weight": (head,),
            f"{at}mlp.gate_proj.weight": (wide, hidden), f"{at}mlp.up_proj.weight": (wide, hidden),
            f"{at}mlp.down_proj.weight": (hidden, wide),
        }  # fmt: skip
    return found | {"model.norm.weight": (hidden,), "lm_head.weight": (config["vocab_size"], hidden)}


def checkpoint(path: Path, config: Config, shards: int = 8) -> int:
    """Random FP16 weights of a dense Qwen3 in `shards` files of like size, with manifest.json. Returns their bytes."""
    import torch
    from safetensors.torch import save_file

    from fullbore_runtime.manifest import MANIFEST, VERSION, file_sha256

    folder(path, config)
    (path / "model.safetensors").unlink()
    tensors = qwen3_tensors(config)
    parts: list[dict[str, tuple[int, ...]]] = [{} for _ in range(shards)]
    sizes = [0] * shards
    for name, shape in sorted(tensors.items(), key=lambda item: -torch.Size(item[1]).numel()):
        at = sizes.index(min(sizes))
        parts[at][name] = shape
        sizes[at] += 2 * torch.Size(shape).numel()

    def write(at: int) -> tuple[str, str]:
        name = f"model-{at + 1:05d}-of-{shards:05d}.safetensors"
        made = {key: drawn(shape) for key, shape in parts[at].items()}
        save_file(made, path / name, metadata={"format": "pt"})
        return name, file_sha256(path / name)

    def drawn(shape: tuple[int, ...]) -> torch.Tensor:
        if len(shape) == 1:
            return torch.ones(shape, dtype=torch.float16)
        return torch.empty(shape, dtype=torch.float16, device="cuda").uniform_(-0.02, 0.02).cpu()

    torch.manual_seed(0)
    with ThreadPoolExecutor(shards) as pool:
        digests = dict(pool.map(write, range(shards)))
    index = {name: f"model-{at + 1:05d}-of-{shards:05d}.safetensors" for at in range(shards) for name in parts[at]}
    (path / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": sum(sizes)}, "weight_map": index})
    )
    manifest = {"version": VERSION, "name": path.name, "shards": digests}
    (path / MANIFEST).write_text(json.dumps(manifest))
    return sum(sizes)
