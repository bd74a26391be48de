"""Each folder of tests/fixtures/config is a stack file and the problems that reading it gives."""

from pathlib import Path

import pytest
import yaml

from fullbore.config import ConfigError, load_file
from fullbore.report.document import problem_documents

FIXTURES = Path(__file__).parents[2] / "fixtures" / "config"
CASES = sorted(path.name for path in FIXTURES.iterdir())


@pytest.mark.parametrize("case", CASES)
def test_case(case: str) -> None:
    expected = yaml.load((FIXTURES / case / "out.yaml").read_text(), Loader=yaml.CSafeLoader)
    try:
        load_file(FIXTURES / case / "in.yaml")
        problems = ()
    except ConfigError as error:
        problems = error.problems
    assert problem_documents(problems) == expected
