"""What a rule is: an id, a severity, a line for the reference page, and a pure function that finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from fullbore.config.endpoints import Endpoints
from fullbore.config.models import Environment
from fullbore.problems import Problem, Severity


@dataclass(frozen=True)
class Subject:
    """What is checked: an environment, and where it is a running sandbox's, what the sandbox chose."""

    env: Environment
    endpoints: Endpoints | None


class Finding(NamedTuple):
    """Where, and the message: what, got, allowed, what to do."""

    path: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule. `id` is stable: documentation, fixtures and the JSON output name it."""

    id: str
    severity: Severity
    summary: str
    find: Callable[[Subject], Iterable[Finding]]

    def problems(self, subject: Subject) -> Iterator[Problem]:
        for path, message in self.find(subject):
            yield Problem(path=path, severity=self.severity, rule=self.id, message=message)


def counted(number: int, noun: str) -> str:
    """`1 host`, `3 hosts`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
