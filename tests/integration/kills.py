"""A kill -9 of the engine at a random moment, and what the next `scripts/up` must make of it.

As a program: the campaign. Each seed is one kill; it goes on after the last seed that the log beside the checkout's
other scratch files names, and a seed that failed is added to FAILED, which the life-cycle test runs.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from checkout import Checkout, scratch_checkout

SECONDS = {"up": 40.0, "destroy": 20.0, "refresh": 12.0, "change": 30.0}
"""How long each takes at most here, from the engine's first line: a kill falls anywhere within."""
FAILED = Path(__file__).with_name("kills-failed.json")
LOG = Path(__file__).resolve().parents[2] / ".campaign" / "kills.jsonl"


@dataclass(frozen=True)
class Kill:
    """`operation` is `up` (of an empty stack), `destroy`, `refresh` or `change` (another image and a lost setting)."""

    operation: str
    wait_s: float


def kill_of(seed: int) -> Kill:
    chance = random.Random(seed)
    operation = chance.choice(sorted(SECONDS))
    return Kill(operation, chance.uniform(0, SECONDS[operation]))


def carry_out(checkout: Checkout, kill: Kill) -> str:
    """Kill the engine as `kill` says; what it had said."""
    argv = ["scripts/up"]
    if kill.operation in ("destroy", "refresh"):
        argv = ["scripts/pulumi", kill.operation, "--yes", "--skip-preview", "--non-interactive", "--stack", "local"]
    elif kill.operation == "up":
        checkout.pulumi("destroy", "--yes", "--non-interactive")
    else:
        change_image(checkout)
        checkout.ssh("gpu-01", "sysctl -qw net.ipv4.tcp_ecn=2")
    return checkout.kill_engine(argv, lambda said: "(local)" in said, kill.wait_s)


def change_image(checkout: Checkout) -> None:
    """The next `up` builds another image."""
    file = checkout.root / "images" / "runtime" / "fullbore_runtime" / "__init__.py"
    file.write_text(f"{file.read_text()}\n# Another image.\n")


def assert_mended(checkout: Checkout, whole: Counter[str]) -> None:
    """`scripts/up` completes: nothing is made twice, nothing is left over, and every replica runs the stack's image."""
    done = checkout.run("scripts/up")
    assert checkout.census() == whole, done.stdout + done.stderr
    pods = checkout.ready_pods()
    digest = checkout.outputs()["imageRef"].split("@")[1]
    assert [pod.spec.containers[0].image.split("@")[1] for pod in pods] == [digest, digest]
    urns = Counter(each["urn"] for each in checkout.resources())
    assert set(urns.values()) == {1}, "the state holds a resource twice, or one that is still to be deleted"


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/campaign/kills", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="begin no round after this time")
    parser.add_argument("--seed", type=int, help="the first seed; the one after the last that was tried if not given")
    chosen = parser.parse_args()
    seed = _next() if chosen.seed is None else chosen.seed
    deadline = time.monotonic() + 60 * chosen.minutes
    failed = 0
    with scratch_checkout() as checkout:
        checkout.run("scripts/up", timeout=3600)
        whole = checkout.census()
        while time.monotonic() < deadline:
            problem = _round(checkout, seed, whole)
            _note(seed, problem)
            failed += bool(problem)
            if problem:
                break  # `--seed` repeats it; the next call without goes on with the next one, in a new checkout.
            seed += 1
    return 1 if failed else 0


def _round(checkout: Checkout, seed: int, whole: Counter[str]) -> str:
    """One kill; the problem that followed, empty where there was none."""
    kill = kill_of(seed)
    began = time.monotonic()
    said = ""
    try:
        said = carry_out(checkout, kill)
        assert_mended(checkout, whole)
    except Exception as error:  # noqa: BLE001 - a command that hung, an API that did not answer: the seed is kept
        problem = f"{type(error).__name__}: {error}"
        print(f"seed {seed}: {kill}: FAILED\n{said}\n{problem}", file=sys.stderr)
        return problem
    ended = "the engine ended first" if "Resources:" in said else "killed"
    print(f"seed {seed}: {kill.operation} after {kill.wait_s:.1f} s: {ended}, mended; "
          f"{time.monotonic() - began:.0f} s in all", file=sys.stderr)  # fmt: skip
    return ""


def _next() -> int:
    lines = LOG.read_text().splitlines() if LOG.exists() else []
    return json.loads(lines[-1])["seed"] + 1 if lines else 1


def _note(seed: int, problem: str) -> None:
    LOG.parent.mkdir(exist_ok=True)
    with LOG.open("a") as log:
        log.write(json.dumps({"seed": seed, "problem": problem}) + "\n")
    if problem:
        known = json.loads(FAILED.read_text())
        FAILED.write_text(json.dumps(sorted({*known, seed})) + "\n")


if __name__ == "__main__":
    sys.exit(main())
