"""Switch settings for RoCE as vendors ship them, in the terms that hosts are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_CUMULUS = (
    "docs.nvidia.com Cumulus Linux 5.14, RDMA over Converged Ethernet, Default RoCE Configuration "
    "(nv set qos roce mode lossless, or lossy)"
)
_ONYX = "docs.nvidia.com NVIDIA Onyx user manual 3.10.4504, RoCE commands, show roce"


@dataclass(frozen=True, kw_only=True)
class SwitchRow:
    """What a port towards a host holds. Priorities are 0 to 7; a DSCP that `dscp_to_priority` lacks is DSCP / 8."""

    name: str
    source: str
    trust: str
    pfc: tuple[int, ...]
    ecn: tuple[int, ...]
    cnp_priority: int
    ecn_min_bytes: int
    ecn_max_bytes: int
    scheduling: str
    dscp_to_priority: Mapping[int, int] = field(default_factory=dict[int, int])


def _roce(name: str, source: str, *, pfc: tuple[int, ...]) -> SwitchRow:
    """NVIDIA's preset: RoCE in priority 3 and traffic class 3, CNP in 6, marked between 150 kB and 1.5 MB."""
    return SwitchRow(
        name=name,
        source=source,
        trust="dscp",
        pfc=pfc,
        ecn=(3,),
        cnp_priority=6,
        ecn_min_bytes=150_000,
        ecn_max_bytes=1_500_000,
        scheduling="RoCE priority 3: WRR 50 %; CNP priority 6: strict; others: WRR 50 %",
    )


SWITCHES = {
    row.name: row
    for row in (
        _roce("cumulus-lossless", _CUMULUS, pfc=(3,)),
        _roce("cumulus-lossy", _CUMULUS, pfc=()),
        _roce("onyx-lossless", _ONYX, pfc=(3,)),
        _roce("onyx-lossy", _ONYX, pfc=()),
    )
}


@dataclass(frozen=True, kw_only=True)
class SwitchSystem:
    """A switch's operating system, and where its commands are documented. A preset has its own thresholds."""

    name: str
    source: str
    ecn_min_bytes: int | None = None
    ecn_max_bytes: int | None = None


SWITCH_SYSTEMS = {
    row.name: row
    for row in (
        SwitchSystem(name="cumulus", source=f"{_CUMULUS}, and Change RoCE Configuration"),
        SwitchSystem(name="onyx", source=_ONYX),
        SwitchSystem(
            name="sonic",
            source="sonic-net/sonic-buildimage files/build_templates/qos_config.j2 (AZURE, AZURE_LOSSLESS)",
            ecn_min_bytes=1_048_576,
            ecn_max_bytes=2_097_152,
        ),
        SwitchSystem(
            name="eos",
            source="Arista EOS user manual, Quality of Service; thresholds are Arista's reference design for AI leaves "
            "as a guide of July 2026 to RoCEv2 on EOS 4.36 quotes it",
            ecn_min_bytes=256 * 1024,
            ecn_max_bytes=512 * 1024,
        ),
    )
}
"""What `fullbore switch` writes settings for."""
