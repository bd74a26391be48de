"""One environment: config -> plan -> components -> exports."""

import os
from pathlib import Path

import pulumi

from fullbore.config import ConfigError, Environment, load_endpoints, parse
from fullbore.plan import Plan, Problem, make_plan
from fullbore.stack import HybridStack

ENDPOINTS = Path(__file__).parents[1] / ".fullbore" / "sandbox" / "endpoints.json"


def decided(environment: Environment) -> Plan:
    """The plan; in a sandbox it needs what the sandbox chose."""
    endpoints = load_endpoints(ENDPOINTS) if environment.sandbox else None
    if environment.sandbox and endpoints is None and not os.environ.get("FULLBORE_PLAN_ONLY"):
        raise pulumi.RunError(f"sandbox: {environment.name} has no running sandbox; start it with scripts/up")
    return make_plan(environment, endpoints)


def refuse(problems: tuple[Problem, ...]) -> None:
    """Stop before any resource is registered, with every error at once."""
    for problem in problems:
        if problem.severity == "warning":
            pulumi.log.warn(f"{problem.path}: {problem.message}")
    errors = [f"{problem.path}: {problem.message}" for problem in problems if problem.severity == "error"]
    if errors:
        raise pulumi.RunError("the environment cannot be provisioned:\n" + "\n".join(errors))


try:
    plan = decided(parse(pulumi.Config("fullbore").require_object("env"), Path(__file__).parent))
except ConfigError as error:
    raise pulumi.RunError(str(error)) from error
refuse(plan.problems)
for name, value in HybridStack(plan.environment, plan).outputs.items():
    pulumi.export(name, value)
