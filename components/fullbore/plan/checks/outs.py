"""What else holds the model, where the change that comes to mind does not: each is tried before it is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from fullbore.catalog.accelerators import ACCELERATORS
from fullbore.catalog.precisions import no_larger
from fullbore.config.models import Environment
from fullbore.plan.fit import runs
from fullbore.plan.pools import fits, layout_of, serving_pools, site_pools

MOST_GPUS = 2
"""Kinds of GPU that are named, those with the least memory first."""


def held(env: Environment) -> bool:
    """True where every pool that would hold replicas runs the precision and holds one, within one machine."""
    layout, results, site = layout_of(env), tuple(fits(env)), site_pools(env)
    if layout is None or (site and layout.gpus > max(pool.gpus_per_machine for pool in site)):
        return False
    return bool(results) and all(
        result.fits and runs(result.layout.precision, pool.accelerator) for pool, result in results
    )


def joined(env: Environment) -> bool:
    """The same, where NVLink joins the tensor ranks of each replica."""
    layout = layout_of(env)
    domain = min((pool.accelerator.link_domain for pool in serving_pools(env)), default=0)
    return layout is not None and layout.tensor_parallel <= domain and held(env)


def served(env: Environment, **fields: object) -> Environment:
    """The environment with other settings of `serving`."""
    return env.model_copy(update={"serving": env.serving and env.serving.model_copy(update=fields)})


def ways_out(envs: Sequence[Environment], good: Callable[[Environment], bool]) -> str:
    """A lower precision and other GPUs with which one of the environments is good, in words; nothing without any."""
    found = (next(ways(envs, good), "") for ways in (_precisions, _accelerators))
    return " or ".join(way for way in found if way)


def _precisions(envs: Sequence[Environment], good: Callable[[Environment], bool]) -> Iterator[str]:
    """Of weights that are not stored in one already."""
    serving = envs[0].serving
    names = tuple(no_larger(serving.precision))[1:] if serving and serving.hub_config is None else ()
    for name in names:
        if any(good(served(env, precision=name)) for env in envs):
            yield f"take {name} weights"


def _accelerators(envs: Sequence[Environment], good: Callable[[Environment], bool]) -> Iterator[str]:
    rows = sorted(ACCELERATORS.values(), key=lambda row: row.hbm_gib) if site_pools(envs[0]) else ()
    able = (row.name for row in rows if any(good(_with_gpus(env, row.name)) for env in envs))
    names = " or ".join(islice(able, MOST_GPUS))
    if names:
        yield f"take {names} GPUs"


def _with_gpus(env: Environment, name: str) -> Environment:
    """The environment with another kind of GPU in every machine of the site."""
    groups = {
        key: group.model_copy(update={"accelerator": name}) if group.kind == "gpu" else group
        for key, group in (env.site.groups if env.site else {}).items()
    }
    return env.model_copy(update={"site": env.site and env.site.model_copy(update={"groups": groups})})
