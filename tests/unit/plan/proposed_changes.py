"""What findings propose, applied: shared by the tests of capacity and of versions."""

from pathlib import Path
from typing import Any

from fullbore.config import Environment, parse
from fullbore.plan.change import apply
from fullbore.plan.checks import RULES
from fullbore.plan.checks.base import Finding, Subject


def findings(env: Environment) -> list[tuple[str, Finding]]:
    """Every rule's findings, with the rule's id."""
    return [(rule.id, finding) for rule in RULES for finding in rule.find(Subject(env, None))]


def assert_changes_help(env: dict[str, Any], folder: Path | None = None) -> None:
    """Each finding with changes is gone when they are made, and its rule finds less than before.

    `folder` is where files that the environment names are found.
    """
    before = findings(parse(env, folder))
    for rule, finding in before:
        if not finding.changes:
            continue
        left = [again.path for other, again in findings(parse(apply(env, *finding.changes), folder)) if other == rule]
        assert finding.path not in left, (rule, finding)
        assert len(left) < sum(other == rule for other, _ in before), (rule, finding)
