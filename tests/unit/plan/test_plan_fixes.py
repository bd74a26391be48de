"""A problem about memory names changes: each, made in the environment, removes it and brings no error."""

from pathlib import Path

import pytest

from fullbore.config import parse
from fullbore.config.models import Environment
from fullbore.config.yaml_text import read_mapping
from fullbore.plan import make_plan
from fullbore.plan.checks import Subject
from fullbore.plan.checks.memory import applied, verified
from fullbore.plan.fit import Fit
from fullbore.plan.pools import fits

FIXTURES = Path(__file__).parents[2] / "fixtures" / "plan"
CASES = sorted(
    path.name for path in FIXTURES.iterdir() if path.name.startswith(("model-does-not-fit", "kv-cache-short"))
)


def environment(case: str) -> Environment:
    return parse(read_mapping(FIXTURES / case / "in.yaml"), FIXTURES / case)


def one(result: Fit) -> bool:
    return result.fits


def every(result: Fit) -> bool:
    return result.full


@pytest.mark.parametrize("case", CASES)
def test_every_change_removes_its_problem(case: str) -> None:
    env = environment(case)
    before = {(problem.rule, problem.path) for problem in make_plan(env).problems}
    for pool, result in fits(env):
        for rule, enough in (("model-does-not-fit", one), ("kv-cache-short", every)):
            if enough(result) or (rule == "kv-cache-short" and not result.fits):
                continue
            for change in verified(Subject(env, None), pool, result.layout, enough):
                after = make_plan(applied(env, pool, change)).problems
                assert rule not in {problem.rule for problem in after}, change
                assert {(p.rule, p.path) for p in after if p.severity == "error"} <= before, change


@pytest.mark.parametrize("case", CASES)
def test_a_misfit_that_a_change_removes_says_so(case: str) -> None:
    rules = ("model-does-not-fit", "kv-cache-short")
    messages = [problem.message for problem in make_plan(environment(case)).problems if problem.rule in rules]
    assert all("set " in message or "take " in message for message in messages)
