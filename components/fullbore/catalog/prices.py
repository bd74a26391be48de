"""What the cloud charges, US dollars. Prices change: each row says where it was read and when.

Committed prices (savings plans, reserved instances) and spot prices depend on the account and the moment; they have no
row and are given in the environment, under `cost.prices`.
"""

from __future__ import annotations

from dataclasses import dataclass

from fullbore.catalog.instances import INSTANCES

HOURS_PER_MONTH = 730.5
"""8766 hours a year / 12."""
GB_PER_GIB = 1.073741824


@dataclass(frozen=True, kw_only=True)
class ServicePrice:
    """The price of one unit of a service."""

    usd: float
    unit: str
    region: str
    source: str
    read: str
    """Month in which the source was read, or the one that it says it is of."""


DATASYNC = ServicePrice(
    usd=0.0125,
    unit="GB copied, Basic mode",
    region="us-east-1",
    source="AWS price list, AWSDataSync (huggingface.co/datasets/labofsahil/aws-pricing-dataset)",
    read="2025-04",
)
S3_STANDARD = ServicePrice(
    usd=0.023,
    unit="GB and month, the first 50 TB",
    region="us-east-1",
    source="AWS S3 pricing, read through public copies of it",
    read="2026-11",
)
S3_TIME_CONTROL = ServicePrice(
    usd=0.015,
    unit="GB replicated with Time Control",
    region="us-east-1",
    source="AWS S3 FAQ, replication pricing, read through public copies of it",
    read="2026-11",
)
BETWEEN_REGIONS = ServicePrice(
    usd=0.02,
    unit="GB from one region to another",
    region="us-east-1",
    source="AWS EC2 on-demand pricing, data transfer, read through public copies of it",
    read="2026-11",
)

CAPACITY_BLOCKS = {"p5e.48xlarge": 43.26}
"""An hour of an instance in a capacity block (AWS: EC2 Capacity Blocks pricing, us-east-2, read 2026-11)."""


def instance_price(name: str, purchase: str) -> float | None:
    """US dollars an hour of an instance as it is bought; None where no row says it."""
    if purchase == "capacity-block":
        return CAPACITY_BLOCKS.get(name)
    row = INSTANCES.get(name)
    return row.usd_per_hour if row and purchase == "on-demand" else None
