"""The memory plan against the engines that images/runtime/bench/fit.py started on H200s; docs/fit.md shows the same."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from fullbore.catalog.accelerators import ACCELERATORS
from fullbore.catalog.hub import model_row
from fullbore.plan.fit import Engine, Layout, fit

ROOT = Path(__file__).parents[3]
BENCH = ROOT / "images" / "runtime" / "bench"
ROWS: list[dict[str, Any]] = json.loads((BENCH / "results" / "fit.json").read_text(encoding="utf-8"))
SPLITS = ("precision", "kv_precision", "tensor_parallel", "context_tokens", "concurrency")


def shapes() -> dict[str, dict[str, Any]]:
    """config.json of the models that were started."""
    spec = importlib.util.spec_from_file_location("bench_shapes", BENCH / "shapes.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SHAPES


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["case"]["name"])
def test_the_plan_is_within_its_bounds_of_what_vllm_reported(row: dict[str, Any]) -> None:
    case, engine = row["case"], row["engine"]
    layout = Layout(**{name: case[name] for name in SPLITS})
    result = fit(
        model_row(case["model"], "", shapes()[case["model"]]),
        ACCELERATORS["h200"],
        layout,
        Engine(memory_fraction=0.9, batch_tokens=8192),
    )
    assert result.fits, "it started"
    assert result.fullest.weights_gib == pytest.approx(engine["weights_gib"], rel=0.005)
    assert result.fullest.kv_tokens == pytest.approx(engine["kv_tokens"], rel=0.03)


def test_the_page_shows_what_was_measured() -> None:
    page = (ROOT / "docs" / "fit.md").read_text(encoding="utf-8")
    for row in ROWS:
        assert f"| {row['case']['model']} |" in page
        assert f"| {int(row['engine']['kv_tokens']):,} |" in page
    assert len(ROWS) >= 6
