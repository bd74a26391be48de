"""Long-running processes of a sandbox: started once, known by pid and start time, stopped with their group."""

from __future__ import annotations

import hashlib
import json
import os
import select
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fullbore.provider.environment import CONTAINER_ENGINE, kept
from fullbore_sandbox.state import SandboxError, State, locked

STOP_S = 15.0
"""Seconds between SIGTERM and SIGKILL."""
POLL_S = 0.1
"""Seconds between two questions to a service that has no way to tell that it is ready."""
TAIL = 15
"""Lines of a log shown when its process fails."""

# The child records itself before it becomes the daemon, so that no moment exists in which a killed `up` would leave a
# process that nothing knows. The start time is field 22 of stat; the name in field 2 is `sh` and holds no space.
_RECORD = """
read -r stat < /proc/$$/stat; set -f
record=$1; digest=$2; cd "$3" || exit 1; shift 3; i=1
for field in $stat; do [ $i = 22 ] && started=$field; i=$((i + 1)); done
printf '{"pid": %d, "started": %d, "argv": "%s"}\\n' $$ "$started" "$digest" > "$record.new"
mv "$record.new" "$record"
exec "$@"
"""


def start_time(pid: int) -> int | None:
    """When `pid` started, in clock ticks since boot; None where it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def wait_gone(pid: int, timeout_s: float) -> bool:
    """True when `pid` ended within `timeout_s`; waits for the event, reaps it where it is our child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        ended = bool(select.select([descriptor], [], [], timeout_s)[0])
    finally:
        os.close(descriptor)
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return ended


class Daemon:
    """One process that outlives the command that started it. It gets `env`, and nothing secret of the caller's.

    `ready` is asked until it is true, at most `deadline_s`; a process that ends before fails at once. A daemon whose
    `argv`, `env` or `cwd` changed since it was started is started again.
    """

    def __init__(
        self,
        state: State,
        name: str,
        argv: Sequence[str | Path],
        env: Mapping[str, str] | None = None,
        ready: Callable[[], bool] | None = None,
        cwd: Path | None = None,
        deadline_s: float = 60.0,
    ) -> None:
        self.state = state
        self.name = name
        self.argv = [str(a) for a in argv]
        self.env = dict(env or {})
        self.ready = ready
        self.cwd = cwd
        self.deadline_s = deadline_s
        self.record = state.record(name)
        self.log = state.log(name)

    @property
    def pid(self) -> int | None:
        """The process, where the recorded one still lives."""
        recorded = _read(self.record)
        return recorded["pid"] if recorded and start_time(recorded["pid"]) == recorded["started"] else None

    @property
    def running(self) -> bool:
        return self.pid is not None

    def start(self) -> None:
        """Start it unless it runs, then wait until it is ready. Raises SandboxError with the log's last lines."""
        with locked(self.record.with_suffix(".lock")):
            recorded = _read(self.record)
            if self.running and recorded and recorded["argv"] != self._digest():
                stop(self.record)
            self._wait_ready(self.pid or self._spawn())

    def stop(self) -> None:
        """SIGTERM to the process group, SIGKILL where that is not enough; nothing where it does not run."""
        with locked(self.record.with_suffix(".lock")):
            stop(self.record)

    def _digest(self) -> str:
        described = json.dumps([self.argv, self.env, str(self.cwd)], sort_keys=True)
        return hashlib.sha256(described.encode()).hexdigest()[:16]

    def _spawn(self) -> int:
        self.record.unlink(missing_ok=True)
        with self.log.open("ab", buffering=0) as log:
            log.write(f"--- {time.strftime('%Y-%m-%dT%H:%M:%S%z')} {self.name}: start\n".encode())
            return os.posix_spawn(
                "/bin/sh",
                ["sh", "-c", _RECORD, "sh", str(self.record), self._digest(), str(self.cwd or "/"), *self.argv],
                {**kept(CONTAINER_ENGINE), **self.env},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, log.fileno(), 1),
                    (os.POSIX_SPAWN_DUP2, log.fileno(), 2),
                    *((os.POSIX_SPAWN_CLOSE, number) for number in _callers()),
                ],
                setsid=True,
            )

    def _wait_ready(self, pid: int) -> None:
        deadline = time.monotonic() + self.deadline_s
        while not (self.record.exists() and (self.ready is None or self.ready())):
            if start_time(pid) is None:
                wait_gone(pid, 0)
                raise SandboxError(f"{self.name}: ended before it was ready\n{self._tail()}")
            if time.monotonic() > deadline:
                raise SandboxError(f"{self.name}: not ready after {self.deadline_s:.0f} s\n{self._tail()}")
            time.sleep(POLL_S)

    def _tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL:]
        return "\n".join([f"  {line}" for line in lines] + [f"the whole log: {self.log}"])


def _callers() -> list[int]:
    """Descriptors that this process was started with, beside the first three: a daemon that kept one would hold the
    lock of `flock FILE scripts/up`, or the pipe that a caller reads to its end, for as long as it lives."""
    numbers = [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]
    return [number for number in numbers if number > 2 and _is_inheritable(number)]


def _is_inheritable(number: int) -> bool:
    try:
        return os.get_inheritable(number)
    except OSError:  # the one that listed the folder
        return False


def stop(record: Path) -> None:
    """Stop the process that `record` names, with its group, and forget it; a recycled pid is left alone."""
    recorded = _read(record)
    if recorded and start_time(recorded["pid"]) == recorded["started"]:
        _signal_group(recorded["pid"], signal.SIGTERM)
        if not wait_gone(recorded["pid"], STOP_S):
            _signal_group(recorded["pid"], signal.SIGKILL)
            wait_gone(recorded["pid"], STOP_S)
        _signal_group(recorded["pid"], signal.SIGKILL)
    record.unlink(missing_ok=True)


def running(state: State) -> list[str]:
    """Names of the sandbox's processes that live, the newest first."""
    records = sorted((state.dir / "run").glob("*.json"), key=lambda p: p.stat().st_mtime, reverse=True)
    return [r.stem for r in records if (known := _read(r)) and start_time(known["pid"]) == known["started"]]


def stop_all(state: State) -> list[str]:
    """Stop every recorded process of the sandbox, the newest first; the names of those that ran."""
    names = running(state)
    for name in names:
        stop(state.record(name))
    return names


def with_variable(*variables: str) -> Iterator[tuple[int, list[bytes]]]:
    """Live processes, but this one, that were started with one of these `NAME=value`, each with all its variables."""
    sought = {variable.encode() for variable in variables}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and start_time(int(entry.name)) is not None and int(entry.name) != os.getpid():
            with suppress(OSError):
                found = (entry / "environ").read_bytes().split(b"\0")
                if not sought.isdisjoint(found):
                    yield int(entry.name), found


def _signal_group(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, number)


def _read(record: Path) -> dict[str, Any] | None:
    try:
        return json.loads(record.read_text())
    except FileNotFoundError:
        return None
