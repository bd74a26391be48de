"""Putting a stack in order after its engine was killed: the lock, the processes left over, and what was being made.

    lock       removed where the process that took it is dead
    processes  plugins of the dead run are waited for, then told to end
    creations  each one under way is imported where the thing exists, else forgotten, so that it is made once

Creations of the providers `fullbore` and `kubernetes` are forgotten: theirs can be repeated. One of the AWS stand-in is
looked up in its journal, which says what was asked for and, where the answer was seen, what it is called.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any

from fullbore_sandbox.engine import Engine, checkpoint, journal
from fullbore_sandbox.plugins.aws.journal import entries
from fullbore_sandbox.process import start_time, wait_gone, with_variable
from fullbore_sandbox.state import SandboxError, State

PATIENCE_S = 20.0
"""Seconds that a dead run's plugins get to finish what they are doing."""
TERM_S = 40.0
"""Seconds between SIGTERM and SIGKILL: this repository's provider takes up to 30 to stop what it started."""


@dataclass(frozen=True)
class Settled:
    """What was put in order."""

    locks: int = 0
    processes: int = 0
    imported: tuple[str, ...] = ()
    forgotten: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = {
            "removed {} lock of a dead run": self.locks,
            "ended {} process of a dead run": self.processes,
            "took over {} resource that it had made": len(self.imported),
            "forgot {} resource that it had not made": len(self.forgotten),
        }
        return "; ".join(text.format(n) for text, n in parts.items() if n) or "nothing to put in order"


def settle(engine: Engine, stack: str) -> Settled:
    """Put the stack in order. Raises SandboxError where another run of the engine is using it."""
    locks = remove_dead_locks(engine.state, stack)
    ended = end_orphans(engine.state)
    imported, forgotten = _settle_creations(engine, stack)
    journal(engine.state).unlink(missing_ok=True)
    return Settled(locks, ended, tuple(imported), tuple(forgotten))


def remove_dead_locks(state: State, stack: str) -> int:
    """Remove the locks whose process, of this machine, is dead; their number. Raises SandboxError for a live one."""
    folder = state.root / ".fullbore" / "backend" / ".pulumi" / "locks" / "organization" / "fullbore" / stack
    dead = 0
    for path in folder.glob("*.json"):
        lock = json.loads(path.read_text())
        if lock["hostname"] == socket.gethostname() and not _took(lock):
            path.unlink(missing_ok=True)
            dead += 1
        else:
            raise SandboxError(
                f"stack {stack}: process {lock['pid']} on {lock['hostname']} has been updating it since "
                f"{lock['timestamp'][:19]}; wait for it, or end it and run this again"
                + ("" if lock["hostname"] == socket.gethostname() else f"; if that machine is gone, remove {path}")
            )
    return dead


def _took(lock: dict[str, Any]) -> bool:
    """True where the process that took the lock lives: the pid is there and started before the lock was taken."""
    started = start_time(lock["pid"])
    if started is None:
        return False
    boot = next(int(line.split()[1]) for line in Path("/proc/stat").read_text().splitlines() if line[:5] == "btime")
    taken = datetime.fromisoformat(lock["timestamp"]).timestamp()
    return boot + started / os.sysconf("SC_CLK_TCK") <= taken + 2


def end_orphans(state: State, patience_s: float = PATIENCE_S) -> int:
    """Wait for the processes that a dead run of this checkout's engine left, then end them; their number."""
    orphans = list(orphaned(state))
    _wait(orphans, patience_s)
    for number in (signal.SIGTERM, signal.SIGKILL):
        left = [pid for pid in orphans if start_time(pid) is not None]
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        _wait(left, TERM_S)
    return len(orphans)


def orphaned(state: State) -> Iterator[int]:
    """Processes that a run of this checkout's engine started and that stand below no live engine, nor above this
    process. PULUMI_HOME alone is no proof, for a user's shell may have it: one of the engine's programs, or what stands
    below one, or what has the variable that only `scripts/pulumi` and `scripts/up` give the engine."""
    own = set(_ancestors(os.getpid()))
    marked = {pid: journalled for pid, journalled in _marked(state) if pid not in own}
    engines = {pid for pid in marked if _program(pid) == "pulumi"}
    programs = {pid for pid in marked if pid in engines or _is_engines(pid)}
    for pid, journalled in marked.items():
        above = set(_ancestors(pid))
        if engines.isdisjoint(above) and (journalled or not programs.isdisjoint(above)):
            yield pid


def _marked(state: State) -> Iterator[tuple[int, bool]]:
    """Processes that have this checkout's PULUMI_HOME, and whether they have its journal's name too."""
    journalled = f"FULLBORE_JOURNAL={journal(state)}".encode()
    for pid, variables in with_variable(f"PULUMI_HOME={state.root / '.fullbore' / 'home'}"):
        yield pid, journalled in variables


PLUGIN_MODULES = ("fullbore.provider", "fullbore_sandbox.plugins.")
"""What the plugins' scripts in this repository become: `python -m MODULE`."""


def _is_engines(pid: int) -> bool:
    """True for a `pulumi-*` program, as a script's argument too, and for this repository's plugins."""
    try:
        argv = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return False
    names = [_program(pid), *(Path(word).name for word in argv[:3] if "/" in word)]
    module = argv[2] if argv[1:2] == ["-m"] and len(argv) > 2 else ""
    return any(name.startswith("pulumi-") for name in names) or module.startswith(PLUGIN_MODULES)


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/exe").readlink().name
    except OSError:
        return ""


def _ancestors(pid: int) -> Iterator[int]:
    """`pid` and the processes above it."""
    while pid > 0:
        yield pid
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return
        pid = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("PPid:"))


def _wait(pids: Iterable[int], seconds: float) -> None:
    deadline = monotonic() + seconds
    for pid in pids:
        wait_gone(pid, max(0.0, deadline - monotonic()))


def pending_creations(state: State, stack: str) -> list[str]:
    """URNs that were being created when the engine died."""
    file = checkpoint(state, stack)
    if not file.exists():
        return []
    deployment = json.loads(file.read_text())["checkpoint"].get("latest") or {}
    return [op["resource"]["urn"] for op in deployment.get("pending_operations", []) if op["type"] == "creating"]


def _settle_creations(engine: Engine, stack: str) -> tuple[list[str], list[str]]:
    pending = pending_creations(engine.state, stack)
    if not pending:
        return [], []
    made = {urn: id_ for urn in pending if (id_ := _made(engine, urn))}
    exported = json.loads(engine.run("stack", "export", "--stack", stack).stdout)
    adopt(exported["deployment"], made)
    file = engine.state.dir / "settled.json"
    file.touch(mode=0o600)
    try:
        file.write_text(json.dumps(exported))
        engine.run("stack", "import", "--stack", stack, "--file", str(file))
    finally:
        file.unlink()
    return list(made), [urn for urn in pending if urn not in made]


def adopt(deployment: dict[str, Any], made: Mapping[str, str]) -> None:
    """Turn the pending creations of `made` (id by URN) into resources and drop every other pending operation.

    What the others were for is done by the next update, which finds the resource as it was before. An adopted resource
    has its inputs only; the refresh in every deploy reads the rest. Where it replaces another one, that is left
    for the next update to delete. (`pulumi refresh --import-pending-creates` does the same for a whole stack, but
    loses the creations where anything fails after it.)
    """
    resources: list[dict[str, Any]] = deployment.setdefault("resources", [])
    for operation in deployment.pop("pending_operations", []):
        resource = operation["resource"]
        if operation["type"] != "creating" or resource["urn"] not in made:
            continue
        replaced = [i for i, r in enumerate(resources) if r["urn"] == resource["urn"] and not r.get("delete")]
        for i in replaced:
            resources[i]["delete"] = True
        resources.insert(replaced[0] if replaced else len(resources), {**resource, "id": made[resource["urn"]]})


def _made(engine: Engine, urn: str) -> str | None:
    """The id of the thing that a pending creation made; None where it made nothing, or can be repeated."""
    notes = [n for n in entries(journal(engine.state)) if n["urn"] == urn]
    if not notes:
        return None
    if notes[-1]["phase"] == "created":
        return str(notes[-1]["id"])
    argv = [sys.executable, "-m", "fullbore_sandbox.plugins.aws", "recover", urn, str(notes[-1]["token"])]
    components = str(Path(__file__).parents[1])
    environment = {**engine.environment(), "PYTHONPATH": components}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SandboxError(f"{urn}: it cannot be found out whether it was made: {done.stderr.strip()}")
    return done.stdout.strip() or None
