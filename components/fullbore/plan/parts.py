"""Each part of the plan from its part of the environment. Pure; what is wrong is told by the checks, not here."""

from __future__ import annotations

from fullbore.catalog.instances import INSTANCES
from fullbore.catalog.replication import RTC_WORST_S
from fullbore.catalog.shapes import SHAPES
from fullbore.config.endpoints import ClusterEndpoint, Endpoints
from fullbore.config.models import Cloud, Environment, Lustre, Site
from fullbore.plan.acceptance import acceptance_plan
from fullbore.plan.capacity import asked_nodes, efa_interfaces, interface_layout, placement_of, zones_of
from fullbore.plan.fabric import fabric_plan
from fullbore.plan.hosts import AGENT_PORT, LOOPBACK, group_plans
from fullbore.plan.identity import lag_reader, pod_jobs
from fullbore.plan.model import (
    AgentPlan,
    AlarmPlan,
    BackupPlan,
    CloudPlan,
    ClusterPlan,
    DirectConnectPlan,
    GatewayPlan,
    ImagePlan,
    LagPlan,
    LimitPlan,
    LustrePlan,
    MaintenancePlan,
    MonitoringPlan,
    NodeGroupPlan,
    ReplicationPlan,
    ScrapeTarget,
    SharedPlan,
    SitePlan,
    StandbyPlan,
    StoragePlan,
    SubnetPlan,
    TimeControlPlan,
    VersionsPlan,
    VpnPlan,
)
from fullbore.plan.network import private_services, zone_subnet
from fullbore.plan.numa import PodShape, kubelet_plan, planned_pod, standby_pod
from fullbore.plan.recovery import lag_hours, strictest_rpo_s
from fullbore.plan.rolling import needed_machines, rolled
from fullbore.plan.serving import standby_pool
from fullbore.plan.sovereignty import may_leave, own_buckets
from fullbore.plan.weights import weights_plan

GATEWAY_PORT = 8080
PROMETHEUS_PORT = 9090
ALERTMANAGER_PORT = 9093
SERVICE_SUFFIX = "svc.cluster.local"
PRIORITY_CLASSES = {"fullbore-serving": 100_000, "fullbore-batch": 1_000}
SITE_QUEUE = "serving"
REPLICATION_TASK = "replication-task"
"""Of the task's name in AWS, behind the environment's."""
REPLICATION_RULE = "weights"
"""Id of the rule by which S3 copies."""


def site_plan(env: Environment, site: Site, versions: VersionsPlan, endpoints: Endpoints | None) -> SitePlan:
    """Groups in the order of their names, and in each its hosts."""
    pod = planned_pod(env)
    ssh = endpoints.ssh if endpoints else None
    return SitePlan(
        name=site.name,
        ssh_user=ssh.user if ssh else site.ssh.user,
        ssh_private_key_file=ssh.private_key_file if ssh else site.ssh.private_key_file or "",
        groups=rolled(
            group_plans(
                site,
                pod,
                endpoints,
                versions.lock,
                registry=(env.image and env.image.registry) or "",
                inbox=versions.lock["ofed"] == "inbox",
            ),
            site.rolling,
            needed_machines(env, site),
        ),
        agent_port=AGENT_PORT,
        fabric=fabric_plan(env, site),
        acceptance=acceptance_plan(site, versions.lock),
        maintenance=_maintenance(env, site, endpoints),
    )


def _maintenance(env: Environment, site: Site, endpoints: Endpoints | None) -> MaintenancePlan | None:
    given, cluster = site.maintenance, site_cluster_plan(env, endpoints)
    if given is None:
        return None
    return MaintenancePlan(
        days=given.days,
        start=given.start,
        hours=given.hours,
        time_zone=given.time_zone,
        drain_limit_s=given.drain_limit_s,
        return_limit_s=given.return_limit_s,
        kubeconfig=cluster.kubeconfig if cluster else "",
    )


def cloud_plan(env: Environment, cloud: Cloud, versions: VersionsPlan, endpoints: Endpoints | None) -> CloudPlan:
    """Zones that the VPC has no room for are left out here; a check names them."""
    pod, weights = standby_pod(env), weights_plan(env)
    subnets = ((zone, zone_subnet(cloud.cidr, zone)) for zone in cloud.zones)
    return CloudPlan(
        environment=env.name,
        region=cloud.region,
        cidr=str(cloud.cidr),
        subnets=tuple(
            SubnetPlan(zone=cloud.region + zone, cidr=str(subnet), zone_id=cloud.zone_ids.get(zone))
            for zone, subnet in subnets
            if subnet
        ),
        kubernetes_version=cloud.kubernetes_version,
        node_groups=tuple(_node_group(cloud, name, pod, versions) for name in sorted(cloud.node_groups)),
        endpoint_url=endpoints.aws.endpoint_url if endpoints and endpoints.aws else None,
        api_from=None if cloud.api_from is None else tuple(map(str, cloud.api_from)),
        pod_addresses=cloud.pod_addresses,
        private_services=private_services(cloud),
        vpn=_vpn(env, cloud),
        flow_logs_days=cloud.flow_logs_days,
        own_key=cloud.own_key,
        pod_identity=cloud.pod_identity,
        jobs=pod_jobs(env, cloud),
        volumes=weights.kind if weights else None,
        own_buckets=own_buckets(env),
    )


def _vpn(env: Environment, cloud: Cloud) -> VpnPlan | None:
    given = cloud.vpn
    if given is None:
        return None
    line = given.direct_connect
    direct = (
        DirectConnectPlan(
            connection_id=line.connection_id,
            vlan=line.vlan,
            site_asn=given.asn,
            gateway_asn=line.gateway_asn,
            mtu=line.mtu,
            cidr=str(cloud.cidr),
            bgp_key=line.bgp_key,
        )
        if line
        else None
    )
    return VpnPlan(
        direct=direct,
        site_address=str(given.address),
        site_asn=given.asn,
        cloud_asn=given.cloud_asn,
        site_cidr=str(env.site.cidr) if env.site else None,
    )


def _node_group(cloud: Cloud, name: str, pod: PodShape | None, versions: VersionsPlan) -> NodeGroupPlan:
    group = cloud.node_groups[name]
    row, shape = INSTANCES.get(group.instance_type), SHAPES.get(group.instance_type)
    placement, efa = placement_of(group), efa_interfaces(group)
    return NodeGroupPlan(
        name=name,
        instance_type=group.instance_type,
        accelerator=row.accelerator if row else "",
        gpus=row.gpus if row else 0,
        efa_interfaces=efa,
        min_nodes=group.min_nodes,
        max_nodes=group.max_nodes,
        desired_nodes=asked_nodes(group),
        capacity=group.capacity,
        capacity_reservation_id=group.reservation.id if group.reservation else None,
        zones=tuple(cloud.region + zone for zone in zones_of(cloud, group)),
        placement=placement,
        placement_group=group.reservation.placement_group if group.reservation and placement == "existing" else None,
        interfaces=interface_layout(shape, efa),
        architecture=shape.architecture if shape else "x86_64",
        vcpus=shape.vcpus if shape else 0,
        kubelet=kubelet_plan(group.instance_type, pod),
        instance_store=bool(shape and shape.instance_store_gb),
        image_release=versions.lock.get("eks_image"),
    )


def storage_plan(env: Environment) -> StoragePlan | None:
    given = env.storage
    if given is None:
        return None
    backups = given.backups
    return StoragePlan(
        environment=env.name,
        region=env.cloud.region if env.cloud else "",
        bucket=given.bucket,
        expire_noncurrent_days=given.expire_noncurrent_days,
        logs_days=given.logs_days,
        own_key=given.own_key,
        backups=BackupPlan(bucket=backups.bucket, retain_days=backups.retain_days, mode=backups.mode)
        if backups
        else None,
        lustre=_lustre(env.cloud, given.lustre) if env.cloud and given.lustre else None,
        shared=SharedPlan(throughput=given.shared.throughput, idle_days=given.shared.idle_days)
        if given.shared
        else None,
        confined=env.sovereignty is not None,
        may_replicate=may_leave(env, "weights"),
    )


def _lustre(cloud: Cloud, given: Lustre) -> LustrePlan:
    return LustrePlan(
        size_gib=given.size_gib,
        mb_s_per_tib=given.mb_s_per_tib,
        zone=cloud.region + (given.zone or cloud.zones[0]),
        folder=given.folder.strip("/"),
    )


def replication_plan(env: Environment) -> ReplicationPlan | None:
    given = env.replication
    if given is None or given.time_control:
        return None
    alarm = given.alarm
    return ReplicationPlan(
        environment=env.name,
        source=given.source,
        server=given.server,
        path=given.path,
        user=given.user,
        password=given.password,
        bucket=given.bucket,
        port=given.port,
        destination=given.destination,
        failback=given.failback,
        schedule=given.schedule,
        agent_arns=given.agent_arns,
        agents=tuple(
            AgentPlan(name=name, activation_key=agent.activation_key) for name, agent in sorted(given.agents.items())
        ),
        private=bool(env.cloud and env.cloud.datasync_endpoint),
        bandwidth_mib_s=given.bandwidth_mib_s,
        limits=tuple(
            LimitPlan(from_hour=limit.from_hour, mib_s=limit.mib_s)
            for limit in sorted(given.limits, key=lambda limit: limit.from_hour)
        ),
        include=given.include,
        exclude=given.exclude,
        verify=given.verify,
        report=given.report,
        alarm=alarm and AlarmPlan(lag_hours=lag_hours(env, alarm), topic_arn=alarm.topic_arn),
        reader=lag_reader(env),
    )


def time_control_plan(env: Environment, endpoints: Endpoints | None) -> TimeControlPlan | None:
    """Somebody is told when the newest copy is older than the RPO, and without a standby than S3 promises."""
    given = env.replication
    if given is None or given.time_control is None:
        return None
    control = given.time_control
    return TimeControlPlan(
        environment=env.name,
        region=env.cloud.region if env.cloud else "",
        source_bucket=given.server,
        source_region=control.region,
        prefix=f"{given.path.strip('/')}/".lstrip("/"),
        source_key_arn=control.key_arn,
        events_topic_arn=control.events_topic_arn,
        alarm_topic_arn=given.alarm.topic_arn if given.alarm else None,
        lag_s=max(strictest_rpo_s(env, "s3-rtc") or 0, RTC_WORST_S),
        endpoint_url=endpoints.aws.endpoint_url if endpoints and endpoints.aws else None,
        reader=lag_reader(env),
    )


def lag_plan(env: Environment) -> LagPlan | None:
    """Where the age of the newest whole copy is asked for; the strictest RPO of what goes the same way."""
    given, cloud, storage = env.replication, env.cloud, env.storage
    if given is None or cloud is None or storage is None:
        return None
    control = given.time_control
    method = "s3-rtc" if control else "datasync"
    dimensions = {"SourceBucket": given.server, "DestinationBucket": storage.bucket, "RuleId": REPLICATION_RULE}
    return LagPlan(
        environment=env.name,
        method=method,
        region=control.region if control else cloud.region,
        task="" if control else f"{env.name}-{REPLICATION_TASK}",
        dimensions=dimensions if control else {},
        rpo_s=strictest_rpo_s(env, method),
    )


def image_plan(env: Environment, endpoints: Endpoints | None) -> ImagePlan | None:
    """A registry on loopback is the sandbox's and speaks plain HTTP."""
    image = env.image
    if image is None:
        return None
    local = endpoints.registry if endpoints else None
    placeholder = f"{LOOPBACK}:5000" if env.sandbox else ""
    registry = image.registry or local or placeholder
    return ImagePlan(
        registry=registry,
        repository=image.repository,
        profile=image.profile,
        base=image.base or (endpoints.base_image if endpoints else None) or "",
        digest=image.digest,
        insecure=registry.partition(":")[0] in (LOOPBACK, "localhost"),
    )


def site_cluster_plan(env: Environment, endpoints: Endpoints | None) -> ClusterPlan | None:
    if env.cluster is None:
        return None
    real = _cluster_endpoint(endpoints, "site")
    return ClusterPlan(
        name="site",
        kubeconfig=env.cluster.kubeconfig or (real.kubeconfig if real else ""),
        namespace=env.cluster.namespace,
        priority_classes=PRIORITY_CLASSES,
        queue=SITE_QUEUE,
        queue_weight=env.cluster.queue_weight,
    )


def cloud_cluster_plan(env: Environment, endpoints: Endpoints | None) -> ClusterPlan:
    """The cloud's cluster as the standby uses it: no Volcano there, so no queue."""
    real = _cluster_endpoint(endpoints, "cloud")
    given = env.cloud.kubeconfig if env.cloud else None
    return ClusterPlan(
        name="cloud",
        kubeconfig=given or (real.kubeconfig if real else ""),
        namespace=env.cluster.namespace if env.cluster else "fullbore",
        priority_classes=PRIORITY_CLASSES,
        queue="",
        queue_weight=0,
    )


def gateway_plan(env: Environment, endpoints: Endpoints | None) -> GatewayPlan | None:
    if env.gateway is None:
        return None
    real = endpoints.gateway if endpoints else None
    cluster = _cluster_endpoint(endpoints, "site")
    return GatewayPlan(
        address=env.gateway.address or (real.address if real else LOOPBACK),
        port=env.gateway.port or (real.port if real else GATEWAY_PORT),
        timeout_s=env.gateway.timeout_s,
        host_suffix=cluster.host_suffix if cluster else SERVICE_SUFFIX,
        image=env.gateway.image,
    )


def monitoring_plan(env: Environment, site: SitePlan | None, endpoints: Endpoints | None) -> MonitoringPlan | None:
    """Prometheus scrapes the agent of every host of the site."""
    given = env.monitoring
    if given is None:
        return None
    hosts = [(group, host) for group in site.groups for host in group.hosts] if site else []
    prometheus = endpoints.prometheus if endpoints else None
    alertmanager = endpoints.alertmanager if endpoints else None
    cluster = _cluster_endpoint(endpoints, "site")
    return MonitoringPlan(
        retention_days=given.retention_days,
        scrape_interval_s=given.scrape_interval_s,
        agent_down_for_s=given.agent_down_for_s,
        webhook_url=given.webhook_url,
        targets=tuple(
            ScrapeTarget(host=host.name, rack=group.rack, group=group.name, address=host.address, port=AGENT_PORT)
            for group, host in hosts
        ),
        prometheus_port=prometheus.port if prometheus else PROMETHEUS_PORT,
        alertmanager_port=alertmanager.port if alertmanager else ALERTMANAGER_PORT,
        host_suffix=cluster.host_suffix if cluster else SERVICE_SUFFIX,
        lag=lag_plan(env) if given.lag else None,
        lag_image=given.lag.image if given.lag else "",
        lag_exporter=given.lag_exporter,
        prometheus_image=given.prometheus_image,
        alertmanager_image=given.alertmanager_image,
    )


def standby_plan(env: Environment, versions: VersionsPlan, endpoints: Endpoints | None) -> StandbyPlan | None:
    standby, serving = env.standby, standby_pool(env, versions)
    if standby is None or serving is None:
        return None
    return StandbyPlan(
        cluster=cloud_cluster_plan(env, endpoints),
        serving=serving,
        rpo_s=standby.rpo_s,
        rto_s=standby.rto_s,
        volume=f"{env.name}-weights",
    )


def _cluster_endpoint(endpoints: Endpoints | None, name: str) -> ClusterEndpoint | None:
    return endpoints.clusters.get(name) if endpoints else None
