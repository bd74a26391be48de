"""The CPU profile: this package's own small engine. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from fullbore_runtime.document import Document
from fullbore_runtime.facts.model import Facts
from fullbore_runtime.tune import front
from fullbore_runtime.tune.settings import Setting, arg, env

DEFAULT_CONCURRENCY = 8
WAITING_PER_RUNNING = 4
DEFAULT_MAX_TOKENS = 128
RESERVED_BYTES = 96 << 20
"""Interpreter, numpy, weights and threads, measured at under 60 MB, with room."""
DRAIN_S = 25
"""Kubernetes kills 30 s after it has asked."""
LAME_DUCK_S = 3
"""The gateway asks /health each second and drops a pod after two failures."""


def settings(facts: Facts, plan: Document | None) -> Iterator[Setting]:
    yield from _model(facts, plan)
    yield from _sizes(facts, plan)
    yield from _process(facts, plan)


def refusals(facts: Facts, plan: Document | None) -> Iterator[str]:
    weights = facts.weights
    if plan and plan.profile not in (None, facts.profile):
        yield f"profile: the plan says {plan.profile!r}, but this image is {facts.profile!r}; deploy the planned image"
    if plan and plan.profile is None and plan.model != weights.name:
        yield f"model: the plan says {plan.model!r}, but this image holds {weights.name!r}; deploy the planned image"
    if plan and plan.weights_sha256 not in (None, weights.manifest_sha256):
        yield (
            f"weights_sha256: the plan says {plan.weights_sha256}, but this image holds {weights.manifest_sha256} "
            f"({weights.name}); deploy the planned image"
        )
    yield from front.refusals(facts, plan)
    if kv_budget_bytes(facts) < sequence_bytes(facts, plan):
        need = (RESERVED_BYTES + sequence_bytes(facts, plan)) >> 20
        yield (
            f"memory: the container may use {facts.memory_bytes >> 20} MiB, but a sequence of {context(facts, plan)} "
            f"tokens needs {need} MiB; raise the pod's memory limit"
        )


def warnings(facts: Facts, plan: Document | None) -> Iterator[str]:
    if plan is None:
        yield "no /etc/fullbore/plan.json: defaults are used"
        return
    if plan.model != facts.weights.name:
        yield f"{plan.model} is answered by {facts.weights.name}, the small untrained model of the CPU profile"
    if plan.context_tokens and plan.context_tokens > positions(facts):
        yield f"context_tokens: the plan says {plan.context_tokens}, this model has {positions(facts)} positions"


def _model(facts: Facts, plan: Document | None) -> Iterator[Setting]:
    held = facts.weights.name or ""
    yield arg("model-dir", facts.weights.directory, f"holds {held}")
    yield arg("served-model-name", plan.model if plan else held, "the plan's model" if plan else "name in the manifest")
    why = f"the model has {positions(facts)} positions"
    if plan and plan.context_tokens:
        why += f", the plan asks for {plan.context_tokens}"
    yield arg("max-model-len", context(facts, plan), why)
    tokens = min(DEFAULT_MAX_TOKENS, context(facts, plan))
    yield arg("default-max-tokens", tokens, "an untrained model seldom ends a text by itself")
    if plan and plan.context_policy:
        yield arg("context-policy", plan.context_policy, "the plan's")


def _sizes(facts: Facts, plan: Document | None) -> Iterator[Setting]:
    asked = (plan.concurrency if plan else None) or DEFAULT_CONCURRENCY
    each = sequence_bytes(facts, plan)
    fits = kv_budget_bytes(facts) // each
    running = max(1, min(asked, fits))
    why = f"asked for {asked}, {fits} fit into {facts.memory_bytes >> 20} MiB at {each >> 10} KiB each"
    yield arg("max-num-seqs", running, why)
    why = f"{WAITING_PER_RUNNING} for each that runs; more are refused with 429"
    yield arg("max-waiting", running * WAITING_PER_RUNNING, why)


def _process(facts: Facts, plan: Document | None) -> Iterator[Setting]:
    threads = max(1, int(facts.cpus))
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        yield env(name, threads, f"the container may use {facts.cpus:g} CPUs, not all of the machine's")
    yield env("MALLOC_ARENA_MAX", 2, "an arena for each thread would hold memory that nobody uses")
    planned = plan.port if plan else None
    yield arg("port", planned or facts.port, "the plan's port" if planned else "FULLBORE_PORT, else 8000")
    if asked_grpc := front.grpc_port(facts, plan):
        yield arg("grpc-port", *asked_grpc)
    yield arg("lame-duck", LAME_DUCK_S, "the gateway sees /health fail before requests are refused")
    yield arg("drain", DRAIN_S, "what runs may finish before Kubernetes kills at 30 s")
    if facts.pool:
        yield arg("pool", facts.pool, "FULLBORE_POOL, named in every answer")
    if facts.pod:
        yield arg("pod", facts.pod, "POD_NAME or HOSTNAME, named in every answer")


def positions(facts: Facts) -> int:
    return facts.weights.positions or 0


def context(facts: Facts, plan: Document | None) -> int:
    """Tokens of the longest sequence."""
    asked = plan.context_tokens if plan else None
    return min(positions(facts), asked or positions(facts))


def sequence_bytes(facts: Facts, plan: Document | None) -> int:
    """KV cache of one sequence of the longest length."""
    return context(facts, plan) * (facts.weights.kv_bytes_per_token or 0)


def kv_budget_bytes(facts: Facts) -> int:
    return max(0, facts.memory_bytes - RESERVED_BYTES)
