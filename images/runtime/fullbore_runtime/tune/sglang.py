"""Arguments of `python -m sglang.launch_server`, as SGLang 0.5.23 has them. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from fullbore_runtime.document import Document
from fullbore_runtime.facts.model import Facts
from fullbore_runtime.tune import engines
from fullbore_runtime.tune.binding import by_sglang, places
from fullbore_runtime.tune.machine import Ranks
from fullbore_runtime.tune.settings import Setting, arg, flag, left


def settings(facts: Facts, plan: Document, ranks: Ranks) -> Iterator[Setting]:
    yield arg("served-model-name", plan.model, "the plan's model")
    yield arg("host", "0.0.0.0", "the gateway reaches the pod by its address")
    yield engines.port(facts, plan)
    yield flag("enable-metrics", "Prometheus scrapes /metrics")
    yield from _layout(plan)
    yield from _hosts(facts, plan)
    yield engines.dtype(plan, ranks)
    yield engines.quantization(facts, plan)
    yield from _memory(plan)
    yield from _batching(plan)
    yield from _context(plan)
    yield from by_sglang(facts, places(facts, ranks))


def _layout(plan: Document) -> Iterator[Setting]:
    """SGLang counts all ranks of a stage as tensor parallel; those of data parallelism share them for attention."""
    stage = plan.tensor_parallel * plan.data_parallel
    if stage > 1:
        yield arg("tp-size", stage, "ranks of a stage: tensor x data parallel of the plan")
    if plan.pipeline_parallel > 1:
        yield arg("pp-size", plan.pipeline_parallel, "the plan's layout")
    if plan.data_parallel > 1:
        yield arg("attn-dp-size", plan.data_parallel, "data-parallel ranks share the experts and nothing else")
    if plan.expert_parallel:
        yield arg("ep-size", stage, "the plan's layout: a rank holds whole experts, not a slice of each")


def _hosts(facts: Facts, plan: Document) -> Iterator[Setting]:
    if plan.hosts < 2:
        return
    leader = facts.inherited.get("LWS_LEADER_ADDRESS", "")
    yield arg("nnodes", plan.hosts, "hosts of the replica")
    yield arg("node-rank", facts.inherited.get("LWS_WORKER_INDEX", "0"), "LWS_WORKER_INDEX")
    yield arg("dist-init-addr", f"{leader}:20000", "LWS_LEADER_ADDRESS")


def _memory(plan: Document) -> Iterator[Setting]:
    yield left(
        "mem-fraction-static",
        "SGLang's share holds weights and KV cache only; its own formula leaves room for activations and graphs, "
        "which the plan's share includes",
    )
    if plan.kv_precision == "fp8":
        yield arg("kv-cache-dtype", "fp8_e4m3", "the plan's: twice the tokens in the same memory")
    else:
        yield arg("kv-cache-dtype", "auto", "as the activations")


def _batching(plan: Document) -> Iterator[Setting]:
    most = engines.sequences(plan)
    if plan.concurrency and most:
        yield arg("max-running-requests", plan.concurrency, "the plan's concurrency")
        sizes = tuple(str(size) for size in engines.graph_sizes(most) if size <= most)
        yield Setting("arg", "cuda-graph-bs-decode", sizes, "batches up to the sequences decode as CUDA graphs")
    if plan.batch_tokens:
        yield arg("chunked-prefill-size", plan.batch_tokens, "the plan's tokens of one step: longer prompts are cut")
    yield left("disable-radix-cache", "what prompts begin alike with is computed once, by default")


def _context(plan: Document) -> Iterator[Setting]:
    if plan.context_tokens:
        yield arg("context-length", plan.context_tokens, "the plan's context")
    if plan.context_policy == "truncate":
        yield flag("allow-auto-truncate", "the plan's context policy: a prompt that is too long is cut, not refused")
