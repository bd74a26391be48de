"""Rules about prices: which are missing, and which are given in vain."""

from __future__ import annotations

from collections.abc import Iterable

from fullbore.catalog.instances import INSTANCES
from fullbore.config.paths import dotted
from fullbore.plan.change import Change, remove
from fullbore.plan.checks.base import Finding, Rule, Subject
from fullbore.plan.cost import price_of, purchase_of


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
)
