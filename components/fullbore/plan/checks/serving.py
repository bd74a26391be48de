"""Rules about the model: is it known, can it be split so, does it fit, are there enough GPUs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from fullbore.catalog.accelerators import ACCELERATORS, AcceleratorRow
from fullbore.catalog.instances import INSTANCES
from fullbore.catalog.models import MODELS, ModelRow
from fullbore.config.models import Environment, Serving
from fullbore.plan.checks.base import Finding, Rule, Subject, counted
from fullbore.plan.fit import Fit, Layout, fit


@dataclass(frozen=True, kw_only=True)
class Pool:
    """GPUs of one kind that can hold replicas: a group at the site, or a node group in the cloud."""

    path: str
    accelerator: AcceleratorRow
    machines: int
    gpus_per_machine: int

    def pods(self, gpus: int) -> int:
        """Pods of this many GPUs that the pool holds; a pod lies within one machine."""
        return self.machines * (self.gpus_per_machine // gpus)


def layout_of(serving: Serving) -> Layout:
    return Layout(
        precision=serving.precision,
        tensor_parallel=serving.tensor_parallel,
        pipeline_parallel=serving.pipeline_parallel,
        context_tokens=serving.context_tokens,
        concurrency=serving.concurrency,
    )


def site_pools(env: Environment) -> Iterator[Pool]:
    for name, group in env.site.groups.items() if env.site else ():
        if group.kind == "gpu" and group.accelerator and group.gpus_per_host:
            yield Pool(
                path=f"site.groups.{name}",
                accelerator=ACCELERATORS[group.accelerator],
                machines=len(group.hosts),
                gpus_per_machine=group.gpus_per_host,
            )


def cloud_pools(env: Environment) -> Iterator[Pool]:
    for name, group in env.cloud.node_groups.items() if env.cloud else ():
        row = INSTANCES.get(group.instance_type)
        if row:
            yield Pool(
                path=f"cloud.node_groups.{name}",
                accelerator=ACCELERATORS[row.accelerator],
                machines=group.max_nodes,
                gpus_per_machine=row.gpus,
            )


def fits(env: Environment) -> Iterator[tuple[Pool, Fit]]:
    """How the model fits each pool that would hold it: the site's, and the cloud's where a standby is declared."""
    serving = env.serving
    model = MODELS.get(serving.model) if serving else None
    if serving is None or model is None:
        return
    pools = [*site_pools(env), *(cloud_pools(env) if env.standby else ())]
    for pool in pools:
        yield pool, fit(model, pool.accelerator, layout_of(serving))


def _unknown_model(subject: Subject) -> Iterable[Finding]:
    serving = subject.env.serving
    if serving and serving.model not in MODELS:
        near = get_close_matches(serving.model, MODELS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        shown = serving.model[:60]
        yield Finding("serving.model", f"{shown} is not in the catalog{hint}; known: {', '.join(sorted(MODELS))}")


def _known(subject: Subject) -> tuple[Serving, ModelRow] | None:
    serving = subject.env.serving
    model = MODELS.get(serving.model) if serving else None
    return (serving, model) if serving and model else None


def _split(subject: Subject) -> Iterable[Finding]:
    known = _known(subject)
    if known is None:
        return
    serving, model = known
    if model.heads % serving.tensor_parallel:
        allowed = [str(n) for n in (1, 2, 4, 8, 16, 32) if model.heads % n == 0]
        message = f"got {serving.tensor_parallel}, but {model.name} has {model.heads} attention heads"
        yield Finding("serving.tensor_parallel", f"{message}; allowed a divisor of that, e.g. {', '.join(allowed)}")
    if serving.pipeline_parallel > model.layers:
        message = f"got {serving.pipeline_parallel}, but {model.name} has {model.layers} layers; allowed at most that"
        yield Finding("serving.pipeline_parallel", message)


def _context(subject: Subject) -> Iterable[Finding]:
    known = _known(subject)
    if known and known[0].context_tokens > known[1].max_context_tokens:
        serving, model = known
        message = f"got {serving.context_tokens}, but {model.name} was trained for {model.max_context_tokens} tokens"
        yield Finding("serving.context_tokens", f"{message}; allowed at most that")


def _memory(subject: Subject) -> Iterable[Finding]:
    serving = subject.env.serving
    if serving is None:
        return
    for pool, result in fits(subject.env):
        if not result.fits:
            path = "serving.tensor_parallel" if pool.path.startswith("site.") else "standby.replicas"
            yield Finding(path, _misfit(serving, pool, result))


def _misfit(serving: Serving, pool: Pool, result: Fit) -> str:
    gpus = serving.tensor_parallel * serving.pipeline_parallel
    return (
        f"{serving.model} in {serving.precision} does not fit {gpus} x {pool.accelerator.name} of {pool.path}: "
        f"a GPU must hold {result.weights_gib:.1f} GiB of weights, {result.fixed_gib:.1f} GiB of activations and one "
        f"sequence of {serving.context_tokens} tokens, and has {result.budget_gib:.1f} GiB to use, "
        f"{result.short_gib:.1f} GiB too little; raise tensor_parallel, lower context_tokens or precision, "
        "or take a larger GPU"
    )


def _concurrency(subject: Subject) -> Iterable[Finding]:
    serving = subject.env.serving
    if serving is None:
        return
    for pool, result in fits(subject.env):
        if result.fits and result.kv_tokens < result.wanted_tokens:
            full = result.kv_tokens / serving.context_tokens
            message = (
                f"{serving.concurrency} sequences of {serving.context_tokens} tokens need {result.wanted_tokens} "
                f"tokens of KV cache, but {pool.path} leaves {result.kv_tokens} ({full:.1f} at full length); "
                "requests will wait, lower concurrency or context_tokens"
            )
            yield Finding("serving.concurrency", message)


def _span(subject: Subject) -> Iterable[Finding]:
    """A pod lies within one machine: replicas over several machines need a group of pods, which is not there yet."""
    serving = subject.env.serving
    pools = list(site_pools(subject.env))
    if serving is None or not pools:
        return
    gpus, most = layout_of(serving).gpus, max(pool.gpus_per_machine for pool in pools)
    if gpus > most:
        message = f"{_product(serving)} needs {gpus} GPUs in one host, but the largest host has {most}"
        yield Finding("serving.tensor_parallel", f"{message}; lower tensor_parallel or pipeline_parallel")


def _enough(subject: Subject) -> Iterable[Finding]:
    serving = subject.env.serving
    pools = list(site_pools(subject.env))
    if serving is None or not subject.env.site or not serving.replicas:
        return
    gpus = layout_of(serving).gpus
    if pools and gpus > max(pool.gpus_per_machine for pool in pools):
        return  # told by replica-spans-hosts
    room = sum(pool.pods(gpus) for pool in pools)
    if serving.replicas > room:
        have = sum(pool.machines * pool.gpus_per_machine for pool in pools)
        hosts = sum(pool.machines for pool in pools)
        message = (
            f"{counted(hosts, 'host')} with {counted(have, 'GPU')} can hold {counted(room, 'replica')}, but replicas "
            f"{serving.replicas} x {_product(serving)} needs {serving.replicas * gpus}; add a host or lower replicas"
        )
        yield Finding("serving.replicas", message)


def _standby_room(subject: Subject) -> Iterable[Finding]:
    serving, standby = subject.env.serving, subject.env.standby
    if serving is None or standby is None or subject.env.cloud is None:
        return
    gpus = layout_of(serving).gpus
    room = sum(pool.pods(gpus) for pool in cloud_pools(subject.env))
    if standby.replicas > room:
        message = (
            f"got {standby.replicas} of {counted(gpus, 'GPU')} each, but the cloud's node groups have room for {room} "
            "at max_nodes; raise max_nodes of a node group or lower replicas"
        )
        yield Finding("standby.replicas", message)


def _product(serving: Serving) -> str:
    return f"tensor_parallel {serving.tensor_parallel} x pipeline_parallel {serving.pipeline_parallel}"


RULES = (
    Rule(id="unknown-model", severity="error", summary="the catalog has no such model", find=_unknown_model),
    Rule(id="layout-illegal", severity="error", summary="the model cannot be split so", find=_split),
    Rule(id="context-too-long", severity="error", summary="the model was not trained for this context", find=_context),
    Rule(id="model-does-not-fit", severity="error", summary="weights and one sequence exceed the GPU", find=_memory),
    Rule(
        id="kv-cache-short",
        severity="warning",
        summary="the KV cache cannot hold every sequence at full length",
        find=_concurrency,
    ),
    Rule(id="replica-spans-hosts", severity="error", summary="a replica needs more GPUs than a host has", find=_span),
    Rule(id="gpus-too-few", severity="error", summary="the site has too few GPUs for the replicas", find=_enough),
    Rule(
        id="standby-no-room",
        severity="error",
        summary="the cloud's node groups cannot hold the standby",
        find=_standby_room,
    ),
)
