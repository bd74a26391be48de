"""Which data may go where. Data stays at the site unless it is said here that it may leave."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fullbore.config.base import DataClass, Name, Strict, Text

Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]


class Allowed(Strict):
    """Where data of one class may go besides the site; it may go where any of the two allows it."""

    countries: tuple[Country, ...] = Field(default=(), description="countries, ISO 3166-1 alpha-2, e.g. DE")
    regions: tuple[Text, ...] = Field(default=(), description="AWS regions, e.g. eu-central-1")


class Flow(Strict):
    """A way by which data leaves that is set up elsewhere: a log sink, a collector of traces, a backup."""

    carries: tuple[DataClass, ...] = Field(min_length=1, description="classes of data that go that way")
    to: Text = Field(description="where to: a URL, a host name or an AWS region")


class Sovereignty(Strict):
    """Where data may go. A class that is not named stays at the site."""

    country: Country = Field(description="country that the site stands in, ISO 3166-1 alpha-2")
    mirror_country: Country | None = Field(
        default=None, description="country of the second site that block-sync writes to, ISO 3166-1 alpha-2"
    )
    classes: dict[DataClass, Allowed] = Field(default={}, description="where data may go, by class")
    places: dict[Text, Country] = Field(
        default={},
        description="country of each host outside the site, by its name or the end of it, as ISO 3166-1 alpha-2",
    )
    flows: dict[Name, Flow] = Field(default={}, description="ways that this stack does not set up, by name")
