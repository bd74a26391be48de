"""The measured table that decides where a kernel of this package is used. Plain Python, no GPU.

`images/runtime/bench/kernels.py` writes it on the accelerator that it is for, and whoever wants to know why a kernel is
in use can read it: one row for each operator, type, shape and batch, with every candidate's time beside ours; and the
runs of whole models that `images/runtime/bench/decode.py` measured with the kernels and without. A kernel that wins
alone may still lose in a model, where it meets other caches and neighbours: without such a run nothing is used.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any

from fullbore_runtime.errors import RuntimeRefusal

ENVIRONMENT = "FULLBORE_KERNELS"
"""Names the table in use; the launcher sets it, and the plugin does nothing without it."""
PROVIDER = "fullbore"
NORMS = {"rms_norm": "rms_norm", "fused_add_rms_norm": "add_rms_norm"}
"""vLLM's name of an IR operator, and the table's."""
DTYPE = "float16"
"""The only type that was measured, so the only one that is replaced."""
VERSION = 2
MARGIN = 0.03
"""A kernel has to be faster by this share: half of all times differ by less than 1.5 % between two runs."""
TIE_SHARE, TIE_US = 0.05, 0.1
"""Below either, a difference is no difference: nine in ten times of two runs are that close."""
PLAIN = "fp16"
"""Precision of a run that does not say another."""
LINEAR = {"linear": PLAIN, "linear_fp8": "fp8"}
"""Operators that are used by batch, and the precision of the whole models that say up to how many tokens."""


FLOOR = 0.99
"""No whole model may be slower than this share of what it does without our kernels."""


class TableError(RuntimeRefusal):
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
class Run:
    """A whole model with our kernels beside the same without: `ratio` of tokens a second by batch. Linear layers were
    ours up to `linear_tokens`; norms and activations were ours if `norms`. `backend` names vLLM's kernels for quantised
    layers that the run had in place of its default."""

    model: str
    ranks: int
    linear_tokens: int
    norms: bool
    ratio: Mapping[int, float]
    precision: str = PLAIN
    backend: str | None = None


@dataclass(frozen=True)
class Reach:
    """How far whole models of one precision are not slower: most tokens of a step for our linear layers, most sequences
    of a server; and the backend that vLLM is told to use for quantised layers."""

    tokens: int
    sequences: int
    backend: str | None = None


@dataclass(frozen=True)
class Table:
    """Rows of one accelerator, and the whole models they were tried in. `digest` names this table in the engine's
    compile cache."""

    accelerator: str
    versions: Mapping[str, str]
    rows: tuple[Row, ...]
    runs: tuple[Run, ...]
    digest: str
    _index: Mapping[tuple[str, str, tuple[int, ...]], tuple[Row, ...]] = field(repr=False)

    @cached_property
    def norms_hold(self) -> bool:
        """Whether no model was slower with our norms and activations in it."""
        ratios = [ratio for run in self.runs if run.norms for ratio in run.ratio.values()]
        return bool(ratios) and min(ratios) >= FLOOR

    @property
    def linear_tokens(self) -> int:
        """Most tokens of a step that `linear` is used for: no model was slower with it at any batch up to there."""
        return self.reach[PLAIN].tokens

    @property
    def sequences(self) -> int:
        """Most sequences of a server of 16 bits that our kernels are for: no model was slower at any batch up to there,
        those included that the kernels leave to the engine."""
        return self.reach[PLAIN].sequences

    @cached_property
    def reach(self) -> dict[str, Reach]:
        """By precision, that of 16 bits always."""
        return {precision: self._reach(precision) for precision in {PLAIN, *(run.precision for run in self.runs)}}

    def _reach(self, precision: str) -> Reach:
        # Norms are in all runs that count or in none, as they are in use or not.
        runs = [run for run in self.runs if run.precision == precision and run.norms == self.norms_hold]
        tried = sorted(item for run in runs for item in run.ratio.items())
        tokens = min((run.linear_tokens for run in runs), default=0)
        return Reach(
            tokens=_reach([(batch, ratio) for batch, ratio in tried if batch <= tokens], at_least=1.0),
            sequences=_reach(tried, at_least=FLOOR),
            backend=next((run.backend for run in runs), None),
        )

    def shapes(self, op: str, dtype: str) -> tuple[tuple[int, ...], ...]:
        """Shapes of `op` at which any batch won."""
        found = (shape for (name, kind, shape) in self._index if (name, kind) == (op, dtype))
        return tuple(sorted(shape for shape in found if self.batches(op, dtype, shape)))

    def replaces(self, op: str, dtype: str, shape: tuple[int, ...]) -> bool:
        """Whether ours may stand for every batch: it won at some that were measured and is behind at none, alone and
        in whole models."""
        rows = self._index.get((op, dtype, shape), ()) if self.norms_hold else ()
        return any(row.won for row in rows) and all(row.won or row.tied for row in rows)

    def norms(self) -> dict[str, tuple[int, ...]]:
        """Widths at which ours stands for vLLM's norm, by vLLM's name of the operator."""
        widths = {
            name: tuple(
                shape[0] for shape in self.shapes(op, DTYPE) if len(shape) == 1 and self.replaces(op, DTYPE, shape)
            )
            for name, op in NORMS.items()
        }
        return {name: found for name, found in widths.items() if found}

    def batches(self, op: str, dtype: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Batches measured at which ours won."""
        return tuple(row.batch for row in self._index.get((op, dtype, shape), ()) if row.won)

    def config(self, op: str, dtype: str, shape: tuple[int, ...], batch: int) -> Mapping[str, int]:
        """Launch settings of ours at the nearest batch measured that is not below `batch`, else at the largest."""
        rows = self._index[op, dtype, shape]
        return rows[min(bisect_left([row.batch for row in rows], batch), len(rows) - 1)].config

    def choice(self, op: str, dtype: str, shape: tuple[int, ...], batch: int) -> Mapping[str, int] | None:
        """Launch settings of our kernel, or None where the engine's own is used. Between two measured batches ours has
        to have won at both; outside of what was measured, alone or in whole models, it is not used."""
        rows = self._index.get((op, dtype, shape), ()) if batch <= self._most_tokens(op) else ()
        at = bisect_left([row.batch for row in rows], batch)
        if at == len(rows) or (rows[at].batch != batch and at == 0):
            return None
        around = rows[at : at + 1] if rows[at].batch == batch else rows[at - 1 : at + 1]
        return rows[at].config if all(row.won for row in around) else None

    def _most_tokens(self, op: str) -> int:
        found = self.reach.get(LINEAR.get(op, PLAIN))
        return found.tokens if found else 0


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
    runs = tuple(
        Run(
            model=run["model"],
            ranks=int(run["ranks"]),
            linear_tokens=int(run["linear_tokens"]),
            norms=bool(run["norms"]),
            ratio={int(batch): float(ratio) for batch, ratio in run["ratio"].items()},
            precision=run.get("precision", PLAIN),
            backend=run.get("backend"),
        )
        for run in document["runs"]
    )
    for precision in {run.precision for run in runs}:
        if len({run.backend for run in runs if run.precision == precision}) > 1:
            raise ValueError(f"runs of {precision} are of more than one backend")
    index: dict[tuple[str, str, tuple[int, ...]], list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.batch):
        index.setdefault((row.op, row.dtype, row.shape), []).append(row)
    frozen = {key: tuple(found) for key, found in index.items()}
    return Table(document["accelerator"], dict(document["versions"]), rows, runs, digest, frozen)


def _reach(ratios: Iterable[tuple[int, float]], at_least: float) -> int:
    """The largest batch up to which every ratio is enough; 0 if the first is not, or there are none."""
    reached = 0
    for batch, group in groupby(sorted(ratios), key=lambda item: item[0]):
        if any(ratio < at_least for _, ratio in group):
            break
        reached = batch
    return reached
