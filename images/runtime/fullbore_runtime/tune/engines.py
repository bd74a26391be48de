"""What both GPU engines are told, each in its own words. Pure."""

from __future__ import annotations

from fullbore_runtime.document import Document
from fullbore_runtime.facts.model import Facts
from fullbore_runtime.tune.machine import Ranks
from fullbore_runtime.tune.settings import Setting, arg, left

MEMORY_FRACTION = 0.9
DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
DRAIN_S = 25
"""Kubernetes kills 30 s after it has asked."""
VERSIONS = {"vllm": "0.24", "sglang": "0.5"}
"""Versions whose arguments these are."""
GRAPH_LIMIT = 512
"""Largest batch of a CUDA graph: vLLM's default limit (vllm/config/vllm.py, _set_cudagraph_sizes)."""


def port(facts: Facts, plan: Document) -> Setting:
    return arg("port", plan.port or facts.port, "the plan's port" if plan.port else "FULLBORE_PORT, else 8000")


def memory_monitor(plan: Document) -> Setting:
    """Below half of the room that the plan leaves outside of the engine's share, growth is the engine's own start."""
    fraction = plan.memory_fraction or MEMORY_FRACTION
    values = (f"--quiet={(1 + fraction) / 2:g}", *([f"--port={plan.monitor_port}"] if plan.monitor_port else []))
    return Setting(
        "beside", "fullbore_runtime.monitor", values, "warns before GPU memory runs out, and says who takes it"
    )


def dtype(plan: Document, ranks: Ranks) -> Setting:
    """Precision of activations, and of weights that are not quantised."""
    if plan.precision in DTYPES:
        return arg("dtype", DTYPES[plan.precision], f"the plan's precision, {plan.precision}")
    if not ranks.bf16:
        return arg("dtype", "float16", "this GPU has no bfloat16 units")
    return arg("dtype", "auto", "the checkpoint's own")


def quantization(facts: Facts, plan: Document) -> Setting:
    """What is already quantised says so itself; fp8 can be made of 16 bits while they are loaded."""
    held = facts.weights.quantization
    if not facts.weights.shards:
        return left("quantization", "there is no checkpoint to look at")
    if held:
        return left("quantization", f"the checkpoint says it itself: {held}")
    if plan.precision == "fp8":
        return arg("quantization", "fp8", "the checkpoint has 16 bits: each tensor is scaled to fp8 while it is loaded")
    return left("quantization", "the plan's precision is none that is quantised")


def sequences(plan: Document) -> int | None:
    """Sequences in flight on one data-parallel rank."""
    return -(-plan.concurrency // plan.data_parallel) if plan.concurrency else None


def graph_sizes(most: int, batch_tokens: int | None = None) -> tuple[int, ...]:
    """Batch sizes that CUDA graphs are captured for, to twice the sequences: a step may hold chunks of prompts, too.

    vLLM's own ladder (vllm/config/vllm.py): 1, 2, 4, then steps of 8 to 256, then of 16.
    """
    top = min(2 * most, GRAPH_LIMIT, batch_tokens or GRAPH_LIMIT)
    return tuple(size for size in (1, 2, 4, *range(8, 256, 8), *range(256, top + 1, 16)) if size <= top)
