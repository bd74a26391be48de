"""Runs Ansible in a child process: the one seam between the provider and Ansible."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Literal, Protocol

from fullbore.provider.base import ProviderError
from fullbore.provider.environment import kept
from fullbore.provider.values import Map

ROOT: Final = Path(__file__).resolve().parents[3]
"""The repository: its `ansible/` holds the roles."""

KEPT_ENVIRONMENT: Final = ("SSH_AUTH_SOCK",)
"""What Ansible gets of this environment besides what every child gets; ansible-runner writes it to a file."""

STOP_S: Final = 25.0
"""How long a stopped run may take to end by itself."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run of Ansible over some hosts."""

    play: Literal["converge", "facts", "release", "evidence", "reboot"]
    hosts: dict[str, Map]
    """Variables of each host."""
    groups: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    timeout_s: float | None = None

    def text(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))


class Runner(Protocol):
    """Runs jobs. A test gives recorded events instead."""

    def run(self, job: Job, on_event: Callable[[Map], None]) -> None:
        """Run to the end, calling `on_event` with each slim event (see `events`). Raises ProviderError."""
        ...

    def stop(self) -> None:
        """Make every running job end soon, and refuse new ones."""
        ...


class AnsibleRunner:
    """Runs `fullbore.provider.converge` in a child, which removes its private folder; this removes what it left.

    The job goes to the child's standard input, events come as JSON lines from its output. The child stops Ansible when
    its input ends: that is how it is stopped, and what happens when this process dies.
    """

    def __init__(self, folder: str | None = None) -> None:
        """`folder` is where private folders are made; left out, in memory where there is a place for it."""
        self._folder = folder or _memory()
        self._children: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def run(self, job: Job, on_event: Callable[[Map], None]) -> None:
        with tempfile.TemporaryDirectory(prefix="fullbore-", dir=self._folder, ignore_cleanup_errors=True) as folder:
            child = self._start(folder)
            try:
                self._talk(child, job, on_event)
            finally:
                self._end(child)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for child in self._children:
                _close(child)

    def _start(self, folder: str) -> subprocess.Popen[str]:
        with self._lock:
            if self._stopped:
                raise ProviderError("the update was cancelled; run it again to go on")
            child = subprocess.Popen(
                [sys.executable, "-m", "fullbore.provider.converge", folder],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if not os.environ.get("FULLBORE_DEBUG") else None,
                text=True,
                encoding="utf-8",
                env=_environment(),
                start_new_session=True,  # an interrupt of the engine's group must not hit Ansible in mid-task
            )
            self._children.add(child)
            return child

    def _talk(self, child: subprocess.Popen[str], job: Job, on_event: Callable[[Map], None]) -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        errors: list[str] = []
        drain = threading.Thread(target=_drain, args=(child, errors), daemon=True)
        drain.start()
        with contextlib.suppress(BrokenPipeError, ValueError):  # it died or was stopped; its last line says why
            child.stdin.write(job.text() + "\n")
            child.stdin.flush()
        ended = False
        for line in child.stdout:
            event = json.loads(line)
            ended = ended or event["event"] == "end"
            on_event(event)
        drain.join()
        if not ended:
            last = errors[-1] if errors else f"exit {child.wait()}"
            raise ProviderError(f"ansible could not be run: {last}; FULLBORE_DEBUG=1 says more")

    def _end(self, child: subprocess.Popen[str]) -> None:
        with self._lock:
            self._children.discard(child)
            _close(child)
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, 9)  # its own session: it and the Ansible below it
            child.wait()
        for stream in (child.stdout, child.stderr):
            if stream:
                stream.close()


def _drain(child: subprocess.Popen[str], lines: list[str]) -> None:
    for line in child.stderr or ():
        if line.strip():
            lines[:] = [*lines[-20:], line.strip()]


def _close(child: subprocess.Popen[str]) -> None:
    if child.stdin and not child.stdin.closed:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()


def _environment() -> dict[str, str]:
    debug = {"FULLBORE_DEBUG": os.environ["FULLBORE_DEBUG"]} if os.environ.get("FULLBORE_DEBUG") else {}
    beside_python = str(Path(sys.executable).parent)  # ansible-playbook of the same virtual environment
    path = os.pathsep.join([beside_python, os.environ.get("PATH", os.defpath)])
    ours = {"PATH": path, "PYTHONPATH": str(ROOT / "components"), "FULLBORE_ROOT": str(ROOT)}
    return kept(KEPT_ENVIRONMENT) | debug | ours


def _memory() -> str | None:
    """A folder that is no disk, where there is one: facts and variables of hosts pass through it."""
    shm = Path("/dev/shm")
    return str(shm) if shm.is_dir() and os.access(shm, os.W_OK) else None
