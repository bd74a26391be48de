"""Rules about the model: is it known, can it be split so, does it fit, are there enough GPUs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches

from fullbore.catalog.architecture import ModelRow
from fullbore.catalog.hub import HubConfigError, model_row
from fullbore.catalog.models import MODELS
from fullbore.catalog.precisions import KV_FP8_CAPABILITY, PRECISIONS
from fullbore.config.models import Environment, Serving
from fullbore.plan.checks.base import Finding, Rule, Subject, counted
from fullbore.plan.fit import Change, Fit, Layout, changes, illegal, runs
from fullbore.plan.pools import Pool, cloud_pools, fits, layout_of, model_of, serving_pools, site_pools

MOST_HINTS = 3


def _unknown_model(subject: Subject) -> Iterable[Finding]:
    serving = subject.env.serving
    if serving and serving.hub_config is None and serving.model not in MODELS:
        near = get_close_matches(serving.model, MODELS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        known = f"{hint}; name its config.json in hub_config, or take one of {', '.join(sorted(MODELS))}"
        yield Finding("serving.model", f"{serving.model[:60]} is not in the catalog{known}")


def _hub_config(subject: Subject) -> Iterable[Finding]:
    serving = subject.env.serving
    if serving and serving.hub_config:
        try:
            model_row(serving.model, serving.hub_config.path, serving.hub_config.content)
        except HubConfigError as error:
            for reason in error.reasons:
                yield Finding("serving.hub_config", f"{serving.hub_config.path[:60]}: {reason}")


def _known(subject: Subject) -> tuple[Serving, ModelRow] | None:
    serving, model = subject.env.serving, model_of(subject.env.serving)
    return (serving, model) if serving and model else None


def _split(subject: Subject) -> Iterable[Finding]:
    known = _known(subject)
    layout = layout_of(subject.env)
    if known and layout:
        for field, reason in illegal(known[1], layout):
            yield Finding(f"serving.{field}", reason)


def _context(subject: Subject) -> Iterable[Finding]:
    known = _known(subject)
    if known and known[0].context_tokens > known[1].max_context_tokens:
        serving, model = known
        message = f"got {serving.context_tokens}, but {model.name} was trained for {model.max_context_tokens} tokens"
        yield Finding("serving.context_tokens", f"{message}; allowed at most that")


def _precision(subject: Subject) -> Iterable[Finding]:
    serving = subject.env.serving
    for pool in serving_pools(subject.env) if serving else ():
        if serving and not runs(serving.precision, pool.accelerator):
            row, (major, minor) = PRECISIONS[serving.precision], pool.accelerator.compute_capability
            allowed = ", ".join(name for name in PRECISIONS if runs(name, pool.accelerator))
            newest = f" to {row.until[0]}.{row.until[1]}" if row.until else ""
            message = (
                f"got {serving.precision}, which needs compute capability {row.capability[0]}.{row.capability[1]}"
                f"{newest or ' or newer'}, but {pool.accelerator.name} of {pool.path} has {major}.{minor}"
            )
            yield Finding("serving.precision", f"{message}; allowed there {allowed}")
        if serving and serving.kv_precision == "fp8" and pool.accelerator.compute_capability < KV_FP8_CAPABILITY:
            major, minor = pool.accelerator.compute_capability
            message = (
                f"got fp8, which needs compute capability {KV_FP8_CAPABILITY[0]}.{KV_FP8_CAPABILITY[1]} or newer, "
                f"but {pool.accelerator.name} of {pool.path} has {major}.{minor}; allowed there auto"
            )
            yield Finding("serving.kv_precision", message)


def _memory(subject: Subject) -> Iterable[Finding]:
    for pool, result in fits(subject.env):
        if not result.fits:
            yield Finding(_memory_path(subject.env, pool), _misfit(subject, pool, result))


def _memory_path(env: Environment, pool: Pool) -> str:
    if not pool.at_site:
        return "standby.replicas"
    return "serving.tensor_parallel" if env.serving and env.serving.tensor_parallel else "serving.model"


def _misfit(subject: Subject, pool: Pool, result: Fit) -> str:
    layout, rank = result.layout, result.fullest
    name = subject.env.serving.model if subject.env.serving else ""
    return (
        f"{name} in {layout.precision} does not fit {layout.gpus} x {pool.accelerator.name} of {pool.path} "
        f"({layout}): a GPU must hold {rank.weights_gib:.1f} GiB of weights, {rank.fixed_gib:.1f} GiB of activations "
        f"and buffers and one sequence of {layout.context_tokens} tokens, and has {rank.budget_gib:.1f} GiB to use, "
        f"{result.short_gib:.1f} GiB too little; {_hints(subject, pool, layout, _fits_one)}"
    )


def _concurrency(subject: Subject) -> Iterable[Finding]:
    for pool, result in fits(subject.env):
        if result.fits and not result.full:
            layout = result.layout
            full = result.kv_tokens / layout.context_tokens
            message = (
                f"{layout.concurrency} sequences of {layout.context_tokens} tokens need {result.wanted_tokens} "
                f"tokens of KV cache, but {pool.path} leaves {result.kv_tokens} ({full:.1f} at full length); "
                f"requests will wait, or {_hints(subject, pool, layout, _fits_all)}"
            )
            yield Finding("serving.concurrency", message)


def _fits_one(result: Fit) -> bool:
    return result.fits


def _fits_all(result: Fit) -> bool:
    return result.full


def _hints(subject: Subject, pool: Pool, layout: Layout, enough: Callable[[Fit], bool]) -> str:
    """The smallest changes that were tried and help, in words."""
    found = [str(change) for change in verified(subject, pool, layout, enough)][:MOST_HINTS]
    return "; or ".join(found) if found else "no single change helps: take a smaller model, or several of these at once"


def verified(subject: Subject, pool: Pool, layout: Layout, enough: Callable[[Fit], bool]) -> Iterator[Change]:
    """Changes after which the pool holds the model, and which break no other rule about it."""
    model = model_of(subject.env.serving)
    if model is None:
        return
    before = set(_hard(subject))
    for change in changes(model, pool.accelerator, layout, pool.gpus_per_machine, enough):
        if pool.at_site or all(field != "accelerator" for field, _ in change.values):
            after = Subject(applied(subject.env, pool, change), subject.endpoints)
            held = [result for other, result in fits(after.env) if other.paths[0] in pool.paths]
            if held and all(enough(result) for result in held) and set(_hard(after)) <= before:
                yield change


def applied(env: Environment, pool: Pool, change: Change) -> Environment:
    """The environment with a change made: in `serving`, and to the accelerator of the pool's groups at the site."""
    values = dict(change.values)
    accelerator = values.pop("accelerator", None)
    serving = env.serving.model_copy(update=values) if env.serving else None
    if accelerator is None or env.site is None:
        return env.model_copy(update={"serving": serving})
    groups = {
        name: group.model_copy(update={"accelerator": accelerator}) if f"site.groups.{name}" in pool.paths else group
        for name, group in env.site.groups.items()
    }
    return env.model_copy(update={"serving": serving, "site": env.site.model_copy(update={"groups": groups})})


def _hard(subject: Subject) -> Iterator[str]:
    """Paths of rules that a change must not break."""
    for find in (_split, _precision, _span, _enough, _standby_room, _context):
        yield from (f"{find.__name__} {finding.path}" for finding in find(subject))


def _slow_link(subject: Subject) -> Iterable[Finding]:
    layout = layout_of(subject.env)
    for pool in serving_pools(subject.env) if layout else ():
        if layout and layout.tensor_parallel > pool.accelerator.link_domain:
            row = pool.accelerator
            message = (
                f"{layout.tensor_parallel} ranks of {row.name} in {pool.path} exchange two sums a layer, but "
                f"NVLink joins {counted(row.link_domain, 'of them' if row.nvlink else 'GPU')}, so that they go at "
                f"{row.link_gbps:g} GB/s; lower tensor_parallel, or expect each token to take longer"
            )
            yield Finding("serving.tensor_parallel", message)


def _span(subject: Subject) -> Iterable[Finding]:
    """A pod lies within one machine: replicas over several machines need a group of pods, which is not there yet."""
    layout, pools = layout_of(subject.env), site_pools(subject.env)
    if layout is None or not pools:
        return
    most = max(pool.gpus_per_machine for pool in pools)
    if layout.gpus > most:
        message = f"{_product(layout)} needs {layout.gpus} GPUs in one host, but the largest host has {most}"
        yield Finding("serving.tensor_parallel", f"{message}; lower tensor_parallel or pipeline_parallel")


def _enough(subject: Subject) -> Iterable[Finding]:
    serving, layout, pools = subject.env.serving, layout_of(subject.env), site_pools(subject.env)
    if serving is None or layout is None or not subject.env.site or not serving.replicas:
        return
    gpus = layout.gpus
    if pools and gpus > max(pool.gpus_per_machine for pool in pools):
        return  # told by replica-spans-hosts
    room = sum(pool.pods(gpus) for pool in pools)
    if serving.replicas > room:
        have = sum(pool.machines * pool.gpus_per_machine for pool in pools)
        hosts = sum(pool.machines for pool in pools)
        message = (
            f"{counted(hosts, 'host')} with {counted(have, 'GPU')} can hold {counted(room, 'replica')}, but replicas "
            f"{serving.replicas} x {_product(layout)} needs {serving.replicas * gpus}; add a host or lower replicas"
        )
        yield Finding("serving.replicas", message)


def _standby_room(subject: Subject) -> Iterable[Finding]:
    layout, standby = layout_of(subject.env), subject.env.standby
    if layout is None or standby is None or subject.env.cloud is None:
        return
    gpus = layout.gpus
    room = sum(pool.pods(gpus) for pool in cloud_pools(subject.env))
    if standby.replicas > room:
        message = (
            f"got {standby.replicas} of {counted(gpus, 'GPU')} each, but the cloud's node groups have room for {room} "
            "at max_nodes; raise max_nodes of a node group or lower replicas"
        )
        yield Finding("standby.replicas", message)


def _product(layout: Layout) -> str:
    data = f" x data_parallel {layout.data_parallel}" if layout.data_parallel > 1 else ""
    return f"tensor_parallel {layout.tensor_parallel} x pipeline_parallel {layout.pipeline_parallel}{data}"


RULES = (
    Rule(id="unknown-model", severity="error", summary="the catalog has no such model", find=_unknown_model),
    Rule(
        id="hub-config-unusable",
        severity="error",
        summary="a config.json of an unknown architecture, or with a field missing or wrong",
        find=_hub_config,
    ),
    Rule(id="layout-illegal", severity="error", summary="the model cannot be split so", find=_split),
    Rule(id="context-too-long", severity="error", summary="the model was not trained for this context", find=_context),
    Rule(
        id="precision-unsupported",
        severity="error",
        summary="the GPU runs no kernels of this precision",
        find=_precision,
    ),
    Rule(id="model-does-not-fit", severity="error", summary="weights and one sequence exceed the GPU", find=_memory),
    Rule(
        id="kv-cache-short",
        severity="warning",
        summary="the KV cache cannot hold every sequence at full length",
        find=_concurrency,
    ),
    Rule(
        id="tensor-parallel-slow-link",
        severity="warning",
        summary="tensor ranks that NVLink does not join",
        find=_slow_link,
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
