"""The maintenance window: whether it is open, and when it opens next. The clock is the caller's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from fullbore.provider.values import Map

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True)
class Window:
    """Opens at a time of day, on some days of the week (0 is Monday), for so many hours."""

    days: frozenset[int]
    start: time
    hours: int
    zone: ZoneInfo

    def is_open(self, now: datetime) -> bool:
        return any(begin <= now < begin + timedelta(hours=self.hours) for begin in self._openings(now))

    def opens(self, now: datetime) -> datetime:
        """When it opens next, in its own time zone."""
        return min(begin for begin in self._openings(now) if begin > now).astimezone(self.zone)

    def closes(self, now: datetime) -> datetime:
        """When the window that is open closes, UTC; `now` where none is."""
        ends = (begin + timedelta(hours=self.hours) for begin in self._openings(now) if begin <= now)
        return max(now, *ends)

    def _openings(self, now: datetime) -> list[datetime]:
        """Of the days around, UTC. Where the clocks are put forward over `start`, it opens an hour later."""
        today = now.astimezone(self.zone).date()
        dates = (today + timedelta(days=offset) for offset in range(-2, 9))
        return [
            datetime.combine(date, self.start, self.zone).astimezone(UTC)
            for date in dates
            if date.weekday() in self.days
        ]


def window_of(maintenance: Map) -> Window | None:
    """The window of a group's inputs; None where there is none. Raises ValueError for a zone that is not known."""
    if not maintenance:
        return None
    try:
        zone = ZoneInfo(maintenance["timeZone"])
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"got {maintenance['timeZone']!r}, but the machine that runs this knows no such zone"
        ) from None
    days = frozenset(DAYS.index(day) for day in maintenance["days"])
    return Window(days, time.fromisoformat(maintenance["start"]), maintenance["hours"], zone)


def waits(window: Window | None, now: datetime) -> str:
    """What a reboot waits for, in words; empty where it may happen now."""
    if window is None:
        return "site.maintenance gives no window, so it is left to you"
    if window.is_open(now):
        return ""
    return f"it waits for the maintenance window, which opens {window.opens(now):%a %Y-%m-%d %H:%M %Z}"
