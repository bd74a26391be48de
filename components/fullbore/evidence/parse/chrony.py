"""`chronyc tracking`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fullbore.evidence.unreadable import Unreadable, number

_FIELD = re.compile(r"^([A-Z][^:]*?)\s*: (.*)$", re.MULTILINE)
_OFFSET = re.compile(r"^([\d.]+) seconds (fast|slow) of NTP time$")


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """How far the clock may be off, seconds. `leap` is "Normal" where it is synchronised."""

    offset_s: float
    root_delay_s: float
    root_dispersion_s: float
    leap: str
    source: str

    @property
    def error_s(self) -> float:
        """The most that the clock may be off (chronyc(1), tracking: the bound of the clock's error)."""
        return abs(self.offset_s) + self.root_dispersion_s + self.root_delay_s / 2


def parse_tracking(text: str) -> Tracking:
    fields = {key: value.strip() for key, value in _FIELD.findall(text)}
    missing = {"Reference ID", "System time", "Root delay", "Root dispersion", "Leap status"} - set(fields)
    if missing:
        raise Unreadable(f"it has no '{min(missing)}'")
    offset = _OFFSET.match(fields["System time"])
    if not offset:
        raise Unreadable(f"System time is '{fields['System time']}'")
    return Tracking(
        offset_s=number(offset[1], "System time") * (1 if offset[2] == "fast" else -1),
        root_delay_s=number(fields["Root delay"], "Root delay"),
        root_dispersion_s=number(fields["Root dispersion"], "Root dispersion"),
        leap=fields["Leap status"],
        source=fields["Reference ID"],
    )
