"""What a rule is: an id, a severity, a line for the reference page, and a pure function that finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from fullbore.config.endpoints import Endpoints
from fullbore.config.models import Environment
from fullbore.plan.change import Change
from fullbore.problems import Problem, Severity


@dataclass(frozen=True)
class Subject:
    """What is checked: an environment, and where it is a running sandbox's, what the sandbox chose."""

    env: Environment
    endpoints: Endpoints | None


class Finding(NamedTuple):
    """Where, the message (what, got, allowed, what to do), and changes that, all made, remove it."""

    path: str
    message: str
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule. `id` is stable: documentation, fixtures and the JSON output name it."""

    id: str
    severity: Severity
    summary: str
    find: Callable[[Subject], Iterable[Finding]]

    def problems(self, subject: Subject) -> Iterator[Problem]:
        for finding in self.find(subject):
            yield Problem(path=finding.path, severity=self.severity, rule=self.id, message=finding.message)


def counted(number: int, noun: str) -> str:
    """`1 host`, `3 hosts`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
