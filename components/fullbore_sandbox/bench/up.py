"""How long `scripts/up` takes on a copy of this checkout, first and again, and what memory its sandbox needs.

With `--cold` the copy shares nothing with this one: its own virtual environment, and empty caches for Go, pip and the
toolchain. What apt installed stays. The copy is taken down and removed in the end.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from fullbore.report.scratch import copy_working_tree
from fullbore_sandbox.bench.result import Result, machine, show
from fullbore_sandbox.podman import containers, podman
from fullbore_sandbox.process import start_time
from fullbore_sandbox.state import State

ROOT = Path(__file__).resolve().parents[3]


def measure(folder: Path, cold: bool) -> Result:
    """Times in seconds and memory in MiB of the checkout at `folder`, which has no sandbox yet."""
    environment = {**os.environ, "NO_COLOR": "1"}
    if cold:
        caches = {"XDG_CACHE_HOME": "cache", "GOCACHE": "go-build", "GOMODCACHE": "go-mod", "PIP_CACHE_DIR": "pip"}
        environment |= {name: str(folder / ".cache" / path) for name, path in caches.items()}
    else:
        (folder / ".venv").symlink_to((ROOT / ".venv").resolve())
    try:
        setup = _timed(["scripts/setup"], folder, environment)
        first = _timed(["scripts/up"], folder, environment)
        steps = json.loads((folder / ".fullbore/sandbox/steps.json").read_text())
        again = _timed(["scripts/up"], folder, environment)
        memory = memory_mib(State.load_or_create(folder))
    finally:
        down = _timed(["scripts/down", "--force"], folder, environment)
    steps = {f"first_{name.replace(' ', '_').replace('-', '_')}_s": seconds for name, seconds in steps.items()}
    return Result(
        name="up --cold" if cold else "up",
        machine=machine(),
        ratios={"first_to_again": first / again},
        figures={
            "setup_s": setup, "first_s": first, "again_s": again, "down_s": down, "memory_mib": memory, **steps,
        },
    )  # fmt: skip


def memory_mib(state: State) -> float:
    """Proportional set size of everything the sandbox runs: its processes, and those in its containers, MiB."""
    records = [json.loads(p.read_text())["pid"] for p in (state.dir / "run").glob("*.json")]
    names = [name for name, status in containers(state).items() if status == "running"]
    told = podman(state, "inspect", "--format", "{{.State.Pid}}", *names) if names else ""
    return sum(map(_pss_kib, _with_children([*records, *map(int, told.split())]))) / 1024


def _with_children(pids: Iterable[int]) -> Iterator[int]:
    """`pids` and everything below them that lives."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and start_time(int(entry.name)) is not None:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    waiting, seen = list(pids), set[int]()
    while waiting:
        pid = waiting.pop()
        if pid not in seen:
            seen.add(pid)
            waiting += children.get(pid, [])
            yield pid


def _pss_kib(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


def _timed(argv: list[str], folder: Path, environment: Mapping[str, str]) -> float:
    began = time.monotonic()
    subprocess.run(argv, cwd=folder, env=environment, stdout=sys.stderr, check=True)
    return time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench/up", description=__doc__)
    parser.add_argument("--cold", action="store_true", help="with empty caches and a virtual environment of its own")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fullbore-bench-") as folder:
        copy_working_tree(ROOT, Path(folder))
        subprocess.run(["git", "init", "--quiet", "."], cwd=folder, check=True)
        result = measure(Path(folder), chosen.cold)
    show(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
