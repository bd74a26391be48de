"""What a person writes of the fabric: marks and queues of the hosts, of the switches, and of each runtime."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from fullbore.config.base import MOST_TOKENS_PER_S, Number, Strict, Text, Whole

Priority = Annotated[Whole, Field(ge=0, le=7)]
Dscp = Annotated[Whole, Field(ge=0, le=63)]
TrafficClass = Annotated[Whole, Field(ge=0, le=255)]


class DscpPriority(Strict):
    """One entry of a map from DSCP to priority."""

    dscp: Dscp = Field(description="differentiated services code point, 0 to 63")
    priority: Priority = Field(description="the priority that packets with it get")


def _once(entries: tuple[DscpPriority, ...] | None) -> tuple[DscpPriority, ...] | None:
    """A map that gives no mark two priorities."""
    marks = [entry.dscp for entry in entries or ()]
    twice = sorted({mark for mark in marks if marks.count(mark) > 1})
    if twice:
        raise PydanticCustomError(
            "dscp_twice", "each DSCP may be there once, but is twice: {twice}", {"twice": ", ".join(map(str, twice))}
        )
    return entries


DscpMap = Annotated[tuple[DscpPriority, ...], AfterValidator(_once)]


class Qos(Strict):
    """How every host marks and queues RoCE traffic. Lists of priorities name 0 to 7."""

    trust: Literal["dscp", "pcp"] = Field(
        default="dscp", description="what the NIC takes the priority from: the IP header, or the VLAN tag"
    )
    dscp: Dscp = Field(default=26, description="DSCP of RoCE traffic; runtimes get the traffic class that has it")
    dscp_to_priority: DscpMap = Field(
        default=(), description="entries of the NIC's map that differ from priority = DSCP / 8"
    )
    pfc: frozenset[Priority] | None = Field(
        default=None, description="priorities that the NIC may pause; that of dscp if left out, [] for a lossy fabric"
    )
    ecn: frozenset[Priority] | None = Field(
        default=None, description="priorities whose congestion marks the NIC answers; that of dscp if left out"
    )
    cnp_dscp: Dscp = Field(default=48, description="DSCP of congestion notification packets")
    cnp_priority: Priority = Field(default=6, description="priority of congestion notification packets")
    host_traffic_class: TrafficClass | None = Field(
        default=None,
        description="traffic class that the kernel puts over that of every application (tc/1/traffic_class); "
        "each application's own counts if left out",
    )


class Switch(Strict):
    """What the switch ports towards the hosts hold; what is left out is the profile's."""

    profile: Text | None = Field(default=None, description="a switch profile of the catalog, e.g. cumulus-lossless")
    trust: Literal["dscp", "pcp", "none"] | None = Field(default=None, description="what ports take the priority from")
    dscp_to_priority: DscpMap | None = Field(
        default=None, description="entries of the switch's map that differ from priority = DSCP / 8"
    )
    pfc: frozenset[Priority] | None = Field(default=None, description="priorities that ports may pause")
    ecn: frozenset[Priority] | None = Field(default=None, description="priorities that are marked when queues grow")
    cnp_priority: Priority | None = Field(default=None, description="priority of the queue for notifications")
    mtu_bytes: Whole | None = Field(default=None, ge=1280, le=9978, description="IP MTU of the ports, bytes")


class Traffic(Strict):
    """One library's traffic."""

    traffic_class: TrafficClass | None = Field(
        default=None, description="type of service of its packets, DSCP x 4 + ECN; the plan's if left out"
    )


class NcclTraffic(Traffic):
    """NCCL's traffic."""

    control_traffic_class: TrafficClass | None = Field(
        default=None, description="type of service of NCCL's small control messages; as its data if left out"
    )
    qps_per_connection: Whole | None = Field(
        default=None, ge=1, le=128, description="queue pairs between two ranks; NCCL's default of 1 if left out"
    )


class NvshmemTraffic(Traffic):
    """NVSHMEM's traffic."""

    transport: Literal["ibgda", "ibrc"] = Field(
        default="ibgda", description="who posts to the NIC: the GPU past the kernel (ibgda), or the CPU (ibrc)"
    )


class Runtimes(Strict):
    """The libraries that send over the fabric; one that is left out is not used."""

    nccl: NcclTraffic = Field(default=NcclTraffic(), description="collectives; always used")
    ucx: Traffic | None = Field(default=None, description="UCX, e.g. below NIXL for KV cache transfers")
    nvshmem: NvshmemTraffic | None = Field(default=None, description="NVSHMEM, e.g. below DeepEP for experts")
    mooncake: Traffic | None = Field(default=None, description="Mooncake's transfer engine for KV cache")


class Load(Strict):
    """What a replica does at its peak, for the traffic between hosts that follows from it."""

    tokens_per_s: Number | None = Field(
        default=None,
        gt=0,
        le=MOST_TOKENS_PER_S,
        description="tokens that a replica writes a second, all sequences together; cost.tokens_per_s, "
        "else an estimate, if left out",
    )
    prompt_tokens_per_s: Number = Field(
        default=0,
        ge=0,
        le=MOST_TOKENS_PER_S,
        description="prompt tokens a second whose KV cache comes from other hosts (prefill apart from decode); "
        "0 where a replica reads its prompts itself",
    )
