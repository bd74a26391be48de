"""A problem is a value: where it is, how bad, which rule, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, kw_only=True, order=True)
class Problem:
    """One finding about an environment.

    `path` is the dotted path of the field, `rule` a stable kebab-case name that documentation and tests use,
    `message` says what, got, allowed and what to do: lower case, no full stop.
    """

    path: str
    severity: Severity
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class ConfigError(Exception):
    """The file is not an environment; `problems` has every reason, sorted by path."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def refusal(path: str, rule: str, message: str) -> ConfigError:
    """A ConfigError of one problem, an error."""
    return ConfigError([Problem(path=path, severity="error", rule=rule, message=message)])
