"""What would make a misfit fit: single changes, each tried before it is named, the smallest first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from fullbore.catalog.accelerators import ACCELERATORS, AcceleratorRow
from fullbore.catalog.architecture import ModelRow
from fullbore.catalog.precisions import LOWER, PRECISIONS, kv_fp8_capability
from fullbore.plan.fit.layout import Layout, illegal
from fullbore.plan.fit.memory import Fit, fit
from fullbore.plan.fit.search import candidates as fitting
from fullbore.plan.fit.search import ranked

Enough = Callable[[Fit], bool]
"""What the change must reach: one sequence, or all of them."""
LEAST_CONTEXT = 1024
"""A shorter context is no repair of a misfit."""
LEAST_CONTEXT_SHARE = 1 / 4
"""Nor is one that is shorter than this share of what is asked."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """Settings to change, by the name of the field; `accelerator` is the GPU's."""

    values: tuple[tuple[str, object], ...]

    def __str__(self) -> str:
        return " and ".join(_phrase(field, value) for field, value in self.values)


def _phrase(field: str, value: object) -> str:
    if field == "accelerator":
        return f"take {value} GPUs"
    return f"set {field} to {str(value).lower() if isinstance(value, bool) else value}"


def changes(
    model: ModelRow, accelerator: AcceleratorRow, layout: Layout, gpus: int, enough: Enough
) -> tuple[Change, ...]:
    """Changes that make it enough, each on its own, from what costs least to what costs most: fewer sequences, a
    shorter context, an fp8 cache, another split of the machine, a lower precision, a larger GPU."""
    builders = (_fewer, _shorter, _smaller_cache, _split, _lower, _larger)
    return tuple(change for build in builders for change in build(model, accelerator, layout, gpus, enough))


def pairs(
    model: ModelRow, accelerator: AcceleratorRow, layout: Layout, gpus: int, enough: Enough
) -> tuple[Change, ...]:
    """Two changes at once, for where none is enough alone: an fp8 cache or a lower precision, and one of the others."""
    found = list[Change]()
    for field, value in _firsts(model, accelerator, layout):
        after = replace(layout, **{field: value})
        for build in (_fewer, _shorter, _smaller_cache, _split):
            seconds = build(model, accelerator, after, gpus, enough)
            found += [Change(values=((field, value), *second.values)) for second in seconds if second.values]
    return tuple(found)


def _firsts(model: ModelRow, accelerator: AcceleratorRow, layout: Layout) -> Iterator[tuple[str, Any]]:
    if accelerator.compute_capability >= kv_fp8_capability(model) and layout.kv_precision == "auto":
        yield "kv_precision", "fp8"
    precision = layout.precision
    while (lower := LOWER.get(precision)) is not None:
        precision = lower
        if runs(precision, accelerator):
            yield "precision", precision


def _tried(model: ModelRow, accelerator: AcceleratorRow, layout: Layout, enough: Enough) -> bool:
    return not illegal(model, layout) and enough(fit(model, accelerator, layout))


def _fewer(model: ModelRow, accelerator: AcceleratorRow, layout: Layout, gpus: int, enough: Enough) -> Iterator[Change]:
    """The most that have room side by side at full length: of more that start, some would wait."""
    best = _largest(
        1, layout.concurrency - 1, lambda n: _tried(model, accelerator, replace(layout, concurrency=n), _all_at_once)
    )
    if best:
        yield Change(values=(("concurrency", best),))


def _all_at_once(result: Fit) -> bool:
    return result.full


def _shorter(
    model: ModelRow, accelerator: AcceleratorRow, layout: Layout, gpus: int, enough: Enough
) -> Iterator[Change]:
    """The longest that is enough; none below LEAST_CONTEXT_SHARE, which would be another use of the model."""
    blocks = _largest(
        max(1, ceil(layout.context_tokens * LEAST_CONTEXT_SHARE / LEAST_CONTEXT)),
        min(layout.context_tokens - 1, model.max_context_tokens) // LEAST_CONTEXT,
        lambda n: _tried(model, accelerator, replace(layout, context_tokens=n * LEAST_CONTEXT), enough),
    )
    if blocks:
        yield Change(values=(("context_tokens", blocks * LEAST_CONTEXT),))


def _smaller_cache(
    model: ModelRow, accelerator: AcceleratorRow, layout: Layout, gpus: int, enough: Enough
) -> Iterator[Change]:
    able = accelerator.compute_capability >= kv_fp8_capability(model)
    if (
        able
        and layout.kv_precision == "auto"
        and _tried(model, accelerator, replace(layout, kv_precision="fp8"), enough)
    ):
        yield Change(values=(("kv_precision", "fp8"),))


def _split(model: ModelRow, accelerator: AcceleratorRow, layout: Layout, gpus: int, enough: Enough) -> Iterator[Change]:
    """The legal split of one machine with the fewest GPUs; of equals the one that is cheapest to run."""
    found = [c for c in ranked(fitting(model, accelerator, layout, gpus), "cost") if enough(c.fit)]
    if found:
        yield Change(values=_differences(layout, min(found, key=lambda c: c.layout.gpus).layout))


def _differences(old: Layout, new: Layout) -> tuple[tuple[str, object], ...]:
    fields = ("tensor_parallel", "pipeline_parallel", "data_parallel", "expert_parallel")
    return tuple((name, getattr(new, name)) for name in fields if getattr(new, name) != getattr(old, name))


def _lower(model: ModelRow, accelerator: AcceleratorRow, layout: Layout, gpus: int, enough: Enough) -> Iterator[Change]:
    precision = layout.precision
    while (lower := LOWER.get(precision)) is not None:
        precision = lower
        if runs(precision, accelerator) and _tried(model, accelerator, replace(layout, precision=precision), enough):
            yield Change(values=(("precision", precision),))
            return


def _larger(
    model: ModelRow, accelerator: AcceleratorRow, layout: Layout, gpus: int, enough: Enough
) -> Iterator[Change]:
    """The GPU of the least memory that is enough: prices of some rows hold a server's share, and cannot be compared."""
    for row in sorted(ACCELERATORS.values(), key=lambda row: row.hbm_gib):
        larger = row.hbm_gib > accelerator.hbm_gib and runs(layout.precision, row)
        if larger and _tried(model, row, layout, enough):
            yield Change(values=(("accelerator", row.name),))
            return


def runs(precision: str, accelerator: AcceleratorRow) -> bool:
    """True where the GPU runs kernels of this precision."""
    row, has = PRECISIONS[precision], accelerator.compute_capability
    return row.capability <= has and (row.until is None or has <= row.until)


def _largest(low: int, high: int, holds: Callable[[int], bool]) -> int | None:
    """The largest number from `low` to `high` that holds, where all below one that holds do, too."""
    best = None
    while low <= high:
        middle = (low + high) // 2
        if holds(middle):
            best, low = middle, middle + 1
        else:
            high = middle - 1
    return best
