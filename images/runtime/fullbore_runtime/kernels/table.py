"""The measured table that decides where a kernel of this package is used. Plain Python, no GPU.

`images/runtime/bench/kernels.py` writes it on the accelerator that it is for, and whoever wants to know why a kernel is
in use can read it: one row for each operator, type, shape and batch, with every candidate's time beside ours.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

VERSION = 1
MARGIN = 0.03
"""A kernel has to be faster by this share: half of all times differ by less than 1.5 % between two runs."""
TIE_SHARE, TIE_US = 0.05, 0.1
"""Below either, a difference is no difference: nine in ten times of two runs are that close."""


class TableError(Exception):
    """The table cannot be used here; the message says why and what to do."""


@dataclass(frozen=True)
class Row:
    """One operator at one batch. `us` is microseconds in a CUDA graph by candidate, ours under "fullbore"."""

    op: str
    dtype: str
    shape: tuple[int, ...]
    batch: int
    config: Mapping[str, int]
    us: Mapping[str, float]
    rivals: tuple[str, ...]

    @property
    def won(self) -> bool:
        """Faster than everything that the engine could use instead, by the margin."""
        best = self.best_rival_us
        return best is not None and "fullbore" in self.us and self.us["fullbore"] <= best * (1 - MARGIN)

    @property
    def tied(self) -> bool:
        """Not slower than the best rival, as far as two runs can tell."""
        best = self.best_rival_us
        return best is not None and self.us.get("fullbore", float("inf")) <= max(best * (1 + TIE_SHARE), best + TIE_US)

    @property
    def best_rival_us(self) -> float | None:
        return min((self.us[name] for name in self.rivals if name in self.us), default=None)


@dataclass(frozen=True)
class Table:
    """Rows of one accelerator. `digest` names this table in the engine's compile cache."""

    accelerator: str
    versions: Mapping[str, str]
    rows: tuple[Row, ...]
    digest: str
    _index: Mapping[tuple[str, str, tuple[int, ...]], tuple[Row, ...]] = field(repr=False)

    def shapes(self, op: str, dtype: str) -> tuple[tuple[int, ...], ...]:
        """Shapes of `op` at which any batch won."""
        found = (shape for (name, kind, shape) in self._index if (name, kind) == (op, dtype))
        return tuple(sorted(shape for shape in found if self.batches(op, dtype, shape)))

    def replaces(self, op: str, dtype: str, shape: tuple[int, ...]) -> bool:
        """Whether ours may stand for every batch: it won at some that were measured and is behind at none."""
        rows = self._index.get((op, dtype, shape), ())
        return any(row.won for row in rows) and all(row.won or row.tied for row in rows)

    def batches(self, op: str, dtype: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Batches measured at which ours won."""
        return tuple(row.batch for row in self._index.get((op, dtype, shape), ()) if row.won)

    def config(self, op: str, dtype: str, shape: tuple[int, ...], batch: int) -> Mapping[str, int]:
        """Launch settings of ours at the nearest batch measured that is not below `batch`, else at the largest."""
        rows = self._index[op, dtype, shape]
        return rows[min(bisect_left([row.batch for row in rows], batch), len(rows) - 1)].config

    def choice(self, op: str, dtype: str, shape: tuple[int, ...], batch: int) -> Mapping[str, int] | None:
        """Launch settings of our kernel, or None where the engine's own is used. Between two measured batches ours has
        to have won at both; outside of what was measured it is not used."""
        rows = self._index.get((op, dtype, shape), ())
        at = bisect_left([row.batch for row in rows], batch)
        if at == len(rows) or (rows[at].batch != batch and at == 0):
            return None
        around = rows[at : at + 1] if rows[at].batch == batch else rows[at - 1 : at + 1]
        return rows[at].config if all(row.won for row in around) else None


def load(path: Path, accelerator: str | None = None) -> Table:
    """Reads a table. Raises TableError where it is of another form or of another accelerator."""
    try:
        text = path.read_text(encoding="utf-8")
        table = parse(json.loads(text), sha256(text.encode()).hexdigest())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TableError(f"{path}: cannot be read as a kernel table: {error!r}; bake it again") from error
    if accelerator is not None and table.accelerator != accelerator:
        raise TableError(f"{path}: measured on {table.accelerator!r}, but this is {accelerator!r}; bake it on this one")
    return table


def parse(document: Mapping[str, Any], digest: str) -> Table:
    """A table from its JSON object."""
    if document["version"] != VERSION:
        raise ValueError(f"version {document['version']}, allowed {VERSION}")
    rows = tuple(
        Row(
            op=row["op"],
            dtype=row["dtype"],
            shape=tuple(row["shape"]),
            batch=int(row["batch"]),
            config=dict(row["config"]),
            us={name: float(us) for name, us in row["us"].items()},
            rivals=tuple(row["rivals"]),
        )
        for row in document["rows"]
    )
    index: dict[tuple[str, str, tuple[int, ...]], list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.batch):
        index.setdefault((row.op, row.dtype, row.shape), []).append(row)
    frozen = {key: tuple(found) for key, found in index.items()}
    return Table(document["accelerator"], dict(document["versions"]), rows, digest, frozen)
