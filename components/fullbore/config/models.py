"""What a person writes: one environment, strict and frozen.

Defaults stand here and in the modules beside it, and nowhere else.
"""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from fullbore.config.acceptance import Acceptance, Cable
from fullbore.config.base import (
    LEAST_RATE,
    MOST_GIB,
    MOST_RATE,
    MOST_SECONDS,
    MOST_USD,
    REPOSITORY_PATTERN,
    Accelerator,
    Address,
    Date,
    Fabric,
    Hca,
    HubConfig,
    Interface,
    Name,
    Network,
    Number,
    Pinned,
    Port,
    Precision,
    Serial,
    Server,
    Strict,
    SysctlKey,
    SysctlValue,
    Text,
    Whole,
    Zone,
    ZoneId,
)
from fullbore.config.bmc import Bmc, BmcAddress
from fullbore.config.container_runtime import ContainerRuntime
from fullbore.config.cost import Cost
from fullbore.config.fabric import Load, Qos, Runtimes, Switch
from fullbore.config.gpu_driver import GpuDriver, MigProfile
from fullbore.config.infiniband import Guid, Infiniband
from fullbore.config.kubernetes import Kubernetes
from fullbore.config.machine import Machine, TopologyPolicy
from fullbore.config.maintenance import Maintenance
from fullbore.config.nvme import Nvme
from fullbore.config.recovery import Recovery
from fullbore.config.rolling import Rolling
from fullbore.config.sovereignty import Sovereignty
from fullbore.config.versions import Versions

REGION_PATTERN = r"^[a-z]{2,4}(-[a-z]+)+-[0-9]$"
TOPIC_PATTERN = r"^arn:aws:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_.-]+$"
AgentArn = Annotated[str, Field(pattern=r"^arn:aws:datasync:[a-z0-9-]+:[0-9]{12}:agent/agent-[0-9a-z]{17}$")]
"""DataSync API reference, OnPremConfig, AgentArns."""


class Host(Strict):
    """One bare-metal machine. `address` and `host_key` may be left out only in a sandbox environment."""

    serial: Serial = Field(description="serial number of the chassis, without blanks; the machine's identity")
    address: Address | None = Field(default=None, description="management address that SSH reaches")
    port: Port = Field(default=22, description="SSH port")
    host_key: Text | None = Field(
        default=None,
        pattern=r"^ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI[A-Za-z0-9+/]{43}$",
        description="the host's public SSH key, 'ssh-ed25519 AAAA...' without a comment; another key is refused",
    )
    bmc: BmcAddress | None = Field(
        default=None,
        description="name or address of the machine's BMC, with :PORT where it is not 443; it is not asked if left out",
    )
    port_guids: dict[Hca, Guid] = Field(
        default={}, description="GUIDs of InfiniBand ports by RDMA device, as ibstat -p prints them; for partitions"
    )
    cables: dict[Text, Cable] = Field(
        default={},
        description="where the host's ports are cabled to: RDMA devices on InfiniBand, interfaces elsewhere; checked "
        "where site.acceptance is given",
    )


class HostGroup(Strict):
    """Machines of one kind in one rack, at most 32."""

    kind: Literal["gpu", "storage"] = Field(description="what the machines are for")
    rack: Name = Field(description="the rack that holds them")
    accelerator: Accelerator | None = Field(default=None, description="GPU model; required where kind is gpu")
    gpus_per_host: Whole = Field(default=0, ge=0, le=16, description="GPUs in each machine")
    numa_nodes: Whole = Field(default=2, ge=1, le=64, description="NUMA nodes in each machine")
    cpus: Whole = Field(default=128, ge=1, le=8192, description="logical CPUs in each machine; Linux takes 8192")
    memory_gib: Number = Field(default=1024, gt=0, le=MOST_GIB, description="memory of each machine, GiB")
    interfaces: tuple[Interface, ...] = Field(default=(), description="network interfaces on the fabric, e.g. ens1np0")
    hcas: tuple[Hca, ...] = Field(default=(), description="RDMA devices of the fabric, e.g. mlx5_0")
    profile: Text | None = Field(default=None, description="a machine of the catalog, e.g. dgx-h100")
    machine: Machine | None = Field(
        default=None, description="how the machine is built, where the catalog has no profile of it"
    )
    reserved_cores: Whole = Field(
        default=2, ge=1, le=64, description="physical cores of each NUMA node that are kept for the system"
    )
    topology_policy: TopologyPolicy | None = Field(
        default=None,
        description="the kubelet's topology manager policy; the strictest that admits the planned pods if left out",
    )
    hugepages_2mib: Whole | None = Field(
        default=None, ge=0, description="huge pages of 2 MiB on each machine; the profile's number if left out"
    )
    nvme: Nvme | None = Field(default=None, description="settings of the machines' NVMe drives; left alone if left out")
    mig: tuple[MigProfile, ...] = Field(
        default=(),
        max_length=7,
        description="MIG instances that each GPU is divided into, e.g. [3g.71gb, 4g.71gb]; GPUs stay whole if left out",
    )
    usd_per_host: Number | None = Field(
        default=None,
        ge=0,
        le=MOST_USD,
        description="purchase price of one machine, US dollars; the catalog's assumption if left out",
    )
    watts_per_host: Number | None = Field(
        default=None,
        gt=0,
        le=1e6,
        description="power of one machine under load, watts; the catalog's figure if left out",
    )
    bmc: Bmc | None = Field(default=None, description="the account on these machines' BMCs; site.bmc if left out")
    bought: Date | None = Field(
        default=None, description="day on which the machines were bought; cost.refresh_years follows from it"
    )
    hosts: dict[Name, Host] = Field(min_length=1, max_length=32, description="machines by host name")


class Ssh(Strict):
    """How the hosts are reached."""

    user: Text = Field(default="root", description="user that Ansible logs in as")
    private_key_file: Text | None = Field(default=None, description="path of the private key; never its content")


class Site(Strict):
    """The bare-metal site."""

    name: Name = Field(description="name of the site")
    cidr: Network = Field(description="management network of the site")
    fabric: Fabric = Field(description="what carries traffic between GPUs of different hosts")
    link_gbps: Number = Field(default=400, ge=LEAST_RATE, le=MOST_RATE, description="rate of one fabric link, Gbit/s")
    ssh: Ssh = Field(default=Ssh(), description="how the machines are reached")
    bmc: Bmc | None = Field(
        default=None, description="the account on the machines' BMCs; they are not asked if left out"
    )
    max_failures: Whole = Field(
        default=0,
        ge=0,
        description="hosts of each group that may fail without failing the update; fewer than the largest group has",
    )
    rolling: Rolling = Field(default=Rolling(), description="how a change goes over machines that serve")
    maintenance: Maintenance | None = Field(
        default=None, description="when machines may be rebooted; none is if left out"
    )
    sysctl: dict[SysctlKey, SysctlValue | Whole] = Field(
        default={}, description="kernel settings that override the profile's"
    )
    mtu_bytes: Whole | None = Field(
        default=None,
        ge=1280,
        le=9978,
        description="IP MTU of the fabric's interfaces, bytes, set on hosts of a RoCE fabric; neither set nor checked "
        "if left out",
    )
    gid_index: Whole | None = Field(
        default=None, ge=0, le=255, description="RoCE GID index; found by NCCL 2.21 and later themselves if left out"
    )
    qos: Qos = Field(default=Qos(), description="how hosts of a RoCE fabric mark and queue their traffic")
    switch: Switch | None = Field(default=None, description="what the switches of a RoCE fabric hold")
    infiniband: Infiniband | None = Field(
        default=None, description="how an InfiniBand fabric is managed; nothing of it is managed here if left out"
    )
    runtimes: Runtimes = Field(default=Runtimes(), description="libraries that send over the fabric")
    load: Load = Field(
        default=Load(), description="what replicas do at their peak, which the links between hosts must carry"
    )
    nccl_conf: dict[Text, Text | Whole] = Field(
        default={}, description="further NCCL variables for /etc/nccl.conf, of those for system configuration"
    )
    gpu_driver: GpuDriver | None = Field(
        default=None, description="the NVIDIA driver of the GPU machines; it is left as it is if left out"
    )
    container_runtime: ContainerRuntime | None = Field(
        default=None, description="containerd on the machines; it is left as it is if left out"
    )
    kubernetes: Kubernetes | None = Field(
        default=None, description="how the GPU machines join the site's cluster; others do it if left out"
    )
    acceptance: Acceptance | None = Field(
        default=None, description="how the machines are measured before they serve; they are not if left out"
    )
    groups: dict[Name, HostGroup] = Field(min_length=1, description="machines by kind and rack")


class Reservation(Strict):
    """Capacity that was reserved before: an on-demand reservation, or the capacity block that was bought."""

    id: Text = Field(pattern=r"^cr-[0-9a-f]{8,17}$", description="id of the reservation, e.g. cr-0a1b2c3d4e5f60718")
    nodes: Whole = Field(ge=1, description="nodes that it holds")
    zone: Zone = Field(description="letter of the availability zone that it is in")
    placement_group: Text | None = Field(
        default=None, description="cluster placement group that it was created in; none if left out"
    )


class NodeGroup(Strict):
    """A group of cloud GPU nodes."""

    instance_type: Text = Field(description="EC2 instance type, e.g. p5.48xlarge")
    min_nodes: Whole = Field(default=0, ge=0, description="nodes kept when idle")
    max_nodes: Whole = Field(ge=1, description="nodes at most")
    desired_nodes: Whole = Field(default=0, ge=0, description="nodes asked for at creation")
    efa_interfaces: Whole | None = Field(
        default=None, ge=0, description="EFA interfaces of each node; all that the type has if left out"
    )
    capacity: Literal["on-demand", "spot", "capacity-block"] = Field(
        default="on-demand", description="how it is bought"
    )
    committed: bool = Field(
        default=False, description="true where a savings plan or a reservation sets the price of an on-demand group"
    )
    busy_s_per_day: Whole = Field(
        default=0, ge=0, le=86_400, description="time a day in which all max_nodes run, seconds; billed by the second"
    )
    zones: tuple[Zone, ...] = Field(
        default=(),
        description="zone letters of the nodes; if left out the reservation's, one where the nodes have EFA, or all",
    )
    placement: Literal["auto", "cluster", "none"] = Field(
        default="auto",
        description="whether the nodes are in a cluster placement group; auto: where they have EFA and are neither a "
        "capacity block nor of a reservation that was made without one",
    )
    reservation: Reservation | None = Field(
        default=None, description="reserved capacity that the nodes come from; a capacity block needs one"
    )


LogDays = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
]
"""What CloudWatch Logs takes as a retention (CloudWatch Logs API reference, PutRetentionPolicy)."""


class Quotas(Strict):
    """The account's quotas in the region, of EC2 in vCPUs; one that is left out and has no default is not checked."""

    p_on_demand: Whole | None = Field(default=None, ge=0, description="Running On-Demand P instances, vCPUs")
    g_on_demand: Whole | None = Field(default=None, ge=0, description="Running On-Demand G and VT instances, vCPUs")
    p4_spot: Whole | None = Field(default=None, ge=0, description="All P4, P3 and P2 Spot Instance Requests, vCPUs")
    p5_spot: Whole | None = Field(default=None, ge=0, description="All P5 Spot Instance Requests, vCPUs")
    g_spot: Whole | None = Field(default=None, ge=0, description="All G and VT Spot Instance Requests, vCPUs")
    node_groups: Whole = Field(
        default=30, ge=0, description="Managed node groups per cluster of EKS; AWS's own default if left out"
    )
    nodes_per_group: Whole = Field(
        default=450, ge=0, description="Nodes per managed node group of EKS; AWS's own default if left out"
    )


class DirectConnect(Strict):
    """A line of AWS Direct Connect to the site, which is there already; the VPN stands in where it fails."""

    connection_id: Text = Field(
        pattern=r"^dx(con|lag)-[a-z0-9]{8}$", description="id of the connection, or of a group of them"
    )
    vlan: Whole = Field(ge=1, le=4094, description="VLAN of the virtual interface, an IEEE 802.1Q tag")
    gateway_asn: Whole = Field(
        default=64513,
        ge=64512,
        le=4_294_967_294,
        description="autonomous system number of the Direct Connect gateway, a private one",
    )
    mtu: Literal[1500, 9001] = Field(default=1500, description="largest packet, bytes")
    bgp_key: Text | None = Field(
        default=None, repr=False, description="MD5 key of the BGP session, a Pulumi secret; AWS makes one if left out"
    )


class Vpn(Strict):
    """A site-to-site VPN with BGP; agents of DataSync and the gateway reach the VPC through it.

    A customer gateway takes numbers of its router below 2^31 in one property, and larger ones, which are not supported
    here, in another (EC2 API reference, CreateCustomerGateway, BgpAsn and BgpAsnExtended).
    """

    address: Address = Field(description="public address of the site's router")
    asn: Whole = Field(
        ge=1, le=2_147_483_647, description="autonomous system number of the site, a private one or the site's own"
    )
    cloud_asn: Whole = Field(
        default=64512,
        ge=64512,
        le=4_294_967_294,
        description="autonomous system number of the VPC's side, a private one",
    )
    direct_connect: DirectConnect | None = Field(
        default=None, description="a line that is used before the VPN; there is the VPN alone if left out"
    )


class Cloud(Strict):
    """The AWS side."""

    region: Text = Field(pattern=REGION_PATTERN, description="AWS region, e.g. eu-central-1")
    cidr: Network = Field(description="address range of the VPC")
    zones: tuple[Zone, ...] = Field(
        min_length=1, description="availability zone letters, e.g. [a, b]; EKS takes no fewer than two"
    )
    zone_ids: dict[Zone, ZoneId] = Field(
        default={},
        description="id of each zone letter in this account, e.g. {a: use1-az4}, as "
        "`aws ec2 describe-availability-zones` tells; whether zones offer an instance type is not checked if left out",
    )
    offerings: dict[Text, tuple[ZoneId, ...]] = Field(
        default={},
        description="ids of the zones that offer an instance type, as `aws ec2 describe-instance-type-offerings "
        "--location-type availability-zone-id` tells; what the catalog knows of a type if left out",
    )
    kubernetes_version: Text = Field(default="1.33", description="EKS control plane version")
    kubeconfig: Text | None = Field(
        default=None,
        description="kubeconfig file of the EKS cluster, which a standby needs: "
        "`aws eks update-kubeconfig --kubeconfig FILE` writes one; left out only in a sandbox",
    )
    api_from: tuple[Network, ...] | None = Field(
        default=None,
        max_length=40,
        description="address ranges that reach the cluster's API over the internet, e.g. [198.51.100.0/24]; none do "
        "where the list is empty, so that it is reached through the VPC alone; all do if left out",
    )
    pod_addresses: Literal["secondary", "prefix"] = Field(
        default="secondary",
        description="how the VPC network plugin gives addresses to pods: one by one, or in blocks of 16 (/28 prefixes)",
    )
    vpn: Vpn | None = Field(default=None, description="VPN to the site; none is made if left out")
    flow_logs_days: LogDays | None = Field(
        default=None, description="days that the VPC's flow logs are kept; none are written if left out"
    )
    datasync_endpoint: bool = Field(
        default=False,
        strict=True,
        description="whether DataSync agents reach the service by an endpoint of the VPC and not over the internet",
    )
    pod_identity: bool = Field(
        default=False,
        strict=True,
        description="whether pods get roles of their own by EKS Pod Identity: the network plugin, and the standby's "
        "pods, which may read the weights",
    )
    own_key: bool = Field(
        default=False,
        strict=True,
        description="whether Kubernetes secrets are encrypted with a KMS key of the environment's own; it cannot be "
        "taken back without a new cluster",
    )
    quotas: Quotas = Field(default=Quotas(), description="quotas of the account in the region")
    node_groups: dict[Name, NodeGroup] = Field(default={}, description="GPU node groups by name")


RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", "--x-s3", "--table-s3")


def _not_reserved(name: str) -> str:
    if name.startswith(RESERVED_PREFIXES) or name.endswith(RESERVED_SUFFIXES):
        first, last = " or ".join(RESERVED_PREFIXES), " or ".join(RESERVED_SUFFIXES)
        raise PydanticCustomError("bucket_reserved", f"names that begin with {first}, or end with {last}, are S3's own")
    return name


Bucket = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$"), AfterValidator(_not_reserved)]
"""A bucket's name as S3 takes it (Amazon S3 user guide, "General purpose bucket naming rules"), and without dots: with
them S3 cannot be reached by TLS under the bucket's own host name."""


class Backups(Strict):
    """Where backups are kept, and how long nobody can remove them (S3 Object Lock)."""

    bucket: Bucket = Field(description="S3 bucket for backups, another one than that of the weights")
    retain_days: Whole = Field(ge=1, le=36500, description="days in which a backup cannot be removed or replaced")
    mode: Literal["governance", "compliance"] = Field(
        default="governance",
        description="governance: whoever may bypass it can still remove a backup; compliance: nobody can, ever",
    )


class Lustre(Strict):
    """A file system (FSx for Lustre) that shows a folder of the weights' bucket, and loads from it what is read."""

    size_gib: Whole = Field(ge=1200, description="size, GiB: 1200, or a multiple of 2400")
    mb_s_per_tib: Literal[125, 250, 500, 1000] = Field(
        default=250, description="rate at which it reads, MB/s for each TiB of its size"
    )
    zone: Zone | None = Field(
        default=None,
        description="zone that it stands in, as its readers should; the first of cloud.zones if left out",
    )
    folder: Text = Field(
        default="weights",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$",
        description="folder of the bucket that it shows, below its root under the same name",
    )


class Shared(Strict):
    """A file system (EFS) that every node of the cloud can mount, where shared POSIX is enough."""

    throughput: Literal["elastic", "bursting"] = Field(
        default="elastic",
        description="elastic: as much as is asked for, paid by what moves; bursting: as much as what is stored earns",
    )
    idle_days: Literal[7, 14, 30, 60, 90, 180, 270, 365] | None = Field(
        default=None,
        description="days after which what nobody reads moves to cheaper storage; never if left out",
    )


class Storage(Strict):
    """Where weights live in the cloud."""

    bucket: Bucket = Field(description="S3 bucket for model weights")
    expire_noncurrent_days: Whole = Field(default=90, ge=1, description="days that replaced versions are kept")
    logs_days: Whole | None = Field(
        default=None, ge=1, description="days that what is below logs/ is kept; for good if left out"
    )
    own_key: bool = Field(
        default=False,
        strict=True,
        description="whether objects are encrypted with a KMS key of the environment's own, not the account's for S3; "
        "the key stays when the environment is destroyed, for what it encrypted may stay",
    )
    backups: Backups | None = Field(default=None, description="a bucket for backups; none is made if left out")
    lustre: Lustre | None = Field(
        default=None, description="a fast file system that loads weights from the bucket; none is made if left out"
    )
    shared: Shared | None = Field(
        default=None, description="a file system that all nodes share; none is made if left out"
    )


Pattern = Annotated[str, Field(pattern=r"^[^|\s]+$", max_length=1024)]
"""A DataSync filter with `*`; the bar would begin another one."""


class BandwidthLimit(Strict):
    """What a copy may take of the link from an hour on, until the hour of the next limit."""

    from_hour: Whole = Field(ge=0, le=23, description="hour of the day at which it begins, hours UTC")
    mib_s: Whole | None = Field(
        default=None, ge=1, description="most that a copy may take, MiB/s; all of the link if left out"
    )


class Alarm(Strict):
    """CloudWatch alarms: a run failed, or none succeeded within the RPO."""

    topic_arn: Text | None = Field(
        default=None,
        pattern=TOPIC_PATTERN,
        description="SNS topic that is told; the alarm only shows in CloudWatch if left out",
    )
    lag_hours: Whole | None = Field(
        default=None,
        ge=1,
        le=168,
        description="hours without a successful run, after which it tells; from the RPO and the schedule if left out",
    )


class Agent(Strict):
    """A machine at the site that DataSync is let read the store by, not activated yet. Its key is used once."""

    activation_key: Text = Field(
        repr=False,
        description="what the agent gives out on its port 80, a Pulumi secret; it expires after 30 minutes, and then a "
        "new one is needed; once the agent is activated, another one changes nothing",
    )


class TimeControl(Strict):
    """S3 copies each new object from a bucket of another region itself, within the time that Replication Time Control
    promises."""

    region: Text = Field(pattern=REGION_PATTERN, description="AWS region of the source bucket, which keeps versions")
    key_arn: Text | None = Field(
        default=None,
        pattern=r"^arn:aws:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$",
        description="KMS key of the source's objects; left out where they have no key of the account's own",
    )
    events_topic_arn: Text | None = Field(
        default=None,
        pattern=TOPIC_PATTERN,
        description="SNS topic of the source's region that is told of each object that failed or came late; the source "
        "bucket's other notifications end",
    )


class Replication(Strict):
    """Copying weights to the cloud: from the site's store with DataSync, or from another region by S3 itself."""

    source: Literal["smb", "nfs", "s3", "object-store", "hdfs"] = Field(
        description="kind of the on-premises store; object-store speaks S3"
    )
    server: Server = Field(
        description="host name or address of the store, of HDFS' NameNode; the bucket's name where source is s3"
    )
    port: Port | None = Field(
        default=None, description="port of an object store, 443 if left out, or of the NameNode, 8020 if left out"
    )
    bucket: Bucket | None = Field(default=None, description="bucket of an object store")
    path: Text = Field(default="/weights", description="share or prefix to copy")
    user: Text | None = Field(
        default=None, description="user of the SMB share or of HDFS, access key of the object store"
    )
    password: Text | None = Field(
        default=None, repr=False, description="password of the SMB share, or the access key's secret; a Pulumi secret"
    )
    destination: Literal["bucket", "lustre", "shared"] = Field(
        default="bucket",
        description="what DataSync writes to: the bucket of the weights, storage.lustre or storage.shared",
    )
    failback: bool = Field(
        default=False, strict=True, description="whether there is a task back to the store, which somebody starts"
    )
    schedule: Text = Field(default="cron(0 * * * ? *)", description="when it runs; DataSync runs hourly at most")
    bandwidth_mib_s: Whole | None = Field(
        default=None, ge=1, description="most that a copy may take of the link, MiB/s; all of it if left out"
    )
    limits: tuple[BandwidthLimit, ...] = Field(
        default=(), description="what a copy that begins at an hour may take, in place of bandwidth_mib_s"
    )
    include: tuple[Pattern, ...] = Field(
        default=(), description="patterns of what is copied, e.g. /deepseek-r1*; everything if left out"
    )
    exclude: tuple[Pattern, ...] = Field(default=(), description="patterns of what is not copied, e.g. *.tmp")
    verify: Literal["transferred", "all", "none"] = Field(
        default="transferred", description="what DataSync reads again and compares: what it copied, everything, nothing"
    )
    report: bool = Field(
        default=False, strict=True, description="whether each run writes what it did with each file, below logs/"
    )
    alarm: Alarm | None = Field(default=None, description="who is told of failures and lag; nobody if left out")
    agent_arns: tuple[AgentArn, ...] = Field(
        default=(), description="activated DataSync agents that reach the store, of the cloud's region"
    )
    agents: dict[Name, Agent] = Field(
        default={}, description="agents that this stack activates, by name, besides those of agent_arns"
    )
    time_control: TimeControl | None = Field(
        default=None, description="has S3 copy in place of DataSync, from a source s3 of another region"
    )


class Image(Strict):
    """The runtime image."""

    repository: Text = Field(
        pattern=REPOSITORY_PATTERN, description="repository in the registry, in lower case, e.g. fullbore/runtime"
    )
    profile: Literal["cuda", "cpu"] = Field(description="what it is built for")
    registry: Text | None = Field(default=None, description="host:port of the registry; left out only in a sandbox")
    base: Text | None = Field(default=None, description="base image by digest; left out only in a sandbox")
    digest: Text | None = Field(
        default=None, pattern=r"^sha256:[0-9a-f]{64}$", description="a digest that CI built; nothing is built then"
    )


class Cluster(Strict):
    """The site's Kubernetes cluster, joined where it exists."""

    kubeconfig: Text | None = Field(default=None, description="kubeconfig file; left out only in a sandbox")
    namespace: Name = Field(default="fullbore", description="namespace of everything that is deployed")
    pod_cidr: Network = Field(default=IPv4Network("10.244.0.0/16"), description="addresses of pods")
    queue_weight: Whole = Field(default=8, ge=1, description="weight of the serving queue in Volcano")


class Serving(Strict):
    """The model that is served, and how much of it."""

    model: Text = Field(description="a model of the catalog, e.g. deepseek-r1-671b, or a name for that of hub_config")
    hub_config: HubConfig | None = Field(
        default=None,
        description="a Hugging Face config.json of a model that the catalog lacks: path relative to the stack file",
    )
    precision: Precision = Field(default="fp8", description="precision of the weights; int4 is AWQ or GPTQ")
    kv_precision: Literal["auto", "fp8"] = Field(
        default="auto", description="precision of the KV cache; auto is that of the activations, 16 or 32 bits"
    )
    replicas: Whole = Field(default=1, ge=0, description="serving replicas at the site")
    tensor_parallel: Whole | None = Field(
        default=None, ge=1, description="GPUs that split each layer; the best layout is chosen if left out"
    )
    pipeline_parallel: Whole | None = Field(
        default=None, ge=1, description="groups of layers in a row; 1 if left out where tensor_parallel is given"
    )
    data_parallel: Whole | None = Field(
        default=None,
        ge=1,
        description="ranks of a replica that share experts and serve sequences of their own; "
        "1 if left out where tensor_parallel is given",
    )
    expert_parallel: bool | None = Field(
        default=None,
        strict=True,
        description="ranks hold whole experts and not slices; false if left out where tensor_parallel is given",
    )
    optimise: Literal["cost", "latency"] = Field(
        default="cost", description="what the chosen layout is best at: GPU time of a token, or time to the next token"
    )
    engine: Literal["vllm", "sglang"] | None = Field(
        default=None, description="engine of the cuda image; vllm if left out, whose memory is what is planned"
    )
    weights_sha256: Text | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="sha256 of the weights' manifest.json; a replica with another does not start; any if left out",
    )
    context_tokens: Whole = Field(default=32768, ge=128, description="longest sequence, tokens")
    context_policy: Literal["refuse", "truncate"] = Field(
        default="refuse",
        description="what happens to a prompt that leaves no room for an answer; truncate cuts its oldest part off",
    )
    concurrency: Whole = Field(default=8, ge=1, description="sequences in flight on a replica")
    cpus: Whole | None = Field(
        default=None,
        ge=1,
        description="logical CPUs that a pod of the site asks for and gets to itself; none are pinned if left out",
    )
    memory_gib: Whole | None = Field(
        default=None, ge=1, description="host memory that a pod of the site asks for, GiB; pinned CPUs need it"
    )


class Gateway(Strict):
    """The front door."""

    port: Port | None = Field(default=None, description="port it listens on; a free one in a sandbox")
    address: Text | None = Field(default=None, description="name or address that clients use")
    timeout_s: Number = Field(default=300, gt=0, le=MOST_SECONDS, description="longest response, seconds")
    image: Pinned | None = Field(
        default=None, description="Envoy's image by digest; the official one by release tag if left out"
    )


class LagExporter(Strict):
    """What measures the lag of replication, beside Prometheus in the cluster."""

    image: Pinned = Field(description="image of images/lag by digest, built elsewhere")
    oidc_provider: Text = Field(
        pattern=r"^[a-z0-9.-]+(/[A-Za-z0-9._/-]+)?$",
        description="issuer of the cluster's service accounts without https://, as the account's IAM has it as an OIDC "
        "provider: the pod takes its role by it",
    )


class Monitoring(Strict):
    """Prometheus and Alertmanager."""

    retention_days: Whole = Field(default=15, ge=1, description="days that samples are kept")
    scrape_interval_s: Whole = Field(default=15, ge=1, description="seconds between two scrapes")
    agent_down_for_s: Whole = Field(
        default=60, ge=1, description="seconds that an agent may be silent before the alert"
    )
    webhook_url: Text | None = Field(
        default=None,
        repr=False,
        description="where Alertmanager sends alerts; encrypted where the address holds a token, a Pulumi secret",
    )
    lag: LagExporter | None = Field(
        default=None, description="measures the lag of replication; nothing does if left out; needs replication"
    )
    lag_exporter: Text | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9.-]+:[0-9]{1,5}$",
        description="where `python -m fullbore_lag` serves the measured lag of replication, HOST:PORT, where it is run "
        "by others, in place of lag",
    )
    prometheus_image: Pinned | None = Field(
        default=None, description="Prometheus' image by digest; the official one by release tag if left out"
    )
    alertmanager_image: Pinned | None = Field(
        default=None, description="Alertmanager's image by digest; the official one by release tag if left out"
    )


class Standby(Strict):
    """A scaled-down serving pool in the cloud that takes over when the site is gone."""

    replicas: Whole = Field(default=1, ge=1, description="warm replicas")
    rpo_s: Whole = Field(ge=0, description="data that may be lost, in seconds of time")
    rto_s: Whole = Field(ge=0, description="time to serve again, seconds")


class Sandbox(Strict):
    """Present where the environment runs on one machine: addresses, keys and ports come from the sandbox."""

    gpu_nodes: Whole = Field(default=2, ge=1, le=1000, description="simulated GPU nodes of the site's cluster")
    standby_nodes: Whole = Field(default=1, ge=1, le=1000, description="simulated GPU nodes of the cloud's cluster")


class Environment(Strict):
    """One environment: the value of `fullbore:env` in stacks/Pulumi.NAME.yaml."""

    name: Name = Field(description="name of the environment, the same as the stack's")
    state_backend: Text | None = Field(
        default=None, description="where Pulumi keeps the stack's state, e.g. s3://bucket; checked against the site"
    )
    tags: dict[Text, Text] = Field(default={}, description="tags put on every cloud resource")
    sandbox: Sandbox | None = Field(default=None, description="set where everything runs on one machine")
    site: Site | None = Field(default=None, description="bare-metal site")
    cloud: Cloud | None = Field(default=None, description="AWS side")
    storage: Storage | None = Field(default=None, description="S3 storage; needs cloud")
    replication: Replication | None = Field(default=None, description="DataSync; needs storage")
    image: Image | None = Field(default=None, description="runtime image")
    cluster: Cluster | None = Field(default=None, description="Kubernetes at the site")
    serving: Serving | None = Field(default=None, description="model serving; needs cluster and image")
    gateway: Gateway | None = Field(default=None, description="front door; needs serving")
    monitoring: Monitoring | None = Field(default=None, description="metrics and alerts; needs cluster")
    standby: Standby | None = Field(default=None, description="disaster recovery; needs cloud and serving")
    cost: Cost | None = Field(default=None, description="prices and use, where they differ from the catalog's")
    recovery: Recovery | None = Field(default=None, description="figures that RPO and RTO follow from; needs standby")
    sovereignty: Sovereignty | None = Field(
        default=None, description="which data may leave the site, and where to; not checked if left out"
    )
    versions: Versions | None = Field(
        default=None, description="versions that are locked together; a good set is chosen if left out"
    )
