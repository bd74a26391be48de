"""The lock that one run holds on a host, and the journal of what runs did there."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

LOCK_FILE = Path("/run/fullbore.lock")
JOURNAL_FILE = Path("/var/lib/fullbore/journal.jsonl")
JOURNAL_LINES = 2000
"""Lines kept: a rack's worth of years at two lines a role and run."""


class Locked(Exception):
    """Another run holds the host. `held_by` is its record: {run, holder, since, seen}."""

    def __init__(self, held_by: dict[str, Any], now: float, stale_after_s: float) -> None:
        self.held_by = held_by
        age = int(now - held_by["seen"])
        super().__init__(
            f"host is being changed by {held_by['holder']} (run {held_by['run']}) since {held_by['since']}, "
            f"last sign of life {age} s ago; wait for that run to end, or end it; if it ended without unlocking, run "
            f"again where it ran, or in {max(0, int(stale_after_s) - age)} s, when its lock is taken over"
        )


class Lock:
    """One run's hold on a host.

    The record lives in /run, so a reboot frees it. It is read and written under flock, so two runs cannot both take
    it. A record is taken over when its run is this one, is known to be dead, or gave no sign of life for
    `stale_after_s`; every event of a run is a sign of life.
    """

    def __init__(
        self,
        run: str,
        holder: str,
        *,
        stale_after_s: float = 3600,
        path: Path = LOCK_FILE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._run, self._holder, self._stale_after_s = run, holder, stale_after_s
        self._path, self._clock = path, clock

    def hold(self, *, dead: str | None = None) -> None:
        """Take the lock, or give a sign of life where it is ours. Raises Locked."""
        with self._opened() as file:
            held, now = _read(file), self._clock()
            if held and held["run"] not in (self._run, dead) and now - held["seen"] < self._stale_after_s:
                raise Locked(held, now, self._stale_after_s)
            since = held["since"] if held and held["run"] == self._run else _utc(now)
            _write(file, {"run": self._run, "holder": self._holder, "since": since, "seen": now})

    def release(self) -> None:
        """Give the lock back; another run's is left alone."""
        with self._opened() as file:
            held = _read(file)
            if held and held["run"] == self._run:
                file.truncate(0)

    def _opened(self) -> IO[str]:
        file = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644), "r+")
        fcntl.flock(file, fcntl.LOCK_EX)
        return file


def _read(file: IO[str]) -> dict[str, Any] | None:
    text = file.read()
    return json.loads(text) if text else None


def _write(file: IO[str], record: dict[str, Any]) -> None:
    file.seek(0)
    file.truncate()
    json.dump(record, file)


class Journal:
    """One JSON line for each role that a run begins or finishes: {at, run, role, event}."""

    def __init__(self, path: Path = JOURNAL_FILE, clock: Callable[[], float] = time.time) -> None:
        self._path, self._clock = path, clock

    def write(self, run: str, role: str, event: str) -> None:
        """Append one line and see it on the disk before the role goes on."""
        line = json.dumps({"at": _utc(self._clock()), "run": run, "role": role, "event": event})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._trim()
        with self._path.open("a") as file:
            # A run that was killed may have left half a line.
            file.write(line + "\n" if self._ends_whole() else "\n" + line + "\n")
            file.flush()
            os.fsync(file.fileno())

    def lines(self) -> list[dict[str, Any]]:
        """The whole lines, oldest first."""
        try:
            texts = self._path.read_text().splitlines()
        except FileNotFoundError:
            return []
        return [line for line in map(_whole, texts) if line]

    def _ends_whole(self) -> bool:
        return not self._path.exists() or self._path.read_bytes()[-1:] in (b"", b"\n")

    def _trim(self) -> None:
        lines = self.lines()
        if len(lines) > JOURNAL_LINES:
            kept = self._path.with_suffix(".kept")
            kept.write_text("".join(json.dumps(line) + "\n" for line in lines[-JOURNAL_LINES // 2 :]))
            kept.replace(self._path)


def interrupted(roles: Iterable[str], journal: Journal | None = None) -> list[str]:
    """The roles whose last line is not `finish`: a run died inside them, so they are repeated."""
    last = {line["role"]: line["event"] for line in (journal or Journal()).lines()}
    return [role for role in roles if last.get(role, "finish") != "finish"]


def _whole(text: str) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) and {"role", "event"} <= line.keys() else None


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
