"""Each folder of tests/fixtures/plan is an environment and the problems that its plan names.

A folder is named RULE, or RULE.CASE: where a case of a rule finds nothing, it is one that just does not break it.
"""

from pathlib import Path

import pytest
import yaml

from fullbore.config import parse
from fullbore.config.yaml_text import read_mapping
from fullbore.plan import make_plan
from fullbore.plan.checks import RULES
from fullbore.report.document import problem_documents

FIXTURES = Path(__file__).parents[2] / "fixtures" / "plan"
CASES = sorted(path.name for path in FIXTURES.iterdir())
NEEDS_A_RUNNING_SANDBOX = {"sandbox-host-missing"}


def expected(case: str) -> list[dict[str, str]]:
    return yaml.safe_load((FIXTURES / case / "out.yaml").read_text())


@pytest.mark.parametrize("case", CASES)
def test_case(case: str) -> None:
    plan = make_plan(parse(read_mapping(FIXTURES / case / "in.yaml"), FIXTURES / case))
    assert problem_documents(plan.problems) == expected(case)


@pytest.mark.parametrize("rule", sorted({rule.id for rule in RULES} - NEEDS_A_RUNNING_SANDBOX))
def test_every_rule_has_a_case_that_breaks_it(rule: str) -> None:
    assert any(problem["rule"] == rule for problem in expected(rule))


def test_rules_have_ids_of_their_own() -> None:
    ids = [rule.id for rule in RULES]
    assert len(set(ids)) == len(ids)
