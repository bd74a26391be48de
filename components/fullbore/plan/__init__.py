"""Every decision, made from the environment alone: no I/O, no clock, no Pulumi."""

from fullbore.plan.make import make_plan
from fullbore.plan.model import Plan
from fullbore.plan.problems import Problem

__all__ = ["Plan", "Problem", "make_plan"]
