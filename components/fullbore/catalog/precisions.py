"""Bytes that one weight takes, with the scales that quantised formats carry."""

from __future__ import annotations

BYTES_PER_WEIGHT = {
    "fp32": 4.0,
    "fp16": 2.0,
    "bf16": 2.0,
    # One fp32 scale for each 128 x 128 block: DeepSeek-V3 `weight_block_size` in config.json.
    "fp8": 1 + 4 / (128 * 128),
    # One fp32 scale for each output channel; a channel of 4096 weights stands for the usual size.
    "int8": 1 + 4 / 4096,
    # AWQ and GPTQ with groups of 128: one fp16 scale and one 4-bit zero for each group.
    "int4": 0.5 + (2 + 0.5) / 128,
}

BYTES_UNQUANTISED = 2.0
"""Embeddings and the output head stay in 16 bits in the fp8, int8 and int4 checkpoints."""

BYTES_PER_CACHED_VALUE = 2.0
"""The KV cache is kept in 16 bits unless a later version of the plan says otherwise."""
