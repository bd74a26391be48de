"""The form of a benchmark's result: one JSON object, or a table for people."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from time import perf_counter

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class Result:
    """`ratios` compare two things measured in this run; `figures` say their unit in their name."""

    name: str
    machine: str
    ratios: Mapping[str, float]
    figures: Mapping[str, float]


def seconds(work: Callable[[], object]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began


def medians(work: Mapping[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Seconds of each, medians of runs taken in turn, so that a machine that slows down slows all of them."""
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(runs):
        for name, each in work.items():
            taken[name].append(seconds(each))
    return {name: statistics.median(values) for name, values in taken.items()}


def machine() -> str:
    """What the figures were measured on."""
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, load {load:.1f} at the start"


def show(result: Result) -> None:
    """JSON on stdout where `--json` was given, else a table."""
    if "--json" in sys.argv[1:]:
        print(json.dumps(asdict(result)))
        return
    table = Table("what", "value", title=f"{result.name}: {result.machine}")
    for name, value in {**result.ratios, **result.figures}.items():
        table.add_row(name, f"{value:.2f}")
    Console().print(table)
