"""Floors of the catalog, scaled to a topology. None where no source is known."""

from __future__ import annotations

from dataclasses import dataclass

from fullbore.catalog import acceptance
from fullbore.catalog.accelerators import ACCELERATORS
from fullbore.catalog.acceptance import ACCEPTANCE
from fullbore.evidence.model import Topology


@dataclass(frozen=True, kw_only=True)
class Floor:
    """The least value that is accepted, or the most where `most` is true."""

    value: float
    unit: str
    source: str
    most: bool = False

    def met(self, got: float) -> bool:
        return got <= self.value if self.most else got >= self.value

    def __str__(self) -> str:
        return f"must be at {'most' if self.most else 'least'} {self.value:.4g} {self.unit}".strip()


def all_reduce(accelerator: str | None, topology: Topology) -> Floor | None:
    """Bus bandwidth of all-reduce, GB/s: what the GPUs of a host reach, and over several hosts what the network lets.

    Two hosts reach a larger share of it than many: see the shares in the catalog.
    """
    row = ACCEPTANCE.get(accelerator or "")
    if row is None:
        return None
    value, source = (row.nvls, row.nvls_source) if topology.nvls else (row.ring, row.ring_source)
    if value is None:
        return None
    if topology.hosts > 1:
        if not topology.network:
            return None
        pair = topology.hosts == 2
        share = acceptance.PAIR_SHARE[topology.nvls] if pair else acceptance.NETWORK_SHARE
        network = share * topology.network
        if network < value:
            value, source = network, acceptance.PAIR_SHARE_SOURCE if pair else acceptance.NETWORK_SHARE_SOURCE
    return Floor(value=value, unit="GB/s", source=source)


def all_to_all(accelerator: str | None, topology: Topology) -> Floor | None:
    """Bus bandwidth of all-to-all, GB/s: over N hosts N/(N-1) of a GPU's part of the network, times a share."""
    row = ACCEPTANCE.get(accelerator or "")
    if row is None:
        return None
    if topology.hosts == 1:
        if row.all_to_all is None:
            return None
        return Floor(value=row.all_to_all, unit="GB/s", source=row.all_to_all_source)
    if not topology.network:
        return None
    per_gpu = topology.network / topology.gpus_per_host
    value = acceptance.ALL_TO_ALL_SHARE * per_gpu * topology.hosts / (topology.hosts - 1)
    return Floor(value=value, unit="GB/s", source=acceptance.ALL_TO_ALL_SOURCE)


def write_bandwidth(link_gbps: float) -> Floor:
    """Of ib_write_bw between two ports, Gbit/s."""
    return Floor(value=acceptance.WRITE_SHARE * link_gbps, unit="Gbit/s", source=acceptance.WRITE_SHARE_SOURCE)


def write_latency(accelerator: str | None) -> Floor | None:
    """The most that ib_write_lat may show, microseconds."""
    row = ACCEPTANCE.get(accelerator or "")
    return Floor(value=row.latency_us, unit="us", source=row.latency_source, most=True) if row else None


def host_to_device(accelerator: str | None) -> Floor | None:
    """Copies between pinned host memory and a GPU, either way, GB/s."""
    row = ACCEPTANCE.get(accelerator or "")
    rate = acceptance.HOST_TO_DEVICE.get(row.pcie_generation or 0) if row else None
    return Floor(value=rate, unit="GB/s", source=acceptance.HOST_TO_DEVICE_SOURCE) if rate else None


def nvlink(accelerator: str) -> Floor:
    """One NVLink of a GPU, GB/s one way: its data sheet's rate over its number of links."""
    row, gpu = ACCEPTANCE[accelerator], ACCELERATORS[accelerator]
    return Floor(value=gpu.link_gbps / row.nvlinks, unit="GB/s", source=f"{gpu.source}; {row.source}")


def link(link_gbps: float) -> Floor:
    """A cable's signalling rate, Gbit/s: never below the rate that it is sold as."""
    return Floor(value=link_gbps, unit="Gbit/s", source="the plan's link_gbps")


def clock() -> Floor:
    return Floor(value=acceptance.CLOCK_ERROR_S, unit="s", source=acceptance.CLOCK_ERROR_SOURCE, most=True)


def remapped_rows() -> Floor:
    return Floor(value=acceptance.REMAPPED_ROWS, unit="rows", source=acceptance.REMAPPED_ROWS_SOURCE, most=True)


def nvme_read_iops() -> Floor:
    return Floor(value=acceptance.NVME_READ_IOPS, unit="IOPS", source=acceptance.NVME_READ_IOPS_SOURCE)
