"""Rules about prices: which are missing, and which are given in vain."""

from __future__ import annotations

from collections.abc import Iterable

from fullbore.catalog.accelerators import ACCELERATORS
from fullbore.catalog.architecture import ModelRow
from fullbore.catalog.instances import INSTANCES
from fullbore.config.paths import dotted
from fullbore.plan.change import Change, remove
from fullbore.plan.checks.base import Finding, Rule, Subject, counted
from fullbore.plan.cost import price_of, purchase_of
from fullbore.plan.fit import Layout, illegal, most_tokens_per_s, speed
from fullbore.plan.pools import layout_of, model_of, serving_pools, site_pools


def _unknown(subject: Subject) -> Iterable[Finding]:
    env = subject.env
    for name, group in env.cloud.node_groups.items() if env.cloud else ():
        if group.instance_type in INSTANCES and price_of(env, group) is None:
            purchase = purchase_of(group)
            field = purchase.replace("-", "_")
            message = (
                f"no price of {group.instance_type} ({purchase}) is known, and the estimated cost leaves it out; "
                f"give cost.prices.{group.instance_type}.{field}, US dollars an hour"
            )
            yield Finding(f"cloud.node_groups.{name}.instance_type", message)


def _unused(subject: Subject) -> Iterable[Finding]:
    env = subject.env
    used = {group.instance_type for group in env.cloud.node_groups.values()} if env.cloud else set[str]()
    for name in env.cost.prices if env.cost else ():
        if name not in used:
            where = ("cost", "prices", name)
            gone = Change(path=where, value=None)
            yield Finding(dotted(where), "no node group is of this type; correct or remove it", (gone,))


def _unused_figure(subject: Subject) -> Iterable[Finding]:
    env, cost = subject.env, subject.env.cost
    if cost is None:
        return
    for part, fields in _FIGURES_OF.items():
        for field in fields if getattr(env, part) is None else ():
            if getattr(cost, field) is not None:
                message = f"given, but there is no {part} that it belongs to; remove it"
                yield Finding(f"cost.{field}", message, (remove(f"cost.{field}"),))


_FIGURES_OF = {
    "site": ("amortisation_years", "usd_per_kwh", "power_usage_effectiveness"),
    "serving": ("tokens_per_s", "busy_share"),
}
"""Parts, and the figures of `cost` that concern them alone."""


def _purchase(subject: Subject) -> Iterable[Finding]:
    """A commitment lowers the price of on-demand use; spot and capacity blocks have prices of their own."""
    env = subject.env
    for name, group in env.cloud.node_groups.items() if env.cloud else ():
        if group.committed and group.capacity != "on-demand":
            message = f"got true, but the group is bought as {group.capacity}; make it false or capacity on-demand"
            where = f"cloud.node_groups.{name}.committed"
            yield Finding(where, message, (remove(where),))
        if group.busy_s_per_day and group.capacity == "capacity-block":
            message = f"got {group.busy_s_per_day}, but a capacity block is paid for as a whole; remove it"
            where = f"cloud.node_groups.{name}.busy_s_per_day"
            yield Finding(where, message, (remove(where),))


def _refresh(subject: Subject) -> Iterable[Finding]:
    env = subject.env
    years = env.cost.refresh_years if env.cost else None
    groups = env.site.groups if env.site else {}
    if years and not any(group.bought for group in groups.values()):
        message = f"got {years}, but no group says when it was bought; add bought to the groups of the site"
        yield Finding("cost.refresh_years", message)
    for name, group in groups.items():
        if group.bought and not years:
            message = f"got {group.bought}, but nothing says after how many years machines are replaced"
            yield Finding(f"site.groups.{name}.bought", f"{message}; add cost.refresh_years")


def _written_off(subject: Subject) -> Iterable[Finding]:
    cost = subject.env.cost
    if cost and cost.amortisation_years and cost.refresh_years and cost.amortisation_years > cost.refresh_years:
        message = (
            f"got {cost.amortisation_years:g}, but machines are replaced after {cost.refresh_years}, so that the "
            "estimate leaves out what is not written off by then; take as many years, or leave it out"
        )
        yield Finding("cost.amortisation_years", message, (remove("cost.amortisation_years"),))


def _beyond_bandwidth(subject: Subject) -> Iterable[Finding]:
    """A planned rate that the memory of the GPUs cannot give: each step reads the weights once."""
    env, model, layout = subject.env, model_of(subject.env.serving), layout_of(subject.env)
    if model is None or layout is None or illegal(model, layout):
        return
    load = env.site.load.tokens_per_s if env.site else None
    planned = (
        ("cost.tokens_per_s", env.cost.tokens_per_s if env.cost else None, serving_pools(env)),
        ("site.load.tokens_per_s", load, site_pools(env)),
    )
    for path, rate, pools in planned:
        names = {pool.accelerator.name: most_tokens_per_s(model, pool.accelerator, layout) for pool in pools}
        best = max(names, key=lambda name: names[name], default="")
        if rate and names and rate > names[best]:
            message = (
                f"got {rate:g}, but {counted(layout.gpus, 'GPU')} of {best} read the weights often enough for "
                f"{names[best]:.0f} at concurrency {layout.concurrency}, were nothing else to do; plan with less (the "
                f"estimate is {_estimate(model, best, layout):.0f}), raise concurrency, or ignore this where tokens "
                "are guessed ahead"
            )
            yield Finding(path, message, (remove(path),))


def _estimate(model: ModelRow, accelerator: str, layout: Layout) -> float:
    return speed(model, ACCELERATORS[accelerator], layout).tokens_per_s


RULES = (
    Rule(id="price-unknown", severity="info", summary="an instance type has no known price", find=_unknown),
    Rule(id="price-unused", severity="warning", summary="a price of an instance type that nothing uses", find=_unused),
    Rule(
        id="cost-figure-unused",
        severity="warning",
        summary="a figure of the cost belongs to a part that is not declared",
        find=_unused_figure,
    ),
    Rule(id="purchase-unclear", severity="error", summary="two ways of buying contradict each other", find=_purchase),
    Rule(
        id="refresh-incomplete",
        severity="warning",
        summary="an end of life needs both the day of purchase and the years until replacement",
        find=_refresh,
    ),
    Rule(
        id="amortised-too-long",
        severity="warning",
        summary="machines are written off over more years than they are kept",
        find=_written_off,
    ),
    Rule(
        id="rate-beyond-bandwidth",
        severity="warning",
        summary="a replica is planned to write more tokens a second than the GPUs' memory can feed",
        find=_beyond_bandwidth,
    ),
)
