"""One table of an explanation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fullbore.plan.pools import first_of

Value = str | int | float
Row = Mapping[str, Value]


@dataclass(frozen=True, kw_only=True)
class Section:
    """One table: a title, and rows whose keys are the columns; a unit stands in the column's name."""

    title: str
    rows: tuple[Row, ...]
    note: str = ""


def fact(what: str, value: Value, note: str) -> Row:
    """One decision of a table that tells decisions of several kinds; a number's unit stands in `what`."""
    return {"what": what, "value": value, "note": note}


def merged(rows: Iterable[Row], name: str) -> tuple[Row, ...]:
    """Rows that differ in one column only as one, which counts the others."""
    alike: dict[tuple[Value, ...], list[Row]] = {}
    for row in rows:
        alike.setdefault(tuple(value for key, value in row.items() if key != name), []).append(row)
    return tuple({**same[0], name: first_of([str(row[name]) for row in same])} for same in alike.values())
