"""What things cost here, where it differs from the catalog, and how much they are used."""

from __future__ import annotations

from pydantic import Field

from fullbore.config.base import MOST_TOKENS_PER_S, MOST_USD, Number, Strict, Text, Whole


class InstancePrices(Strict):
    """Prices of one instance type, US dollars an hour, before tax; each replaces the catalog's."""

    on_demand: Number | None = Field(default=None, ge=0, le=MOST_USD, description="on demand, US dollars an hour")
    reserved: Number | None = Field(
        default=None, ge=0, le=MOST_USD, description="under a savings plan or a reservation, US dollars an hour"
    )
    spot: Number | None = Field(default=None, ge=0, le=MOST_USD, description="spot, US dollars an hour")
    capacity_block: Number | None = Field(
        default=None, ge=0, le=MOST_USD, description="in a capacity block, US dollars an hour"
    )


class Cost(Strict):
    """Prices and use. Without it, the catalog's assumptions hold."""

    amortisation_years: Number | None = Field(
        default=None,
        gt=0,
        le=20,
        description="years over which machines are written off; refresh_years, else the catalog's, if left out",
    )
    refresh_years: Whole | None = Field(
        default=None, ge=1, le=20, description="years after `bought` that machines are replaced"
    )
    usd_per_kwh: Number | None = Field(
        default=None,
        ge=0,
        le=MOST_USD,
        description="price of electricity, US dollars a kWh; the catalog's assumption if left out",
    )
    power_usage_effectiveness: Number | None = Field(
        default=None,
        ge=1,
        le=5,
        description="power of the building over that of the machines, a ratio; the catalog's assumption if left out",
    )
    tokens_per_s: Number | None = Field(
        default=None,
        gt=0,
        le=MOST_TOKENS_PER_S,
        description="planned rate of one busy replica, tokens a second; the plan's estimate if left out",
    )
    busy_share: Number | None = Field(
        default=None, gt=0, le=1, description="share of the time in which replicas are busy, a ratio; 1 if left out"
    )
    prices: dict[Text, InstancePrices] = Field(
        default={}, description="prices by EC2 instance type, US dollars an hour"
    )
