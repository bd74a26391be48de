"""What a layout sends between hosts for each token, and whether the links carry it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

from fullbore.catalog.architecture import ModelRow
from fullbore.plan.fit import Layout
from fullbore.plan.fit.memory import kv_bytes_per_token

ACTIVATION_BYTES = 2
"""Bytes of one activation between ranks: BF16 or FP16."""
ALL_REDUCES_PER_LAYER = 2
"""Of one layer's forward pass: after attention and after the feed-forward block (Megatron-LM, arXiv 1909.08053, 3)."""
DISPATCH_BYTES, COMBINE_BYTES = 1, 2
"""Bytes of one activation on its way to experts (FP8) and back (BF16): deepseek-ai/DeepEP README, Performance."""
EXPERT_HOSTS_PER_TOKEN = 4
"""Hosts that one token's experts lie on at most where routing is DeepSeek-V3's (arXiv 2412.19437, 2.1.2, node-limited
routing), which is also the one that has a bias on its gate."""
EXPERTS, PREFILL = "all-to-all of experts", "KV cache from prefill to decode"
"""Names of flows that depend on the load that the environment declares."""
BITS = 8
GIGA = 1e9


@dataclass(frozen=True, kw_only=True)
class Flow:
    """One kind of traffic: bytes that leave one host for each token of one replica."""

    what: str
    bytes_per_token: float


def all_reduce_bytes(model: ModelRow, ranks: int) -> float:
    """Bytes that leave a host for each token where tensor ranks lie on several hosts.

    layers x 2 x hidden x 2 bytes x 2 (n - 1) / n: what each rank of a ring of n sends (NVIDIA/nccl-tests
    doc/PERFORMANCE.md, AllReduce). Parallel rings share the data, so that a host's HCAs together send as much.
    """
    size = model.layers * ALL_REDUCES_PER_LAYER * model.hidden * ACTIVATION_BYTES
    return size * 2 * (ranks - 1) / ranks


def hand_over_bytes(model: ModelRow) -> float:
    """Bytes that leave a host for each token from one pipeline stage to the next on another host: its activations."""
    return model.hidden * ACTIVATION_BYTES


def expert_bytes(model: ModelRow, hosts: int) -> float:
    """Bytes that leave a host for each of its tokens where a mixture's experts lie on several hosts; 0 for others.

    Expert layers x remote hosts x hidden x (1 + 2): each token goes once to each host that has an expert for it and
    comes back once; of all hosts (h - 1) / h are remote (arXiv 2412.19437, 3.2.2).
    """
    if model.moe is None or hosts < 2:
        return 0.0
    limit = EXPERT_HOSTS_PER_TOKEN if model.moe.gate_bias else model.moe.top_k
    remote = min(hosts, limit, model.moe.top_k) * (hosts - 1) / hosts
    layers = model.layers - model.moe.first_k_dense
    return layers * remote * model.hidden * (DISPATCH_BYTES + COMBINE_BYTES)


def kv_transfer_bytes(model: ModelRow, layout: Layout) -> float:
    """Bytes of KV cache that a prompt's token takes from the host that read it to the one that writes the answer: each
    head once, and MLA's compressed cache once and not once a tensor rank."""
    return kv_bytes_per_token(model, replace(layout, tensor_parallel=1), model.layers)


def flows(model: ModelRow, layout: Layout, *, gpus_per_host: int) -> Iterator[Flow]:
    """What a replica sends between hosts for each token that it writes; nothing where it lies within one host."""
    if layout.tensor_parallel > gpus_per_host:
        yield Flow(what="all-reduce of tensor ranks", bytes_per_token=all_reduce_bytes(model, layout.tensor_parallel))
    if layout.pipeline_parallel > 1 and layout.gpus > gpus_per_host:
        yield Flow(what="hand-over of pipeline stages", bytes_per_token=hand_over_bytes(model))
    experts = expert_bytes(model, ceil(layout.expert_ranks / gpus_per_host)) if layout.expert_parallel else 0.0
    if experts:
        yield Flow(what=EXPERTS, bytes_per_token=experts)


def need_gbps(flow: Flow, tokens_per_s: float) -> float:
    """Gbit/s that leave one host."""
    return flow.bytes_per_token * tokens_per_s * BITS / GIGA
