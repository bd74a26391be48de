"""How old the machines of the site are, and which are to be replaced when. Pure: the day is given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from fullbore.config.models import Environment
from fullbore.plan.model import Plan
from fullbore.report.section import Row, Section

DAYS_PER_YEAR = 365.2425
"""Of the Gregorian calendar: 146,097 days in 400 years."""


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Machines that were bought together; `ends` is when they are to be replaced, None where that is not known."""

    name: str
    kind: str
    machines: int
    price: float
    bought: date | None
    ends: date | None


def refresh(env: Environment, plan: Plan, on: date) -> Section:
    """One row for each group, the oldest first; those whose day of purchase is not given come last."""
    groups = sorted(_groups(env, plan), key=lambda group: (group.bought or date.max, group.name))
    return Section(
        title=f"age of machines on {on}", rows=tuple(_row(group, on) for group in groups), note=_note(groups)
    )


def _groups(env: Environment, plan: Plan) -> Iterable[_Group]:
    costs = {cost.path: cost for cost in plan.cost.metal}
    for name, group in env.site.groups.items() if env.site else ():
        cost = costs[f"site.groups.{name}"]
        yield _Group(
            name=name,
            kind=group.kind,
            machines=len(group.hosts),
            price=cost.price,
            bought=group.bought,
            ends=date.fromisoformat(cost.end_of_life) if cost.end_of_life else None,
        )


def _row(group: _Group, on: date) -> Row:
    return {
        "group": group.name,
        "kind": group.kind,
        "machines": group.machines,
        "bought": str(group.bought or "not given"),
        "age (years)": _years(group.bought, on) if group.bought else "",
        "replace by": str(group.ends or "not known"),
        "left (years)": _years(on, group.ends) if group.ends else "",
        "due": "" if group.ends is None else "yes" if group.ends <= on else "no",
        "price of new ones (US dollars)": round(group.price),
    }


def _years(begin: date, end: date) -> float:
    return round((end - begin).days / DAYS_PER_YEAR, 2)


def _note(groups: Iterable[_Group]) -> str:
    """What each year takes."""
    years: dict[int, list[_Group]] = {}
    for group in groups:
        if group.ends:
            years.setdefault(group.ends.year, []).append(group)
    return "\n".join(
        f"{year}: {sum(group.machines for group in due)} machines, {sum(group.price for group in due):,.0f} US dollars"
        for year, due in sorted(years.items())
    )
