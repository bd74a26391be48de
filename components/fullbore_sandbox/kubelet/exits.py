"""The ends of processes, as events."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable


class Exits:
    """Tells when processes end, without asking again and again: the kernel makes a pidfd readable then."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._calls: dict[int, Callable[[], None]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def watch(self, pid: int, call: Callable[[], None]) -> None:
        """Call `call` once, when the process ends; at once where it has ended."""
        try:
            descriptor = os.pidfd_open(pid) if pid else -1
        except ProcessLookupError:
            descriptor = -1
        if descriptor < 0:
            call()
            return
        with self._lock:
            self._calls[descriptor] = call
            self._poll.register(descriptor, select.EPOLLIN | select.EPOLLONESHOT)
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="exits", daemon=True)
                self._thread.start()

    def _loop(self) -> None:
        while True:
            for descriptor, _ in self._poll.poll():
                with self._lock:
                    call = self._calls.pop(descriptor)
                    os.close(descriptor)
                call()
