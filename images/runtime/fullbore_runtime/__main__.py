"""`python3 -m fullbore_runtime [--explain]`: facts -> tune -> launch."""

from __future__ import annotations

import argparse
import sys

from fullbore_runtime.errors import RuntimeRefusal
from fullbore_runtime.facts import gather
from fullbore_runtime.launch import explain, launch
from fullbore_runtime.tune import tune

REFUSED = 2


def main() -> int:
    parser = argparse.ArgumentParser(prog="fullbore-runtime", description="start the engine as the plan says")
    parser.add_argument("--explain", action="store_true", help="print each setting with why, and start nothing")
    args = parser.parse_args()
    try:
        tuned = tune(gather())
    except RuntimeRefusal as refusal:
        print(f"refusing to start: {refusal}", file=sys.stderr)
        return REFUSED
    for warning in tuned.warnings:
        print(f"warning: {warning}", file=sys.stderr, flush=True)
    if not args.explain:
        launch(tuned)
    print(explain(tuned))
    return 0


if __name__ == "__main__":
    sys.exit(main())
