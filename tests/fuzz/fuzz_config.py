"""The campaign: change valid environments at random, and keep every change that nothing tells of.

Each seed is one change. A campaign goes on after the last seed that the log names, and a change that failed is added
to FAILED, which the test beside it runs again.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

from config_mutations import Change, change_of, verdict

GOOD = ("problem", "plan", "shown", "meaning")
FAILED = Path(__file__).with_name("config-failed.json")
LOG = Path(__file__).resolve().parents[2] / ".campaign" / "fuzz-config.json"
EVERY = 500
"""Changes between two lines of progress."""
LONGEST_S = 10
"""A change that takes more CPU than this hangs."""


def failed() -> list[Change]:
    """Changes that nothing told of once."""
    rows: list[dict[str, Any]] = json.loads(FAILED.read_text(encoding="utf-8"))
    return [Change(row["base"], row["kind"], tuple(row["path"]), row["value"]) for row in rows]


def keep(change: Change) -> None:
    rows = [known.document() for known in failed()]
    if change.document() not in rows:
        text = json.dumps([*rows, change.document()], indent=1)
        FAILED.write_text(text + "\n", encoding="utf-8")


def _hangs(*_: object) -> NoReturn:
    raise TimeoutError(f"no answer within {LONGEST_S} s of CPU")


def run(first: int, seconds: float, most: int | None) -> tuple[int, Counter[str]]:
    """Changes from the seed `first` on; the next seed, and how often each verdict was given."""
    signal.signal(signal.SIGVTALRM, _hangs)
    began, seed, counts = time.monotonic(), first, Counter[str]()
    while time.monotonic() - began < seconds and (most is None or seed - first < most):
        change = change_of(seed)
        signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST_S)
        found = verdict(change)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        counts[found if found in GOOD else "defect"] += 1
        if found not in GOOD:
            keep(change)
            print(f"seed {seed}: {found}: {change}", file=sys.stderr, flush=True)
        seed += 1
        if seed % EVERY == 0:
            print(f"seed {seed}: {dict(counts)}", file=sys.stderr, flush=True)
    return seed, counts


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/campaign/fuzz-config", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long to go on")
    parser.add_argument("--seed", type=int, help="first seed; the one after the log's last if left out")
    parser.add_argument("--most", type=int, help="changes at most")
    chosen = parser.parse_args()
    log: dict[str, Any] = json.loads(LOG.read_text()) if LOG.exists() else {"next": 0, "counts": {}}
    first = log["next"] if chosen.seed is None else chosen.seed
    following, counts = run(first, chosen.minutes * 60, chosen.most)
    LOG.parent.mkdir(exist_ok=True)
    total = Counter[str](log["counts"]) + counts
    LOG.write_text(json.dumps({"next": max(following, log["next"]), "counts": dict(total)}))
    print(f"seeds {first} to {following - 1}: {dict(counts)}; all campaigns here: {dict(total)}")
    return 1 if counts["defect"] else 0


if __name__ == "__main__":
    sys.exit(main())
