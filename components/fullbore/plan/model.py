"""The plan: every decision that components and roles carry out, as frozen values.

Nothing here is computed; the modules beside it fill these in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fullbore.plan.problems import Problem


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One managed value on a host.

    `id` is KIND.KEY and says how the value is read back:
    sysctl.KEY        the running value of a kernel setting
    limits.DOMAIN.TYPE.ITEM   a line of /etc/security/limits.d/90-fullbore.conf
    nccl.VARIABLE     a line of /etc/nccl.conf
    file.PATH         sha256 of a file's content ("absent" where it is missing)
    unit.NAME         "enabled,active" as systemd says it
    `role` writes it. `reboot` is true where it takes effect only after one.
    """

    id: str
    role: str
    want: str
    reboot: bool = False


@dataclass(frozen=True, kw_only=True)
class FilePlan:
    """A file whose whole text the plan decides; a setting `file.PATH` of the same role holds its checksum."""

    path: str
    role: str
    text: str


@dataclass(frozen=True, kw_only=True)
class RankPlan:
    """One GPU of a host with what lies near it."""

    gpu: int
    """Index that nvidia-smi shows."""
    numa_node: int
    hca: str
    """The nearest RDMA device of the fabric; empty where the host has none."""
    distance: str
    """From GPU to HCA as nvidia-smi topo -m names it: PIX, PXB, PHB, NODE or SYS; empty without an HCA."""
    cpus: str
    """CPU list for the rank's process: whole cores of the GPU's NUMA node."""


@dataclass(frozen=True, kw_only=True)
class NumaPlan:
    """How the machines of a group are divided between ranks, interrupts and the system."""

    origin: str
    """The catalog's profile, "described" by the environment, or "assumed" from the group's figures."""
    numa_nodes: int
    """All of them, with those that hold GPU memory only."""
    reserved_cpus: str
    """CPU list kept for the system and for interrupts; empty for a machine too small to reserve from."""
    topology_policy: str
    cpus_across_nodes: bool
    """True where a pod's CPUs need several NUMA nodes, and are to be taken evenly from them."""
    ranks: tuple[RankPlan, ...]
    interrupts: Mapping[str, str]
    """{HCA: CPU list that its interrupts stay on}; empty where the PCIe tree is only assumed."""
    nvme: Mapping[str, int]
    """{NVMe drive: its NUMA node}."""
    hugepages_2mib: int
    """Huge pages of 2 MiB on each machine."""


@dataclass(frozen=True, kw_only=True)
class CablePlan:
    """What a port of a host is cabled to, as LLDP or the subnet manager says it."""

    port: str
    peer: str
    peer_port: str


@dataclass(frozen=True, kw_only=True)
class AcceptancePlan:
    """How machines are measured before they serve."""

    signing_key_file: str
    public_key: str
    valid_days: int
    strict: bool
    dcgm_level: int
    nvls: bool
    fabric: str
    link_gbps: float
    """Of one port, Gbit/s."""
    lock: Mapping[str, str]
    """{part: version}: results end when it changes."""


@dataclass(frozen=True, kw_only=True)
class HostPlan:
    """One machine: how it is reached. What it must hold is its group's, but for a plan file of its own."""

    name: str
    serial: str
    address: str
    port: int
    host_key: str
    cables: tuple[CablePlan, ...] = ()
    settings: tuple[Setting, ...] = ()
    """What it holds beside its group's: a subnet manager, which some hosts of a group run."""


@dataclass(frozen=True, kw_only=True)
class RollingPlan:
    """A group's place in a change of machines that serve."""

    stage: int = 0
    """Groups of one stage change side by side, after those of the stage before."""
    at_once: int = 1
    """Machines of the group that change at once."""
    spare: int = 1
    """Machines of the site of the same kind that may be out of service at once: they change, or have failed."""
    roll_back: bool = False
    """Whether machines on which a change fails are put back to what they shall have held before."""


@dataclass(frozen=True, kw_only=True)
class GroupPlan:
    """Machines of one kind in one rack: one resource."""

    name: str
    kind: Literal["gpu", "storage"]
    rack: str
    roles: tuple[str, ...]
    hosts: tuple[HostPlan, ...]
    max_failures: int
    """Hosts that may fail without failing the update: fewer than the group has."""
    settings: tuple[Setting, ...]
    """Every value that each of its hosts must hold, but the checksum of the host's plan file (plan.hosts adds it)."""
    document: Mapping[str, object]
    """`/etc/fullbore/plan.json` of its hosts, without what differs by host and without its checksum."""
    accelerator: str | None = None
    gpus: int = 0
    """GPUs of each machine."""
    numa: NumaPlan | None = None
    """How each machine of the group is divided."""
    environment: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    """{runtime: {variable: value}} of the group's processes."""
    rolling: RollingPlan = RollingPlan()
    files: tuple[FilePlan, ...] = ()
    """Files whose text the plan decides, in the order of the roles that write them."""
    join: Mapping[str, str] = field(default_factory=dict[str, str])
    """How its machines join the cluster: `file`, a path where the update runs, and `api`, the version of kubeadm's
    configuration; empty where they do not."""


@dataclass(frozen=True, kw_only=True)
class LandingPlan:
    """Where one kind of a runtime's traffic lands on a RoCE fabric. Priorities are 0 to 7."""

    runtime: str
    variable: str
    asked: int
    """Traffic class that the runtime is told."""
    traffic_class: int
    """Traffic class that its packets have."""
    decided_by: str
    dscp: int
    ecn_capable: bool
    priority: int
    """On the host."""
    switch_priority: int | None
    """On the switch; None where the switch is not described."""
    paused_by_host: bool
    paused_by_switch: bool | None
    marked: bool
    """True where congestion on its priority is marked and answered, as far as is known."""

    @property
    def lossless(self) -> bool:
        """True where host and switch pause the same priority; a switch that is not described is taken to agree."""
        known = self.paused_by_switch is not None
        return self.paused_by_host and (not known or (bool(self.paused_by_switch) and self.same_priority))

    @property
    def same_priority(self) -> bool:
        return self.switch_priority in (None, self.priority)


@dataclass(frozen=True, kw_only=True)
class SwitchLine:
    """One value that the switch must hold towards the hosts, for whoever runs the network."""

    item: str
    value: str
    holds: str
    """What the description of the switch says it holds; empty where there is none."""


@dataclass(frozen=True, kw_only=True)
class PortPlan:
    """What a switch port towards a host must hold, in figures. Priorities are 0 to 7."""

    profile: str
    """Of the switch in the catalog; empty where it is not known."""
    trust: str
    dscp: int
    """Of RoCE traffic."""
    priorities: Mapping[int, int]
    """{DSCP that is in use or mapped: its priority}, that of notifications among them."""
    pfc: tuple[int, ...]
    ecn: tuple[int, ...]
    cnp_dscp: int
    mtu_bytes: int | None
    """IP MTU that is to be set; None where the port's is large enough, or the hosts' is not planned."""


@dataclass(frozen=True, kw_only=True)
class FlowPlan:
    """One kind of traffic between hosts, at a replica's planned rate."""

    what: str
    bytes_per_token: float
    """That leave one host for each token."""
    tokens_per_s: float
    gbps: float
    """What leaves one host, Gbit/s."""


@dataclass(frozen=True, kw_only=True)
class FabricPlan:
    """What carries traffic between the site's hosts."""

    kind: str
    traffic_class: int | None
    """Type of service of RoCE traffic; None on other fabrics, as the next ones."""
    trust: str | None
    pfc: tuple[int, ...] | None
    host_traffic_class: int | None
    mtu_bytes: int | None
    system: Mapping[str, str]
    """Lines of /etc/nccl.conf that are the same on every host."""
    applications: Mapping[str, Mapping[str, str]]
    """{runtime: {variable: value}} for the environment of processes."""
    landings: tuple[LandingPlan, ...]
    switch: tuple[SwitchLine, ...]
    flows: tuple[FlowPlan, ...]
    port: PortPlan | None = None
    """What `switch` says, in figures; None on other fabrics."""


@dataclass(frozen=True, kw_only=True)
class MaintenancePlan:
    """When machines may be rebooted. Whether that is now, a provider decides: the plan has no clock."""

    days: tuple[str, ...]
    start: str
    """HH:MM"""
    hours: int
    time_zone: str
    drain_limit_s: int
    return_limit_s: int
    kubeconfig: str
    """Of the cluster whose pods leave a machine before; empty where there is none."""


@dataclass(frozen=True, kw_only=True)
class SitePlan:
    name: str
    ssh_user: str
    ssh_private_key_file: str
    groups: tuple[GroupPlan, ...]
    agent_port: int
    fabric: FabricPlan | None = None
    acceptance: AcceptancePlan | None = None
    maintenance: MaintenancePlan | None = None


@dataclass(frozen=True, kw_only=True)
class SubnetPlan:
    zone: str
    cidr: str
    zone_id: str | None = None
    """The zone's id, which is the same in every account; None where the environment does not say."""


@dataclass(frozen=True, kw_only=True)
class InterfacePlan:
    """One network interface of a node: its card, its place on the card, and whether it carries IP or EFA only."""

    card: int
    device: int
    kind: Literal["interface", "efa-only"]


@dataclass(frozen=True, kw_only=True)
class KubeletPlan:
    """What the kubelets of a group of cloud nodes are told about CPUs and NUMA."""

    topology_policy: str
    reserved_cpus: int
    """Logical CPUs that no pod gets to itself, at least one: static CPU management wants it."""
    cpus_across_nodes: bool
    """True where a pod's CPUs need several NUMA nodes, and are to be taken evenly from them."""


@dataclass(frozen=True, kw_only=True)
class NodeGroupPlan:
    name: str
    instance_type: str
    accelerator: str
    gpus: int
    efa_interfaces: int
    min_nodes: int
    max_nodes: int
    desired_nodes: int
    capacity: Literal["on-demand", "spot", "capacity-block"]
    capacity_reservation_id: str | None = None
    """The reservation that the nodes come from; a capacity block needs one."""
    zones: tuple[str, ...] = ()
    """Zones of the nodes, by full name."""
    placement: Literal["create", "existing", "none"] = "none"
    """Whether the nodes are in a cluster placement group: one made for them, or one that is there."""
    placement_group: str | None = None
    """Name of the placement group that is there; None where one is made, or none is used."""
    interfaces: tuple[InterfacePlan, ...] = ()
    """Network interfaces, the primary first; empty where the type's network cards are not known."""
    architecture: str = "x86_64"
    vcpus: int = 0
    """vCPUs of one node; 0 where not known."""
    kubelet: KubeletPlan
    instance_store: bool = False
    """True where the nodes have NVMe drives of their own, which become one RAID 0 for images, weights and caches."""
    image_release: str | None = None
    """Release of the EKS node image that the lock names; None for the newest at creation."""


@dataclass(frozen=True, kw_only=True)
class DirectConnectPlan:
    """A virtual interface on a line to the site."""

    connection_id: str
    vlan: int
    site_asn: int
    gateway_asn: int
    mtu: int
    """Bytes."""
    cidr: str
    """Range that the site learns: the VPC's."""
    bgp_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class VpnPlan:
    """The ends of a site-to-site VPN."""

    site_address: str
    site_asn: int
    cloud_asn: int
    site_cidr: str | None
    """What may use the VPC's endpoints from the site; None where the environment has no site."""
    direct: DirectConnectPlan | None = None
    """The line that is used before it."""


@dataclass(frozen=True, kw_only=True)
class JobPlan:
    """Pods of one service account, and the only role that they can take."""

    name: str
    namespace: str
    service_account: str
    managed_policy: str | None = None
    """A policy that AWS maintains."""
    reads_bucket: str | None = None
    """The bucket whose objects it may read."""


@dataclass(frozen=True, kw_only=True)
class CloudPlan:
    environment: str
    """Name of the environment, which starts every name that an account shares."""
    region: str
    cidr: str
    subnets: tuple[SubnetPlan, ...]
    kubernetes_version: str
    node_groups: tuple[NodeGroupPlan, ...]
    endpoint_url: str | None
    """Where AWS is emulated; None for AWS itself."""
    api_from: tuple[str, ...] | None = None
    """Address ranges that reach the cluster's API over the internet; None where all do."""
    pod_addresses: Literal["secondary", "prefix"] = "secondary"
    """How the VPC network plugin gives addresses to pods: one by one, or in blocks of 16."""
    vpn: VpnPlan | None = None
    flow_logs_days: int | None = None
    """Days that flow logs are kept; None where none are written."""
    own_key: bool = False
    """True where Kubernetes secrets are encrypted with a key of the environment's own."""
    pod_identity: bool = False
    """True where pods get roles by EKS Pod Identity."""
    jobs: tuple[JobPlan, ...] = ()
    """Pods that have a role of their own."""
    volumes: Literal["lustre", "shared"] | None = None
    """The kind of file system that pods mount; None where they mount none."""
    own_buckets: tuple[str, ...] = ()
    """The only buckets that nodes reach; empty where the environment does not say where data may go."""
    private_services: tuple[str, ...]
    """Services of AWS that have an endpoint in every subnet, e.g. ecr.api; S3 has its gateway."""


@dataclass(frozen=True, kw_only=True)
class BackupPlan:
    bucket: str
    retain_days: int
    """Days in which no version can be removed."""
    mode: Literal["governance", "compliance"]


@dataclass(frozen=True, kw_only=True)
class LustrePlan:
    size_gib: int
    mb_s_per_tib: int
    zone: str
    """E.g. eu-central-1a."""
    folder: str
    """Of the bucket, and of the file system; without slashes at its ends."""


@dataclass(frozen=True, kw_only=True)
class SharedPlan:
    throughput: Literal["elastic", "bursting"]
    idle_days: int | None
    """Days after which a file moves to cheaper storage; None for never."""


@dataclass(frozen=True, kw_only=True)
class StoragePlan:
    environment: str
    region: str
    bucket: str
    expire_noncurrent_days: int
    logs_days: int | None = None
    """Days that what is below logs/ is kept; None for good."""
    own_key: bool = False
    """True where objects are encrypted with a key of the environment's own."""
    backups: BackupPlan | None = None
    lustre: LustrePlan | None = None
    shared: SharedPlan | None = None
    confined: bool = False
    """True where the environment says where data may go: then only its own account reaches the buckets."""
    may_replicate: bool = True
    """False where weights may go to no other region."""


@dataclass(frozen=True, kw_only=True)
class LimitPlan:
    """What a copy may take of the link from an hour of the day on, UTC."""

    from_hour: int
    mib_s: int | None
    """MiB/s; None for all of it."""


@dataclass(frozen=True, kw_only=True)
class AlarmPlan:
    """When somebody is told, and where."""

    lag_hours: int
    """Hours without a successful run."""
    topic_arn: str | None
    """The SNS topic that is told; None where the alarm only shows."""


@dataclass(frozen=True, kw_only=True)
class AgentPlan:
    name: str
    activation_key: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class ReaderPlan:
    """Pods that may ask how far replication is: of one service account, in a cluster that IAM trusts by its issuer."""

    oidc_provider: str
    """The issuer without https://."""
    namespace: str
    service_account: str


@dataclass(frozen=True, kw_only=True)
class ReplicationPlan:
    environment: str
    source: Literal["smb", "nfs", "s3", "object-store", "hdfs"]
    server: str
    path: str
    user: str | None
    password: str | None = field(default=None, repr=False)
    bucket: str | None = None
    port: int | None = None
    """Of an object store or NameNode; None for the usual one."""
    destination: Literal["bucket", "lustre", "shared"] = "bucket"
    failback: bool = False
    """True where there is a task back to the store."""
    schedule: str
    agent_arns: tuple[str, ...]
    """Of agents that are activated already."""
    agents: tuple[AgentPlan, ...] = ()
    """Those that are activated here."""
    private: bool = False
    """True where agents reach DataSync by the VPC's endpoint."""
    bandwidth_mib_s: int | None = None
    """Most that a run may use of the link, MiB/s; None for all of it."""
    limits: tuple[LimitPlan, ...] = ()
    """What a run may use by the hour at which it begins, in place of one limit for all."""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    """Patterns of what is copied, and of what is not; all of it where there are none."""
    verify: Literal["transferred", "all", "none"] = "transferred"
    report: bool = False
    """True where each run writes a report, file by file."""
    alarm: AlarmPlan | None = None
    reader: ReaderPlan | None = None

    @property
    def slowest_mib_s(self) -> int | None:
        """The least that a run may be limited to, MiB/s; None where none is limited."""
        return slowest(self.bandwidth_mib_s, *(limit.mib_s for limit in self.limits))


@dataclass(frozen=True, kw_only=True)
class TimeControlPlan:
    """S3 Replication Time Control from a bucket of another region into that of the weights."""

    environment: str
    region: str
    """Of the weights' bucket."""
    source_bucket: str
    source_region: str
    prefix: str
    """Of what is copied, without a slash in front; empty for everything."""
    source_key_arn: str | None
    events_topic_arn: str | None
    alarm_topic_arn: str | None
    lag_s: int
    """Seconds behind the source, after which somebody is told."""
    endpoint_url: str | None
    """Where AWS is emulated; None for AWS itself."""
    reader: ReaderPlan | None = None


def slowest(*rates: int | None) -> int | None:
    """The least of the rates that are limits; None where none is."""
    return min((rate for rate in rates if rate is not None), default=None)


BUILDABLE = ("cpu",)
"""Profiles that the Containerfile of images/runtime builds."""


@dataclass(frozen=True, kw_only=True)
class ImagePlan:
    registry: str
    repository: str
    profile: Literal["cuda", "cpu"]
    base: str
    digest: str | None
    """Set where CI built it; None where this update builds it."""
    insecure: bool
    """True where the registry speaks plain HTTP on loopback."""


@dataclass(frozen=True, kw_only=True)
class ClusterPlan:
    """One Kubernetes cluster as the components use it."""

    name: str
    kubeconfig: str
    namespace: str
    priority_classes: Mapping[str, int]
    queue: str
    queue_weight: int


@dataclass(frozen=True, kw_only=True)
class WeightsPlan:
    """The file system that a pool's pods read the model from."""

    kind: Literal["lustre", "shared"]
    folder: str
    """Of the file system; without slashes at its ends."""
    size_gib: int
    """GiB that its volume is said to have: Kubernetes asks for a size, and the driver does not look at it."""


@dataclass(frozen=True, kw_only=True)
class ServingPlan:
    """One pool of replicas; the standby's is another one of these."""

    name: str
    model: str
    replicas: int
    gpus: int
    """GPUs of one pod."""
    cpus: int | None = None
    """Logical CPUs that a pod gets to itself; None where none are pinned."""
    memory_gib: int | None = None
    """Host memory of a pod, GiB; None where it asks for none."""
    service_account: str | None = None
    """The account that the pods run under; None for the namespace's own."""
    port: int
    monitor_port: int | None = None
    """Where the pod's memory monitor serves metrics; None where it has no GPUs."""
    document: Mapping[str, object]
    """`/etc/fullbore/plan.json` of the pod: what the runtime's launcher reads."""
    progress_s: int
    """Seconds a rollout may stand still before it counts as failed: as long as one pod may take to load its model."""
    taints: Mapping[str, str] = field(default_factory=dict[str, str])
    """VALUE:EFFECT by key, of the nodes that the pods are for."""
    weights: WeightsPlan | None = None
    """None where the model is in the image, or comes with its node."""


@dataclass(frozen=True, kw_only=True)
class GatewayPlan:
    address: str
    port: int
    timeout_s: float
    host_suffix: str
    """What follows `SERVICE.NAMESPACE` in the name of a service, e.g. `svc.cluster.local`."""
    image: str | None = None
    """By digest; None for the official one."""


@dataclass(frozen=True, kw_only=True)
class LagPlan:
    """What tells how old the newest whole copy of the weights is, and how old it may be."""

    environment: str
    method: Literal["datasync", "s3-rtc"]
    region: str
    """Where it is asked: of the task, or of the source bucket."""
    task: str = ""
    """Name of the DataSync task."""
    dimensions: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of the metrics of S3's replication."""
    rpo_s: int | None = None
    """Seconds; None where no standby depends on the copy."""
    version: int = 1
    """Of this form, which images/lag reads."""


@dataclass(frozen=True, kw_only=True)
class ScrapeTarget:
    """The agent of one host; the rest becomes labels of everything that it says."""

    host: str
    rack: str
    group: str
    address: str
    port: int


@dataclass(frozen=True, kw_only=True)
class MonitoringPlan:
    retention_days: int
    scrape_interval_s: int
    agent_down_for_s: int
    webhook_url: str | None = field(repr=False)
    targets: tuple[ScrapeTarget, ...]
    prometheus_port: int
    alertmanager_port: int
    host_suffix: str
    """What follows `SERVICE.NAMESPACE` in the name of a service, e.g. `svc.cluster.local`."""
    lag: LagPlan | None = None
    """What is measured beside Prometheus; None where nothing is."""
    lag_image: str = ""
    """By digest; of what measures it."""
    lag_exporter: str | None = None
    """HOST:PORT where others serve the lag of replication; None where they do not."""
    prometheus_image: str | None = None
    alertmanager_image: str | None = None
    """By digest; None for the official one."""


@dataclass(frozen=True, kw_only=True)
class StandbyPlan:
    cluster: ClusterPlan
    serving: ServingPlan
    rpo_s: int
    rto_s: int
    volume: str = "weights"
    """What the name of the volume that it reads weights from begins with, in a cluster that others may share."""


@dataclass(frozen=True, kw_only=True)
class Term:
    """One part of an RPO or RTO, seconds. `missing` is the path of a figure that it needs and that is not given."""

    name: str
    expected_s: float = 0.0
    worst_s: float = 0.0
    missing: str = ""


@dataclass(frozen=True, kw_only=True)
class CopyPlan:
    """What is lost of one class of data with the site: the age of its newest whole copy."""

    data: str
    method: str
    path: str
    """Where the RPO that it must meet stands."""
    rpo_s: int
    terms: tuple[Term, ...]
    gap_s: float = 0.0
    """Longest time between two runs of a scheduled copy; 0 where it is not scheduled."""
    write_delay_ms: float = 0.0
    """What each write waits for the other side, at least; 0 where none waits."""

    @property
    def expected_s(self) -> float:
        return sum(term.expected_s for term in self.terms)

    @property
    def worst_s(self) -> float:
        return sum(term.worst_s for term in self.terms)

    @property
    def run_s(self) -> float:
        """What one run of a scheduled copy takes at worst, as far as its figures are given."""
        return self.worst_s - self.gap_s


@dataclass(frozen=True, kw_only=True)
class RecoveryPlan:
    """What is lost with the site, and how long until the standby serves."""

    copies: tuple[CopyPlan, ...]
    rto_s: int
    start: tuple[Term, ...]
    """From the loss of the site until enough replicas serve, in order."""
    gateway: str

    @property
    def expected_s(self) -> float:
        return sum(term.expected_s for term in self.start)

    @property
    def worst_s(self) -> float:
        return sum(term.worst_s for term in self.start)


@dataclass(frozen=True, kw_only=True)
class DataFlow:
    """One class of data on one way out of the site."""

    path: str
    """What makes the way."""
    data: str
    to: str
    """A region, a host, or the site itself."""
    country: str
    """ISO 3166-1 alpha-2; empty where nothing says it."""
    allowed: bool


@dataclass(frozen=True, kw_only=True)
class MetalCost:
    """Machines of one group, US dollars an hour for all of them."""

    path: str
    hosts: int
    amortised: float
    power: float
    """Electricity of the machines and of what cools them."""
    price: float
    """Of all of them, US dollars."""
    end_of_life: str
    """Day on which they are to be replaced; empty where the environment does not say when they were bought."""


@dataclass(frozen=True, kw_only=True)
class ReplicaCost:
    """One replica in one place, bought in one way."""

    path: str
    purchase: str
    """owned, on-demand, reserved, spot or capacity-block."""
    usd_per_hour: float
    """While it is paid for."""
    by_the_second: bool
    """True where it is paid for only while it is busy."""
    tokens_per_s: float | None
    """Of a busy replica; None where it is neither given nor can be estimated."""
    estimated: bool
    """True where the rate is the plan's own estimate of decoding."""
    usd_per_million_tokens: float | None
    """At that rate and the planned share of busy time."""
    break_even: float | None = None
    """Share of the time above which owning the dearest of the site's replicas costs less; above 1 it never does."""


@dataclass(frozen=True, kw_only=True)
class CostPlan:
    """US dollars an hour, by part."""

    parts: Mapping[str, float]
    metal: tuple[MetalCost, ...] = ()
    replicas: tuple[ReplicaCost, ...] = ()
    standby: float = 0.0
    """Of `parts`, what the standby's warm replicas take."""
    replication: float = 0.0
    """Of `parts`, what copying and keeping the copies takes."""
    usd_per_million_tokens: float | None = None
    """All of `parts` over what the site's replicas serve; None where their rate is not known."""

    @property
    def total(self) -> float:
        return sum(self.parts.values())


@dataclass(frozen=True, kw_only=True)
class VersionPlan:
    """One part of the lock; `given` where the environment says it, else it was chosen."""

    part: str
    version: str
    given: bool


@dataclass(frozen=True, kw_only=True)
class VersionsPlan:
    """The versions that the site's machines and the cloud's images share."""

    parts: tuple[VersionPlan, ...]
    oldest_driver: str
    """The oldest GPU driver that the other parts and the GPUs allow; a node with an older one starts no replica."""

    @property
    def lock(self) -> dict[str, str]:
        """{part: version}."""
        return {row.part: row.version for row in self.parts}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The whole environment, decided. Parts that the environment does not declare are None."""

    environment: str
    sandbox: bool
    tags: Mapping[str, str]
    site: SitePlan | None
    cloud: CloudPlan | None
    storage: StoragePlan | None
    replication: ReplicationPlan | None
    """By DataSync."""
    time_control: TimeControlPlan | None
    """By S3 itself."""
    lag: LagPlan | None
    """How the lag of either is measured."""
    image: ImagePlan | None
    cluster: ClusterPlan | None
    serving: ServingPlan | None
    gateway: GatewayPlan | None
    monitoring: MonitoringPlan | None
    standby: StandbyPlan | None
    recovery: RecoveryPlan | None
    flows: tuple[DataFlow, ...]
    """Where data goes."""
    cost: CostPlan
    versions: VersionsPlan
    problems: tuple[Problem, ...]
