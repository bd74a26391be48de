"""The tables of docs/fit.md, made from tests/fixtures/fit/cases.yaml and the memory plan.

`python tests/unit/plan/fit_table.py` writes them into the page; a test fails where they differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fullbore.catalog.accelerators import ACCELERATORS
from fullbore.catalog.architecture import ModelRow
from fullbore.catalog.hub import model_row
from fullbore.catalog.models import MODELS
from fullbore.plan.fit import Engine, Fit, Layout, fit, illegal

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "fit.md"
CASES: dict[str, Any] = yaml.load(
    (ROOT / "tests" / "fixtures" / "fit" / "cases.yaml").read_text(), Loader=yaml.CSafeLoader
)
ALLOWED = {"weights": 0.005, "kv_cache": 0.03, "kv_tokens": 0.03}
"""Largest differences from a measurement that need no explanation."""
NAMES = {
    "weights": "weights (GiB)",
    "activations": "activations (GiB)",
    "kv_cache": "KV cache (GiB)",
    "kv_tokens": "KV cache (tokens)",
}
SPLITS = ("tensor_parallel", "pipeline_parallel", "data_parallel", "expert_parallel", "kv_precision")


@dataclass(frozen=True)
class Figure:
    """One figure of a case: what the source says and what the plan computes."""

    name: str
    said: float
    computed: float

    @property
    def difference(self) -> float:
        return self.computed / self.said - 1


def model_of(case: Mapping[str, Any]) -> ModelRow:
    name = case["model"]
    return MODELS[name] if name in MODELS else model_row(name, "", CASES["hub"][name])


def fit_of(case: Mapping[str, Any], concurrency: int) -> Fit:
    given = {name: case[name] for name in SPLITS if name in case}
    precision = case.get("precision", "bf16")
    layout = Layout(precision=precision, context_tokens=8192, concurrency=concurrency, **given)
    assert not illegal(model_of(case), layout), case
    engine = Engine(memory_fraction=case.get("fraction", 0.9), batch_tokens=case.get("batch_tokens", 8192))
    return fit(model_of(case), ACCELERATORS[case["gpu"]], layout, engine)


def figures(case: Mapping[str, Any], concurrency: int) -> Iterator[Figure]:
    """Of the first stage's ranks, which is the one that an engine's log speaks of first."""
    rank = fit_of(case, concurrency).ranks[0]
    if "weights" in case:
        yield Figure("weights", case["weights"], rank.weights_gib)
    if "activations" in case:
        yield Figure("activations", case["activations"], rank.activations_gib)
    if "others" in case:
        # The engine gives the cache what these leave of its share.
        said = rank.budget_gib - case["weights"] - case["activations"] - case["others"]
        yield Figure("kv_cache", round(said, 2), rank.kv_gib)
    if "kv_cache" in case:
        yield Figure("kv_cache", case["kv_cache"], rank.kv_gib)
    if "kv_tokens" in case:
        yield Figure("kv_tokens", case["kv_tokens"], rank.kv_tokens)


def source_of(case: Mapping[str, Any]) -> str:
    source = case["source"]
    return f"[{source['text']}]({source['url']})" if source["url"] else source["text"]


def _shown(figure: Figure) -> tuple[str, str]:
    form = "{:,.0f}" if figure.name == "kv_tokens" else "{:,.2f}"
    return form.format(figure.said), form.format(figure.computed)


def figure_table(kind: str, concurrency: int) -> Iterator[str]:
    yield "| model | GPU | precision | layout | figure | source says | plan | difference | source |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for case in CASES[kind]:
        layout = fit_of(case, concurrency).layout
        cache = ", fp8 cache" if layout.kv_precision == "fp8" else ""
        for figure in figures(case, concurrency):
            said, computed = _shown(figure)
            yield (
                f"| {case['model']} | {case['gpu']} | {layout.precision}{cache} | {layout} | {NAMES[figure.name]} "
                f"| {said} | {computed} | {figure.difference:+.1%} | {source_of(case)} |"
            )


def explanations() -> Iterator[str]:
    for kind in ("measured", "estimated"):
        for case in CASES[kind]:
            if "explained" in case:
                yield f"- {case['model']} on {case['gpu']} ({case['source']['text']}): {case['explained']}."


def requirement_table() -> Iterator[str]:
    yield "| model | GPUs | precision | layout | source says | plan | KV tokens | source |"
    yield "|---|---|---|---|---|---|---|---|"
    for case in CASES["required"]:
        result = fit_of(case | {"batch_tokens": ACCELERATORS[case["gpu"]].batch_tokens}, 8)
        said, computed = ("fits" if fits else "does not fit" for fits in (case["fits"], result.fits))
        yield (
            f"| {case['model']} | {result.layout.gpus} x {case['gpu']} | {result.layout.precision} | {result.layout} "
            f"| {said} | {computed} | {result.kv_tokens:,} | {source_of(case)} |"
        )


def blocks() -> dict[str, str]:
    return {
        "measured": "\n".join(figure_table("measured", 1024)),
        "estimated": "\n".join(figure_table("estimated", 8)),
        "explained": "\n".join(explanations()),
        "required": "\n".join(requirement_table()),
    }


def page(text: str) -> str:
    """The page with its marked blocks made anew."""
    for name, block in blocks().items():
        start, end = f"<!-- {name}: made by tests/unit/plan/fit_table.py -->", f"<!-- end of {name} -->"
        before, _, rest = text.partition(start)
        _, _, after = rest.partition(end)
        text = f"{before}{start}\n{block}\n{end}{after}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
