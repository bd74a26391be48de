"""Accelerators and CUDA as this runtime has to know them. A new GPU is a new row."""

from __future__ import annotations

from typing import NamedTuple


class Accelerator(NamedTuple):
    """A GPU model: what NVML calls it (a regular expression), its compute capability, and its NVLinks where it has any.

    Names are those that nvidia-smi prints. A board for PCIe shows no links unless a bridge is mounted.
    """

    pattern: str
    capability: tuple[int, int]
    nvlinks: int


ACCELERATORS = {
    "t4": Accelerator(r"\bT4\b", (7, 5), 0),
    "v100-32": Accelerator(r"\bV100\b.*32GB", (7, 0), 6),
    "a100-40": Accelerator(r"\bA100\b.*40GB", (8, 0), 12),
    "a100-80": Accelerator(r"\bA100\b.*80GB", (8, 0), 12),
    "l40s": Accelerator(r"\bL40S\b", (8, 9), 0),
    "h100": Accelerator(r"\bH100\b", (9, 0), 18),
    "h200": Accelerator(r"\bH200\b", (9, 0), 18),
    "b200": Accelerator(r"\bB200\b", (10, 0), 18),
    "gb200": Accelerator(r"\bGB200\b", (10, 0), 18),
}
"""Capabilities: developer.nvidia.com/cuda-gpus. Links: data sheets of V100 (6), A100 (12), H100 and B200 (18)."""

DRIVERS = {11: "450", 12: "525", 13: "580"}
"""Oldest driver branch of a CUDA major version (NVIDIA CUDA Compatibility, minor version compatibility, table 1)."""

OLDEST_CAPABILITY = {13: (7, 5)}
"""CUDA 13.0 dropped Volta and what came before it (CUDA Toolkit 13.0 release notes; NVIDIA/cuDecomp#97)."""

ENGINE_CAPABILITY = {"vllm": (7, 0), "sglang": (7, 5)}
"""Oldest GPU of each engine: docs.vllm.ai getting_started/installation/gpu; docs.sglang.ai get_started/install."""

BF16_CAPABILITY = (8, 0)
"""vLLM: bfloat16 is only supported on GPUs with compute capability of at least 8.0."""
FP8_KV_CAPABILITY = (8, 0)
"""Oldest GPU that attends to an fp8 cache, where heads have 64, 128 or 256 values (others, and MLA, need 8.9, and the
plan says so): with FlashInfer, which vLLM 0.24 (docs.vllm.ai, design/attention_backends; vllm-project/vllm#47549) and
SGLang (docs.sglang.io, advanced_features/attention_backend) take by themselves there."""
