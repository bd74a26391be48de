"""Each folder of tests/fixtures/preview is two sides of some environments and the comment that they give."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from fullbore.problems import Problem
from fullbore.report.changes import EnvironmentChange, Resource, Side, compare
from fullbore.report.pullrequest import LIMIT, MARKER, document, markdown

FIXTURES = Path(__file__).parents[2] / "fixtures" / "preview"
CASES = sorted(path.name for path in FIXTURES.iterdir())


def side(value: dict[str, Any] | None) -> Side | None:
    if value is None:
        return None
    resources = tuple(Resource(**resource) for resource in value.pop("resources", []))
    problems = tuple(Problem(**problem) for problem in value.pop("problems", []))
    return Side(resources=resources, problems=problems, **value)


def read(case: str) -> tuple[list[EnvironmentChange], str, str]:
    given = yaml.safe_load((FIXTURES / case / "in.yaml").read_text())
    environments: list[EnvironmentChange] = []
    for item in given["environments"]:
        head = side(item["head"])
        assert head
        environments.append(compare(item["name"], side(item["base"]), head))
    return environments, given["base_ref"], given["head_ref"]


@pytest.mark.parametrize("case", CASES)
def test_case(case: str) -> None:
    assert markdown(*read(case)) == (FIXTURES / case / "out.md").read_text()


def test_the_comment_can_be_found_again() -> None:
    assert markdown(*read("nothing")).startswith(MARKER)


def test_json_holds_what_the_comment_says() -> None:
    value = json.loads(json.dumps(document(*read("changes"))))
    (prod,) = value["environments"]
    assert [(change["kind"], change["name"]) for change in prod["changes"]] == [
        ("change", "serving"),
        ("change", "vpc"),
        ("add", "subnet-c"),
        ("remove", "old"),
    ]
    assert prod["changes"][0]["properties"] == [
        {"path": "spec.paused", "before": False, "after": 0},
        {"path": "spec.replicas", "before": 2, "after": 3},
    ]
    assert prod["usd_per_hour_delta"] == pytest.approx(63.3)
    assert [problem["path"] for problem in prod["new_problems"]] == ["replication"]


def many(number: int) -> list[EnvironmentChange]:
    resources = tuple(Resource(urn=f"u::{n}", type="t" * 70, name="n" * 70, inputs={}) for n in range(150))
    empty = Side(status="previewed", usd_per_hour=0.0)
    full = Side(status="previewed", usd_per_hour=0.0, resources=resources)
    return [compare(f"env-{n}", empty, full) for n in range(number)]


@pytest.mark.parametrize("number", [1, 3, 4, 5, 40])
def test_a_comment_is_never_too_long_and_closes_what_it_opens(number: int) -> None:
    text = markdown(many(number), "a", "b")
    assert len(text) <= LIMIT
    assert text.count("<details>") == text.count("</details>")
    assert ("left out here" in text) == (number > 2)
