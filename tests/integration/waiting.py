"""Waiting for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, TypeVar

T = TypeVar("T")
POLL_S = 0.25
"""Seconds between two questions: what is waited for tells nobody that it is there."""


def wait_for(what: str, ask: Callable[[], T | Literal[False] | None], seconds: float = 60) -> T:
    """The first true answer; fails with the last one after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"{what}: still {answer!r} after {seconds} s"
        time.sleep(POLL_S)
    return answer
