"""What a person writes of acceptance: who signs its results, how long they hold, and how the machines are cabled."""

from __future__ import annotations

from pydantic import Field

from fullbore.config.base import Strict, Text, Whole


class Acceptance(Strict):
    """Machines are measured before they serve, and the result is signed; it ends with its time or with the lock."""

    signing_key_file: Text = Field(
        description="path of the OpenSSH Ed25519 key that signs results (ssh-keygen -t ed25519 -N ''), not its content"
    )
    public_key: Text = Field(
        pattern=r"^ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI[A-Za-z0-9+/]{43}$",
        description="public part of the signing key, 'ssh-ed25519 AAAA...' without a comment; others are refused",
    )
    valid_days: Whole = Field(default=30, ge=1, le=365, description="days until a result expires")
    strict: bool = Field(
        default=True, strict=True, description="whether a failed check keeps new replicas from being placed"
    )
    dcgm_level: Whole = Field(
        default=3, ge=1, le=3, description="run level of dcgmi diag: 1 takes half a minute, 2 two, 3 fifteen"
    )
    nvls: bool = Field(
        default=False,
        strict=True,
        description="whether NCCL uses NVLink SHARP between the GPUs of a host; floors are higher with it",
    )


class Cable(Strict):
    """The far end of a cable."""

    switch: Text = Field(description="name of the switch, as LLDP or the subnet manager says it")
    port: Text = Field(description="the switch's port, as LLDP or the subnet manager says it, e.g. swp1 or 12")
