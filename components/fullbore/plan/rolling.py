"""The order in which machines that serve are changed, and how many at once. Pure.

Machines of a kind are a pool. One of it, the canary, changes first; then the rest of its rack; then waves of a share of
the pool. At no time are more of a pool out of service, because they change or have failed, than its floor leaves.
What an earlier run left failed in a later stage counts only where the run refreshes first, or once that stage begins.
Storage goes before GPU machines: both half changed would be two faults at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import ceil

from fullbore.config.models import Environment, Site
from fullbore.config.rolling import Rolling
from fullbore.plan.model import GroupPlan, RollingPlan
from fullbore.plan.pools import layout_of
from fullbore.waves import Left, next_wave

POOLS = ("storage", "gpu")
"""Kinds of machine in the order that they change."""
_ROUNDING = 1e-9
"""What a product of a share and a count may be beside the whole number that it stands for."""


def rolled(groups: Iterable[GroupPlan], rolling: Rolling, needed: int | None) -> tuple[GroupPlan, ...]:
    """The groups as they come, each with its place in a change. `needed` is as in `spare_machines`."""
    given, places = tuple(groups), dict[str, RollingPlan]()
    first = 0
    for kind in POOLS:
        pool = sorted((group for group in given if group.kind == kind), key=lambda group: (group.rack, group.name))
        machines = sum(len(group.hosts) for group in pool)
        spare = spare_machines(machines, rolling, needed) if kind == "gpu" else 1
        wave = min(max(1, int(rolling.wave_share * machines + _ROUNDING)), max(1, spare))
        stages = list(_stages([len(group.hosts) for group in pool], wave))
        for group, stage in zip(pool, stages, strict=True):
            at_once = max(1, min(len(group.hosts), spare if stage == 0 else wave))
            places[group.name] = RollingPlan(
                stage=first + stage, at_once=at_once, spare=spare, roll_back=rolling.roll_back
            )
        first += max(stages, default=-1) + 1
    return tuple(replace(group, rolling=places[group.name]) for group in given)


def in_order(groups: Iterable[GroupPlan]) -> list[GroupPlan]:
    """Groups in the order that they change."""
    return sorted(groups, key=lambda group: (group.rolling.stage, group.rack, group.name))


def needed_machines(env: Environment, site: Site) -> int | None:
    """The fewest GPU machines of the site that hold all replicas; None where nothing is served."""
    layout = layout_of(env)
    if env.serving is None or layout is None:
        return None
    groups = [group for group in site.groups.values() if group.kind == "gpu"]
    return machines_for(
        env.serving.replicas, layout.gpus, [group.gpus_per_host for group in groups for _ in group.hosts]
    )


def spare_machines(machines: int, rolling: Rolling, needed: int | None) -> int:
    """GPU machines that may be out of service at once; 0 where the share that was asked for leaves none.

    `needed` is how many hold all replicas; None where nothing is served.
    """
    if rolling.min_serving_share is not None:
        return machines - ceil(rolling.min_serving_share * machines - _ROUNDING)
    return max(1, machines - (needed or 0))


def machines_for(replicas: int, gpus: int, gpus_per_host: Sequence[int]) -> int:
    """The fewest machines that hold so many replicas of so many GPUs each; all of them where they hold fewer."""
    left = replicas
    for count, available in enumerate(sorted(gpus_per_host, reverse=True), 1):
        left -= available // gpus
        if left <= 0:
            return count
    return len(gpus_per_host)


def _stages(sizes: Sequence[int], wave: int) -> Iterator[int]:
    """The stage of each group: the first alone, then those that are together no larger than a wave, at least one."""
    stage, filled = 0, 0
    for index, size in enumerate(sizes):
        if index == 1 or (index > 1 and filled + size > wave):
            stage, filled = stage + 1, 0
        filled += size
        yield stage


def waves(groups: Sequence[GroupPlan], changed: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """The waves of a change that fails nowhere: `groups` as `rolled` gives them, all their machines serving.

    Groups of one stage change side by side.
    """
    wanted, found = frozenset(changed), list[tuple[str, ...]]()
    for kind in POOLS:
        pool = in_order(group for group in groups if group.kind == kind)
        proven = False
        for stage in sorted({group.rolling.stage for group in pool}):
            lefts: dict[str, Left] = {
                group.name: Left(serving=tuple(host.name for host in group.hosts if host.name in wanted))
                for group in pool
                if group.rolling.stage == stage
            }
            while wave := _together(pool, lefts, proven):
                found.append(wave)
                proven = True
                lefts = {name: left.without(wave) for name, left in lefts.items()}
    return tuple(found)


def _together(pool: Sequence[GroupPlan], lefts: dict[str, Left], proven: bool) -> tuple[str, ...]:
    """What groups of a stage change at once; before a canary is proven, one machine of the first of them."""
    wave: tuple[str, ...] = ()
    for group in pool:
        if group.name in lefts:
            place = group.rolling
            wave += next_wave(lefts[group.name], at_once=place.at_once, room=place.spare - len(wave), proven=proven)
            if wave and not proven:
                break
    return wave
