"""What a person writes of an InfiniBand fabric: its subnet manager, its partitions, and IP over it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from fullbore.config.base import Name, Strict, Whole

NO_GUID = f"0x{0:016x}"


def _of_a_port(guid: str) -> str:
    if guid == NO_GUID:
        raise PydanticCustomError("guid_zero", "it stands for no port; give what `ibstat -p` prints")
    return guid


Guid = Annotated[str, Field(pattern=r"^0x[0-9a-f]{16}$"), AfterValidator(_of_a_port)]
"""As `ibstat -p` prints it."""
Membership = Literal["full", "limited"]
Routing = Literal[
    "minhop", "updn", "dnup", "ftree", "lash", "dor", "torus-2QoS", "dfsssp", "sssp", "ar_updn", "ar_ftree"
]


class Partition(Strict):
    """Ports that reach each other: full members reach all of it, limited ones the full members only."""

    pkey: Whole = Field(ge=1, le=0x7FFE, description="partition key without the bit of full membership, 1 to 32766")
    members: dict[Name, Membership] = Field(
        min_length=1, description="groups or hosts by kind of membership; a host wins over its group"
    )
    ipoib: bool = Field(default=False, strict=True, description="whether IP over InfiniBand runs in it")


class SubnetManager(Strict):
    """OpenSM on hosts of the site."""

    hosts: tuple[Name, ...] = Field(
        min_length=1, max_length=8, description="hosts that run it, the master first; the next ones take over in order"
    )
    routing: Routing = Field(
        default="minhop", description="routing engine; ar_updn and ar_ftree, which adapt to load, are NVIDIA's OpenSM's"
    )
    default_members: Membership = Field(
        default="full", description="membership of all ports in the default partition; limited keeps partitions apart"
    )
    partitions: dict[Name, Partition] = Field(default={}, description="partitions beside the default one")


class Ipoib(Strict):
    """IP over InfiniBand on the fabric's interfaces."""

    mode: Literal["datagram", "connected"] = Field(
        default="datagram", description="transport; ConnectX-4 and later know datagram only, unless it is not offloaded"
    )
    mtu_bytes: Whole = Field(default=2044, ge=1280, le=65520, description="IP MTU of the interfaces, bytes")


class Infiniband(Strict):
    """An InfiniBand fabric."""

    subnet_manager: SubnetManager | None = Field(
        default=None, description="OpenSM on hosts; UFM or a switch manages the subnet, and no host may, if left out"
    )
    ipoib: Ipoib | None = Field(default=None, description="IP over InfiniBand; not set if left out")
    link_mtu_bytes: Literal[2048, 4096] = Field(
        default=4096, description="MTU of IPoIB's multicast groups, bytes; every port must support it"
    )
