"""`Problem` as the plan's modules name it; config finds problems too, so that it lives one level up."""

from fullbore.problems import Problem, Severity

__all__ = ["Problem", "Severity"]
