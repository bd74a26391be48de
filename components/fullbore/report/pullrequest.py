"""A pull request's preview as Markdown and as JSON values. Pure.

What stands in the report comes from the pull request itself, so that every value is shown as code, short, and without
characters that would end the code span.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from fullbore.problems import Problem
from fullbore.report.changes import Change, EnvironmentChange, PropertyChange
from fullbore.report.document import problem_documents

MARKER = "<!-- fullbore-preview -->"
"""First line of the comment, by which it is found again and edited in place."""
LIMIT = 60_000
"""Characters; a comment on GitHub may have 65,536."""
VALUE_LIMIT = 80
MESSAGE_LIMIT = 400
CHANGES_SHOWN = 200
PROPERTIES_SHOWN = 20
_SIGNS = {"add": "+", "change": "~", "remove": "-"}


def markdown(environments: Sequence[EnvironmentChange], base: str, head: str) -> str:
    """The comment. `base` and `head` say what was compared; an empty `base` that there was no merge base."""
    title = f"Preview of {_code(head)} against {_code(base)}" if base else f"Preview of {_code(head)}"
    lines = [MARKER, f"### {title}", ""]
    if not base:
        lines += ["There is no merge base to compare with: what each environment would be is shown alone.", ""]
    lines += [*_table(environments), ""]
    for environment in environments:
        lines += _section(environment)
    lines += [
        "Nothing was contacted: plan-only stand-ins in scratch stacks, encrypted values unknown. "
        "Costs are estimates by list prices; drift is the scheduled job's."
    ]
    return _cut("\n".join(lines) + "\n")


def _table(environments: Sequence[EnvironmentChange]) -> Iterator[str]:
    yield "| environment | add | change | remove | problems | US dollars an hour |"
    yield "|---|---:|---:|---:|---|---:|"
    for env in environments:
        if env.compared:
            counts = [str(env.count(kind)) for kind in ("add", "change", "remove")]
        else:
            counts = ["?" if env.head.status != "previewed" else f"{len(env.head.resources)} in all", "?", "?"]
        yield f"| {_code(env.name)} | {' | '.join(counts)} | {_severities(env.head.problems)} | {_cost(env)} |"


def _severities(problems: Sequence[Problem]) -> str:
    counts = {name: sum(p.severity == name for p in problems) for name in ("error", "warning", "info")}
    words = [
        f"{number} {name}{'' if number == 1 or name == 'info' else 's'}" for name, number in counts.items() if number
    ]
    return ", ".join(words) or "none"


def _cost(env: EnvironmentChange) -> str:
    if env.head.usd_per_hour is None:
        return "removed" if env.head.status == "absent" else "?"
    if env.usd_delta is None:
        return f"{env.head.usd_per_hour:,.2f}"
    return f"{env.head.usd_per_hour:,.2f} ({env.usd_delta:+,.2f})"


def _section(env: EnvironmentChange) -> Iterator[str]:
    body = [*_states(env), *_problems(env), *_changes(env), *_sealed(env)]
    if not body:
        return
    yield from (f"<details><summary>{_code_html(env.name)}</summary>", "", *body, "", "</details>", "")


def _states(env: EnvironmentChange) -> Iterator[str]:
    sides = (("merge base", env.base), ("head", env.head))
    for noun, side in sides:
        if side is None:
            continue
        if side.status == "refused":
            yield f"- the {noun} was not previewed: `fullbore check` found errors"
        elif side.status == "failed":
            last = (side.reason.splitlines() or ["no reason given"])[-1]
            yield f"- the {noun} could not be previewed: {_code(last, MESSAGE_LIMIT)}"
        elif side.status == "absent":
            yield f"- the {noun} has no such environment"


def _problems(env: EnvironmentChange) -> Iterator[str]:
    new = set(env.new_problems) if env.base else set[Problem]()
    for problem in env.head.problems:
        mark = " (new)" if problem in new else ""
        yield f"- **{problem.severity}**{mark} {_code(problem.path)}: {_code(problem.message, MESSAGE_LIMIT)}"


def _changes(env: EnvironmentChange) -> Iterator[str]:
    for change in env.changes[:CHANGES_SHOWN]:
        yield f"- `{_SIGNS[change.kind]}` {_code(change.type)} {_code(change.name)}"
        yield from (_property(item) for item in change.properties[:PROPERTIES_SHOWN])
        if len(change.properties) > PROPERTIES_SHOWN:
            yield f"  - and {len(change.properties) - PROPERTIES_SHOWN} more properties"
    if len(env.changes) > CHANGES_SHOWN:
        yield f"- and {len(env.changes) - CHANGES_SHOWN} more resources"


def _property(item: PropertyChange) -> str:
    return f"  - {_code(item.path)}: {_code(_text(item.before))} → {_code(_text(item.after))}"


def _sealed(env: EnvironmentChange) -> Iterator[str]:
    for path in env.sealed:
        yield f"- encrypted value {_code(path)} changed; what it holds is not known here"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _code(text: str, limit: int = VALUE_LIMIT) -> str:
    """A code span that its content cannot leave: no back-ticks, pipes or line ends, and not too long."""
    flat = " ".join(text.replace("`", "'").replace("|", "¦").split()) or " "
    return f"`{flat if len(flat) <= limit else flat[: limit - 1] + '…'}`"


def _code_html(text: str) -> str:
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<code>{safe}</code>"


def _cut(text: str) -> str:
    """The text within the limit of a comment, cut at a line's end with a word about it."""
    if len(text) <= LIMIT:
        return text
    note = "\n\nThe rest is left out here: run `scripts/preview` for all of it.\n"
    kept = text[: LIMIT - len(note) - len("\n</details>")]
    kept = kept[: kept.rfind("\n")]
    closing = "\n</details>" if kept.count("<details>") > kept.count("</details>") else ""
    return kept + closing + note


def document(environments: Sequence[EnvironmentChange], base: str, head: str) -> dict[str, object]:
    """The same as JSON values."""
    return {"base": base or None, "head": head, "environments": [_environment(env) for env in environments]}


def _environment(env: EnvironmentChange) -> dict[str, object]:
    return {
        "name": env.name,
        "status": {"base": env.base.status if env.base else None, "head": env.head.status},
        "reason": {"base": env.base.reason if env.base else "", "head": env.head.reason},
        "resources": len(env.head.resources),
        "changes": [_change(change) for change in env.changes],
        "sealed": list(env.sealed),
        "problems": problem_documents(env.head.problems),
        "new_problems": problem_documents(env.new_problems),
        "usd_per_hour": env.head.usd_per_hour,
        "usd_per_hour_delta": env.usd_delta,
    }


def _change(change: Change) -> dict[str, object]:
    properties = [{"path": item.path, "before": item.before, "after": item.after} for item in change.properties]
    return {"kind": change.kind, "type": change.type, "name": change.name, "properties": properties}
