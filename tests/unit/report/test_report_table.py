"""Tables at the widths of terminals: nothing cut, nothing too wide, and which way a table is laid out."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fullbore.config import load_file
from fullbore.plan import make_plan
from fullbore.report.explain import explain
from fullbore.report.section import Row, Section
from fullbore.report.table import lines, wrapped

ROOT = Path(__file__).parents[3]
LONGEST_WORD = 24
"""Longer ones may be broken, after a dot or a slash first."""


def shown(rows: list[Row], width: int) -> list[str]:
    return ["".join(span.text for span in line) for line in lines(Section(title="t", rows=tuple(rows)), width)]


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("stack", ["local", "dev", "staging", "prod"])
def test_every_table_of_the_stacks_fits_and_cuts_no_word(stack: str, width: int) -> None:
    env = load_file(ROOT / f"stacks/Pulumi.{stack}.yaml")
    for section in explain(env, make_plan(env)):
        text = shown(list(section.rows), width)
        assert all(len(line) <= width for line in text), section.title
        assert all(line == line.rstrip() for line in text), section.title
        words = set(re.split(r"[\s,]+", "\n".join(text)))
        for name in section.rows[0]:
            told = [name, *(cell for row in section.rows if isinstance(cell := row[name], str))]
            if any(row[name] != "" for row in section.rows):
                whole = {word for cell in told for word in re.split(r"[\s,]+", cell) if len(word) <= LONGEST_WORD}
                assert whole <= {*words, ""}, (section.title, name)


def test_a_table_that_fits_has_one_line_for_each_row() -> None:
    rows: list[Row] = [{"part": "a", "US dollars": 3.5}, {"part": "total", "US dollars": 1200}]
    assert shown(rows, 80) == ["part   US dollars", "a             3.5", "total     1,200.0"]


def test_numbers_of_a_column_have_as_many_decimals_as_one_of_them_needs() -> None:
    assert shown([{"n": 90.0}, {"n": 60}], 80) == [" n", "90", "60"]
    assert shown([{"n": 90.25}, {"n": 60}], 80) == ["    n", "90.25", "60.00"]


def test_columns_that_are_empty_in_every_row_are_left_out() -> None:
    assert shown([{"a": 1, "b": ""}, {"a": 2, "b": ""}], 80) == ["a", "1", "2"]


def test_headers_break_before_texts_do() -> None:
    rows: list[Row] = [{"what": "weights of the model", "left over for others": 7, "unit": "GiB"}] * 5
    assert shown(rows, 48)[0] == "what                  left over for others  unit"
    assert shown(rows, 47)[:3] == [
        "what                   left over  unit",
        "                      for others",
        "weights of the model           7  GiB",
    ]


def test_few_rows_are_turned_and_their_numbers_stand_below_each_other() -> None:
    rows: list[Row] = [
        {"where": "one", "weights": 79.6, "cache": 1.25, "fits": "yes"},
        {"where": "two", "weights": 9.6, "cache": 101.25, "fits": "no"},
    ]
    assert shown(rows, 22) == [
        "where    one   two",
        "weights  79.6     9.6",
        "cache    1.25  101.25",
        "fits     yes   no",
    ]


def test_what_is_the_same_in_many_rows_is_told_once_where_there_is_no_room_for_it() -> None:
    rows: list[Row] = [{"machine": "8 x h200", "layout": f"TP {n}", "tokens": n} for n in range(1, 6)]
    assert shown(rows, 24)[0] == "machine   layout  tokens"
    assert shown(rows, 23)[:3] == ["every row: machine 8 x", "h200", "layout  tokens"]


def test_what_is_the_same_in_many_rows_is_told_once_before_texts_are_broken() -> None:
    rows: list[Row] = [{"group": "gpu-r01 and 1 more", "what": f"{n} of many words"} for n in range(1, 6)]
    assert shown(rows, 38)[:2] == ["group               what", "gpu-r01 and 1 more  1 of many words"]
    assert shown(rows, 34)[:3] == ["every row: group gpu-r01 and 1", "more", "what"]
    alone: list[Row] = [{"what": f"{n} of many words"} for n in range(1, 6)]
    assert "every row" not in "".join(shown(alone, 10))


def test_many_wide_rows_stand_below_one_another() -> None:
    rows: list[Row] = [{"first": f"{n}" * 9, "second": f"{n}" * 9, "third": f"{n}" * 9} for n in range(1, 6)]
    assert shown(rows, 20)[:4] == ["first   111111111", "second  111111111", "third   111111111", ""]


def test_many_rows_are_ladders_of_words_before_they_stand_below_one_another() -> None:
    rows: list[Row] = [{"a": f"{n} of many words in a row", "b": f"{n} of as many words in a row"} for n in range(1, 6)]
    assert shown(rows, 34)[:4] == [
        "a                 b",
        "1 of many words   1 of as many",
        "in a row          words in a row",
        "2 of many words   2 of as many",
    ]


def test_long_names_break_after_dots_and_slashes_and_lists_after_commas() -> None:
    arn = "arn:aws:sns:eu-north-1:111122223333:fullbore-prod"
    assert wrapped(arn, 36) == ["arn:aws:sns:eu-north-1:111122223333:", "fullbore-prod"]
    assert wrapped("8 x 32,768 tokens", 9) == ["8 x", "32,768", "tokens"]
    assert wrapped("cores 0-11,112-123", 12) == ["cores 0-11,", "112-123"]
    assert wrapped("/etc/fullbore/kubeconfig/prod-cloud.yaml", 26) == ["/etc/fullbore/kubeconfig/", "prod-cloud.yaml"]
    assert wrapped("mlx5_0:1,mlx5_3:1", 10) == ["mlx5_0:1,", "mlx5_3:1"]
    assert wrapped("x" * 7, 3) == ["xxx", "xxx", "x"]
    assert wrapped("", 3) == [""]


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"], include_characters=" "), max_size=200),
    st.integers(1, 60),
)
@example("0 00", 1)  # the blank after the first word overflows the line
def test_wrapping_loses_nothing_but_blanks(text: str, width: int) -> None:
    found = wrapped(text, width)
    assert all(len(line) <= width for line in found)
    assert "".join("".join(found).split()) == "".join(text.split())


CELLS = st.one_of(
    st.integers(-(10**9), 10**9),
    st.floats(-1e6, 1e6).map(lambda number: round(number, 2)),
    st.text("ab c,./", max_size=60),
)


@given(
    st.integers(1, 5).flatmap(lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1)),
    st.integers(40, 200),
)
def test_no_table_is_refused_and_no_line_is_too_wide(values: list[list[int | float | str]], width: int) -> None:
    rows: list[Row] = [{f"column {index}": value for index, value in enumerate(row)} for row in values]
    assert all(len(line) <= width for line in shown(rows, width))
