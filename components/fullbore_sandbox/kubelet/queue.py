"""A queue of keys: each is worked on by one worker at a time, and one that is added meanwhile comes again."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable


class WorkQueue:
    """Keys to work on now or later, without duplicates, as client-go's."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ready: dict[str, None] = {}
        self._later: list[tuple[float, str]] = []
        self._working: set[str] = set()
        self._again: set[str] = set()
        self._changed = threading.Condition()
        self._closed = False

    def add(self, key: str, at: float | None = None) -> None:
        """Work on `key` as soon as possible, or at a time of the clock."""
        with self._changed:
            if at is not None and at > self._clock():
                heapq.heappush(self._later, (at, key))
            elif key in self._working:
                self._again.add(key)
            else:
                self._ready[key] = None
            self._changed.notify()

    def take(self) -> str | None:
        """The next key, waiting for one; None once the queue is closed."""
        with self._changed:
            while not self._closed:
                self._promote()
                if self._ready:
                    key = next(iter(self._ready))
                    del self._ready[key]
                    self._working.add(key)
                    return key
                self._changed.wait(self._later[0][0] - self._clock() if self._later else None)
            return None

    def done(self, key: str) -> None:
        """The worker is through with `key`."""
        with self._changed:
            self._working.discard(key)
            if key in self._again:
                self._again.discard(key)
                self._ready[key] = None
                self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _promote(self) -> None:
        while self._later and self._later[0][0] <= self._clock():
            key = heapq.heappop(self._later)[1]
            if key in self._working:
                self._again.add(key)
            else:
                self._ready[key] = None
