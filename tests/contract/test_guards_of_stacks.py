"""Every resource that an environment would make in the cloud, before the guards."""

from __future__ import annotations

import pytest
from test_aws_policies import registered
from test_components import ENVIRONMENTS

from fullbore.guard import GUARDS, WAIVERS, Registered, judge
from fullbore.guard.judge import findings


def resources(name: str) -> list[Registered]:
    return [Registered(type=each.typ, name=each.name, inputs=each.inputs) for each in registered(name)]


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_no_environment_has_an_error(name: str) -> None:
    assert [problem for problem in judge(resources(name)) if problem.severity == "error"] == []


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_a_real_environment_has_no_warning_either(name: str) -> None:
    assert judge(resources(name)) == ()


def test_every_waiver_excuses_a_finding_of_some_environment() -> None:
    found = {(problem.rule, problem.path) for name in ENVIRONMENTS for problem in findings(resources(name))}
    assert {(waiver.guard, waiver.name) for waiver in WAIVERS} <= found


def test_most_guards_look_at_something_in_production() -> None:
    """A guard of a type that no environment has would never find anything."""
    types = {resource.type for name in ENVIRONMENTS for resource in resources(name)}
    unused = {guard.id for guard in GUARDS if guard.type not in types}
    assert unused <= {"copy-plain"}, "an object store is a source that no environment has"
