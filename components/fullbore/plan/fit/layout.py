"""How a replica is split over GPUs, and which splits a model allows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from fullbore.catalog.architecture import ModelRow
from fullbore.catalog.precisions import compute_bytes, stored

VOCAB_PADDING = 64
"""vLLM pads the vocabulary to a multiple of this before it cuts it (layers/vocab_parallel_embedding.py)."""

KvPrecision = Literal["auto", "fp8"]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a replica is split and what it is asked for.

    `data_parallel` ranks share the experts of a mixture and nothing else: each holds all attention and serves its own
    sequences. With `expert_parallel` a rank holds whole experts, otherwise a slice of each (vLLM's meaning of both).
    """

    precision: str
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    data_parallel: int = 1
    expert_parallel: bool = False
    kv_precision: KvPrecision = "auto"
    context_tokens: int
    concurrency: int

    @property
    def gpus(self) -> int:
        return self.tensor_parallel * self.pipeline_parallel * self.data_parallel

    @property
    def expert_ranks(self) -> int:
        """Ranks of a stage that share its experts."""
        return self.tensor_parallel * self.data_parallel

    @property
    def kv_bytes(self) -> float:
        """Bytes of one cached value."""
        return 1.0 if self.kv_precision == "fp8" else compute_bytes(self.precision)

    @property
    def sequences(self) -> int:
        """Sequences in flight on one data-parallel rank."""
        return -(-self.concurrency // self.data_parallel)

    def __str__(self) -> str:
        parts = {"TP": self.tensor_parallel, "PP": self.pipeline_parallel, "DP": self.data_parallel}
        named = [f"{name} {size}" for name, size in parts.items() if size > 1]
        return " x ".join(named or ["TP 1"]) + (f", EP {self.expert_ranks}" if self.expert_parallel else "")


class Illegal(NamedTuple):
    """Why a model cannot be split so: the field at fault, and what, got, allowed."""

    field: str
    reason: str


def illegal(model: ModelRow, layout: Layout) -> tuple[Illegal, ...]:
    """Every reason why the model cannot be split so; empty where it can."""
    return (*_tensor(model, layout), *_stages(model, layout), *_experts(model, layout), *_groups(model, layout))


def _tensor(model: ModelRow, layout: Layout) -> Iterator[Illegal]:
    tp = layout.tensor_parallel
    if model.heads % tp:
        allowed = ", ".join(str(n) for n in (1, 2, 4, 8, 16, 32) if model.heads % n == 0)
        message = f"got {tp}, but {model.name} has {model.heads} attention heads; allowed a divisor of that"
        yield Illegal("tensor_parallel", f"{message}, e.g. {allowed}")
        return
    if model.mla is None and model.kv_heads % tp and tp % model.kv_heads:
        message = f"got {tp}, but {model.name} has {model.kv_heads} KV heads; allowed a divisor or a multiple of that"
        yield Illegal("tensor_parallel", message)
        return
    padded = -(-model.vocab // VOCAB_PADDING) * VOCAB_PADDING
    for what, size in (("vocabulary (padded)", padded), ("feed-forward block", model.intermediate)):
        if size % tp:
            message = f"got {tp}, but the {what} of {model.name} is {size} wide; allowed a divisor of that"
            yield Illegal("tensor_parallel", message)


def _stages(model: ModelRow, layout: Layout) -> Iterator[Illegal]:
    if layout.pipeline_parallel > model.layers:
        message = f"got {layout.pipeline_parallel}, but {model.name} has {model.layers} layers; allowed at most that"
        yield Illegal("pipeline_parallel", message)


def _experts(model: ModelRow, layout: Layout) -> Iterator[Illegal]:
    ranks = layout.expert_ranks
    if model.moe is None:
        if layout.data_parallel > 1:
            got = f"got {layout.data_parallel}, but {model.name} has no experts to share; raise replicas instead"
            yield Illegal("data_parallel", got)
        if layout.expert_parallel:
            yield Illegal("expert_parallel", f"got true, but {model.name} has no experts; remove it")
        return
    if layout.expert_parallel and model.moe.routed % ranks:
        message = f"{ranks} ranks cannot share the {model.moe.routed} experts of {model.name} evenly"
        yield Illegal("expert_parallel", f"{message}; allowed a divisor of that as tensor x data parallel")
    if not layout.expert_parallel and model.moe.intermediate % ranks:
        field = "data_parallel" if layout.data_parallel > 1 else "tensor_parallel"
        message = f"{ranks} ranks cannot cut experts of width {model.moe.intermediate}"
        yield Illegal(field, f"{message}; set expert_parallel, or take a divisor")


def _groups(model: ModelRow, layout: Layout) -> Iterator[Illegal]:
    """Scales of a group or block must not be cut: vLLM refuses such a share (layers/quantization/fp8.py, gptq)."""
    group = stored(layout.precision, model.quantised).group
    tp = layout.tensor_parallel
    width = (model.mla.v_head_dim if model.mla else model.head_dim) * model.heads
    shares = {"attention output": (width, tp)}
    if model.dense_layers:
        shares["feed-forward block"] = (model.intermediate, tp)
    if model.moe and not layout.expert_parallel:
        shares["expert"] = (model.moe.intermediate, layout.expert_ranks)
    for what, (size, ranks) in shares.items():
        if size % ranks == 0 and size // ranks % group and size % group == 0:
            kind = "block-wise fp8" if layout.precision == "fp8" else layout.precision
            message = f"got {tp}: a rank's share of the {what} is {size // ranks}, but {kind} scales"
            hint = "; set expert_parallel or lower it" if what == "expert" else "; lower it"
            yield Illegal("tensor_parallel", f"{message} groups of {group}{hint}")
