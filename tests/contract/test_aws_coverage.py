"""The stand-in against the components and the SDK: nothing that a component makes may lack a row, or a case that takes
it through its life."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pulumi
import pytest

from fullbore_sandbox.plugins.aws.rows import ROWS
from fullbore_sandbox.plugins.aws.schema import known_types, resource_schema

COMPONENTS = Path(__file__).parents[2] / "components" / "fullbore"
CASES = Path(__file__).parents[1] / "integration" / "aws" / "aws_cases.py"


def used_classes() -> Iterator[tuple[str, str]]:
    """(service, name) of every `aws.SERVICE.NAME` that a component's source speaks of."""
    texts = (path.read_text() for path in sorted(COMPONENTS.rglob("*.py")))
    for text in (text for text in texts if "aws." in text):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
                owner = node.value.value
                if isinstance(owner, ast.Name) and owner.id == "aws":
                    yield node.value.attr, node.attr


@cache
def used_resources() -> set[str]:
    """Type tokens of the resource classes among them."""
    tokens = {where.removeprefix("pulumi_aws."): token for token, where in known_types().items()}
    found: set[str] = set()
    for service, name in used_classes():
        cls = getattr(importlib.import_module(f"pulumi_aws.{service}"), name)
        if isinstance(cls, type) and issubclass(cls, pulumi.CustomResource):
            found.add(tokens[f"{service}.{name}"])
    return found


def test_the_walk_finds_what_the_components_make() -> None:
    assert {"aws:ec2/vpc:Vpc", "aws:eks/nodeGroup:NodeGroup", "aws:datasync/task:Task"} <= used_resources()


@pytest.mark.parametrize("token", sorted(used_resources()))
def test_every_class_that_a_component_uses_has_a_row(token: str) -> None:
    assert token in ROWS


def cases() -> dict[str, set[str]]:
    """{type token: what its case says} of the table that tests/integration/aws/test_aws_rows.py goes through."""
    calls = [node for node in ast.walk(ast.parse(CASES.read_text())) if isinstance(node, ast.Call)]
    mine = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Case"]
    tokens = {id(call): next(k.value for k in call.keywords if k.arg == "type") for call in mine}
    return {ast.literal_eval(tokens[id(call)]): {k.arg or "" for k in call.keywords} for call in mine}


@pytest.mark.parametrize("token", sorted(used_resources()))
def test_every_class_that_a_component_uses_goes_through_its_whole_life(token: str) -> None:
    """Create, import and delete need inputs; a refresh finds what drifted; then a change that replaces, and one that
    does not, where there is one."""
    row, said = ROWS[token], cases().get(token, set())
    assert {"inputs", "drift", "drifted"} <= said, f"{token}: no case in {CASES.name}"
    assert "replace" in said or not row.replace, f"{token}: no change that replaces"
    assert "change" in said or (row.update is None and row.tagging is None), f"{token}: no change in place"


@pytest.mark.parametrize("token", sorted(ROWS))
def test_a_row_speaks_of_properties_that_the_sdk_has(token: str) -> None:
    row, schema = ROWS[token], resource_schema(token)
    assert schema is not None
    assert row.inputs <= schema.inputs.keys()
    assert {name for name, field in schema.inputs.items() if field.required} <= row.inputs
    named = {*row.replace, *row.unique, *row.unreadable, *row.computed, *row.defaults}
    assert {name.split(".")[0] for name in named} <= row.inputs
    assert row.absent | row.moving | row.filled.keys() <= schema.outputs.keys()


@pytest.mark.parametrize("token", sorted(ROWS))
def test_every_replacement_has_a_source_and_every_other_change_a_call(token: str) -> None:
    row = ROWS[token]
    assert all(source for source in row.replace.values())
    left = row.inputs - row.replace.keys() - {"tags"}
    assert not left or row.update is not None, f"{sorted(left)}: neither replaced nor updated"


@pytest.mark.parametrize("token", sorted(ROWS))
def test_tags_are_changed_in_place(token: str) -> None:
    row = ROWS[token]
    assert ("tags" in row.inputs) == (row.tagging is not None)
