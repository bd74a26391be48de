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


def assert_changes_help(env: dict[str, Any], folder: Path | None = None, *, alone: bool = False) -> set[str]:
    """Where changes are made, their rule finds less than before, and less at the place of the finding; the rules that
    propose one.

    With `alone`, nothing as bad as what is mended comes with it, unless errors of other rules may have hidden that.
    `folder` is where files that the environment names are found.
    """
    before = findings(parse(env, folder))
    for rule, finding in before:
        if finding.changes:
            after = findings(parse(apply(env, *finding.changes), folder))
            were, left = ([found.path for other, found in all_ if other == rule] for all_ in (before, after))
            assert left.count(finding.path) < were.count(finding.path), (rule, finding)
            assert len(left) < len(were), (rule, finding)
            if alone and not _errors(before) - {rule}:
                assert not _as_bad(after, rule) - {other for other, _ in before}, (rule, finding)
    return {rule for rule, finding in before if finding.changes}


_SEVERITIES = {rule.id: ("info", "warning", "error").index(rule.severity) for rule in RULES}


def _errors(found: list[tuple[str, Finding]]) -> set[str]:
    return {rule for rule, _ in found if _SEVERITIES[rule] == max(_SEVERITIES.values())}


def _as_bad(found: list[tuple[str, Finding]], rule: str) -> set[str]:
    """Rules that found something of the severity of `rule`, or worse."""
    return {other for other, _ in found if _SEVERITIES[other] >= _SEVERITIES[rule]}
