"""The folders below tests/fixtures/runtime: facts.json and plan.json in, launch.json out.

`PYTHONPATH=images/runtime python tests/unit/runtime/tune_cases.py` writes every launch.json anew; read the difference
before you keep it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fullbore_runtime.codec import from_json
from fullbore_runtime.document import Document, parse
from fullbore_runtime.facts import Facts
from fullbore_runtime.tune import Launch, tune

FIXTURES = Path(__file__).parents[2] / "fixtures" / "runtime"
CASES = tuple(sorted(folder.name for folder in FIXTURES.iterdir() if folder.is_dir()))


def facts_of(case: str) -> Facts:
    return from_json(Facts, read(FIXTURES / case / "facts.json"))


def plan_of(case: str) -> Document:
    return parse({"version": 1, "kind": "serving", **read(FIXTURES / case / "plan.json")})


def tuned(case: str) -> Launch:
    return tune(facts_of(case), plan_of(case))


def written(launch: Launch) -> dict[str, object]:
    """What launch.json holds: each setting as it would be typed, with why; what is left alone in parentheses."""
    return {
        "engine": launch.engine,
        "refusals": list(launch.refusals),
        "warnings": list(launch.warnings),
        "settings": {str(setting): setting.why for setting in launch.settings},
    }


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def text_of(value: Any, depth: int = 0) -> str:
    """JSON that a person can read: what fits on a line is on one line."""
    flat = json.dumps(value)
    if len(flat) + depth <= 118 or not isinstance(value, (dict, list)):
        return flat
    pad = " " * (depth + 1)
    items = (
        [f"{pad}{json.dumps(key)}: {text_of(item, depth + 1)}" for key, item in value.items()]
        if isinstance(value, dict)
        else [f"{pad}{text_of(item, depth + 1)}" for item in value]
    )
    left, right = "{}" if isinstance(value, dict) else "[]"
    return f"{left}\n" + ",\n".join(items) + f"\n{' ' * depth}{right}"


def main() -> None:
    for case in CASES:
        (FIXTURES / case / "launch.json").write_text(text_of(written(tuned(case))) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
