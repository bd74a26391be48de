"""Arguments of `vllm serve`, as vLLM 0.24 has them. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from fullbore_runtime import context
from fullbore_runtime.document import Document
from fullbore_runtime.facts.model import Facts
from fullbore_runtime.tune import engines, kernels
from fullbore_runtime.tune.binding import by_vllm, places
from fullbore_runtime.tune.machine import Ranks
from fullbore_runtime.tune.settings import Setting, arg, env, flag, left

MIDDLEWARE = f"{context.__name__}.{context.Truncate.__name__}"
METHOD = "VLLM_WORKER_MULTIPROC_METHOD"
"""`vllm serve` spawns unless told; where CUDA is already in use it spawns in any case (vllm/utils/system_utils.py)."""


def settings(facts: Facts, plan: Document, ranks: Ranks) -> Iterator[Setting]:
    yield env("VLLM_NO_USAGE_STATS", 1, "nothing about this site leaves it")
    yield arg("served-model-name", plan.model, "the plan's model")
    yield arg("host", "0.0.0.0", "the gateway reaches the pod by its address")
    yield engines.port(facts, plan)
    yield arg("shutdown-timeout", engines.DRAIN_S, "what runs may finish before Kubernetes kills at 30 s")
    yield from _devices(ranks)
    yield from _layout(plan)
    yield from _hosts(facts, plan)
    yield engines.dtype(plan, ranks)
    yield engines.quantization(facts, plan)
    yield from _memory(plan)
    yield from _batching(plan)
    yield from _context(plan)
    yield from kernels.settings(facts, plan, ranks)
    bound = tuple(by_vllm(facts, places(facts, ranks)))
    yield from bound
    if METHOD not in {setting.name for setting in bound}:
        yield env(METHOD, "fork", "the engine's processes need not import everything once more")


def _devices(ranks: Ranks) -> Iterator[Setting]:
    """By UUID: numbers would count among those of CUDA_VISIBLE_DEVICES where that is set, too."""
    if ranks.subset and not ranks.devices:
        uuids = ",".join(gpu.uuid for gpu in ranks.gpus)
        yield arg("device-ids", uuids, f"{len(ranks.gpus)} of those visible: idle, on the fewest NUMA nodes")


def _layout(plan: Document) -> Iterator[Setting]:
    sizes = {
        "tensor-parallel-size": plan.tensor_parallel,
        "pipeline-parallel-size": plan.pipeline_parallel,
        "data-parallel-size": plan.data_parallel,
    }
    for name, size in sizes.items():
        if size > 1:
            yield arg(name, size, "the plan's layout")
    if plan.expert_parallel:
        yield flag("enable-expert-parallel", "the plan's layout: a rank holds whole experts, not a slice of each")
    if plan.ranks > 1:
        executor = "the ranks are processes of this host" if plan.hosts == 1 else "one process a rank on each host"
        yield arg("distributed-executor-backend", "mp", executor)


def _hosts(facts: Facts, plan: Document) -> Iterator[Setting]:
    """LeaderWorkerSet says which host this is and where the leader is."""
    if plan.hosts < 2:
        return
    number = facts.inherited.get("LWS_WORKER_INDEX", "0")
    yield arg("nnodes", plan.hosts, "hosts of the replica")
    yield arg("node-rank", number, "LWS_WORKER_INDEX")
    yield arg("master-addr", facts.inherited.get("LWS_LEADER_ADDRESS", ""), "LWS_LEADER_ADDRESS")
    if number != "0":
        yield flag("headless", "the leader answers requests")


def _memory(plan: Document) -> Iterator[Setting]:
    fraction = plan.memory_fraction or engines.MEMORY_FRACTION
    yield arg("gpu-memory-utilization", f"{fraction:g}", "the share that the plan's KV cache was reckoned with")
    if plan.kv_precision == "fp8":
        yield arg("kv-cache-dtype", "fp8", "the plan's: twice the tokens in the same memory")
    else:
        yield arg("kv-cache-dtype", "auto", "as the activations")


def _batching(plan: Document) -> Iterator[Setting]:
    most = engines.sequences(plan)
    if most:
        shared = f" over {plan.data_parallel} data-parallel ranks" if plan.data_parallel > 1 else ""
        yield arg("max-num-seqs", most, f"the plan's concurrency of {plan.concurrency}{shared}")
        sizes = tuple(str(size) for size in engines.graph_sizes(most, plan.batch_tokens))
        yield Setting("arg", "cudagraph-capture-sizes", sizes, "batches up to twice the sequences run as CUDA graphs")
    if plan.batch_tokens:
        yield arg("max-num-batched-tokens", plan.batch_tokens, "the plan's tokens of one step")
    yield flag("enable-chunked-prefill", "long prompts are cut, so that those who read an answer do not wait for them")
    yield flag("enable-prefix-caching", "what prompts begin alike with is computed once")
    yield left("a batching delay", "requests join the batch between two steps: nobody waits for a full one")


def _context(plan: Document) -> Iterator[Setting]:
    if plan.context_tokens:
        longer = "cut" if cuts(plan) else "refused with 400"
        yield arg("max-model-len", plan.context_tokens, f"the plan's context; a longer prompt is {longer}")
    if cuts(plan):
        yield env(context.ENVIRONMENT, plan.context_tokens, "of which the end of a prompt that is too long is kept")
        yield arg("middleware", MIDDLEWARE, "the plan's context policy: vLLM cuts where a request asks, and this asks")


def cuts(plan: Document) -> bool:
    """Whether a prompt that is too long is cut; without a planned context nothing says how much is too long."""
    return plan.context_policy == "truncate" and plan.context_tokens is not None
