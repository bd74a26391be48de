"""Every rule has an id of its own, a line on the rules page, a fixture that breaks it and one that just does not."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from fullbore.config.rules import CONFIG_RULES
from fullbore.plan.checks import RULES
from fullbore.report.reference import rules_page

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests/fixtures"
NOT_OF_A_FILE = {
    "config-value": "what pydantic may find one day and no row of the table names yet",
    "environment-missing": "of the command line's argument",
    "environment-name": "of the file's own name",
    "passphrase-wrong": "of a variable of the environment",
    "secret-unopened": "needs the passphrase, a variable of the environment",
    "sandbox-endpoints": "of a file that the sandbox writes",
}
"""Rules that no stack file alone can break; unit tests name them."""


def found(kind: str) -> dict[str, set[str]]:
    """The rules that each fixture names, by its folder."""
    folders = sorted((FIXTURES / kind).iterdir())
    return {
        path.name: {p["rule"] for p in yaml.load((path / "out.yaml").read_text(), Loader=yaml.CSafeLoader)}
        for path in folders
    }


PLAN, CONFIG = found("plan"), found("config")
OF_A_FILE = sorted(set(CONFIG_RULES) - set(NOT_OF_A_FILE))


def of_rule(rule: str, fixtures: Mapping[str, set[str]]) -> list[set[str]]:
    return [rules for name, rules in fixtures.items() if name.partition(".")[0] == rule]


def test_every_rule_of_the_plan_has_a_fixture_on_each_side() -> None:
    cases = {rule.id: of_rule(rule.id, PLAN) for rule in RULES}
    assert [rule for rule, found in cases.items() if not any(rule in rules for rules in found)] == [], "RULE"
    assert [rule for rule, found in cases.items() if all(rule in rules for rules in found)] == [], "RULE.CASE"


@pytest.mark.parametrize("rule", OF_A_FILE)
def test_a_rule_of_the_file_has_a_fixture_on_each_side(rule: str) -> None:
    assert any(rule in rules for rules in CONFIG.values()), "no folder of tests/fixtures/config breaks the rule"
    assert any(not rules for rules in of_rule(rule, CONFIG)), f"tests/fixtures/config/{rule}.CASE is missing"


def test_no_fixture_names_a_rule_that_does_not_exist() -> None:
    known = {rule.id for rule in RULES} | set(CONFIG_RULES)
    assert set().union(*PLAN.values(), *CONFIG.values()) - known == set()


def test_every_rule_has_an_id_of_its_own_and_a_line_on_the_page() -> None:
    ids = [*(rule.id for rule in RULES), *CONFIG_RULES]
    assert len(set(ids)) == len(ids)
    lines = [line.split("`")[1] for line in rules_page().splitlines() if line.startswith("| `")]
    assert sorted(lines) == sorted(ids)


def named_in_code() -> Iterator[str]:
    """Ids that config gives its problems: `rule="..."`, and rows of a table of (rule, describe)."""
    for path in sorted((ROOT / "components/fullbore/config").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if path.name != "rules.py" and isinstance(node, ast.Constant) and isinstance(node.value, str):
                prefix, dash, rest = node.value.partition("-")
                plain = rest.replace("-", "").isalpha() and node.value == node.value.lower()
                if dash and plain and prefix in {"config", "secret", "environment", "passphrase", "sandbox"}:
                    yield node.value


def test_config_names_its_rules_and_no_others() -> None:
    assert set(named_in_code()) == set(CONFIG_RULES)


@pytest.mark.parametrize("rule", sorted(set(NOT_OF_A_FILE) - {"config-value"}))
def test_a_rule_without_a_fixture_is_named_by_a_unit_test(rule: str) -> None:
    assert any(rule in path.read_text(encoding="utf-8") for path in (ROOT / "tests/unit").rglob("test_*.py"))
