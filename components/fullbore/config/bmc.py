"""What a person writes of the machines' BMCs: who may ask them, and how they are trusted."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fullbore.config.base import Strict, Text

ADDRESS_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[1-9][0-9]{0,4})?$"
BmcAddress = Annotated[str, Field(pattern=ADDRESS_PATTERN, max_length=260)]
"""HOST or HOST:PORT, HOST a name or an IPv4 address."""


class Bmc(Strict):
    """The account on BMCs, which speak Redfish over TLS. `fullbore discover` and `fullbore power` use it, and nothing
    that is provisioned."""

    user: Text = Field(description="user on the BMCs, with the role Operator to switch machines, or ReadOnly to look")
    password: Text | None = Field(
        default=None,
        repr=False,
        description="the user's password, a Pulumi secret; taken from FULLBORE_BMC_PASSWORD if left out",
    )
    ca_file: Text | None = Field(
        default=None,
        description="path of the PEM certificates that BMCs' certificates are checked against; the system's if left "
        "out",
    )
    insecure: bool = Field(
        default=False,
        strict=True,
        description="whether a certificate is taken unseen, so that whoever answers gets the password",
    )
