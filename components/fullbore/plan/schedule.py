"""DataSync schedules: how far apart two runs are. `cron(...)` has six fields in UTC, `rate(...)` a number and a unit.

Source: AWS DataSync user guide, task scheduling; Amazon EventBridge schedule expressions. An hour is the shortest
schedule that DataSync takes.
"""

from __future__ import annotations

import re
from itertools import pairwise

MINUTE_S = 60
HOUR_S = 3600
DAY_S = 86_400
_UNITS = {"minute": MINUTE_S, "hour": HOUR_S, "day": DAY_S}
_RATE = re.compile(r"rate\(([1-9][0-9]{0,5}) (minute|hour|day)s?\)")
_CRON = re.compile(r"cron\(([^()]{1,200})\)")
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (1, 7), (1970, 2199))
_FIELDS = ("minute", "hour", "day of month", "month", "day of week", "year")
_NAMES = {
    3: ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    4: ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
}
WEEK_S = 7 * DAY_S
_LONG_S = 31 * DAY_S


class ScheduleError(ValueError):
    """The text is no schedule; the message says which part."""


def shortest_gap_s(schedule: str) -> int:
    """Shortest time between two runs, seconds. Raises ScheduleError."""
    return min(_gaps(schedule))


def longest_gap_s(schedule: str) -> int:
    """Longest time between two runs, seconds. A schedule bound to days of the month or months counts as 31 days, one
    bound to days of the week as their longest distance. Raises ScheduleError."""
    return max(_gaps(schedule))


def _gaps(schedule: str) -> list[int]:
    """Times between runs over one week, seconds; the last wraps around."""
    rate = _RATE.fullmatch(schedule)
    if rate:
        return [int(rate[1]) * _UNITS[rate[2]]]
    fields = _cron_fields(schedule)
    minutes, hours, weekdays = fields[0], fields[1], fields[4]
    runs = [
        (day - 1) * DAY_S + hour * HOUR_S + minute * MINUTE_S
        for day in sorted(weekdays)
        for hour in sorted(hours)
        for minute in sorted(minutes)
    ]
    gaps = [later - earlier for earlier, later in pairwise(runs)] + [runs[0] + WEEK_S - runs[-1]]
    everywhere = len(fields[2]) == 31 and len(fields[3]) == 12
    return gaps if everywhere else [*gaps, _LONG_S]


def _cron_fields(schedule: str) -> list[set[int]]:
    cron = _CRON.fullmatch(schedule)
    if cron is None:
        raise ScheduleError(f"got {schedule[:60]!r}, which is neither cron(...) nor rate(...)")
    words = cron[1].split()
    if len(words) != len(_FIELDS):
        raise ScheduleError(f"got {len(words)} fields in {schedule[:60]!r}, needs 6")
    return [_field(word.upper(), index) for index, word in enumerate(words)]


def _field(word: str, index: int) -> set[int]:
    """The values of one field: `*`, `?`, numbers or names, lists, ranges and steps."""
    values: set[int] = set()
    for item in word.split(","):
        span, _, step = item.partition("/")
        low, high = _span(span, index, stepped=bool(step))
        values.update(range(low, high + 1, _number(step, index, 1, _RANGES[index][1]) if step else 1))
    return values


def _span(span: str, index: int, *, stepped: bool) -> tuple[int, int]:
    lowest, highest = _RANGES[index]
    if span in ("*", "?"):
        return lowest, highest
    first, dash, last = span.partition("-")
    low = _number(first, index, lowest, highest)
    alone = highest if stepped else low
    high = _number(last, index, lowest, highest) if dash else alone
    if high < low:
        raise ScheduleError(f"got {span!r} as {_FIELDS[index]}, which ends before it begins")
    return low, high


def _number(text: str, index: int, lowest: int, highest: int) -> int:
    names = _NAMES.get(index, [])
    value = names.index(text) + 1 if text in names else int(text) if re.fullmatch("[0-9]{1,4}", text) else -1
    if not lowest <= value <= highest:
        raise ScheduleError(f"got {text[:20]!r} as {_FIELDS[index]}, allowed {lowest} to {highest}")
    return value
