"""Rules of thumb for sizing and speed that go round, and whether each is looser or tighter than what is computed.

docs/fit.md discusses them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from fullbore.catalog.accelerators import ACCELERATORS
from fullbore.catalog.architecture import ModelRow
from fullbore.catalog.models import MODELS
from fullbore.catalog.precisions import PRECISIONS, stored
from fullbore.config.models import Environment, HostGroup
from fullbore.plan.checks.base import counted
from fullbore.plan.fit import GIB, Layout, fit, illegal, parameters, speed
from fullbore.plan.pools import first_of, fits, layout_of, model_of, serving_pools

A100_PARAMETERS = 5e9
"""At most so many parameters a GPU: A100 40 GB, FP16."""
MEMORY_FACTOR = 3.0
"""Memory of the server over the size of the model, at least."""
CPUS_A_LAYER = 2
"""CPUs of the server over the layers of the model, at least."""
PIPELINE_STAGES = 4
PIPELINE_GAIN = 5.7
"""Throughput of so many pipeline stages over that of one, with 82 % less latency."""
MILLISECOND_COSTS = 0.12
"""Share of the throughput that one more millisecond of communication costs a step."""


@dataclass(frozen=True, kw_only=True)
class Thumb:
    """One rule: what it says and what is computed, in words, and the verdict: looser, tighter, agrees, met, not met."""

    text: str
    says: str
    computed: str
    verdict: str


def rules_of_thumb(env: Environment) -> tuple[Thumb, ...]:
    """The rules that say something about the model served; none where no model is known."""
    model, layout = model_of(env.serving), layout_of(env)
    if model is None or layout is None or illegal(model, layout):
        return ()
    sizing = (_a100_40(layout), *_a100_80(layout), *_memory(env, model, layout), *_cpus(env, model))
    return (*sizing, *_pipeline(env, model, layout), *_millisecond(env, model, layout))


def _a100_40(layout: Layout) -> Thumb:
    """The most 16-bit parameters of one A100 40 that leave the planned context and concurrency their KV cache.

    What is not weights is that of Llama 3 8B, the catalog's model nearest to the limit.
    """
    wanted = Layout(precision="fp16", context_tokens=layout.context_tokens, concurrency=layout.concurrency)
    rank = fit(MODELS["llama-3.1-8b"], ACCELERATORS["a100-40"], wanted).fullest
    cache = layout.context_tokens * layout.concurrency * rank.kv_bytes_per_token / GIB
    room = max(0.0, rank.budget_gib - rank.fixed_gib - rank.buffers_gib - cache) * GIB
    most = room / PRECISIONS["fp16"].bytes_per_weight
    return Thumb(
        text="parameters a GPU on A100 40 GB in FP16",
        says=f"at most {A100_PARAMETERS / 1e9:g} x 10^9",
        computed=f"{most / 1e9:.1f} x 10^9 with {_cache(layout)}" if most else f"{_cache(layout)} leave no room",
        verdict=_compared(A100_PARAMETERS, most),
    )


def _cache(layout: Layout) -> str:
    return f"{layout.concurrency} x {layout.context_tokens:,} tokens"


def _compared(rule: float, computed: float) -> str:
    """A limit that is lower than need be is tighter."""
    if abs(rule - computed) <= 0.05 * computed:
        return "agrees"
    return "tighter" if rule < computed else "looser"


def _a100_80(layout: Layout) -> Iterator[Thumb]:
    """70B on A100 80 GB with tensor parallelism, or H100 with NVLink: from how many GPUs on."""
    for name in ("a100-80", "h100"):
        row, model = ACCELERATORS[name], MODELS["llama-3.1-70b"]
        asked = replace(layout, precision="bf16", pipeline_parallel=1, data_parallel=1, expert_parallel=False)
        asked = replace(asked, context_tokens=min(asked.context_tokens, model.max_context_tokens))
        sizes = (1, 2, 4, 8)
        least = next((n for n in sizes if fit(model, row, replace(asked, tensor_parallel=n)).full), None)
        computed = f"from tensor_parallel {least} on" if least else "more than 8 GPUs"
        yield Thumb(
            text=f"70B in 16 bits on {name}",
            says="fits with tensor parallelism",
            computed=f"{computed} with {_cache(asked)}",
            verdict="looser" if least is None else "agrees",
        )


def _memory(env: Environment, model: ModelRow, layout: Layout) -> Iterator[Thumb]:
    """Memory at least 3 x the model: for the GPUs that hold a replica, and for the host that loads it."""
    size = parameters(model) * stored(layout.precision, model.quantised).bytes_per_weight / GIB
    for pool, result in fits(env):
        rank = result.fullest
        cache = layout.context_tokens * layout.sequences * rank.kv_bytes_per_token / GIB
        need = (rank.weights_gib + rank.fixed_gib + cache) * layout.gpus / size
        yield Thumb(
            text=f"GPU memory over the model's size, {pool.path}",
            says=f"at least {MEMORY_FACTOR:g}",
            computed=f"{need:.2f} needed, {result.hbm_gib * layout.gpus / size:.2f} there",
            verdict=_compared(need, MEMORY_FACTOR),
        )
    for names, group in _gpu_groups(env):
        yield Thumb(
            text=f"host memory over the model's size, {first_of(names)}",
            says=f"at least {MEMORY_FACTOR:g}",
            computed=f"{group.memory_gib / size:.2f}; 1 keeps the weights' files cached",
            verdict="met" if group.memory_gib >= MEMORY_FACTOR * size else "not met",
        )


def _gpu_groups(env: Environment) -> Iterator[tuple[list[str], HostGroup]]:
    """Groups with GPUs, those of equal machines together: their paths, and one of them."""
    alike: dict[tuple[object, ...], list[str]] = {}
    groups = {f"site.groups.{name}": group for name, group in (env.site.groups.items() if env.site else ())}
    for path, group in groups.items():
        if group.kind == "gpu":
            alike.setdefault((group.memory_gib, group.cpus, group.gpus_per_host), []).append(path)
    return ((paths, groups[paths[0]]) for paths in alike.values())


def _cpus(env: Environment, model: ModelRow) -> Iterator[Thumb]:
    """CPUs at least twice the layers. An engine runs one process a GPU, so that what it needs grows with GPUs."""
    for names, group in _gpu_groups(env):
        if group.gpus_per_host:
            yield Thumb(
                text=f"CPUs of a host, {first_of(names)}",
                says=f"at least {CPUS_A_LAYER * model.layers}",
                computed=f"{group.cpus}; an engine needs one process and its threads a GPU: {group.gpus_per_host}",
                verdict="met" if group.cpus >= CPUS_A_LAYER * model.layers else "not met",
            )


def _pipeline(env: Environment, model: ModelRow, layout: Layout) -> Iterator[Thumb]:
    """Four pipeline stages against one, on the first GPUs that serve: weights that do not fit one stage included."""
    one = replace(layout, pipeline_parallel=1)
    four = replace(layout, pipeline_parallel=PIPELINE_STAGES)
    for pool in serving_pools(env)[:1] if not illegal(model, four) else ():
        before, after = (speed(model, pool.accelerator, split) for split in (one, four))
        gain = after.tokens_per_s / before.tokens_per_s
        yield Thumb(
            text=f"{PIPELINE_STAGES} pipeline stages instead of 1",
            says=f"{PIPELINE_GAIN:g} x the tokens, 82 % less latency",
            computed=(
                f"{gain:.1f} x the tokens on {PIPELINE_STAGES} x the GPUs, {before.step_s * 1e3:.1f} ms a token become "
                f"{after.step_s * 1e3:.1f}, with {counted(layout.concurrency, 'sequence')} of {one} and {four}"
            ),
            verdict=_compared(PIPELINE_GAIN, gain),
        )


def _millisecond(env: Environment, model: ModelRow, layout: Layout) -> Iterator[Thumb]:
    for pool in serving_pools(env)[:1]:
        step = speed(model, pool.accelerator, layout).step_s
        lost = 1e-3 / (step + 1e-3)
        yield Thumb(
            text="one more millisecond of communication in a step",
            says=f"costs {MILLISECOND_COSTS:.0%} of the throughput",
            computed=f"{lost:.0%}, of steps of {step * 1e3:.1f} ms",
            verdict=_compared(lost, MILLISECOND_COSTS),
        )
