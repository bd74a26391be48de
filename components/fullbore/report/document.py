"""A plan and its problems as JSON values, without secrets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, cast

from fullbore.plan.model import Plan
from fullbore.problems import Problem

HIDDEN = "[secret]"


def plan_document(plan: Plan) -> dict[str, object]:
    """The plan as nested JSON values; fields that hold a secret (not shown by repr) read as [secret].

    Problems are left out: they stand beside the plan.
    """
    document = cast("dict[str, object]", _value(plan))
    document.pop("problems")
    cost = cast("dict[str, object]", document["cost"])
    cost["usd_per_hour"] = cost.pop("parts")
    cost["total_usd_per_hour"] = round(plan.cost.total, 4)
    return document


def problem_documents(problems: Iterable[Problem]) -> list[dict[str, str]]:
    return [{"path": p.path, "severity": p.severity, "rule": p.rule, "message": p.message} for p in problems]


def _value(value: Any) -> object:
    if is_dataclass(value):
        return {
            item.name: _value(getattr(value, item.name)) if item.repr else _hidden(getattr(value, item.name))
            for item in fields(value)
        }
    if isinstance(value, Mapping):
        return {str(key): _value(item) for key, item in cast("Mapping[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_value(item) for item in cast("Iterable[object]", value)]
    return value


def _hidden(value: object) -> object:
    return None if value is None else HIDDEN
