"""The guards as a policy pack: `pulumi preview --policy-pack stacks/policy`. docs/policy.md says what they find.

pulumi-policy pins an older protobuf than the program's, so that the pack runs in a virtual environment of its own:
`python3 -m venv stacks/policy/venv && stacks/policy/venv/bin/pip install -r stacks/policy/requirements.txt`.
"""
# pyright: reportMissingImports=false, reportUnknownMemberType=false

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "components"))

from fullbore.guard import GUARDS, Guard, Registered, judge
from fullbore.guard.model import UNKNOWN

LEVELS = {"error": EnforcementLevel.MANDATORY, "warning": EnforcementLevel.ADVISORY}


def plain(values: Any) -> Any:
    """Mappings and lists of the engine's values, which raise where a value is not known yet, as plain ones."""
    if isinstance(values, Mapping):
        return {name: known(values, name) for name in values}
    if isinstance(values, Sequence) and not isinstance(values, str):
        return [known(values, index) for index in range(len(values))]
    return values


def known(values: Any, place: Any) -> Any:
    try:
        return plain(values[place])
    except UnknownValueError:
        return UNKNOWN


def policy(guard: Guard) -> StackValidationPolicy:
    """One guard over the whole stack."""

    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        given = [
            Registered(type=each.resource_type, name=each.name, inputs=plain(each.props)) for each in args.resources
        ]
        urns = {(each.resource_type, each.name): each.urn for each in args.resources}
        for problem in judge(given):
            if problem.rule == guard.id:
                report(f"{problem.path}: {problem.message}", urns[guard.type, problem.path])

    return StackValidationPolicy(
        name=guard.id,
        description=guard.summary,
        enforcement_level=LEVELS[guard.severity],
        validate=validate,
    )


PolicyPack(name="fullbore", policies=[policy(guard) for guard in GUARDS])
