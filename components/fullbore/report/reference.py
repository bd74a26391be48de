"""The schema and the reference pages, made from the models and the rules.

`python -m fullbore.report.reference ROOT` writes docs/environment.schema.json, docs/reference/environment.md,
docs/rules.md and docs/policy.md below ROOT; a test fails where they differ from the code.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from fullbore.config.load import KEY
from fullbore.config.models import Environment
from fullbore.config.rules import CONFIG_RULES
from fullbore.config.stack_file import MAY_BE_SECRET, SECRETS
from fullbore.guard import CHECKOV, CHECKS, GUARDS, WAIVERS
from fullbore.plan.checks import RULES

_NOTE = "<!-- Made by `python -m fullbore.report.reference .`; change the code, not this page. -->"


def stack_file_schema() -> dict[str, object]:
    """JSON schema of stacks/Pulumi.ENV.yaml: the environment under its key, all else left to the engine.

    A field that must or may be secret also takes the engine's form of an encrypted value, {secure: ...}.
    """
    environment = Environment.model_json_schema(ref_template="#/$defs/{model}")
    definitions = cast("dict[str, object]", environment.pop("$defs"))
    environment.pop("description", None)
    definitions["Environment"] = environment
    for path in (*SECRETS, *MAY_BE_SECRET):
        _allow_secure(_field(definitions, path))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Fullbore stack file",
        "type": "object",
        "properties": {
            "config": {"type": "object", "properties": {KEY: {"$ref": "#/$defs/Environment"}}, "required": [KEY]}
        },
        "required": ["config"],
        "$defs": definitions,
    }


def _field(definitions: Mapping[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """The schema of a field of the environment; `*` in a path is any name of a mapping."""
    schema: dict[str, Any] = definitions["Environment"]
    for name in path:
        (schema,) = schema["patternProperties"].values() if name == "*" else [schema["properties"][name]]
        for way in (schema, *schema.get("anyOf", ())):
            if "$ref" in way:
                schema = definitions[way["$ref"].rpartition("/")[2]]
    return schema


def _allow_secure(field: dict[str, Any]) -> None:
    secure = {"type": "object", "properties": {"secure": {"type": "string"}}, "required": ["secure"]}
    plain = [{key: field.pop(key) for key in ("type", "minLength", "maxLength") if key in field}]
    field["anyOf"] = [*(field.get("anyOf") or plain), secure | {"additionalProperties": False}]


def environment_page() -> str:
    """Every field of an environment: type, default, meaning; one table a part."""
    schema = Environment.model_json_schema(ref_template="{model}")
    parts = cast("dict[str, Mapping[str, Any]]", schema["$defs"])
    lines = [_NOTE, "", "# The environment", "", f"The value of `{KEY}` in `stacks/Pulumi.ENV.yaml`.", ""]
    for name, part in (("Environment", schema), *parts.items()):
        lines += _part_lines(name, part)
    return "\n".join(lines)


def _part_lines(name: str, part: Mapping[str, Any]) -> Iterator[str]:
    about = " ".join(str(part.get("description", "")).split())
    yield from (f"## {name}", "", about, "", "| field | type | default | meaning |", "|---|---|---|---|")
    required = part.get("required", [])
    for field, spec in part.get("properties", {}).items():
        default = "required" if field in required else f"`{json.dumps(spec['default'])}`" if "default" in spec else ""
        yield f"| `{field}` | {_type(spec)} | {default} | {_cell(str(spec.get('description', '')))} |"
    yield ""


def _type(spec: Mapping[str, Any]) -> str:
    """A type in a word or two."""
    if "$ref" in spec:
        return f"[{spec['$ref']}](#{str(spec['$ref']).lower()})"
    if "anyOf" in spec:
        return " or ".join(_type(option) for option in spec["anyOf"] if option.get("type") != "null")
    if "enum" in spec:
        return ", ".join(f"`{choice}`" for choice in spec["enum"])
    if spec.get("type") == "array":
        return f"list of {_type(spec['items'])}"
    if spec.get("type") == "object":
        return f"mapping of {_type(spec.get('additionalProperties') or next(iter(spec['patternProperties'].values())))}"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    return words.get(str(spec.get("type")), "text") + _bounds(spec)


def _bounds(spec: Mapping[str, Any]) -> str:
    low = f"{spec['minimum']} or more" if "minimum" in spec else ""
    low = f"more than {spec['exclusiveMinimum']}" if "exclusiveMinimum" in spec else low
    high = f"up to {spec['maximum']}" if spec.get("maximum", 2**53) < 2**53 else ""
    steps = f"a multiple of {spec['multipleOf']}" if "multipleOf" in spec else ""
    bounds = ", ".join(bound for bound in (low, high, steps) if bound)
    return f" ({bounds})" if bounds else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def rules_page() -> str:
    """Every rule, by id: those of the file's form, and those of the plan."""
    plan = {rule.id: (rule.severity, rule.summary) for rule in RULES}
    form = {name: ("error", summary) for name, summary in CONFIG_RULES.items()}
    lines = [
        _NOTE,
        "",
        "# Rules",
        "",
        "What `fullbore check` finds. An error stops a preview; a warning or an info does not.",
    ]
    lines += ["", "## The plan", "", *_rule_rows(plan)]
    lines += ["", "## The file", "", *_rule_rows(form)]
    return "\n".join([*lines, ""])


def policy_page() -> str:
    """Every guard over resources, what is excused, and how the guards compare with checkov's."""
    guards = {guard.id: (guard.severity, guard.summary) for guard in GUARDS}
    lines = [
        _NOTE,
        "",
        "# Policy",
        "",
        "What `scripts/preview` finds in the resources of the cloud. An error fails it; a warning does not.",
    ]
    lines += ["", "## Guards", "", *_rule_rows(guards)]
    lines += ["", "## Excused", "", "| guard | resource | why |", "|---|---|---|"]
    lines += [f"| `{waiver.guard}` | `{waiver.name}` | {_cell(waiver.reason)} |" for waiver in WAIVERS]
    lines += ["", f"## Compared with checkov {CHECKOV}", "", "Its rules for the types that the components use."]
    lines += ["", "| checkov | about | guard, or why none |", "|---|---|---|"]
    for check in CHECKS:
        covered = ", ".join(f"`{guard}`" for guard in check.by) or check.why
        lines.append(f"| {check.id} | {_cell(check.subject)} | {_cell(covered)} |")
    return "\n".join([*lines, ""])


def _rule_rows(rules: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    yield from ("| rule | severity | finds |", "|---|---|---|")
    for name, (severity, summary) in sorted(rules.items()):
        yield f"| `{name}` | {severity} | {_cell(summary)} |"


def pages() -> dict[str, str]:
    """What is generated, by path below the repository's root."""
    return {
        "docs/environment.schema.json": json.dumps(stack_file_schema(), indent=2, ensure_ascii=False) + "\n",
        "docs/reference/environment.md": environment_page(),
        "docs/rules.md": rules_page(),
        "docs/policy.md": policy_page(),
    }


def main(root: Path) -> None:
    """Write every page below `root`."""
    for path, text in pages().items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
