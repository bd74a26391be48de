"""All guards over all resources of a stack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fullbore.guard import compute, data, identity, network
from fullbore.guard.model import Guard, Registered
from fullbore.guard.waivers import WAIVERS
from fullbore.problems import Problem

GUARDS: tuple[Guard, ...] = (*data.GUARDS, *network.GUARDS, *compute.GUARDS, *identity.GUARDS)


def judge(resources: Sequence[Registered]) -> tuple[Problem, ...]:
    """Every finding that no waiver accepts, sorted."""
    waived = {(waiver.guard, waiver.name) for waiver in WAIVERS}
    return tuple(sorted(problem for problem in findings(resources) if (problem.rule, problem.path) not in waived))


def findings(resources: Sequence[Registered]) -> Iterator[Problem]:
    """Every finding, the accepted ones too. The path is the resource's name, the rule the guard's id."""
    for guard in GUARDS:
        for resource in resources:
            if resource.type == guard.type:
                for message in guard.find(resource.inputs, resources):
                    yield Problem(path=resource.name, severity=guard.severity, rule=guard.id, message=message)
