"""Each folder of tests/fixtures/plan is an environment and the problems that its plan names.

A folder is named RULE, or RULE.CASE. `endpoints.yaml` beside an environment is what a running sandbox of it chose.
"""

from pathlib import Path

import pytest
import yaml

from fullbore.config import Endpoints, parse
from fullbore.config.yaml_text import read_mapping
from fullbore.plan import make_plan
from fullbore.report.document import problem_documents

FIXTURES = Path(__file__).parents[2] / "fixtures" / "plan"
CASES = sorted(path.name for path in FIXTURES.iterdir())


@pytest.mark.parametrize("case", CASES)
def test_case(case: str) -> None:
    chosen = FIXTURES / case / "endpoints.yaml"
    endpoints = Endpoints.model_validate(read_mapping(chosen)) if chosen.exists() else None
    plan = make_plan(parse(read_mapping(FIXTURES / case / "in.yaml"), FIXTURES / case), endpoints)
    assert problem_documents(plan.problems) == yaml.load(
        (FIXTURES / case / "out.yaml").read_text(), Loader=yaml.CSafeLoader
    )
