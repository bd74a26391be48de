"""`python3 -m fullbore_runtime`: facts -> tune -> launch."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from fullbore_runtime import codec, document
from fullbore_runtime.errors import RuntimeRefusal
from fullbore_runtime.explain import document as explained
from fullbore_runtime.explain import explain
from fullbore_runtime.facts import Facts, checked, gather
from fullbore_runtime.launch import launch
from fullbore_runtime.tune import tune
from fullbore_runtime.tune.settings import CHECK

REFUSED = 2


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="fullbore-runtime", description="start the engine as the plan says")
    made.add_argument("--explain", action="store_true", help="print each setting with why, and start nothing")
    made.add_argument("--show-facts", action="store_true", help="print what this machine has, as JSON")
    made.add_argument("--json", action="store_true", help="with --explain: as JSON")
    made.add_argument("--facts", type=Path, help="with --explain: what --show-facts printed on another machine")
    made.add_argument("--plan", type=Path, default=Path("/") / document.PATH, help="the plan's document")
    return made


def main() -> int:
    args = parser().parse_args()
    asked = args.explain or args.show_facts
    try:
        if args.facts and not args.explain:
            raise RuntimeRefusal("--facts: is for --explain; nothing is started by another machine's facts")
        facts = read_facts(args.facts) if args.facts else gather(environment=os.environ, check=False)
        if args.show_facts:
            print(json.dumps(codec.to_json(facts), indent=1))
            return 0
        plan = document.read(args.plan)
        tuned = tune(facts, plan)
        if not asked and CHECK not in {beside.name for beside in tuned.of("beside")}:
            tuned = tune(checked(facts), plan)
        if args.explain:
            print(json.dumps(explained(facts, tuned), indent=1) if args.json else explain(facts, tuned))
            return REFUSED if tuned.refusals else 0
        for warning in tuned.warnings:
            print(f"warning: {warning}", file=sys.stderr, flush=True)
        launch(tuned)
    except RuntimeRefusal as refusal:
        print(f"refusing to start: {refusal}", file=sys.stderr)
        return REFUSED


def read_facts(path: Path) -> Facts:
    """Facts as --show-facts printed them. Raises RuntimeRefusal."""
    try:
        return codec.from_json(Facts, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise RuntimeRefusal(f"{path}: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
