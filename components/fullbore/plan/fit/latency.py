"""How long one step of decoding takes: a roofline estimate, to rank layouts by, not a promise.

The roofline model (Williams, Waterman, Patterson, CACM 52-4, 2009; for decoding Pope et al., arXiv 2211.05102): a stage
takes the longer of moving its bytes and doing its arithmetic, and then what the links take.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fullbore.catalog.accelerators import PCIE_GBPS, AcceleratorRow
from fullbore.catalog.architecture import ModelRow
from fullbore.catalog.precisions import arithmetic, compute_bytes, stored
from fullbore.plan.fit.layout import Layout
from fullbore.plan.fit.memory import kv_bytes_per_token, weight_bytes
from fullbore.plan.fit.parts import active_parameters, stage_layers

HBM_SHARE = 0.64
"""Share of the data sheet's bandwidth that decoding reaches: 16.38 GB of weights in 5.33 ms on an H200 (187.5 tokens/s,
vLLM 0.24, measured by this project)."""
FLOPS_SHARE = 0.7
"""Share of the data sheet's dense FLOPS that matrix products reach: an assumption of this project. It decides where
decoding is bound by arithmetic, which large batches alone are."""
ALL_REDUCE_S = 15.6e-6
"""What a further tensor rank adds to each of a layer's two all-reduces: one rank takes 5.33 ms, two 3.79 and not 2.67,
over 72 of them (vLLM 0.24, 2 x H200, measured by this project)."""
HOP_S = 15.6e-6
"""Handing a step to the next stage, or to other experts and back: taken as one all-reduce."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """One step of decoding at the planned concurrency, with half of the context filled."""

    step_s: float
    """Seconds from one token of a sequence to its next."""
    bytes_s: float
    arithmetic_s: float
    links_s: float
    tokens_per_s: float
    """Of the replica, all sequences together."""
    gpus: int

    @property
    def gpu_s_per_token(self) -> float:
        """GPU-seconds of one token: what a layout costs, on GPUs of one price."""
        return self.gpus / self.tokens_per_s

    @property
    def bound(self) -> str:
        """What a step mostly waits for."""
        parts = {"memory": self.bytes_s, "arithmetic": self.arithmetic_s, "links": self.links_s}
        return max(parts, key=lambda name: parts[name])


def speed(model: ModelRow, accelerator: AcceleratorRow, layout: Layout, sequences: int | None = None) -> Speed:
    """The step time of a replica that has `sequences` in flight; the layout's concurrency if None.

    Pipeline stages work on micro-batches in turn: a sequence waits for all stages, the replica delivers one
    micro-batch a stage time. The fullest data-parallel rank sets the pace; ranks with fewer sequences deliver fewer.
    """
    wanted = sequences or layout.concurrency
    in_rank = -(-wanted // layout.data_parallel)
    micro = -(-in_rank // layout.pipeline_parallel)
    stages = [_stage(model, accelerator, layout, stage, micro) for stage in range(layout.pipeline_parallel)]
    moved, computed, linked = (sum(stage[index] for stage in stages) for index in range(3))
    slowest = max(max(stage[0], stage[1]) + stage[2] for stage in stages)
    step = sum(max(stage[0], stage[1]) + stage[2] for stage in stages)
    cycle = max(step, slowest * -(-in_rank // micro))
    return Speed(
        step_s=cycle,
        bytes_s=moved,
        arithmetic_s=computed,
        links_s=linked,
        tokens_per_s=wanted / cycle,
        gpus=layout.gpus,
    )


def most_tokens_per_s(model: ModelRow, accelerator: AcceleratorRow, layout: Layout) -> float:
    """Tokens a second that no replica can exceed: each step reads the weights once, at the data sheet's bandwidth.

    No cache, no arithmetic and no links. Only guessing several tokens a step (speculative decoding) gives more.
    """
    in_rank = -(-layout.concurrency // layout.data_parallel)
    micro = -(-in_rank // layout.pipeline_parallel)
    empty = replace(layout, context_tokens=0)
    stages = [_stage(model, accelerator, empty, stage, micro)[0] for stage in range(layout.pipeline_parallel)]
    cycle = max(sum(stages), max(stages) * -(-in_rank // micro)) * HBM_SHARE
    return layout.concurrency / cycle


def _stage(
    model: ModelRow, accelerator: AcceleratorRow, layout: Layout, stage: int, batch: int
) -> tuple[float, float, float]:
    """Seconds of bytes, of arithmetic and of links of one stage, for a micro-batch of `batch` sequences a rank."""
    layers = len(stage_layers(model, layout)[stage])
    read = _read_bytes(model, layout, stage, batch)
    read += batch * layout.context_tokens / 2 * kv_bytes_per_token(model, layout, layers)
    unit = arithmetic(layout.precision, accelerator.tflops)
    share = active_parameters(model) * layers / model.layers / layout.tensor_parallel
    return (
        read / (accelerator.hbm_gbps * 1e9 * HBM_SHARE),
        2 * batch * share / (accelerator.tflops[unit] * 1e12 * FLOPS_SHARE),
        _links_s(model, accelerator, layout, layers, batch),
    )


def _read_bytes(model: ModelRow, layout: Layout, stage: int, batch: int) -> float:
    """Weights that a rank reads in a step: all but the input embedding, of the experts those that any token takes.

    With n tokens that each take k of E experts at random, E x (1 - (1 - k/E)^n) are taken.
    """
    sizes = weight_bytes(model, layout, stage)
    if stage == 0 and (layout.pipeline_parallel > 1 or not model.tied_embeddings):
        own = model.vocab * model.hidden / layout.tensor_parallel * max(2.0, _each(model, layout))
        sizes["embeddings"] = sizes.get("embeddings", 0.0) - own
    if model.moe and "experts" in sizes:
        tokens = batch * layout.data_parallel
        sizes["experts"] *= 1 - (1 - model.moe.top_k / model.moe.routed) ** tokens
    return sum(sizes.values())


def _each(model: ModelRow, layout: Layout) -> float:
    return stored(layout.precision, model.quantised).bytes_per_weight


def _links_s(model: ModelRow, accelerator: AcceleratorRow, layout: Layout, layers: int, batch: int) -> float:
    """Two all-reduces a layer over tensor ranks, 2 (n-1)/n x bytes over the link (ring); two exchanges of a layer's
    routed tokens over data-parallel ranks; one hand-over a stage. A group beyond the NVLink domain goes at PCIe's rate.
    """
    tp, dp = layout.tensor_parallel, layout.data_parallel
    size = batch * model.hidden * compute_bytes(layout.precision)
    seconds = 0.0
    if tp > 1:
        seconds += layers * 2 * (ALL_REDUCE_S + 2 * (tp - 1) / tp * size / link_rate(accelerator, tp))
    if dp > 1 and model.moe:
        seconds += layers * 2 * (HOP_S + model.moe.top_k * size * (dp - 1) / dp / link_rate(accelerator, tp * dp))
    if layout.pipeline_parallel > 1:
        seconds += HOP_S + size / link_rate(accelerator, layout.gpus)
    return seconds


def link_rate(accelerator: AcceleratorRow, ranks: int) -> float:
    """Bytes a second, one way, that ranks of a group exchange at."""
    gbps = accelerator.link_gbps if ranks <= accelerator.link_domain else min(accelerator.link_gbps, PCIE_GBPS[4])
    return gbps * 1e9
