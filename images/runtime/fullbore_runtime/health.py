"""Who may take the server for good, by what it is doing. Pure."""

from __future__ import annotations

from typing import Literal

Phase = Literal["starting", "ready", "draining", "broken"]

GOOD: dict[str, tuple[Phase, ...]] = {
    "ready": ("ready",),
    "live": ("starting", "ready", "draining"),
    "startup": ("ready", "draining", "broken"),
}
"""Phases in which a probe succeeds. A server that starts or drains must not be restarted, a broken one must."""


def good(probe: str, phase: Phase) -> bool:
    return phase in GOOD[probe]
