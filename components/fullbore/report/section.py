"""One table of an explanation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Value = str | int | float
Row = Mapping[str, Value]


@dataclass(frozen=True, kw_only=True)
class Section:
    """One table: a title, and rows whose keys are the columns; a unit stands in the column's name."""

    title: str
    rows: tuple[Row, ...]
    note: str = ""
