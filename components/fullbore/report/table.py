"""Tables as lines of text that fit a width: columns side by side where they fit, else turned, else one below the other.

No figure is ever cut: headers break at blanks, texts at blanks and after commas, long names after what joins their
parts, and a word only where it is wider than the terminal. Pure; who prints chooses the colours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from fullbore.report.section import Section, Value

GAP = 2
"""Blanks between two columns."""
LEAST_TEXT = 24
"""A column of text is not made narrower than this: below it, a sentence is a ladder of words."""
LADDER = 16
"""But before the cells of many rows are put below one another, it may be this narrow."""
JOINTS = "./:_"
"""A long name may go on in the next line after these."""
_NUMBER = re.compile(r"\d{1,3}(,\d{3})+\W*")
"""Its commas are no place to break at."""
MOST_HEADER_LINES = 3
MOST_TURNED = 4
"""Rows that become columns of a turned table at most."""

Role = Literal["head", "cell", "sum"]


@dataclass(frozen=True)
class Span:
    """A piece of a line. `column` is the name of the column that it is of; padding has none."""

    text: str
    role: Role = "cell"
    column: str = ""


Line = tuple[Span, ...]


@dataclass(frozen=True)
class _Column:
    name: str
    cells: tuple[str, ...]
    right: bool
    """True for numbers, which stand at the right."""

    @property
    def width(self) -> int:
        return max(map(len, self.cells))

    def with_header(self, most: int) -> int:
        """The least width at which the cells are in one line and the header is in `most` lines."""
        least = max(self.width, *map(len, self.name.split()))
        return next(width for width in range(least, 10**6) if len(wrapped(self.name, width)) <= most)

    def floor(self, least: int) -> int:
        """The least width that no piece of a cell or of the header is cut at, and that is not below `least` without
        need; that of numbers is their own."""
        pieces = [piece.rstrip() for cell in self.cells for piece in _pieces(cell)]
        words = max(map(len, (*pieces, *self.name.split())))
        return self.with_header(MOST_HEADER_LINES) if self.right else max(words, min(least, self.width))


Way = Callable[[list[_Column], int], "list[Line] | None"]
"""How a table may be laid out; None where it does not fit so."""


def lines(section: Section, width: int) -> list[Line]:
    """The section's rows as lines of at most `width` characters, longer only where a single word is."""
    columns = _columns(section)
    if not columns:
        return []
    few = len(section.rows) <= MOST_TURNED
    ways = (_unbroken, _side_by_side, _turned) if few else _WAYS_OF_MANY
    tables = (way(columns, width) for way in (*ways, _in_ladders))
    return next((table for table in tables if table), None) or list(_one_below_another(columns, width))


def wrapped(text: str, width: int) -> list[str]:
    """The text in lines of at most `width`, broken at blanks and after commas; words that are wider are cut."""
    found = [""]
    for piece in _pieces(text):
        while len(found[-1]) + len(piece.rstrip()) > width:
            room = width - len(found[-1])
            if len(piece.rstrip()) <= width or room <= 0:
                found.append("")
                continue
            found[-1] += piece[:room]
            piece = piece[room:]
        found[-1] += piece
    return [line.rstrip() for line in found if line] or [""]


def _pieces(text: str) -> list[str]:
    """What may stand on a line of its own: words with what follows them, and the parts of long names."""
    words = [word for part in _split(text, " ") for word in ((part,) if _NUMBER.fullmatch(part) else _split(part, ","))]
    return [piece for word in words for piece in (_split(word, JOINTS) if len(word) > LEAST_TEXT else (word,))]


def _split(text: str, after: str) -> list[str]:
    """The text cut after each run of the characters."""
    pieces, start = list[str](), 0
    for index, character in enumerate(text[:-1], start=1):
        if character in after and text[index] not in after:
            pieces.append(text[start:index])
            start = index
    return [*pieces, text[start:]]


def _columns(section: Section) -> list[_Column]:
    """Columns in their order, without those that are empty in every row."""
    found = list[_Column]()
    for name in section.rows[0] if section.rows else ():
        values = [row[name] for row in section.rows]
        if any(value != "" for value in values):
            numbers = all(isinstance(value, int | float) or value == "" for value in values)
            found.append(_Column(name, tuple(_cells(values)), right=numbers))
    return found


def _cells(values: Sequence[Value]) -> Iterator[str]:
    """Each value as text; the numbers of a column have the same number of decimals."""
    fractions = (f"{value}".partition(".")[2] for value in values if isinstance(value, float))
    decimals = max((len(digits) for digits in fractions if digits != "0"), default=0)
    for value in values:
        if isinstance(value, str):
            yield value.replace("\n", " ")
        else:
            yield f"{value:,.{decimals}f}"


def _unbroken(columns: list[_Column], width: int) -> list[Line] | None:
    """One line for each row, with headers as low as possible; None where that does not fit."""
    for most in range(1, MOST_HEADER_LINES + 1):
        widths = [column.with_header(most) for column in columns]
        if _total(widths) <= width:
            return list(_drawn(columns, widths))
    return None


def _side_by_side(columns: list[_Column], width: int, least: int = LEAST_TEXT) -> list[Line] | None:
    """Columns side by side, with texts broken; None where nothing fits."""
    narrow = _narrowed(columns, width, least)
    return list(_drawn(columns, narrow)) if narrow else None


def _without_constants(columns: list[_Column], width: int, way: Way = _side_by_side) -> list[Line] | None:
    """What is the same in every row told once, and the other columns below it; None where nothing is, or where those do
    not fit either."""
    constant = [column for column in columns if len(set(column.cells)) == 1]
    others = [column for column in columns if column not in constant]
    table = way(others, width) if others and constant else None
    told = ", ".join(f"{column.name} {column.cells[0]}" for column in constant)
    return [*((Span(line, "head"),) for line in wrapped(f"every row: {told}", width)), *table] if table else None


def _unbroken_without_constants(columns: list[_Column], width: int) -> list[Line] | None:
    return _without_constants(columns, width, _unbroken)


def _ladders(columns: list[_Column], width: int) -> list[Line] | None:
    return _side_by_side(columns, width, LADDER)


def _in_ladders(columns: list[_Column], width: int) -> list[Line] | None:
    """Texts as narrow as they may be; first with all columns."""
    return _ladders(columns, width) or _without_constants(columns, width, _ladders)


_WAYS_OF_MANY: tuple[Way, ...] = (_unbroken, _unbroken_without_constants, _without_constants, _side_by_side)


def _narrowed(columns: list[_Column], width: int, least: int) -> list[int] | None:
    """Widths with the widest texts narrowed so that all fit; None where that does not do."""
    widths = [column.with_header(MOST_HEADER_LINES) for column in columns]
    floors = [column.floor(least) for column in columns]
    while _total(widths) > width:
        loose = [index for index in range(len(columns)) if widths[index] > floors[index]]
        if not loose:
            return None
        widths[max(loose, key=lambda index: widths[index])] -= 1
    return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _drawn(columns: list[_Column], widths: list[int]) -> Iterator[Line]:
    yield from _block([(column, column.name, "head") for column in columns], widths)
    for row in range(len(columns[0].cells)):
        yield from _row([(column, column.cells[row]) for column in columns], widths)


def _row(cells: list[tuple[_Column, str]], widths: list[int]) -> Iterator[Line]:
    role: Role = "sum" if any(cell in ("sum", "total") for _, cell in cells) else "cell"
    yield from _block([(column, cell, role) for column, cell in cells], widths)


def _block(cells: list[tuple[_Column, str, Role]], widths: list[int]) -> Iterator[Line]:
    """The lines of one row: as many as its highest cell has."""
    texts = [wrapped(text, width) for (_, text, _), width in zip(cells, widths, strict=True)]
    for number in range(max(map(len, texts))):
        spans = list[Span]()
        for (column, _, role), text, width in zip(cells, texts, widths, strict=True):
            piece = text[number] if number < len(text) else ""
            spans.append(Span(f"{piece:>{width}}" if column.right else f"{piece:<{width}}", role, column.name))
        yield _joined(spans)


def _joined(spans: list[Span]) -> Line:
    """Spans with the gap between them, and no blanks at the end."""
    line = [part for span in spans for part in (span, Span(" " * GAP))][:-1]
    while line and not line[-1].text.strip():
        line.pop()
    return (*line[:-1], Span(line[-1].text.rstrip(), line[-1].role, line[-1].column)) if line else ()


def _turned(columns: list[_Column], width: int) -> list[Line] | None:
    """Each column as a line, each row as a column; None where that does not fit."""
    names = max(len(column.name) for column in columns)
    count = len(columns[0].cells)
    cells = [_at_one_place(columns, row) for row in range(count)]
    widths = [max(map(len, of_row)) for of_row in cells]
    if _total([names, *widths]) > width:
        share = (width - names - GAP * count) // count
        if share < LEAST_TEXT or any(_longest(of_row) > share for of_row in cells):
            return None
        widths = [min(share, given) for given in widths]
    return [
        line
        for index, column in enumerate(columns)
        for line in _turned_line(column, names, [of_row[index] for of_row in cells], widths)
    ]


def _at_one_place(columns: list[_Column], row: int) -> list[str]:
    """The cells of a row, with its numbers as wide as the widest of them, so that they stand below each other."""
    wide = max((len(column.cells[row]) for column in columns if column.right), default=0)
    return [f"{c.cells[row]:>{wide}}" if c.right and len(columns[0].cells) > 1 else c.cells[row] for c in columns]


def _longest(cells: Sequence[str]) -> int:
    return max(len(piece.strip()) for cell in cells for piece in _pieces(cell))


def _turned_line(column: _Column, names: int, cells: Sequence[str], widths: Sequence[int]) -> Iterator[Line]:
    texts = [[cell] if column.right else wrapped(cell, width) for cell, width in zip(cells, widths, strict=True)]
    for number in range(max(map(len, texts))):
        name = Span(f"{column.name if not number else '':<{names}}", "head", column.name)
        pieces = [text[number] if number < len(text) else "" for text in texts]
        own = (Span(f"{piece:<{width}}", "cell", column.name) for piece, width in zip(pieces, widths, strict=True))
        yield _joined([name, *own])


def _one_below_another(columns: list[_Column], width: int) -> Iterator[Line]:
    """Each row as lines of NAME VALUE, with an empty line between two rows."""
    names = max(len(column.name) for column in columns)
    room = max(LEAST_TEXT, width - names - GAP)
    for row in range(len(columns[0].cells)):
        if row:
            yield ()
        for column in columns:
            for number, piece in enumerate(wrapped(column.cells[row], room) if column.cells[row] else ()):
                name = Span(f"{column.name if not number else '':<{names}}", "head", column.name)
                yield _joined([name, Span(piece, "cell", column.name)])
