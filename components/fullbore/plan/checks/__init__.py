"""The rules over an environment; all of them run, and all problems come back together."""

from fullbore.plan.checks.base import Rule, Subject
from fullbore.plan.checks.table import RULES, check

__all__ = ["RULES", "Rule", "Subject", "check"]
