"""What a person writes of changes to machines that serve: how many at once, and how many must go on serving."""

from __future__ import annotations

from pydantic import Field

from fullbore.config.base import Number, Strict


class Rolling(Strict):
    """A change goes to one machine, then to the rest of its rack, then to waves of the others."""

    wave_share: Number = Field(
        default=0.1,
        gt=0,
        le=1,
        description="ratio of the machines of a kind that change at once, after the first of them and the rest of its "
        "rack; at least one machine",
    )
    min_serving_share: Number | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="ratio of the GPU machines that neither change nor are known to have failed at any time of a "
        "change; if left out, those that the replicas need, but one machine may always change",
    )
    roll_back: bool = Field(
        default=False,
        strict=True,
        description="whether machines on which a change fails are put back to the settings and versions of before",
    )
