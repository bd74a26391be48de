"""Rules about the model and how it is split: is it known, is the split legal, do the GPUs run its precision."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from difflib import get_close_matches

from fullbore.catalog.architecture import ModelRow
from fullbore.catalog.hub import HubConfigError, model_row
from fullbore.catalog.models import MODELS
from fullbore.catalog.precisions import FLASHINFER, PRECISIONS, kv_fp8_capability, no_larger
from fullbore.config.models import Environment, Serving
from fullbore.plan.change import Change, put, remove
from fullbore.plan.checks.base import Finding, Rule, Subject
from fullbore.plan.checks.outs import held, joined, served, ways_out
from fullbore.plan.fit import GIB, Layout, illegal, link_rate, runs
from fullbore.plan.fit.memory import weight_bytes
from fullbore.plan.pools import fits, layout_of, model_of, serving_pools


def _unknown_model(subject: Subject) -> Iterable[Finding]:
    serving = subject.env.serving
    if serving and serving.hub_config is None and serving.model not in MODELS:
        near = get_close_matches(serving.model, MODELS, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        known = f"{hint}; name its config.json in hub_config, or take one of {', '.join(sorted(MODELS))}"
        changes = (put("serving.model", near[0]),) if near else ()
        yield Finding("serving.model", f"{serving.model[:60]} is not in the catalog{known}", changes)


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


def split(subject: Subject) -> Iterable[Finding]:
    known = _known(subject)
    layout = layout_of(subject.env)
    if known and layout:
        for field, reason in illegal(known[1], layout):
            yield Finding(f"serving.{field}", reason, tuple(_legal(known[1], layout, field)))


MOST_RANKS = 128
"""No larger split is proposed: a machine has fewer GPUs, and no model of the catalog more layers."""


def _legal(model: ModelRow, layout: Layout, field: str) -> Iterator[Change]:
    """The nearest smaller value of the field that is legal and makes nothing else illegal, where there is one."""
    before = {wrong.field for wrong in illegal(model, layout)}
    smaller = (False,) if field == "expert_parallel" else range(min(getattr(layout, field) - 1, MOST_RANKS), 0, -1)
    for value in smaller:
        after = {wrong.field for wrong in illegal(model, replace(layout, **{field: value}))}
        if after < before and field not in after:
            yield put(f"serving.{field}", value)
            return


def context(subject: Subject) -> Iterable[Finding]:
    known = _known(subject)
    if known and known[0].context_tokens > known[1].max_context_tokens:
        serving, model = known
        message = f"got {serving.context_tokens}, but {model.name} was trained for {model.max_context_tokens} tokens"
        most = put("serving.context_tokens", model.max_context_tokens)
        yield Finding("serving.context_tokens", f"{message}; allowed at most that", (most,))


def precision(subject: Subject) -> Iterable[Finding]:
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
            yield Finding("serving.precision", f"{message}; allowed there {allowed}", tuple(_runnable(subject)))
        model = model_of(serving)
        oldest = kv_fp8_capability(model) if model else FLASHINFER
        if serving and serving.kv_precision == "fp8" and pool.accelerator.compute_capability < oldest:
            major, minor = pool.accelerator.compute_capability
            message = (
                f"got fp8, which needs compute capability {oldest[0]}.{oldest[1]} or newer for this model, "
                f"but {pool.accelerator.name} of {pool.path} has {major}.{minor}; allowed there auto"
            )
            yield Finding("serving.kv_precision", message, (remove("serving.kv_precision"),))


def checkpoint(subject: Subject) -> Iterable[Finding]:
    """A quantised checkpoint is served as it is stored; one that is not cannot be served in 4 or 8 whole bits."""
    known = _known(subject)
    if known is None or known[0].hub_config is None:
        return
    serving, stored = known[0], known[1].quantised
    path = serving.hub_config.path[:60] if serving.hub_config else ""
    if stored and stored.precision != serving.precision:
        message = f"got {serving.precision}, but {path} says that the weights are stored in {stored.precision}"
        step = put("serving.precision", stored.precision)
        yield Finding("serving.precision", f"{message}; take that, or name the config.json of other weights", (step,))
    if stored is None and serving.precision in STORED_ONLY:
        message = f"got {serving.precision}, but {path} has no quantization_config: its weights are not stored so"
        fix = "take bf16, or the config.json of the quantised weights"
        yield Finding("serving.precision", f"{message}; {fix}", (put("serving.precision", "bf16"),))


def _partly(subject: Subject) -> Iterable[Finding]:
    known = _known(subject)
    file, stored = (known[0].hub_config, known[1].quantised) if known else (None, None)
    if known and file and stored and stored.kept:
        first, *others = stored.kept
        left = f"{first[:60]} and {len(others)} more" if others else first[:60]
        whole = Layout(precision=stored.precision, context_tokens=1, concurrency=1)
        alone = replace(known[1], quantised=replace(stored, kept=(), kept_layers=()))
        gib = (sum(weight_bytes(known[1], whole, 0).values()) - sum(weight_bytes(alone, whole, 0).values())) / GIB
        message = (
            f"{file.path[:60]}: quantization_config leaves {left} in 16 bits, so that weights take {gib:.1f} GiB more "
            f"than {stored.precision} alone; the plan counts them, and where a pattern may mean more, all of that"
        )
        yield Finding("serving.hub_config", message)


STORED_ONLY = ("int8", "int4")
"""Precisions that engines do not make from 16-bit weights when they load them, as they do fp8 (docs.vllm.ai,
features/quantization: FP8, online dynamic quantization)."""


def _runnable(subject: Subject) -> Iterator[Change]:
    """The first precision of no more bits that every GPU runs, where there is one."""
    serving, pools = subject.env.serving, serving_pools(subject.env)
    for name in no_larger(serving.precision) if serving else ():
        if all(runs(name, pool.accelerator) for pool in pools):
            yield put("serving.precision", name)
            return


def _optimise(subject: Subject) -> Iterable[Finding]:
    serving = subject.env.serving
    if serving and serving.optimise != "cost" and serving.tensor_parallel is not None:
        message = f"got {serving.optimise}, but tensor_parallel {serving.tensor_parallel} gives the layout"
        fix = (remove("serving.optimise"),)
        yield Finding("serving.optimise", f"{message}, so that none is chosen; remove one of the two", fix)


def _engine(subject: Subject) -> Iterable[Finding]:
    serving, image = subject.env.serving, subject.env.image
    if serving and serving.engine and image and image.profile != "cuda":
        message = f"got {serving.engine}, but the image of profile {image.profile} has an engine of its own; remove it"
        yield Finding("serving.engine", message, (remove("serving.engine"),))


def _slow_link(subject: Subject) -> Iterable[Finding]:
    layout, pools = layout_of(subject.env), serving_pools(subject.env)
    domain = min((pool.accelerator.link_domain for pool in pools), default=0)
    if layout is None or not pools or layout.tensor_parallel <= domain:
        return
    advice, steps = _faster_link(subject.env, domain)
    for pool in pools:
        if layout.tensor_parallel <= pool.accelerator.link_domain:
            continue
        row = pool.accelerator
        joined_by = f"{row.link_domain} of them" if row.nvlink else "none of them"
        rate = link_rate(row, layout.tensor_parallel) / 1e9
        message = (
            f"{layout.tensor_parallel} ranks of {row.name} in {pool.path} exchange two sums a layer, but "
            f"NVLink joins {joined_by}, so that they go at {rate:g} GB/s; {advice}, or expect each token to take longer"
        )
        yield Finding("serving.tensor_parallel", message, steps)


def _faster_link(env: Environment, domain: int) -> tuple[str, tuple[Change, ...]]:
    """Fewer tensor ranks where they hold as much as is asked, else what would, in words."""
    fewer = served(env, tensor_parallel=domain)
    were_full = all(result.full for _, result in fits(env))
    if held(fewer) and (not were_full or all(result.full for _, result in fits(fewer))):
        return "lower tensor_parallel", (put("serving.tensor_parallel", domain),)
    return (
        f"fewer ranks do not hold what is asked: {ways_out((fewer, env), joined) or 'take GPUs that NVLink joins'}",
        (),
    )


RULES = (
    Rule(id="unknown-model", severity="error", summary="the catalog has no such model", find=_unknown_model),
    Rule(
        id="hub-config-unusable",
        severity="error",
        summary="a config.json of an unknown architecture, or with a field missing or wrong",
        find=_hub_config,
    ),
    Rule(id="layout-illegal", severity="error", summary="the model cannot be split so", find=split),
    Rule(id="context-too-long", severity="error", summary="the model was not trained for this context", find=context),
    Rule(
        id="precision-unsupported",
        severity="error",
        summary="the GPU runs no kernels of this precision",
        find=precision,
    ),
    Rule(
        id="quantised-in-part",
        severity="warning",
        summary="a checkpoint keeps modules in 16 bits, so that weights take more than its precision says",
        find=_partly,
    ),
    Rule(
        id="precision-differs",
        severity="error",
        summary="the weights are stored in another precision than they are planned in",
        find=checkpoint,
    ),
    Rule(
        id="optimise-unused",
        severity="warning",
        summary="an aim for choosing a layout, where the layout is given",
        find=_optimise,
    ),
    Rule(
        id="engine-unused",
        severity="warning",
        summary="an engine for an image that has one of its own",
        find=_engine,
    ),
    Rule(
        id="tensor-parallel-slow-link",
        severity="warning",
        summary="tensor ranks that NVLink does not join",
        find=_slow_link,
    ),
)
