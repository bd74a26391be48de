"""From a Hugging Face `config.json` to a row: which fields each architecture has, and what is wrong with a file.

Field names and defaults are those of `transformers` (src/transformers/models/*/configuration_*.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import cast

from fullbore.catalog.architecture import Mla, ModelRow, Moe, Quantised
from fullbore.catalog.unquantised import kept_layers

Config = Mapping[str, object]


class HubConfigError(Exception):
    """A configuration that makes no row; `reasons` says each thing that is wrong."""

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class _Fields:
    """Reads fields of a configuration and collects what is wrong with them."""

    def __init__(self, config: Config) -> None:
        self.config, self.reasons = config, list[str]()

    def count(self, name: str, default: int | None = None, most: int = 2**40) -> int:
        """A whole number of at least 1 and at most `most`; 1 where it is wrong, so that reading goes on."""
        value = self.config.get(name, default)
        if value is None:
            self.reasons.append(f"{name} is missing")
        elif not _is_count(value, most + 1):
            upper = f" and at most {most}" if most < 2**40 else ""
            self.reasons.append(f"{name}: got {str(value)[:40]!r}, allowed a whole number of at least 1{upper}")
        else:
            return cast("int", value)
        return 1

    def from_zero(self, name: str) -> int:
        """A whole number of at least 0; 0 where it is not given."""
        return 0 if self.config.get(name) in (None, 0) else self.count(name)

    def section(self, *names: str) -> Config | None:
        """The first of these mappings that the file has; None where it has none."""
        for name in names:
            value = self.config.get(name)
            if isinstance(value, Mapping):
                return cast("Config", value)
            if value is not None:
                self.reasons.append(f"{name}: got {str(value)[:40]!r}, allowed a mapping")
        return None

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.config.get(name, default)
        if not isinstance(value, bool):
            self.reasons.append(f"{name}: got {str(value)[:40]!r}, allowed true or false")
        return value is True


def model_row(name: str, source: str, config: Config) -> ModelRow:
    """The row of a `config.json`. Raises HubConfigError with every reason at once."""
    kind = config.get("model_type")
    reader = _ARCHITECTURES.get(kind) if isinstance(kind, str) else None
    if reader is None:
        known = ", ".join(sorted(_ARCHITECTURES))
        got = "is missing" if kind is None else f"got {str(kind)[:40]!r}"
        raise HubConfigError((f"model_type {got}, allowed {known}",))
    fields = _Fields(config)
    row = reader(name, source, fields)
    reasons = (*fields.reasons, *_contradictions(row))
    if reasons:
        raise HubConfigError(reasons)
    return replace(row, quantised=_counted(row, row.quantised)) if row.quantised else row


def _counted(row: ModelRow, found: Quantised) -> Quantised:
    """With those names alone that keep weights which are quantised otherwise, and how many layers of each kind."""
    names, layers = kept_layers(found.kept, row.layers, row.dense_layers)
    return replace(found, kept=names, kept_layers=tuple(layers.items()))


def _contradictions(row: ModelRow) -> tuple[str, ...]:
    found = list[str]()
    if row.kv_heads > row.heads or row.heads % row.kv_heads:
        found.append(f"num_key_value_heads: got {row.kv_heads}, allowed a divisor of the {row.heads} attention heads")
    if row.moe and row.moe.top_k > row.moe.routed:
        found.append(f"num_experts_per_tok: got {row.moe.top_k}, but there are {row.moe.routed} experts")
    if row.moe and row.moe.first_k_dense > row.layers:
        found.append(f"first_k_dense_replace: got {row.moe.first_k_dense}, but there are {row.layers} layers")
    return tuple(found)


def _dense(name: str, source: str, fields: _Fields) -> ModelRow:
    """Llama and Mistral: one feed-forward block a layer, biases only where the file says so."""
    bias = fields.flag("attention_bias")
    return _row(name, source, fields, qkv_bias=bias, output_bias=bias, mlp_bias=fields.flag("mlp_bias"))


def _qwen2(name: str, source: str, fields: _Fields) -> ModelRow:
    """Qwen2: queries, keys and values always have a bias (modeling_qwen2.py)."""
    return _row(name, source, fields, qkv_bias=True)


def _qwen3(name: str, source: str, fields: _Fields) -> ModelRow:
    """Qwen3: queries and keys are normalised over a head (modeling_qwen3.py)."""
    bias = fields.flag("attention_bias")
    return _row(name, source, fields, qkv_bias=bias, output_bias=bias, qk_norm=True)


def _qwen3_moe(name: str, source: str, fields: _Fields) -> ModelRow:
    if fields.config.get("mlp_only_layers") or fields.config.get("decoder_sparse_step", 1) != 1:
        fields.reasons.append("decoder_sparse_step and mlp_only_layers: allowed 1 and []; dense layers between experts")
    moe = Moe(
        routed=fields.count("num_experts"),
        shared=0,
        top_k=fields.count("num_experts_per_tok"),
        intermediate=fields.count("moe_intermediate_size"),
    )
    bias = fields.flag("attention_bias")
    return _row(name, source, fields, qkv_bias=bias, output_bias=bias, qk_norm=True, moe=moe)


def _mixtral(name: str, source: str, fields: _Fields) -> ModelRow:
    moe = Moe(
        routed=fields.count("num_local_experts"),
        shared=0,
        top_k=fields.count("num_experts_per_tok"),
        intermediate=fields.count("intermediate_size"),
    )
    return _row(name, source, fields, moe=moe)


def _deepseek(name: str, source: str, fields: _Fields) -> ModelRow:
    """DeepSeek-V2, V3 and Kimi K2, whose weights are of DeepSeek-V3's shape (MoonshotAI/Kimi-K2
    docs/deploy_guidance.md); multi-token prediction layers, which serving drops, are not counted in `layers`."""
    mla = Mla(
        q_lora_rank=fields.from_zero("q_lora_rank") or None,
        kv_lora_rank=fields.count("kv_lora_rank"),
        qk_nope_head_dim=fields.count("qk_nope_head_dim"),
        qk_rope_head_dim=fields.count("qk_rope_head_dim"),
        v_head_dim=fields.count("v_head_dim"),
    )
    moe = Moe(
        routed=fields.count("n_routed_experts"),
        shared=fields.from_zero("n_shared_experts"),
        top_k=fields.count("num_experts_per_tok"),
        intermediate=fields.count("moe_intermediate_size"),
        first_k_dense=fields.from_zero("first_k_dense_replace"),
        gate_bias=fields.config.get("topk_method") == "noaux_tc",
    )
    if fields.config.get("moe_layer_freq", 1) != 1:
        fields.reasons.append("moe_layer_freq: allowed 1; dense layers between experts are not known here")
    bias = fields.flag("attention_bias")
    head_dim = mla.qk_nope_head_dim + mla.qk_rope_head_dim
    return _row(name, source, fields, head_dim=head_dim, qkv_bias=bias, output_bias=bias, mla=mla, moe=moe)


def _row(
    name: str,
    source: str,
    fields: _Fields,
    *,
    head_dim: int | None = None,
    qkv_bias: bool = False,
    output_bias: bool = False,
    mlp_bias: bool = False,
    qk_norm: bool = False,
    mla: Mla | None = None,
    moe: Moe | None = None,
) -> ModelRow:
    """The fields that every architecture has."""
    hidden, heads = fields.count("hidden_size"), fields.count("num_attention_heads")
    given = fields.config.get("head_dim") is not None
    return ModelRow(
        name=name,
        source=source,
        layers=fields.count("num_hidden_layers", most=MOST_LAYERS),
        hidden=hidden,
        intermediate=fields.count("intermediate_size"),
        heads=heads,
        kv_heads=fields.count("num_key_value_heads", heads),
        head_dim=head_dim or (fields.count("head_dim") if given else max(1, hidden // heads)),
        vocab=fields.count("vocab_size"),
        max_context_tokens=_context(fields),
        qkv_bias=qkv_bias,
        output_bias=output_bias,
        mlp_bias=mlp_bias,
        qk_norm=qk_norm,
        tied_embeddings=fields.flag("tie_word_embeddings"),
        mla=mla,
        moe=moe,
        quantised=_quantised(fields),
    )


MOST_LAYERS = 4096
"""Far more than any model has (Llama 3.1 405B: 126)."""

UNSCALED = ("default", "llama3", "longrope", "su", "mrope")
"""Kinds of rotary scaling that `max_position_embeddings` counts already."""
SCALED = ("linear", "dynamic", "yarn")
"""Kinds whose factor it does not count (transformers, modeling_rope_utils.py)."""


def _context(fields: _Fields) -> int:
    """Tokens that positions reach: the file's times the factor of its rotary scaling; YaRN's counts from the original.

    So does vLLM (vllm/config, _get_and_verify_max_len).
    """
    written = fields.count("max_position_embeddings")
    scaling = fields.section("rope_scaling", "rope_parameters") or {}
    kind, factor = scaling.get("rope_type", scaling.get("type", "default")), scaling.get("factor", 1.0)
    start = scaling.get("original_max_position_embeddings", written) if kind == "yarn" else written
    if kind in UNSCALED or factor is None:
        return written
    if kind not in SCALED:
        known = ", ".join((*UNSCALED, *SCALED))
        fields.reasons.append(f"rope_scaling.rope_type: got {str(kind)[:40]!r}, known here {known}")
    elif not isinstance(factor, int | float) or isinstance(factor, bool) or not 1 <= factor <= MOST_FACTOR:
        got = f"rope_scaling.factor: got {str(factor)[:40]!r}"
        fields.reasons.append(f"{got}, allowed a number from 1 to {MOST_FACTOR}")
    elif not _is_count(start, 2**40):
        got = f"rope_scaling.original_max_position_embeddings: got {str(start)[:40]!r}"
        fields.reasons.append(f"{got}, allowed a whole number of at least 1")
    else:
        return int(cast("int", start) * factor)
    return written


MOST_FACTOR = 1024
"""No model is stretched as far."""


def _quantised(fields: _Fields) -> Quantised | None:
    """What `quantization_config` says of the weights (docs of transformers, Quantization: AWQ, GPTQ, fine-grained FP8,
    compressed-tensors)."""
    config = fields.section("quantization_config")
    if config is None:
        return None
    found = _by_method(fields, config)
    return replace(found, kept=_kept(fields, config)) if found else None


KEPT = ("modules_to_not_convert", "ignored_layers", "ignore")
"""How AWQ and fp8, fp8 as vLLM writes it, and compressed-tensors name what they leave alone."""


def _kept(fields: _Fields, config: Config) -> tuple[str, ...]:
    names = list[str]()
    for field in KEPT:
        given = config.get(field)
        listed = cast("list[object]", given) if isinstance(given, list) else []
        texts = [name for name in listed if isinstance(name, str)]
        if given is not None and (len(texts) < len(listed) or not isinstance(given, list)):
            got = f"quantization_config.{field}: got {str(cast('object', given))[:40]!r}"
            fields.reasons.append(f"{got}, allowed a list of modules")
        names += texts
    return tuple(sorted(set(names)))


def _by_method(fields: _Fields, config: Config) -> Quantised | None:
    method = config.get("quant_method")
    for field in ("dynamic", "modules_in_block_to_quantize"):
        if method == "gptq" and config.get(field):
            got = f"quantization_config.{field}: got {str(config[field])[:40]!r}"
            fields.reasons.append(f"{got}, allowed none: which modules it quantises, and how, is not known here")
    if method in ("awq", "gptq"):
        return _grouped(fields, config.get("bits"), "int", config.get("group_size", DEFAULT_GROUP))
    if method == "fp8":
        return _blocks(fields, config.get("weight_block_size"))
    if method == "compressed-tensors":
        return _compressed(fields, config)
    known = "awq, gptq, fp8, compressed-tensors"
    fields.reasons.append(f"quantization_config.quant_method: got {str(method)[:40]!r}, known here {known}")
    return None


def _blocks(fields: _Fields, block: object) -> Quantised | None:
    """fp8 with a scale for each block of rows x weights; for each matrix or channel without blocks."""
    if block is None:
        return Quantised(precision="fp8", group=None)
    sides = cast("list[object]", block) if isinstance(block, list | tuple) else []
    counts = [int(str(side)) for side in sides if _is_count(side)]
    if len(sides) != 2 or len(counts) != 2:
        fields.reasons.append(f"weight_block_size: got {str(sides or '')[:40]!r}, allowed two whole numbers")
        return None
    return Quantised(precision="fp8", rows=counts[0], group=counts[1])


DEFAULT_GROUP = 128
"""Of AWQ and GPTQ, where the file leaves it out (transformers, AwqConfig and GPTQConfig)."""


def _is_count(value: object, beyond: int = 2**20) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < beyond


def _compressed(fields: _Fields, config: Config) -> Quantised | None:
    """The weights of the one group of compressed-tensors: bits, kind and strategy (group, channel, tensor, block)."""
    groups = config.get("config_groups")
    given_groups = list(cast("Config", groups).values()) if isinstance(groups, Mapping) else []
    if len(given_groups) > 1:
        got = f"quantization_config.config_groups: got {len(given_groups)}"
        fields.reasons.append(f"{got}, allowed one: weights in several precisions are not known here")
    group = given_groups[0] if given_groups else None
    first = cast("Config", group if isinstance(group, Mapping) else {})
    weights, targets = first.get("weights"), first.get("targets", ["Linear"])
    if targets != ["Linear"]:
        got = f"quantization_config.config_groups.targets: got {str(targets)[:40]!r}"
        fields.reasons.append(f"{got}, allowed ['Linear']: a part of the matrices is not known here")
    if not isinstance(weights, Mapping):
        fields.reasons.append("quantization_config.config_groups: weights of the first group are missing")
        return None
    given = cast("Config", weights)
    return _grouped(fields, given.get("num_bits"), str(given.get("type", "int")), given.get("group_size"))


_PRECISIONS = {(4, "int"): "int4", (8, "int"): "int8", (8, "float"): "fp8"}


def _grouped(fields: _Fields, bits: object, kind: str, group: object) -> Quantised | None:
    """A precision of the catalog by its bits; a group of -1 or none is a whole channel."""
    precision = _PRECISIONS.get((bits, kind)) if isinstance(bits, int) else None
    if precision is None:
        got = f"got {str(bits)[:20]} bits of {kind[:20]!r}"
        fields.reasons.append(f"quantization_config: {got}, known here 4 and 8 of int, 8 of float")
        return None
    if group not in (None, -1) and not _is_count(group):
        fields.reasons.append(f"group_size: got {str(group)[:40]!r}, allowed -1 or a whole number of at least 1")
        return None
    return Quantised(precision=precision, group=None if group in (None, -1) else cast("int", group))


_ARCHITECTURES = cast(
    "Mapping[str, Callable[[str, str, _Fields], ModelRow]]",
    {
        "deepseek_v2": _deepseek,
        "deepseek_v3": _deepseek,
        "kimi_k2": _deepseek,
        "llama": _dense,
        "mistral": _dense,
        "mixtral": _mixtral,
        "qwen2": _qwen2,
        "qwen3": _qwen3,
        "qwen3_moe": _qwen3_moe,
    },
)
