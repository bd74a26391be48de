"""What is judged, and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

State = Literal["passed", "failed", "not judged"]


@dataclass(frozen=True, kw_only=True)
class Topology:
    """Who takes part in a collective: equal hosts, their GPUs, and their ports into the fabric."""

    hosts: int
    gpus_per_host: int
    hcas_per_host: int = 0
    link_gbps: float = 0.0
    """Of one port, Gbit/s."""
    nvls: bool = False
    """Whether NCCL uses NVLink SHARP (multicast between the GPUs of a host)."""

    @property
    def network(self) -> float:
        """GB/s one way that the ports of one host carry."""
        return self.hcas_per_host * self.link_gbps / 8


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One host as it is planned. `lock` is {part: version} of the plan."""

    host: str
    accelerator: str | None
    gpus: int
    lock: Mapping[str, str]
    nvls: bool = False
    dcgm_level: int = 3
    drives: tuple[str, ...] = ()

    @property
    def topology(self) -> Topology:
        return Topology(hosts=1, gpus_per_host=self.gpus, nvls=self.nvls)


@dataclass(frozen=True, kw_only=True, order=True)
class Cable:
    """One cable of the plan: the host's end and the switch's."""

    host: str
    port: str
    peer: str
    peer_port: str


@dataclass(frozen=True, kw_only=True, order=True)
class Pair:
    """Two ports of two hosts between which RDMA is measured."""

    host: str
    hca: str
    to_host: str
    to_hca: str

    def __str__(self) -> str:
        return f"{self.host}:{self.hca} to {self.to_host}:{self.to_hca}"


@dataclass(frozen=True, kw_only=True)
class Group:
    """Hosts that are accepted together."""

    name: str
    accelerator: str | None
    topology: Topology
    cables: tuple[Cable, ...] = ()
    subnet_manager: bool = False
    """Whether a subnet manager sees the cables; else each host hears its own switches."""
    pairs: tuple[Pair, ...] = field(default=())


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One judgement. Where it failed, its text says what, got, allowed and what to do."""

    gate: str
    path: str
    what: str
    got: str
    allowed: str
    source: str
    fix: str
    state: State

    def __str__(self) -> str:
        return f"{self.path}: {self.what} is {self.got}, but {self.allowed}; {self.fix}"
