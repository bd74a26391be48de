"""What hosts of an InfiniBand fabric must hold: IP over it on all, the subnet manager on some. Pure.

Kinds of setting, and how each is read back on the host:

    ipoib.IF          "datagram" or "connected", of /sys/class/net/IF/mode
    opensm.KEY        line of /etc/fullbore/opensm/opensm.conf
    partition.NAME    definition of a partition in /etc/fullbore/opensm/partitions.conf: "PKEY,FLAGS: MEMBER=KIND, ..."
    extra.opensm, extra.partition   "none", or the lines of these files that no setting is for
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fullbore.config.infiniband import NO_GUID, Infiniband, Partition, SubnetManager
from fullbore.config.models import HostGroup, Site
from fullbore.plan.model import Setting

ROLE = "infiniband"
DEFAULT_PKEY = 0x7FFF
"""linux-rdma/opensm doc/partition-config.txt: the default partition, which every port is in."""
MTU_CODE = {2048: 4, 4096: 5}
"""linux-rdma/opensm doc/partition-config.txt: mtu, as the InfiniBand architecture counts it."""
HIGHEST_PRIORITY = 14
"""Below 15, the end of opensm's range (opensm(8), --priority), which is left for an emergency."""
IPOIB_HEADER = 4
"""Bytes: the IPoIB MTU is so much less than the link's (RFC 4391, 7; Red Hat Enterprise Linux 9, Configuring IPoIB)."""
CONNECTED_MTU = 65520
"""64 KiB - 16 (Linux drivers/infiniband/ulp/ipoib: IPOIB_CM_MTU)."""
PARTITIONS_FILE = "/etc/fullbore/opensm/partitions.conf"
OURS = "fullbore-opensm.service"
OTHERS = ("opensm.service", "opensmd.service")
"""Units of Debian's package and of NVIDIA's: two subnet managers of one host would fight for its port."""


def group_settings(site: Site, group: HostGroup) -> Iterator[Setting]:
    """What all hosts of a group hold alike."""
    planned = site.infiniband
    if site.fabric != "infiniband" or planned is None:
        return
    yield _setting("unit.fullbore-infiniband.service", "enabled,active")
    yield from (_setting(f"stopped.{unit}", "stopped") for unit in OTHERS)
    if planned.ipoib:
        # The kernel sets the largest MTU of a mode when the mode changes: the mode comes first.
        yield from (_setting(f"ipoib.{name}", planned.ipoib.mode) for name in group.interfaces)
        yield from (_setting(f"mtu.{name}", str(planned.ipoib.mtu_bytes)) for name in group.interfaces)


def host_settings(site: Site, name: str) -> tuple[Setting, ...]:
    """What one host holds beside it: the subnet manager, or none of ours."""
    planned = site.infiniband
    if site.fabric != "infiniband" or planned is None:
        return ()
    manager = planned.subnet_manager
    if manager is None or name not in manager.hosts:
        return (_setting(f"stopped.{OURS}", "stopped"),)
    return tuple(_manager(site, planned, manager, name))


def _manager(site: Site, planned: Infiniband, manager: SubnetManager, name: str) -> Iterator[Setting]:
    guids = list(_guids(site, name))
    options = {
        # The first port of the host where no GUID is given (opensm(8), --guid).
        "guid": guids[0] if guids else NO_GUID,
        "sm_priority": str(HIGHEST_PRIORITY - manager.hosts.index(name)),
        "routing_engine": manager.routing,
        "partition_config_file": PARTITIONS_FILE,
    }
    yield from (_setting(f"opensm.{key}", value) for key, value in options.items())
    everybody = f"ALL={manager.default_members}, ALL_SWITCHES=full, SELF=full"
    yield _setting("partition.Default", f"{_flags(DEFAULT_PKEY, planned, ipoib=True)}: {everybody}")
    for title, partition in sorted(manager.partitions.items()):
        members = ", ".join(f"{guid}={kind}" for guid, kind in sorted(_members(site, partition).items()))
        yield _setting(f"partition.{title}", f"{_flags(partition.pkey, planned, ipoib=partition.ipoib)}: {members}")
    yield _setting("extra.opensm", "none")
    yield _setting("extra.partition", "none")
    yield _setting(f"unit.{OURS}", "enabled,active")


def _flags(pkey: int, planned: Infiniband, *, ipoib: bool) -> str:
    return f"0x{pkey:04x}" + (f",ipoib,mtu={MTU_CODE[planned.link_mtu_bytes]}" if ipoib else "")


def _members(site: Site, partition: Partition) -> Mapping[str, str]:
    """{port GUID: membership}; what is said of a host wins over what is said of its group."""
    by_group = {g: k for name, k in partition.members.items() if name in site.groups for g in _guids(site, name)}
    by_host = {g: k for name, k in partition.members.items() if name not in site.groups for g in _guids(site, name)}
    return {**by_group, **by_host}


def _guids(site: Site, name: str) -> Iterator[str]:
    """Port GUIDs of a group's hosts, or of one host, in the order of the group's RDMA devices."""
    for title, group in site.groups.items():
        for host, spec in sorted(group.hosts.items()):
            if name in (title, host):
                yield from (spec.port_guids[hca] for hca in group.hcas if hca in spec.port_guids)


def largest_mtu(planned: Infiniband) -> int:
    """Bytes that an IPoIB interface may have in the planned mode."""
    connected = planned.ipoib is not None and planned.ipoib.mode == "connected"
    return CONNECTED_MTU if connected else datagram_mtu(planned)


def datagram_mtu(planned: Infiniband) -> int:
    return planned.link_mtu_bytes - IPOIB_HEADER


def _setting(id: str, want: str) -> Setting:
    return Setting(id=id, role=ROLE, want=want)
