"""What findings propose, applied: shared by the tests of capacity, of versions and of all rules."""

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
    """Where changes are made, their rule finds less than before, and less at the place of the finding.

    `folder` is where files that the environment names are found.
    """
    before = findings(parse(env, folder))
    for rule, finding in before:
        if finding.changes:
            after = findings(parse(apply(env, *finding.changes), folder))
            were, left = ([found.path for other, found in all_ if other == rule] for all_ in (before, after))
            assert left.count(finding.path) < were.count(finding.path), (rule, finding)
            assert len(left) < len(were), (rule, finding)
