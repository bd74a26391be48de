"""Rules about memory: do the weights fit, is there KV cache for what is asked, and what would help if not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from math import floor

from fullbore.config.models import Environment
from fullbore.plan.change import Change as FieldChange
from fullbore.plan.change import put
from fullbore.plan.checks import model, serving
from fullbore.plan.checks.base import Finding, Rule, Subject
from fullbore.plan.fit import Change, Enough, Fit, Layout, changes, pairs
from fullbore.plan.pools import Pool, fits, model_of

MOST_HINTS = 3


def _memory(subject: Subject) -> Iterable[Finding]:
    for pool, result in fits(subject.env):
        if not result.fits:
            found = list(verified(subject, pool, result.layout, _fits_one))[:MOST_HINTS]
            message = f"{_misfit(subject, pool, result)}; {_hints(found)}"
            yield Finding(_memory_path(subject.env, pool), message, _first(subject.env, pool, found))


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
        f"{result.short_gib:.1f} GiB too little"
    )


def _concurrency(subject: Subject) -> Iterable[Finding]:
    for pool, result in fits(subject.env):
        if result.fits and not result.full:
            layout = result.layout
            full = floor(10 * result.kv_tokens / layout.context_tokens) / 10
            found = list(verified(subject, pool, layout, _fits_all))[:MOST_HINTS]
            message = (
                f"{layout.concurrency} sequences of {layout.context_tokens} tokens need {result.wanted_tokens} "
                f"tokens of KV cache, but {pool.path} leaves {result.kv_tokens} ({full:.1f} at full length); "
                f"requests will wait, or {_hints(found)}"
            )
            yield Finding("serving.concurrency", message, _first(subject.env, pool, found))


def _fits_one(result: Fit) -> bool:
    return result.fits


def _fits_all(result: Fit) -> bool:
    return result.full


def _hints(found: Sequence[Change]) -> str:
    """The smallest changes that were tried and help, in words."""
    nothing = "no one change and no two of them help: take a smaller model, or more or larger GPUs"
    return "; or ".join(map(str, found)) or nothing


def _first(env: Environment, pool: Pool, found: Sequence[Change]) -> tuple[FieldChange, ...]:
    """The smallest of the changes, as one of the file."""
    values = found[0].values if found else ()
    groups = [path for path in pool.paths if path.startswith("site.")]
    return tuple(
        put(path, value)
        for field, value in values
        for path in ([f"{group}.accelerator" for group in groups] if field == "accelerator" else [f"serving.{field}"])
    )


def verified(subject: Subject, pool: Pool, layout: Layout, enough: Enough) -> Iterator[Change]:
    """Changes after which the pool holds the model, and which break no other rule about it."""
    served = model_of(subject.env.serving)
    if served is None:
        return
    before, alone = set(_hard(subject)), False
    for propose in (changes, pairs):
        for change in () if alone else propose(served, pool.accelerator, layout, pool.gpus_per_machine, enough):
            if _helps(subject, pool, change, enough, before):
                alone = True
                yield change


def _helps(subject: Subject, pool: Pool, change: Change, enough: Enough, before: Collection[str]) -> bool:
    """True where the pool then holds what is asked, and no hard rule finds what it did not find `before`."""
    if not pool.at_site and any(field == "accelerator" for field, _ in change.values):
        return False
    after = Subject(applied(subject.env, pool, change), subject.endpoints)
    held = [result for other, result in fits(after.env) if other.paths[0] in pool.paths]
    return bool(held) and all(enough(result) for result in held) and set(_hard(after)) <= set(before)


def applied(env: Environment, pool: Pool, change: Change) -> Environment:
    """The environment with a change made: in `serving`, and to the accelerator of the pool's groups at the site."""
    values = dict(change.values)
    accelerator = values.pop("accelerator", None)
    served = env.serving.model_copy(update=values) if env.serving else None
    if accelerator is None or env.site is None:
        return env.model_copy(update={"serving": served})
    groups = {
        name: group.model_copy(update={"accelerator": accelerator}) if f"site.groups.{name}" in pool.paths else group
        for name, group in env.site.groups.items()
    }
    return env.model_copy(update={"serving": served, "site": env.site.model_copy(update={"groups": groups})})


def _hard(subject: Subject) -> Iterator[str]:
    """Paths of rules that a change must not break."""
    for find in _HARD:
        yield from (f"{find.__name__} {finding.path}" for finding in find(subject))


_HARD = (
    model.split,
    model.context,
    model.precision,
    model.checkpoint,
    serving.span,
    serving.enough,
    serving.standby_room,
)

RULES = (
    Rule(id="model-does-not-fit", severity="error", summary="weights and one sequence exceed the GPU", find=_memory),
    Rule(
        id="kv-cache-short",
        severity="warning",
        summary="the KV cache cannot hold every sequence at full length",
        find=_concurrency,
    ),
)
