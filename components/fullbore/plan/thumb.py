"""Rules of thumb for sizing that go round, and whether each is looser or tighter than what is computed.

docs/fit.md discusses them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from fullbore.catalog.accelerators import ACCELERATORS
from fullbore.catalog.architecture import ModelRow
from fullbore.catalog.models import MODELS
from fullbore.catalog.precisions import PRECISIONS
from fullbore.config.models import Environment
from fullbore.plan.fit import GIB, Layout, fit, illegal, parameters
from fullbore.plan.pools import fits, layout_of, model_of

A100_PARAMETERS = 5e9
"""At most so many parameters a GPU: A100 40 GB, FP16."""
MEMORY_FACTOR = 3.0
"""Memory of the server over the size of the model, at least."""
CPUS_A_LAYER = 2
"""CPUs of the server over the layers of the model, at least."""


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
    return (_a100_40(layout), *_a100_80(layout), *_memory(env, model), *_cpus(env, model))


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
        computed=f"{most / 1e9:.1f} x 10^9 with {layout.concurrency} x {layout.context_tokens} tokens",
        verdict=_compared(A100_PARAMETERS, most),
    )


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
            computed=f"{computed} with {layout.concurrency} x {asked.context_tokens} tokens",
            verdict="looser" if least is None else "agrees",
        )


def _memory(env: Environment, model: ModelRow) -> Iterator[Thumb]:
    """Memory at least 3 x the model: for the GPUs that hold a replica, and for the host that loads it."""
    for pool, result in fits(env):
        layout = result.layout
        size = parameters(model) * PRECISIONS[layout.precision].bytes_per_weight / GIB
        rank = result.fullest
        cache = layout.context_tokens * layout.sequences * rank.kv_bytes_per_token / GIB
        need = (rank.weights_gib + rank.fixed_gib + cache) * layout.gpus / size
        yield Thumb(
            text=f"GPU memory over the model's size, {pool.path}",
            says=f"at least {MEMORY_FACTOR:g}",
            computed=f"{need:.2f} needed, {result.hbm_gib * layout.gpus / size:.2f} there",
            verdict=_compared(need, MEMORY_FACTOR),
        )
    for name, group in env.site.groups.items() if env.site else ():
        if group.kind == "gpu" and env.serving:
            size = parameters(model) * PRECISIONS[env.serving.precision].bytes_per_weight / GIB
            yield Thumb(
                text=f"host memory over the model's size, site.groups.{name}",
                says=f"at least {MEMORY_FACTOR:g}",
                computed=f"{group.memory_gib / size:.2f}; 1 keeps the weights' files cached",
                verdict="met" if group.memory_gib >= MEMORY_FACTOR * size else "not met",
            )


def _cpus(env: Environment, model: ModelRow) -> Iterator[Thumb]:
    """CPUs at least twice the layers. An engine runs one process a GPU, so that what it needs grows with GPUs."""
    for name, group in env.site.groups.items() if env.site else ():
        if group.kind == "gpu" and group.gpus_per_host:
            yield Thumb(
                text=f"CPUs of a host, site.groups.{name}",
                says=f"at least {CPUS_A_LAYER * model.layers}",
                computed=f"{group.cpus}; an engine needs one process and its threads a GPU: {group.gpus_per_host}",
                verdict="met" if group.cpus >= CPUS_A_LAYER * model.layers else "not met",
            )
