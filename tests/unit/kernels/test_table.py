"""The table decides where kernels are used: it needs no GPU, and neither do these."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fullbore_runtime.kernels.table import Reach, Table, TableError, load, parse

H200 = Path(__file__).parents[3] / "images" / "runtime" / "tables" / "nvidia-h200.json"


def row(batch: int, ours: float, rival: float, op: str = "linear", shape: tuple[int, ...] = (8, 4)) -> dict[str, Any]:
    us = {"fullbore": ours, "cublas": rival, "eager": 0.001}
    return {"op": op, "dtype": "float16", "shape": shape, "batch": batch, "config": {"rows": batch}, "us": us,
            "rivals": ["cublas"]}  # fmt: skip


def run(linear_tokens: int, norms: bool = False, **ratio: float) -> dict[str, Any]:
    """A whole model: `b64=0.9` is what it does at 64 sequences, of what it does without our kernels."""
    by_batch = {batch.removeprefix("b"): share for batch, share in ratio.items()}
    return {"model": "m", "ranks": 1, "linear_tokens": linear_tokens, "norms": norms, "ratio": by_batch}


PROVEN = run(8, norms=True, b1=1.1, b8=1.0, b16=1.0)


def table(*rows: dict[str, Any], runs: tuple[dict[str, Any], ...] = (PROVEN,)) -> Table:
    document = {"version": 2, "accelerator": "NVIDIA H200", "versions": {}, "rows": list(rows), "runs": list(runs)}
    return parse(document, "digest")


def test_a_win_needs_the_margin_over_what_the_engine_would_use() -> None:
    assert table(row(1, 96.0, 100.0)).rows[0].won
    assert not table(row(1, 98.0, 100.0)).rows[0].won


def test_without_a_rival_nothing_is_won() -> None:
    lonely = row(1, 1.0, 2.0) | {"rivals": ["marlin"]}
    assert not table(lonely).rows[0].won
    assert not table(lonely).rows[0].tied


def test_the_choice_is_what_won_at_this_batch() -> None:
    measured = table(row(1, 1.0, 2.0), row(4, 3.0, 2.0))
    assert measured.choice("linear", "float16", (8, 4), 1) == {"rows": 1}
    assert measured.choice("linear", "float16", (8, 4), 4) is None


@pytest.mark.parametrize(("last", "chosen"), [(1.0, {"rows": 4}), (3.0, None)])
def test_between_two_batches_both_have_to_have_won(last: float, chosen: dict[str, int] | None) -> None:
    measured = table(row(2, 1.0, 2.0), row(4, last, 2.0))
    assert measured.choice("linear", "float16", (8, 4), 3) == chosen


@pytest.mark.parametrize("batch", [1, 5])
def test_outside_of_what_was_measured_nothing_is_chosen(batch: int) -> None:
    assert table(row(2, 1.0, 2.0), row(4, 1.0, 2.0)).choice("linear", "float16", (8, 4), batch) is None


@pytest.mark.parametrize(
    "key", [("linear", "bfloat16", (8, 4)), ("linear", "float16", (4, 8)), ("other", "float16", (8, 4))]
)
def test_what_was_not_measured_is_not_chosen(key: tuple[str, str, tuple[int, ...]]) -> None:
    assert table(row(1, 1.0, 2.0)).choice(*key, 1) is None


@pytest.mark.parametrize(("ours", "stands"), [(10.4, True), (10.6, False)])
def test_one_kernel_stands_for_all_batches_if_it_is_behind_at_none(ours: float, stands: bool) -> None:
    measured = table(row(1, 1.0, 2.0), row(2, ours, 10.0))
    assert measured.replaces("linear", "float16", (8, 4)) is stands


def test_a_tie_everywhere_replaces_nothing() -> None:
    assert not table(row(1, 2.0, 2.0), row(2, 2.0, 2.0)).replaces("linear", "float16", (8, 4))


def test_settings_for_any_batch_are_those_of_the_next_one_measured() -> None:
    measured = table(row(2, 1.0, 2.0), row(8, 1.0, 2.0))
    assert [measured.config("linear", "float16", (8, 4), batch)["rows"] for batch in (1, 3, 8, 99)] == [2, 8, 8, 8]


def test_norms_that_stand_for_every_batch_are_named_as_vllm_names_them() -> None:
    measured = table(
        row(1, 1.0, 2.0, "add_rms_norm", (64,)),
        row(1, 1.0, 2.0, "add_rms_norm", (128,)),
        row(1, 2.0, 1.0, "rms_norm", (64,)),
    )
    assert measured.norms() == {"fused_add_rms_norm": (64, 128)}


WON = (row(1, 1.0, 2.0), row(16, 1.0, 2.0), row(64, 1.0, 2.0))


@pytest.mark.parametrize(
    ("runs", "most"),
    [
        ((), 0),
        ((run(64, b1=1.1, b16=1.02, b64=1.01),), 64),
        ((run(64, b1=1.1, b16=1.02, b64=0.96),), 16),
        ((run(64, b1=0.999, b16=1.2),), 0),
        ((run(64, b1=1.1, b16=1.2), run(64, b1=1.2, b16=0.9)), 1),
        ((run(16, b1=1.1, b16=1.2, b64=1.1),), 16),
        ((run(64, b1=1.1, b16=1.2), run(16, b1=1.1, b16=1.2)), 16),
        ((run(64, b1=1.1, b16=1.2), run(64, norms=True, b1=0.9)), 16),
    ],
)
def test_linear_is_used_up_to_where_no_whole_model_was_slower(runs: tuple[dict[str, Any], ...], most: int) -> None:
    measured = table(*WON, runs=runs)
    assert measured.linear_tokens == most
    chosen = {batch for batch in (1, 16, 64) if measured.choice("linear", "float16", (8, 4), batch)}
    assert chosen == {batch for batch in (1, 16, 64) if batch <= most}


@pytest.mark.parametrize(
    ("runs", "stands"),
    [
        ((), False),
        ((run(64, b1=1.1, b64=1.1),), False),
        ((run(16, norms=True, b1=1.1, b64=0.99),), True),
        ((run(16, norms=True, b1=1.1, b64=0.98),), False),
        ((run(16, norms=True, b1=1.1), run(16, norms=True, b64=0.98)), False),
        ((run(16, norms=True, b1=1.1), run(16, b1=0.5)), True),
    ],
)
def test_norms_stand_where_no_model_was_slower_with_them(runs: tuple[dict[str, Any], ...], stands: bool) -> None:
    assert table(*WON, runs=runs).replaces("linear", "float16", (8, 4)) is stands


@pytest.mark.parametrize(
    ("runs", "most"),
    [
        ((), 0),
        ((run(16, b1=1.1, b16=1.2, b64=0.99, b256=0.98),), 64),
        ((run(16, b1=1.1, b16=1.2, b64=1.0), run(16, b1=1.1, b64=0.98)), 16),
        ((run(16, b1=0.9, b16=1.2),), 0),
    ],
)
def test_a_server_has_them_for_as_many_sequences_as_it_is_not_slower(
    runs: tuple[dict[str, Any], ...], most: int
) -> None:
    assert table(*WON, runs=runs).sequences == most


def test_each_precision_reaches_as_far_as_its_own_models() -> None:
    rows = [*WON, *(row(batch, 1.0, 2.0, op="linear_fp8") for batch in (1, 16))]
    fp8 = run(16, b1=1.2, b16=0.97) | {"precision": "fp8"}
    int4 = run(16, b1=1.3, b64=0.995, b256=0.7) | {"precision": "int4", "backend": "marlin"}
    measured = table(*rows, runs=(run(16, b1=1.1, b16=1.0), fp8, int4))
    assert measured.reach == {"fp16": Reach(16, 16), "fp8": Reach(1, 1), "int4": Reach(1, 64, "marlin")}
    assert measured.choice("linear_fp8", "float16", (8, 4), 1)
    assert measured.choice("linear_fp8", "float16", (8, 4), 16) is None
    assert measured.choice("linear", "float16", (8, 4), 16)


def test_without_a_model_in_fp8_its_layers_are_the_engines() -> None:
    measured = table(row(1, 1.0, 2.0, op="linear_fp8"), runs=(run(16, b1=1.1),))
    assert measured.choice("linear_fp8", "float16", (8, 4), 1) is None


def test_runs_of_one_precision_have_one_backend(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="runs of int4 are of more than one backend"):
        table(runs=(run(16) | {"precision": "int4"}, run(16) | {"precision": "int4", "backend": "marlin"}))


def test_the_table_of_another_accelerator_is_refused() -> None:
    with pytest.raises(TableError, match="'NVIDIA H200', but this is 'NVIDIA A100'"):
        load(H200, "NVIDIA A100")


@pytest.mark.parametrize("text", ["", "{}", '{"version": 1, "rows": []}', "[1]", '{"version": 2, "rows": [{}]}'])
def test_what_is_no_table_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "table.json").write_text(text)
    with pytest.raises(TableError, match="bake it again"):
        load(tmp_path / "table.json")


def test_the_measured_table_of_the_h200() -> None:
    """What docs/kernels.md says of it."""
    measured = load(H200, "NVIDIA H200")
    for shape in ((6144, 4096), (4096, 4096), (24576, 4096), (4096, 12288), (151936, 4096)):
        assert measured.choice("linear", "float16", shape, 1)
        assert measured.choice("linear", "float16", shape, 64) is None
    assert (measured.linear_tokens, measured.sequences) == (16, 32)
    assert measured.norms() == {}, "they win alone and not in a model"
    assert measured.reach["fp8"] == Reach(1, 1)
    assert (measured.reach["int4"], measured.reach["int8"]) == (Reach(16, 64, "marlin"), Reach(16, 32, "marlin"))
    assert measured.choice("linear_fp8", "float16", (6144, 4096), 1)
    assert measured.choice("linear_fp8", "float16", (6144, 4096), 2) is None
    assert not [row for row in measured.rows if "fullbore" not in row.us and row.op != "linear_int4"]
