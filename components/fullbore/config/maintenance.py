"""What a person writes of maintenance: when machines may be rebooted, and how long that may take."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fullbore.config.base import Strict, Text, Whole

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Maintenance(Strict):
    """A window that opens on some days of the week. Machines are rebooted inside of it and at no other time."""

    days: tuple[Day, ...] = Field(min_length=1, description="days of the week on which the window opens")
    start: Text = Field(
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="time of day at which it opens, e.g. 22:00"
    )
    hours: Whole = Field(ge=1, le=24, description="how long it stays open, hours")
    time_zone: Text = Field(
        default="UTC",
        pattern=r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$",
        description="time zone of days and start, as the IANA database names it, e.g. Europe/Berlin",
    )
    drain_limit_s: Whole = Field(
        default=900, ge=1, le=86_400, description="time that pods have to leave a machine, seconds; it stays up if not"
    )
    return_limit_s: Whole = Field(
        default=1800, ge=60, le=86_400, description="time that a machine has to come back from a reboot, seconds"
    )
