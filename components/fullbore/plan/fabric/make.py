"""The fabric plan of a site."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from fullbore.catalog.accelerators import ACCELERATORS
from fullbore.catalog.switches import SWITCHES
from fullbore.config.models import Environment, HostGroup, Site
from fullbore.plan.fabric.landing import landings, used_runtimes
from fullbore.plan.fabric.need import PREFILL, Flow, flows, kv_transfer_bytes, need_gbps
from fullbore.plan.fabric.queues import HostQueues, SwitchQueues, host_queues, switch_queues
from fullbore.plan.fit.latency import speed
from fullbore.plan.fit.layout import illegal
from fullbore.plan.model import FabricPlan, FlowPlan, PortPlan, RankPlan, SwitchLine
from fullbore.plan.pools import layout_of, model_of

RDMA = ("infiniband", "roce")
"""Fabrics that verbs programs name devices of."""
SOCKETS = {"NCCL_SOCKET_NTHREADS": "4", "NCCL_NSOCKS_PERTHREAD": "4"}
"""For sockets at 100 Gbit/s and more (NVIDIA/nccl docs/userguide/source/env.rst: "For generic 100G networks")."""
SOCKETS_FROM_GBPS = 100
EFA = {"FI_EFA_USE_HUGE_PAGE": "0"}
"""A process that forks cannot have EFA's huge pages (awsome-distributed-training 1.architectures/efa-cheatsheet.md)."""


def fabric_plan(env: Environment, site: Site) -> FabricPlan:
    """Everything that is the same on every host; a group's own lists of HCAs are `group_environment`'s."""
    hosts = host_queues(site)
    return FabricPlan(
        kind=site.fabric,
        traffic_class=hosts.traffic_class if hosts else None,
        trust=hosts.trust if hosts else None,
        pfc=tuple(sorted(hosts.pfc)) if hosts else None,
        host_traffic_class=hosts.host_traffic_class if hosts else None,
        mtu_bytes=site.mtu_bytes,
        system=system_environment(site),
        applications=dict(_applications(site)),
        landings=landings(site),
        switch=tuple(_switch(site, hosts, switch_queues(site))) if hosts else (),
        flows=tuple(_flows(env, site)),
        port=_port(site, hosts, switch_queues(site)) if hosts else None,
    )


def system_environment(site: Site) -> dict[str, str]:
    """Lines of /etc/nccl.conf that do not depend on the group: those that NVIDIA documents as system configuration."""
    lines: dict[str, str] = {}
    for landing in landings(site):
        if landing.variable in ("NCCL_IB_TC", "NCCL_IB_FIFO_TC"):
            lines[landing.variable] = str(landing.asked)
    if site.gid_index is not None and site.fabric == "roce":
        lines["NCCL_IB_GID_INDEX"] = str(site.gid_index)
    if site.fabric == "ethernet" and site.link_gbps >= SOCKETS_FROM_GBPS:
        lines |= SOCKETS
    return lines | {name: str(value) for name, value in site.nccl_conf.items()}


def _applications(site: Site) -> Iterator[tuple[str, dict[str, str]]]:
    """(runtime, variables) for processes' environments. NCCL's own marks are in its system file."""
    planned = {landing.runtime: landing.asked for landing in landings(site)}
    for name, row, _ in used_runtimes(site.runtimes):
        lines: dict[str, str] = {}
        if name == "nccl":
            lines |= EFA if site.fabric == "efa" else {}
            qps = site.runtimes.nccl.qps_per_connection
            lines |= {"NCCL_IB_QPS_PER_CONNECTION": str(qps)} if qps and site.fabric in RDMA else {}
        elif name in planned:
            lines[row.variable] = str(planned[name])
            lines |= {row.gid_variable: str(site.gid_index)} if site.gid_index is not None else {}
        if row.name == "nvshmem-ibgda" and site.fabric in RDMA:
            lines["NVSHMEM_IB_ENABLE_IBGDA"] = "1"
        if lines:
            yield name, lines


def group_environment(site: Site, group: HostGroup, ranks: tuple[RankPlan, ...]) -> dict[str, dict[str, str]]:
    """{runtime: {variable: value}} of a group's processes: the site's, and the group's lists of HCAs."""
    shared = dict(_applications(site))
    if site.fabric not in RDMA or not group.hcas:
        return shared
    listed = ",".join(f"{hca}:1" for hca in group.hcas)
    paired = [rank.hca for rank in ranks if rank.hca]
    mapping = ",".join(f"{hca}:1:{len(list(run))}" for hca, run in groupby(paired))
    lists: Mapping[str, dict[str, str]] = {
        "ucx": {"UCX_NET_DEVICES": listed},
        "nvshmem": {"NVSHMEM_ENABLE_NIC_PE_MAPPING": "1", "NVSHMEM_HCA_PE_MAPPING": mapping} if mapping else {},
    }
    used = [name for name, _, _ in used_runtimes(site.runtimes)]
    merged = {name: {**shared.get(name, {}), **lists.get(name, {})} for name in used}
    return {name: lines for name, lines in merged.items() if lines}


def hca_list(hcas: Iterable[str]) -> str:
    """NCCL_IB_HCA: exact names with their port; without the =, mlx5_1 would also take mlx5_10 (NCCL's env.rst)."""
    names = ",".join(f"{hca}:1" for hca in hcas)
    return f"={names}" if names else ""


def _switch(site: Site, hosts: HostQueues, switch: SwitchQueues | None) -> Iterator[SwitchLine]:
    """What ports towards the hosts must hold, so that hosts and switches do the same."""
    row = SWITCHES.get(switch.profile) if switch else None
    used = sorted({landing.dscp for landing in landings(site)} | {hosts.dscp, hosts.cnp_dscp})

    def line(item: str, value: str, holds: str) -> SwitchLine:
        return SwitchLine(item=item, value=value, holds=holds if switch else "")

    yield line("trust", hosts.trust, switch.trust if switch else "")
    for dscp in used:
        holds = str(switch.priority(dscp)) if switch else ""
        yield line(f"priority of DSCP {dscp}", str(hosts.priority(dscp)), holds)
    yield line("PFC priorities", _numbers(hosts.pfc), _numbers(switch.pfc) if switch else "")
    yield line("ECN priorities", _numbers(hosts.ecn), _numbers(switch.ecn) if switch else "")
    yield line("CNP priority", str(hosts.cnp_priority), _known(switch.cnp_priority) if switch else "")
    if site.mtu_bytes or (switch and switch.mtu_bytes):
        wanted = str(site.mtu_bytes) if site.mtu_bytes else "that of the hosts"
        yield line("IP MTU (bytes, at least)", wanted, _known(switch.mtu_bytes) if switch else "")
    if row:
        thresholds = f"{row.ecn_min_bytes} to {row.ecn_max_bytes}"
        yield line("ECN thresholds (bytes)", thresholds, thresholds)
        yield line("scheduling", row.scheduling, row.scheduling)


def _port(site: Site, hosts: HostQueues, switch: SwitchQueues | None) -> PortPlan:
    used = {landing.dscp for landing in landings(site)} | {hosts.dscp}
    enough = bool(switch and switch.mtu_bytes and switch.mtu_bytes >= (site.mtu_bytes or 0))
    return PortPlan(
        profile=switch.profile if switch else "",
        trust=hosts.trust,
        dscp=hosts.dscp,
        priorities={
            **{dscp: hosts.priority(dscp) for dscp in sorted(used | set(hosts.dscp_to_priority))},
            hosts.cnp_dscp: hosts.cnp_priority,
        },
        pfc=tuple(sorted(hosts.pfc)),
        ecn=tuple(sorted(hosts.ecn)),
        cnp_dscp=hosts.cnp_dscp,
        mtu_bytes=None if enough else site.mtu_bytes,
    )


def _known(number: int | None) -> str:
    return "" if number is None else str(number)


def _numbers(priorities: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(priorities))) or "none"


def narrowest_group(site: Site) -> HostGroup | None:
    """The GPU group whose hosts have the fewest links: what it cannot carry, the site cannot."""
    gpu = [group for group in site.groups.values() if group.kind == "gpu" and group.gpus_per_host]
    return min(gpu, key=links, default=None)


def links(group: HostGroup) -> int:
    """Links of a host to the fabric."""
    return max(len(group.hcas), len(group.interfaces), 1)


def _flows(env: Environment, site: Site) -> Iterator[FlowPlan]:
    """At the rate that the environment says, else at that of its cost, else at the roofline estimate of the layout."""
    model, layout, group = model_of(env.serving), layout_of(env), narrowest_group(site)
    if model is None or layout is None or group is None or illegal(model, layout):
        return
    load = site.load
    replicas = max(1, group.gpus_per_host // layout.gpus)
    found = tuple(flows(model, layout, gpus_per_host=group.gpus_per_host))
    planned = load.tokens_per_s or (env.cost.tokens_per_s if env.cost else None)
    if found and (planned or group.accelerator):
        rate = planned or speed(model, ACCELERATORS[group.accelerator or ""], layout).tokens_per_s
        for flow in found:
            yield _flow(flow, rate * replicas)
    if load.prompt_tokens_per_s:
        moved = Flow(what=PREFILL, bytes_per_token=kv_transfer_bytes(model, layout))
        yield _flow(moved, load.prompt_tokens_per_s * replicas)


def _flow(flow: Flow, tokens_per_s: float) -> FlowPlan:
    return FlowPlan(
        what=flow.what,
        bytes_per_token=flow.bytes_per_token,
        tokens_per_s=tokens_per_s,
        gbps=need_gbps(flow, tokens_per_s),
    )
