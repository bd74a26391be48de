"""Tune: from facts to every setting of the engine, each with the reason for it. Pure.

Where the facts contradict the plan there is no setting but a refusal, with all reasons at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fullbore_runtime.errors import RuntimeRefusal
from fullbore_runtime.facts import Facts

DEFAULT_CONCURRENCY = 8
WAITING_PER_RUNNING = 4
DEFAULT_MAX_TOKENS = 128
RESERVED_BYTES = 96 << 20
"""Interpreter, numpy, weights and threads, measured at under 60 MB, with room."""
DRAIN_S = 25
"""Kubernetes kills 30 s after it has asked."""
LAME_DUCK_S = 3
"""The gateway asks /health each second and drops a pod after two failures."""


@dataclass(frozen=True)
class Setting:
    """One decision. `kind` is "env" or "arg"."""

    kind: str
    name: str
    value: str
    why: str


@dataclass(frozen=True)
class Tuned:
    """Everything that `launch` carries out, and what a person should know."""

    settings: tuple[Setting, ...]
    warnings: tuple[str, ...]

    @property
    def env(self) -> dict[str, str]:
        return {setting.name: setting.value for setting in self.settings if setting.kind == "env"}

    @property
    def args(self) -> dict[str, str]:
        return {setting.name: setting.value for setting in self.settings if setting.kind == "arg"}


def tune(facts: Facts) -> Tuned:
    """Every setting. Raises RuntimeRefusal where facts and plan contradict each other."""
    reasons = tuple(contradictions(facts))
    if reasons:
        raise RuntimeRefusal("; ".join(reasons))
    settings = (*model_settings(facts), *size_settings(facts), *process_settings(facts))
    return Tuned(settings, tuple(warnings(facts)))


def contradictions(facts: Facts) -> Iterator[str]:
    plan = facts.document
    if plan and plan.profile not in (None, facts.profile):
        yield f"profile: the plan says {plan.profile!r}, but this image is {facts.profile!r}; deploy the planned image"
    if plan and plan.profile is None and plan.model != facts.manifest.name:
        held = facts.manifest.name
        yield f"model: the plan says {plan.model!r}, but this image holds {held!r}; deploy the planned image"
    if plan and plan.weights_sha256 not in (None, facts.manifest.sha256):
        yield (
            f"weights_sha256: the plan says {plan.weights_sha256}, but this image holds {facts.manifest.sha256} "
            f"({facts.manifest.name}); deploy the planned image"
        )
    if kv_budget_bytes(facts) < sequence_bytes(facts):
        need = (RESERVED_BYTES + sequence_bytes(facts)) >> 20
        yield (
            f"memory: the container may use {facts.memory_bytes >> 20} MiB, but a sequence of {context(facts)} tokens "
            f"needs {need} MiB; raise the pod's memory limit"
        )


def warnings(facts: Facts) -> Iterator[str]:
    plan, positions = facts.document, facts.manifest.shape.positions
    if plan is None:
        yield "no /etc/fullbore/plan.json: defaults are used"
        return
    if plan.model != facts.manifest.name:
        yield f"{plan.model} is answered by {facts.manifest.name}, the small untrained model of the CPU profile"
    if plan.context_tokens and plan.context_tokens > positions:
        yield f"context_tokens: the plan says {plan.context_tokens}, this model has {positions} positions"


def model_settings(facts: Facts) -> Iterator[Setting]:
    plan = facts.document
    name = plan.model if plan else facts.manifest.name
    yield Setting("arg", "model-dir", str(facts.model_directory), f"holds {facts.manifest.name}")
    yield Setting("arg", "served-model-name", name, "the plan's model" if plan else "the name in the manifest")
    why = f"the model has {facts.manifest.shape.positions} positions"
    if plan and plan.context_tokens:
        why += f", the plan asks for {plan.context_tokens}"
    yield Setting("arg", "max-model-len", str(context(facts)), why)
    tokens = min(DEFAULT_MAX_TOKENS, context(facts))
    yield Setting("arg", "default-max-tokens", str(tokens), "an untrained model seldom ends a text by itself")


def size_settings(facts: Facts) -> Iterator[Setting]:
    asked = asked_concurrency(facts)
    fits = kv_budget_bytes(facts) // sequence_bytes(facts)
    running = max(1, min(asked, fits))
    why = f"asked for {asked}, {fits} fit into {facts.memory_bytes >> 20} MiB at {sequence_bytes(facts) >> 10} KiB each"
    yield Setting("arg", "max-num-seqs", str(running), why)
    waiting = running * WAITING_PER_RUNNING
    yield Setting(
        "arg", "max-waiting", str(waiting), f"{WAITING_PER_RUNNING} for each that runs; more are refused with 429"
    )


def process_settings(facts: Facts) -> Iterator[Setting]:
    threads = str(max(1, int(facts.cpus)))
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        yield Setting("env", name, threads, f"the container may use {facts.cpus:g} CPUs, not all of the machine's")
    yield Setting("env", "MALLOC_ARENA_MAX", "2", "an arena for each thread would hold memory that nobody uses")
    planned = facts.document.port if facts.document else None
    yield Setting(
        "arg", "port", str(planned or facts.port), "the plan's port" if planned else "FULLBORE_PORT, else 8000"
    )
    yield Setting("arg", "lame-duck", str(LAME_DUCK_S), "the gateway sees /health fail before requests are refused")
    yield Setting("arg", "drain", str(DRAIN_S), "what runs may finish before Kubernetes kills at 30 s")
    yield Setting("arg", "pool", facts.pool, "FULLBORE_POOL, named in every answer")
    yield Setting("arg", "pod", facts.pod, "POD_NAME or HOSTNAME, named in every answer")


def context(facts: Facts) -> int:
    """Tokens of the longest sequence."""
    asked = facts.document.context_tokens if facts.document else None
    return min(facts.manifest.shape.positions, asked or facts.manifest.shape.positions)


def asked_concurrency(facts: Facts) -> int:
    asked = facts.document.concurrency if facts.document else None
    return asked or DEFAULT_CONCURRENCY


def sequence_bytes(facts: Facts) -> int:
    """KV cache of one sequence of the longest length."""
    return context(facts) * facts.manifest.shape.kv_bytes_per_token


def kv_budget_bytes(facts: Facts) -> int:
    return max(0, facts.memory_bytes - RESERVED_BYTES)
