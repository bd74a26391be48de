"""GPUs that can hold replicas, the model, and the layout that every part of the plan goes by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from fullbore.catalog.accelerators import ACCELERATORS, AcceleratorRow
from fullbore.catalog.architecture import ModelRow
from fullbore.catalog.hub import HubConfigError, model_row
from fullbore.catalog.instances import INSTANCES
from fullbore.catalog.models import MODELS
from fullbore.config.models import Environment, Serving
from fullbore.plan.fit import Aim, Fit, Layout, candidate, candidates, fit, illegal, ranked
from fullbore.plan.fit.search import Candidate, legal_layouts


def first_of(names: Sequence[str]) -> str:
    """The first name, and how many there are beside it."""
    others = len(names) - 1
    return f"{names[0]} and {others} more" if others else names[0]


@dataclass(frozen=True, kw_only=True)
class Pool:
    """GPUs of one kind that can hold replicas: groups at the site, or node groups in the cloud, with equal machines."""

    paths: tuple[str, ...]
    accelerator: AcceleratorRow
    machines: int
    gpus_per_machine: int

    @property
    def path(self) -> str:
        return first_of(self.paths)

    @property
    def at_site(self) -> bool:
        return self.paths[0].startswith("site.")

    def pods(self, gpus: int) -> int:
        """Pods of this many GPUs that the pool holds; a pod lies within one machine."""
        return self.machines * (self.gpus_per_machine // gpus)


def site_pools(env: Environment) -> tuple[Pool, ...]:
    """The site's GPU groups, equal ones as one pool."""
    groups = env.site.groups.items() if env.site else ()
    return _merged(
        Pool(
            paths=(f"site.groups.{name}",),
            accelerator=ACCELERATORS[group.accelerator],
            machines=len(group.hosts),
            gpus_per_machine=group.gpus_per_host,
        )
        for name, group in groups
        if group.kind == "gpu" and group.accelerator and group.gpus_per_host
    )


def cloud_pools(env: Environment) -> tuple[Pool, ...]:
    """The cloud's node groups at their largest, equal ones as one pool."""
    groups = env.cloud.node_groups.items() if env.cloud else ()
    rows = ((name, group, INSTANCES.get(group.instance_type)) for name, group in groups)
    return _merged(
        Pool(
            paths=(f"cloud.node_groups.{name}",),
            accelerator=ACCELERATORS[row.accelerator],
            machines=group.max_nodes,
            gpus_per_machine=row.gpus,
        )
        for name, group, row in rows
        if row
    )


def _merged(pools: Iterable[Pool]) -> tuple[Pool, ...]:
    kinds = dict[tuple[str, int], list[Pool]]()
    for pool in pools:
        kinds.setdefault((pool.accelerator.name, pool.gpus_per_machine), []).append(pool)
    return tuple(
        replace(
            equal[0],
            paths=tuple(path for pool in equal for path in pool.paths),
            machines=sum(pool.machines for pool in equal),
        )
        for equal in kinds.values()
    )


def serving_pools(env: Environment) -> tuple[Pool, ...]:
    """Pools that would hold the model: the site's, and the cloud's where a standby is declared.

    No pod lands on nodes with fewer GPUs than it asks for: such pools are left out.
    """
    cloud, layout = cloud_pools(env) if env.standby else (), layout_of(env)
    holding = (pool for pool in cloud if layout is None or pool.gpus_per_machine >= layout.gpus)
    return (*site_pools(env), *holding)


def model_of(serving: Serving | None) -> ModelRow | None:
    """The model that is served; None where it is not known or its configuration is wrong."""
    if serving is None:
        return None
    if serving.hub_config is None:
        return MODELS.get(serving.model)
    try:
        return model_row(serving.model, serving.hub_config.path, serving.hub_config.content)
    except HubConfigError:
        return None


def asked_layout(serving: Serving) -> Layout:
    """What the environment says, with 1 for what it leaves out."""
    return Layout(
        precision=serving.precision,
        tensor_parallel=serving.tensor_parallel or 1,
        pipeline_parallel=serving.pipeline_parallel or 1,
        data_parallel=serving.data_parallel or 1,
        expert_parallel=serving.expert_parallel or False,
        kv_precision=serving.kv_precision,
        context_tokens=serving.context_tokens,
        concurrency=serving.concurrency,
    )


def layout_of(env: Environment) -> Layout | None:
    """The layout of every replica: what is given, else the best that fits every pool, else the roomiest that is legal.

    The second pool and those after it only have to hold it: one layout serves the site and its standby. Where none
    fits the cloud's smallest nodes, too, the larger ones hold the standby; standby-no-room tells where none does.
    """
    serving, model = env.serving, model_of(env.serving)
    if serving is None:
        return None
    asked, site = asked_layout(serving), site_pools(env)
    cloud = cloud_pools(env) if env.standby else ()
    if serving.tensor_parallel is not None or model is None or not (site or cloud):
        return asked
    kinds = tuple(_kinds(site, cloud))
    for some in kinds:
        choices = _choices(model, some, asked, _given(serving), serving.optimise)
        if choices:
            return next((layout for layout in choices if _has_room(env, layout)), choices[0])
    return _roomiest(model, kinds[-1], asked, _given(serving))


Kinds = tuple[tuple[str, int], ...]
"""Accelerator, and GPUs of a machine, of each pool."""


def _kinds(site: Sequence[Pool], cloud: Sequence[Pool]) -> Iterator[Kinds]:
    """All pools, then those without the cloud's smallest nodes, the next smallest, and so on down to the site's."""
    for least in (0, *sorted({pool.gpus_per_machine + 1 for pool in cloud})):
        left = (*site, *(pool for pool in cloud if pool.gpus_per_machine >= least))
        if left:
            yield tuple((pool.accelerator.name, pool.gpus_per_machine) for pool in left)


def _has_room(env: Environment, layout: Layout) -> bool:
    """True where site and cloud hold every replica split so."""
    wanted = ((site_pools(env), env.serving), (cloud_pools(env), env.standby))
    return all(
        part is None or not pools or sum(pool.pods(layout.gpus) for pool in pools) >= part.replicas
        for pools, part in wanted
    )


def _given(serving: Serving) -> tuple[tuple[str, int], ...]:
    """Parts of the layout that the environment fixes although it leaves tensor_parallel out."""
    names = ("pipeline_parallel", "data_parallel", "expert_parallel")
    return tuple((name, getattr(serving, name)) for name in names if getattr(serving, name) is not None)


@lru_cache(maxsize=256)
def _choices(
    model: ModelRow, kinds: Kinds, asked: Layout, given: tuple[tuple[str, int], ...], aim: Aim
) -> tuple[Layout, ...]:
    """Layouts that every kind of GPU holds, the best for the first kind first."""
    rows = [ACCELERATORS[name] for name, _ in kinds]
    fitting = candidates(model, rows[0], asked, min(count for _, count in kinds))
    held = [c for c in fitting if _keeps(c.layout, given) and all(fit(model, row, c.layout).fits for row in rows)]
    return tuple(candidate.layout for candidate in ranked(held, aim))


@lru_cache(maxsize=256)
def _roomiest(model: ModelRow, kinds: Kinds, asked: Layout, given: tuple[tuple[str, int], ...]) -> Layout:
    """The legal layout that lacks least on the first kind; what is asked for where none is legal."""
    row, gpus = ACCELERATORS[kinds[0][0]], min(count for _, count in kinds)
    legal = (layout for layout in legal_layouts(model, asked, gpus) if _keeps(layout, given))
    return min(legal, key=lambda layout: fit(model, row, layout).short_gib, default=asked)


def _keeps(layout: Layout, given: tuple[tuple[str, Any], ...]) -> bool:
    return all(getattr(layout, name) == value for name, value in given)


def fits(env: Environment) -> Iterator[tuple[Pool, Fit]]:
    """How the model fits each pool that would hold it; nothing for a layout that is not legal."""
    model, layout = model_of(env.serving), layout_of(env)
    if model is None or layout is None or illegal(model, layout):
        return
    for pool in serving_pools(env):
        yield pool, fit(model, pool.accelerator, layout)


def planned_layouts(env: Environment) -> Iterator[tuple[Pool, Candidate]]:
    """The layout of every replica on each pool that it fits."""
    model = model_of(env.serving)
    for pool, result in fits(env):
        if model and result.fits:
            yield pool, candidate(model, pool.accelerator, result)


@lru_cache(maxsize=256)
def layouts_of(model: ModelRow, accelerator: str, asked: Layout, gpus: int, aim: Aim) -> tuple[Candidate, ...]:
    """Every layout that fits one machine of so many GPUs, the best first; remembered, for several tables show them."""
    return ranked(candidates(model, ACCELERATORS[accelerator], asked, gpus), aim)


def alternatives(env: Environment, pool: Pool, aim: Aim) -> tuple[Candidate, ...]:
    """Every layout of the served model that fits a pool, the best first."""
    serving, model = env.serving, model_of(env.serving)
    if serving is None or model is None:
        return ()
    return layouts_of(model, pool.accelerator.name, asked_layout(serving), pool.gpus_per_machine, aim)
