"""Precisions of weights: bytes, the GPUs that compute with them, and how far a matrix may be cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from fullbore.catalog.architecture import ModelRow, Quantised

_HARDWARE = "docs.vllm.ai, features/quantization: supported hardware"


@dataclass(frozen=True, kw_only=True)
class PrecisionRow:
    """One precision.

    `bytes_per_weight` counts the scales that the format carries. `group` is the number of neighbouring weights that
    share a scale along a row: a rank's share of a row must be a multiple of it; 1 where any cut is possible.
    `capability` is the oldest compute capability that runs it, `until` the newest (None: no end).
    `arithmetic` is the precision that matrix products are computed in where the GPU has units for it.
    """

    name: str
    bytes_per_weight: float
    bytes_source: str
    quantised: bool
    group: int = 1
    capability: tuple[int, int]
    until: tuple[int, int] | None = None
    arithmetic: str
    source: str = _HARDWARE


PRECISIONS = {
    row.name: row
    for row in (
        PrecisionRow(
            name="fp32",
            bytes_per_weight=4.0,
            bytes_source="IEEE 754",
            quantised=False,
            capability=(7, 0),
            arithmetic="fp32",
        ),
        PrecisionRow(
            name="fp16",
            bytes_per_weight=2.0,
            bytes_source="IEEE 754",
            quantised=False,
            capability=(7, 0),
            arithmetic="fp16",
        ),
        PrecisionRow(
            name="bf16",
            bytes_per_weight=2.0,
            bytes_source="bfloat16",
            quantised=False,
            capability=(8, 0),
            arithmetic="bf16",
            source="vLLM: bfloat16 is only supported on GPUs with compute capability of at least 8.0",
        ),
        PrecisionRow(
            name="fp8",
            bytes_per_weight=1 + 4 / (128 * 128),
            bytes_source="a fp32 scale for each 128 x 128 block (DeepSeek-V3 config.json, weight_block_size)",
            quantised=True,
            group=128,
            capability=(8, 0),
            arithmetic="fp8",
            source=_HARDWARE + "; below 8.9 the weights are fp8 and the arithmetic is 16 bits (Marlin)",
        ),
        PrecisionRow(
            name="int8",
            bytes_per_weight=1 + 4 / 4096,
            bytes_source="a fp32 scale for each output channel; 4096 weights stand for the usual channel",
            quantised=True,
            capability=(7, 5),
            until=(9, 0),
            arithmetic="int8",
        ),
        PrecisionRow(
            name="int4",
            bytes_per_weight=0.5 + (2 + 0.5) / 128,
            bytes_source="AWQ and GPTQ with groups of 128: a fp16 scale and a 4-bit zero for each group",
            quantised=True,
            group=128,
            capability=(7, 0),
            arithmetic="fp16",
        ),
    )
}

CHANNEL = 4096
"""Weights that stand for the usual channel, where each has one scale."""


def stored(precision: str, quantised: Quantised | None = None) -> PrecisionRow:
    """The precision as a checkpoint stores it: with scales for its own groups, where it says which and is of it."""
    row = PRECISIONS[precision]
    if quantised is None or quantised.precision != precision:
        return row
    together = (quantised.group or CHANNEL) * quantised.rows
    bits, scales = (0.5, 2 + 0.5) if precision == "int4" else (1.0, 4.0)
    return replace(row, group=quantised.group or 1, bytes_per_weight=bits + scales / together)


BYTES_UNQUANTISED = 2.0
"""Embeddings, the output head, norms and routers stay in 16 bits in the fp8, int8 and int4 checkpoints."""

LOWER = {"fp32": "bf16", "bf16": "fp8", "fp16": "fp8", "fp8": "int4", "int8": "int4"}
"""The next precision that takes less memory: 16 bits for 32, 8 for 16, 4 for 8."""


def no_larger(precision: str) -> Iterator[str]:
    """This precision and those of fewer bits, in turn; fp16 stands in for bf16 where that has no units."""
    following: str | None = precision
    while following is not None:
        yield following
        if following == "bf16":
            yield "fp16"
        following = LOWER.get(following)


FP8_UNITS = (8, 9)
"""The oldest compute capability with fp8 units, which Triton's attention over an fp8 cache needs (of vLLM 0.24,
vllm-project/vllm#47949: "native FP8 (fp8e4nv) requires SM89+")."""
FLASHINFER = (8, 0)
"""The oldest compute capability of FlashInfer in vLLM 0.24 (vllm-project/vllm#47549). It reads an fp8 cache without fp8
units (vllm-project/vllm#24577), and vLLM takes it by itself where FlashAttention 2 cannot (docs.vllm.ai, design/
attention_backends)."""
FLASHINFER_HEAD_DIMS = (64, 128, 256)
"""Sizes of a head that FlashInfer has kernels for; on these GPUs it has none for MLA (same page)."""


def kv_fp8_capability(model: ModelRow) -> tuple[int, int]:
    """The oldest compute capability on which engines attend to an fp8 cache of this model."""
    return FLASHINFER if model.mla is None and model.head_dim in FLASHINFER_HEAD_DIMS else FP8_UNITS


def compute_bytes(precision: str) -> float:
    """Bytes of an activation, and of a cached value unless the cache has a precision of its own."""
    return 4.0 if precision == "fp32" else 2.0


def arithmetic(precision: str, tflops: Mapping[str, float]) -> str:
    """The precision that the GPU computes in: its 16 bits, else fp32, where it has no units for the wanted one."""
    wanted = PRECISIONS[precision].arithmetic
    return next(name for name in (wanted, "bf16", "fp16", "fp32") if name in tflops)
