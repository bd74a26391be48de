"""Libraries that send over RDMA: how each marks its packets, and which of its variables belong where."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RuntimeRow:
    """One library, or one way of it into the NIC.

    `path` is "verbs" where the kernel sets up queue pairs, and puts a host-wide traffic class over the library's; it is
    "devx" where the library sets them up past the kernel, so that a host-wide class does not reach it.
    """

    name: str
    path: str
    variable: str
    """The variable that holds the traffic class."""
    gid_variable: str
    source: str


_KERNEL = "openucx/ucx#11108: where a global traffic class is set, the kernel replaces an address handle's by it"

RUNTIMES = {
    row.name: row
    for row in (
        RuntimeRow(
            name="nccl",
            path="verbs",
            variable="NCCL_IB_TC",
            gid_variable="NCCL_IB_GID_INDEX",
            source=f"NVIDIA/nccl docs/userguide/source/env.rst, default 0; {_KERNEL}",
        ),
        RuntimeRow(
            name="ucx",
            path="devx",
            variable="UCX_IB_TRAFFIC_CLASS",
            gid_variable="UCX_IB_GID_INDEX",
            source="openucx/ucx src/uct/ib/base/ib_iface.c: auto is 106 on RoCE v2; ucx#11105: auto takes a global "
            "class where there is one; ucx#11108: rc_x bypasses the kernel's",
        ),
        RuntimeRow(
            name="nvshmem-ibgda",
            path="devx",
            variable="NVSHMEM_IB_TRAFFIC_CLASS",
            gid_variable="NVSHMEM_IB_GID_INDEX",
            source="NVIDIA/nvshmem env_defs.h, default 0; nvshmem#25: IBGDA bypasses the kernel and inherits nothing; "
            "Mooncake#1699: its own class takes effect beside a global one",
        ),
        RuntimeRow(
            name="nvshmem-ibrc",
            path="verbs",
            variable="NVSHMEM_IB_TRAFFIC_CLASS",
            gid_variable="NVSHMEM_IB_GID_INDEX",
            source=f"NVIDIA/nvshmem env_defs.h, default 0; {_KERNEL}",
        ),
        RuntimeRow(
            name="mooncake",
            path="verbs",
            variable="MC_IB_TC",
            gid_variable="MC_GID_INDEX",
            source="kvcache-ai/Mooncake#1187, unset by default; Mooncake#1699: a global traffic class always wins",
        ),
    )
}

NCCL_SYSTEM = frozenset(
    (
        "NCCL_SOCKET_IFNAME",
        "NCCL_SOCKET_FAMILY",
        "NCCL_SOCKET_MAGIC",
        "NCCL_SOCKET_RETRY_CNT",
        "NCCL_SOCKET_RETRY_SLEEP_MSEC",
        "NCCL_SOCKET_POLL_TIMEOUT_MSEC",
        "NCCL_SOCKET_NTHREADS",
        "NCCL_NSOCKS_PERTHREAD",
        "NCCL_CROSS_NIC",
        "NCCL_IB_HCA",
        "NCCL_IB_RAIL_POLICY",
        "NCCL_IB_TIMEOUT",
        "NCCL_IB_RETRY_CNT",
        "NCCL_IB_GID_INDEX",
        "NCCL_IB_ADDR_FAMILY",
        "NCCL_IB_ADDR_RANGE",
        "NCCL_IB_ROCE_VERSION_NUM",
        "NCCL_IB_PKEY",
        "NCCL_IB_PKEY_VALUE",
        "NCCL_IB_SL",
        "NCCL_IB_TC",
        "NCCL_IB_FIFO_TC",
        "NCCL_IB_RETURN_ASYNC_EVENTS",
        "NCCL_IB_EVENT_BASED_LB",
        "NCCL_OOB_NET_ENABLE",
        "NCCL_OOB_NET_IFNAME",
        "NCCL_UID_STAGGER_THRESHOLD",
        "NCCL_UID_STAGGER_RATE",
        "NCCL_NET",
        "NCCL_NET_PLUGIN",
        "NCCL_GIN_PLUGIN",
        "NCCL_RMA_PLUGIN",
        "NCCL_TUNER_PLUGIN",
        "NCCL_PROFILER_PLUGIN",
        "NCCL_ENV_PLUGIN",
        "NCCL_IGNORE_CPU_AFFINITY",
        "NCCL_DEBUG",
        "NCCL_DEBUG_LEVELS",
        "NCCL_DEBUG_FILE",
        "NCCL_DEBUG_SUBSYS",
        "NCCL_DEBUG_TIMESTAMP_FORMAT",
        "NCCL_DEBUG_TIMESTAMP_LEVELS",
        "NCCL_COLLNET_ENABLE",
        "NCCL_COLLNET_NODE_THRESHOLD",
        "NCCL_CTA_POLICY",
        "NCCL_NETDEVS_POLICY",
        "NCCL_TOPO_FILE",
        "NCCL_TOPO_DUMP_FILE",
        "NCCL_SET_THREAD_NAME",
    )
)
"""Variables that NVIDIA/nccl docs/userguide/source/env.rst has under "System configuration": for /etc/nccl.conf. Left
out: NCCL_PSK, a secret; NCCL_CONF_FILE, which the file cannot set; NCCL_MULTI_RANK_GPU_ENABLE, experimental."""

NCCL_HCAS = 32
"""RDMA devices that NCCL can use (NVIDIA/nccl docs/userguide/source/env.rst, NCCL_IB_HCA)."""

LINE_SHARE = 0.92
"""Share of the line rate that collectives reach, by the article that this project answers ("bandwidth utilisation of
92 %", NCCL 2.12 between nodes); to be replaced by what acceptance tests of a site measure."""

RDMA_MTUS = (256, 512, 1024, 2048, 4096)
"""Payloads of an RDMA packet, bytes (InfiniBand specification, volume 1: MTU)."""
RDMA_MTU = RDMA_MTUS[-1]
ROCE_HEADERS = 40 + 8 + 12 + 4 + 28 + 4
"""Bytes of an Ethernet MTU that Linux keeps for headers before it takes the largest RDMA MTU that fits in the rest: GRH
(IPv6's length), UDP, BTH, XRC, AtomicETH, ICRC (torvalds/linux include/rdma/ib_addr.h, iboe_get_mtu, and ib_pack.h)."""
ETHERNET_MTU = 1500
"""IP MTU of an Ethernet interface left alone, bytes (torvalds/linux include/uapi/linux/if_ether.h, ETH_DATA_LEN)."""
