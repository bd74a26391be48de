"""What a person writes of the NVMe drives of machines."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fullbore.config.base import Strict, Whole


class Nvme(Strict):
    """Block-layer settings of every NVMe drive of a machine, local or over fabrics; none is written to."""

    read_ahead_kib: Whole | None = Field(
        default=None,
        ge=0,
        le=1_048_576,
        multiple_of=4,
        description="read-ahead of each drive, KiB (1,024 bytes), in steps of 4, for the kernel keeps whole pages; not "
        "set if left out",
    )
    io_policy: Literal["numa", "round-robin"] | None = Field(
        default=None, description="which of a drive's paths native multipath takes; not set if left out"
    )
