"""What a host must hold, as rows: each with the role that writes it and the source that it comes from.

A row's `id` and `want` may name values of the host's group in braces (see `plan.hosts.group_values`); a row with
`{interface}` or `{hca}` is repeated for each one. A row whose values the group does not have (no HCAs) is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

DSCP = 26
"""DSCP of RoCE traffic. With the default DSCP-to-priority map, priority is DSCP >> 3, so this is priority 3."""
ECN_CAPABLE = 2
TRAFFIC_CLASS = DSCP << 2 | ECN_CAPABLE
PFC_MASK = ",".join("1" if priority == DSCP >> 3 else "0" for priority in range(8))

ROLES = ("baseline", "node_agent", "rdma", "numa")
"""In the order that they run: the boot-time units of `rdma` and `numa` call the program that `node_agent` installs."""

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
    _sysctl("vm.swappiness", "1", _H100_INFERENCE),
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
        want="={hcas}",  # the leading = asks for exact names: mlx5_1 must not match mlx5_10
        role="rdma",
        source=_OCI_NCCL,
        kinds=("gpu",),
        fabrics=("infiniband", "roce"),
    ),
    Row(
        id="nccl.NCCL_IB_TC", want=str(TRAFFIC_CLASS), role="rdma", source=_IMPERIAL, kinds=("gpu",), fabrics=("roce",)
    ),
    Row(
        id="nccl.NCCL_SOCKET_IFNAME",
        want="^lo,docker,veth,cni,cali,flannel,podman",
        role="rdma",
        source=f"{_EFA_SHEET} (by exclusion); the bridge names are our inference",
        kinds=("gpu",),
    ),
    Row(id="unit.fullbore-fabric.service", want="enabled,active", role="rdma", source=_FULLBORE, fabrics=("roce",)),
    Row(id="qos.{interface}.trust", want="dscp", role="rdma", source=_IMPERIAL, fabrics=("roce",)),
    Row(id="qos.{interface}.pfc", want=PFC_MASK, role="rdma", source=_NIC_OPERATOR, fabrics=("roce",)),
    Row(id="tos.{hca}", want=str(TRAFFIC_CLASS), role="rdma", source=_IMPERIAL, fabrics=("roce",)),
)

NUMA = (
    Row(id="governor.all", want="performance", role="numa", source=_NVIDIA_BASE),
    Row(id="irq.{interface}", want="local", role="numa", source="our inference: interrupts on the NIC's NUMA node"),
    Row(id="unit.fullbore-numa.service", want="enabled,active", role="numa", source=_FULLBORE),
    Row(id="kubelet.cpuManagerPolicy", want="static", role="numa", source=_KUBELET, kinds=("gpu",)),
    Row(
        id="kubelet.cpuManagerPolicyOptions.full-pcpus-only",
        want="true",
        role="numa",
        source=_KUBELET,
        kinds=("gpu",),
    ),
    Row(id="kubelet.topologyManagerPolicy", want="{topology_policy}", role="numa", source=_KUBELET, kinds=("gpu",)),
    Row(id="kubelet.topologyManagerScope", want="container", role="numa", source=_KUBELET, kinds=("gpu",)),
    Row(
        id="kubelet.topologyManagerPolicyOptions.max-allowable-numa-nodes",
        want="{many_numa_nodes}",
        role="numa",
        source=_KUBELET,
        kinds=("gpu",),
    ),
    Row(id="kubelet.reservedSystemCPUs", want="{reserved_cpus}", role="numa", source=_KUBELET, kinds=("gpu",)),
)

NODE_AGENT = (Row(id="unit.fullbore-agent.service", want="enabled,active", role="node_agent", source=_FULLBORE),)

ROWS: tuple[Row, ...] = (*BASELINE, *RDMA, *NUMA, *NODE_AGENT)
