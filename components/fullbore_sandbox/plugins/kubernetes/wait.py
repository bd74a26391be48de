"""Waiting for an object to become ready, or to be gone: by watch, with a deadline, and with a reason at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event
from typing import Any

from fullbore.provider.base import ProviderError
from fullbore_sandbox.plugins.kubernetes import reasons
from fullbore_sandbox.plugins.kubernetes.api import Client, states
from fullbore_sandbox.plugins.kubernetes.ready import judge

Object = dict[str, Any]
Tell = Callable[[str], None]

SHOW_AFTER_S = 1.0
"""Seconds of waiting after which progress is shown; most waits are shorter."""
EXPLAIN_AFTER_S = 3.0
"""Seconds of waiting after which progress lines say why."""


@dataclass(frozen=True)
class Waited:
    """The object as it was seen last, and why it is not ready; no reasons when it is."""

    live: Object
    reasons: tuple[str, ...] = ()


class Progress:
    """What a wait shows: the last line that is true now, and nothing once it is over."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._told = ""
        self.started = time.monotonic()

    @property
    def waited_s(self) -> float:
        return time.monotonic() - self.started

    def show(self, line: str) -> None:
        if line != self._told and self.waited_s > SHOW_AFTER_S:
            self._told = line
            self._tell(line)

    def clear(self) -> None:
        if self._told:
            self._tell("")


def until_ready(client: Client, collection: str, live: Object, seconds: float, cancelled: Event, tell: Tell) -> Waited:
    """Wait for the `judge` of the object's kind. `live` is what the apply answered."""
    progress = Progress(tell)
    uid, name = live["metadata"]["uid"], live["metadata"]["name"]
    verdict = judge(live)
    if verdict.done:
        return Waited(live)
    for current in states(client, collection, name, progress.started + seconds, cancelled):
        if current is None or current["metadata"]["uid"] != uid:
            return Waited(live, ("it was deleted by someone else while it was waited for",))
        live, verdict = current, judge(current)
        if verdict.done:
            progress.clear()
            return Waited(live)
        if verdict.failed:
            break
        why = reasons.explain(client, live)[:1] if progress.waited_s > EXPLAIN_AFTER_S else []
        progress.show("; ".join([verdict.message, *why]))
    head = verdict.message if verdict.failed else _ended(seconds, cancelled, verdict.message)
    return Waited(live, (head, *reasons.explain(client, live)))


def until_gone(
    client: Client, collection: str, live: Mapping[str, Any], seconds: float, cancelled: Event, tell: Tell
) -> None:
    """Wait until the object, or another one with its name, is not that object any more. Raises ProviderError."""
    progress = Progress(tell)
    uid, name = live["metadata"]["uid"], live["metadata"]["name"]
    held = ""
    for current in states(client, collection, name, progress.started + seconds, cancelled):
        if current is None or current["metadata"]["uid"] != uid:
            progress.clear()
            return
        held = _what_holds(current)
        progress.show(f"deleting: {held or 'it is still there'}")
    raise ProviderError(f"{live['kind']} {name}: {_ended(seconds, cancelled, held or 'it is still there')}")


def _ended(seconds: float, cancelled: Event, message: str) -> str:
    how = "cancelled" if cancelled.is_set() else f"not so after {seconds:.0f} s"
    return f"{how}: {message}"


def _what_holds(live: Mapping[str, Any]) -> str:
    """What keeps an object that is being deleted: its finalizers, or what a namespace still holds."""
    conditions = (live.get("status") or {}).get("conditions") or []
    held = [c["message"] for c in conditions if c.get("status") == "True" and "Remaining" in c.get("type", "")]
    finalizers = live["metadata"].get("finalizers") or []
    return "; ".join(held) or (f"finalizers {', '.join(finalizers)}" if finalizers else "")
