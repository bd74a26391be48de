"""What a host must hold, as rows: each with the role that writes it and the source that it comes from.

A row's `id` and `want` may name values of the host's group in braces (see `plan.hosts.group_values`); a row with
`{interface}` or `{hca}` is repeated for each one. A row whose values the group does not have (no HCAs) is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

HUGEPAGES_2MIB = {"h100": 8192, "h200": 8192, "gb200": 5128}
"""{accelerator: pages}: nvidia-tuned os/common/nvidia-h100-inference (H200 as H100: our inference) and
nvidia-gb200-performance, whose two pages of 1 GiB only the kernel's command line can give."""

ROLES = (
    "baseline",
    "node_agent",
    "gpu_driver",
    "container_runtime",
    "rdma",
    "roce",
    "infiniband",
    "storage",
    "numa",
    "kubernetes",
)
"""In the order that they run: the boot-time units of the later ones call the program that `node_agent` installs."""

_NVIDIA_BASE = "NVIDIA/skyhook-packages nvidia-tuned/profiles/common/nvidia-base/tuned.conf"
_H100_TRAINING = "NVIDIA/skyhook-packages nvidia-tuned h100-multiNodeTraining"
_H100_INFERENCE = "NVIDIA/skyhook-packages nvidia-tuned os/common/nvidia-h100-inference"
_GB200 = "NVIDIA/skyhook-packages nvidia-tuned nvidia-gb200-performance"
_AZHPC = "Azure/azhpc-images components/hpc-tuning.sh"
_AKS = "Azure/AKS nvidia-setup/README.md and oracle-quickstart/oci-hpc limits.j2"
_IMPERIAL = "ImperialCollegeLondon/rcs-node-config nodetype/cx3/05_configure_roce.sh"
_NIC_OPERATOR = "Mellanox/nic-configuration-operator README"
_OCI_NCCL = "oracle-quickstart/oci-hpc playbooks/roles/nccl-conf/templates"
_EFA_SHEET = "aws-samples/awsome-distributed-training 1.architectures/efa-cheatsheet.md"
_KUBELET = "kubernetes.io: Control Topology Management Policies on a node; kubespray kubelet_config_extra_args"
_OCI_INTERFACE = "oracle-quickstart/oci-hpc playbooks/roles/rdma-interface/tasks/el.yml: rp_filter=2 for each NIC"
_DOCA_ECN = "docs.nvidia.com DOCA SDK, Explicit Congestion Notification: ecn/roce_np/enable/PRIORITY"
_SPIDERPOOL = "spidernet-io/spiderpool docs/example/qos/rdma-qos.sh: roce_np/cnp_dscp and cnp_802p_prio"
_MLNX_QOS = "Mellanox/mlnx-tools mlnx_qos --dscp2prio"
_MTU = "site.mtu_bytes; /sys/class/net/IF/mtu: Linux Documentation/ABI/testing/sysfs-class-net"
_IRQBALANCE = "Solarflare Server Adapter User Guide, 3.26 Interrupt Affinity: disable irqbalance, then set affinities"
_FULLBORE = "this project: the role installs it"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One setting of a profile. An empty `kinds`, `fabrics` or `accelerators` means all of them."""

    id: str
    want: str
    role: str
    source: str
    kinds: tuple[str, ...] = ()
    fabrics: tuple[str, ...] = ()
    accelerators: tuple[str, ...] = ()

    def applies(self, kind: str, fabric: str, accelerator: str | None) -> bool:
        return (
            (not self.kinds or kind in self.kinds)
            and (not self.fabrics or fabric in self.fabrics)
            and (not self.accelerators or accelerator in self.accelerators)
        )


def _sysctl(key: str, want: str, source: str, **only: tuple[str, ...]) -> Row:
    return Row(id=f"sysctl.{key}", want=want, role="baseline", source=source, **only)


def _kubelet(key: str, want: str) -> Row:
    return Row(id=f"kubelet.{key}", want=want, role="numa", source=_KUBELET, kinds=("gpu",))


BASELINE = (
    _sysctl("net.ipv4.conf.all.arp_announce", "2", _NVIDIA_BASE),
    _sysctl("net.ipv4.conf.all.arp_ignore", "1", _NVIDIA_BASE),
    _sysctl("net.ipv4.conf.default.arp_announce", "2", _NVIDIA_BASE),
    _sysctl("net.ipv4.conf.default.arp_ignore", "1", _NVIDIA_BASE),
    _sysctl("net.ipv4.tcp_rmem", "4096 87380 268435456", _H100_TRAINING),
    _sysctl("net.ipv4.tcp_wmem", "4096 65536 268435456", _H100_TRAINING),
    _sysctl("net.core.rmem_max", "536870912", _H100_TRAINING),
    _sysctl("net.core.wmem_max", "536870912", _H100_TRAINING),
    _sysctl("net.core.netdev_max_backlog", "10000", _H100_TRAINING),
    _sysctl("net.ipv4.neigh.default.gc_thresh1", "4096", _AZHPC),
    _sysctl("net.ipv4.neigh.default.gc_thresh2", "8192", _AZHPC),
    _sysctl("net.ipv4.neigh.default.gc_thresh3", "16384", _AZHPC),
    # TCP that shares the fabric's queues must answer ECN marks as RoCE does.
    _sysctl("net.ipv4.tcp_ecn", "1", _IMPERIAL, fabrics=("roce",)),
    # With several NICs in one subnet an answer may leave by another NIC than the request came in by.
    _sysctl("net.ipv4.conf.{interface}.rp_filter", "{loose_rp_filter}", _OCI_INTERFACE, fabrics=("roce",)),
    _sysctl("vm.swappiness", "1", _H100_INFERENCE),
    _sysctl("vm.nr_hugepages", "{hugepages_2mib}", f"{_H100_INFERENCE}; {_GB200}"),
    _sysctl("vm.min_free_kbytes", "65536", _GB200, accelerators=("gb200",)),
    _sysctl("kernel.numa_balancing", "0", _GB200, accelerators=("gb200",)),
    _sysctl("fs.inotify.max_user_instances", "65535", _GB200),
    _sysctl("fs.inotify.max_user_watches", "524288", _GB200),
    # A line for * does not reach root, and agents and launchers run as root.
    Row(id="limits.*.-.memlock", want="unlimited", role="baseline", source=_AKS),
    Row(id="limits.root.-.memlock", want="unlimited", role="baseline", source=_AKS),
    Row(id="limits.*.-.nofile", want="1048576", role="baseline", source=_AKS),
    Row(id="limits.root.-.nofile", want="1048576", role="baseline", source=_AKS),
)

RDMA = (
    Row(
        id="nccl.NCCL_IB_HCA",
        want="{hca_list}",
        role="rdma",
        source=_OCI_NCCL,
        kinds=("gpu",),
        fabrics=("infiniband", "roce"),
    ),
    Row(
        id="nccl.NCCL_SOCKET_IFNAME",
        want="^lo,docker,veth,cni,cali,flannel,podman",
        role="rdma",
        source=f"{_EFA_SHEET} (by exclusion); the bridge names are our inference",
        kinds=("gpu",),
    ),
)


def _roce(id: str, want: str, source: str) -> Row:
    return Row(id=id, want=want, role="roce", source=source, fabrics=("roce",))


ROCE = (
    _roce("unit.fullbore-fabric.service", "enabled,active", _FULLBORE),
    _roce("mtu.{interface}", "{mtu}", _MTU),
    # The map counts, and is shown, only where the DSCP is trusted: trust comes first.
    _roce("qos.{interface}.trust", "{trust}", _IMPERIAL),
    _roce("qos.{interface}.dscp", "{dscp_map}", _MLNX_QOS),
    _roce("qos.{interface}.pfc", "{pfc_mask}", _NIC_OPERATOR),
    _roce("ecn.{interface}.np", "{ecn_mask}", _DOCA_ECN),
    _roce("ecn.{interface}.rp", "{ecn_mask}", _DOCA_ECN),
    _roce("cnp.{interface}.dscp", "{cnp_dscp}", _SPIDERPOOL),
    _roce("cnp.{interface}.prio", "{cnp_priority}", _SPIDERPOOL),
    _roce("tos.{hca}", "{traffic_class}", _IMPERIAL),
    _roce("tclass.{hca}", "{host_traffic_class}", _IMPERIAL),
)

NUMA = (
    Row(id="governor.all", want="performance", role="numa", source=_NVIDIA_BASE),
    # Before the interrupts: irqbalance moves them again within its 10 s.
    Row(id="stopped.irqbalance.service", want="{irqbalance}", role="numa", source=_IRQBALANCE),
    Row(
        id="irq.{interface}",
        want="{irq_cpus}",
        role="numa",
        source="our inference: interrupts on the NIC's NUMA node, and where its tree is known on the reserved CPUs",
    ),
    Row(id="unit.fullbore-numa.service", want="enabled,active", role="numa", source=_FULLBORE),
    _kubelet("cpuManagerPolicy", "{cpu_manager}"),
    _kubelet("cpuManagerPolicyOptions.full-pcpus-only", "{full_cores}"),
    _kubelet("cpuManagerPolicyOptions.distribute-cpus-across-numa", "{cpus_across_nodes}"),
    _kubelet("topologyManagerPolicy", "{topology_policy}"),
    _kubelet("topologyManagerScope", "container"),
    _kubelet("topologyManagerPolicyOptions.max-allowable-numa-nodes", "{many_numa_nodes}"),
    _kubelet("topologyManagerPolicyOptions.prefer-closest-numa-nodes", "{closest_nodes}"),
    _kubelet("reservedSystemCPUs", "{reserved_cpus}"),
)

NODE_AGENT = (Row(id="unit.fullbore-agent.service", want="enabled,active", role="node_agent", source=_FULLBORE),)

ROWS: tuple[Row, ...] = (*BASELINE, *RDMA, *ROCE, *NUMA, *NODE_AGENT)
