"""Rules about how data gets to the cloud: the way there, what copies it, and who is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from fullbore.config.models import Alarm, Replication
from fullbore.plan.change import put, remove
from fullbore.plan.checks.base import Finding, Rule, Subject, counted
from fullbore.plan.recovery import datasync_gap_s, lag_hours, strictest_rpo_s
from fullbore.plan.schedule import HOUR_S


def _limits(subject: Subject) -> Iterable[Finding]:
    """DataSync keeps one limit: at each hour it is one limit's turn."""
    given = subject.env.replication
    if given is None:
        return
    for hour, times in Counter(limit.from_hour for limit in given.limits).items():
        if times > 1:
            yield Finding(
                "replication.limits", f"hour {hour} begins {times} limits, but only one is allowed; remove one"
            )
    if given.limits and given.bandwidth_mib_s is not None:
        message = f"got {given.bandwidth_mib_s}, but limits say what a copy may take at each hour; remove one of them"
        change = remove("replication.bandwidth_mib_s")
        yield Finding("replication.bandwidth_mib_s", message, (change,))


OF_SOURCE = {
    "smb": ("user", "password", "agent_arns", "agents"),
    "nfs": ("agent_arns", "agents"),
    "s3": (),
    "object-store": ("port", "bucket", "user", "password", "agent_arns", "agents"),
    "hdfs": ("port", "user", "agent_arns", "agents"),
}
"""What tells of the store where it is of a kind, beside server and path (DataSync API reference, CreateLocation...)."""


def _unused(subject: Subject) -> Iterable[Finding]:
    given = subject.env.replication
    if given is None:
        return
    told = DATASYNC_ALONE if given.time_control else ()
    for field in ("port", "bucket", "user", "password", "agent_arns", "agents"):
        if getattr(given, field) and field not in (*OF_SOURCE[given.source], *told):
            message = f"given, but a source of kind {given.source} has no place for it; remove it"
            yield Finding(f"replication.{field}", message, (remove(f"replication.{field}"),))


DATASYNC_ALONE = (
    *("schedule", "verify", "limits", "bandwidth_mib_s", "include", "exclude", "report", "failback", "agent_arns"),
    *("agents", "destination"),
)
"""What S3's own replication has no place for."""


def _time_control(subject: Subject) -> Iterable[Finding]:
    given, storage, cloud = subject.env.replication, subject.env.storage, subject.env.cloud
    control = given.time_control if given else None
    if given is None or control is None:
        return
    without = (remove("replication.time_control"),)
    if given.source != "s3":
        message = f"given, but replication.source is {given.source}, and S3 copies from S3 to S3; remove it"
        yield Finding("replication.time_control", message, without)
        return  # without it, what else is given is right
    if cloud and control.region == cloud.region:
        message = (
            f"got {control.region}, which is the cloud's own; name the region of the source, or remove it: what is"
        )
        yield Finding("replication.time_control.region", f"{message} lost with the region is lost twice", without)
    # S3 user guide, "Specifying server-side encryption with AWS KMS": keys of the bucket's own region alone.
    if control.key_arn and control.key_arn.split(":")[3] != control.region:
        message = f"got a key of {control.key_arn.split(':')[3]}, but objects in {control.region} have keys of there"
        yield Finding("replication.time_control.key_arn", f"{message}; name the source's key, or leave it out")
    if storage and not storage.own_key:
        message = "got false, but copies of encrypted objects need a key that their role is let use; allowed true"
        yield Finding("storage.own_key", message, (put("storage.own_key", True),))
    late = {"alarm.lag_hours": given.alarm.lag_hours if given.alarm else None}
    alone = {name: value for name, value in given if name in DATASYNC_ALONE and value != _by_default(name)}
    for field in (name for name, value in {**alone, **late}.items() if value is not None):
        message = "given, but S3 copies in place of DataSync, which this belongs to; remove it"
        yield Finding(f"replication.{field}", message, (remove(f"replication.{field}"),))


def _by_default(field: str) -> object:
    return Replication.model_fields[field].default


def _destination(subject: Subject) -> Iterable[Finding]:
    given, storage = subject.env.replication, subject.env.storage
    if given and storage and given.destination != "bucket" and getattr(storage, given.destination) is None:
        message = f"got {given.destination}, but storage.{given.destination} is missing; declare it, or choose bucket"
        yield Finding("replication.destination", message, (put("replication.destination", "bucket"),))


def _topics(subject: Subject) -> Iterable[Finding]:
    """Alarms and buckets tell topics of their own region (CloudWatch user guide, "Using Amazon CloudWatch alarms";
    S3 user guide, "Supported event destinations")."""
    given, cloud = subject.env.replication, subject.env.cloud
    if given is None or cloud is None:
        return
    control = given.time_control if given.source == "s3" else None
    region = control.region if control else cloud.region
    named = {"replication.alarm.topic_arn": given.alarm.topic_arn if given.alarm else None}
    if control:
        named["replication.time_control.events_topic_arn"] = control.events_topic_arn
    for path, arn in named.items():
        if arn and arn.split(":")[3] != region:
            yield Finding(
                path, f"got a topic of {arn.split(':')[3]}, but what tells it is in {region}; name one of there"
            )


def _alarm_lag(subject: Subject) -> Iterable[Finding]:
    env, given = subject.env, subject.env.replication
    gap_h = datasync_gap_s(env) / HOUR_S
    if given is None or given.alarm is None or given.time_control or not gap_h:
        return
    path = "replication.alarm" if given.alarm.lag_hours is None else "replication.alarm.lag_hours"
    told, best, rpo_s = lag_hours(env, given.alarm), lag_hours(env, Alarm()), strictest_rpo_s(env, "datasync")
    steps = (remove(path),) if best > gap_h else ()
    how = (
        f"without it, it tells after {best}; remove it" if steps else "run more often: CloudWatch looks back no further"
    )
    if told <= gap_h:
        message = (
            f"tells after {counted(told, 'hour')}, but runs are up to {gap_h:g} hours apart: it tells while all is well"
        )
        yield Finding(path, f"{message}; {how}", steps)
    elif rpo_s and told > best:
        message = f"tells after {counted(told, 'hour')}, but the RPO is {rpo_s} s: that is broken before"
        yield Finding(path, f"{message}; {how}", steps)


def _onto_itself(subject: Subject) -> Iterable[Finding]:
    given, storage = subject.env.replication, subject.env.storage
    if given and storage and given.source == "s3" and given.destination == "bucket" and given.server == storage.bucket:
        message = f"got {given.server}, which is storage.bucket, that the copies go to; name the bucket of the source"
        yield Finding("replication.server", message)


def _agent_region(subject: Subject) -> Iterable[Finding]:
    """Agents are activated where the target's locations are, and in one region only (DataSync API reference,
    CreateAgent; https://docs.aws.amazon.com/datasync/latest/userguide/activate-agent.html)."""
    given, cloud = subject.env.replication, subject.env.cloud
    for index, arn in enumerate(given.agent_arns if given else ()):
        region = arn.split(":")[3]
        if cloud and region != cloud.region:
            message = f"got an agent of {region}, but tasks run in {cloud.region} with agents that were activated there"
            yield Finding(f"replication.agent_arns[{index}]", f"{message}; activate it there, or name another")


PRIVATE_ASNS = (range(64_512, 65_535), range(4_200_000_000, 4_294_967_295))
"""What AWS takes for its own side: private numbers of 16 and of 32 bits (EC2 API reference, CreateVpnGateway)."""


def _asns(subject: Subject) -> Iterable[Finding]:
    """BGP between two systems of one number is internal, and a route comes back to where it began (RFC 4271)."""
    vpn = subject.env.cloud.vpn if subject.env.cloud else None
    if vpn is None:
        return
    free = next(number for number in PRIVATE_ASNS[0] if number != vpn.asn)
    change = put("cloud.vpn.cloud_asn", free)
    if vpn.asn == vpn.cloud_asn:
        message = f"got {vpn.asn}, which is the cloud's, too; choose another for one of them"
        yield Finding("cloud.vpn.asn", message, (change,))
    if not any(vpn.cloud_asn in numbers for numbers in PRIVATE_ASNS):
        allowed = " or ".join(f"{numbers.start} to {numbers.stop - 1}" for numbers in PRIVATE_ASNS)
        message = f"got {vpn.cloud_asn}, but AWS allows its side {allowed}; choose a private number"
        yield Finding("cloud.vpn.cloud_asn", message, (change,))
    line = vpn.direct_connect
    path = "cloud.vpn.direct_connect.gateway_asn"
    other = put(path, next(number for number in PRIVATE_ASNS[0] if number not in (vpn.asn, vpn.cloud_asn)))
    if line and line.gateway_asn == vpn.asn:
        yield Finding(path, f"got {line.gateway_asn}, which is the site's, too; choose another", (other,))
    elif line and not any(line.gateway_asn in numbers for numbers in PRIVATE_ASNS):
        yield Finding(path, f"got {line.gateway_asn}, which is no private number; choose one", (other,))


_UNROUTED = ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
UNROUTED = tuple(map(IPv4Network, _UNROUTED))
"""No router of the internet forwards to these (RFC 1918, 6598, 1122, 3927)."""


def _vpn_address(subject: Subject) -> Iterable[Finding]:
    vpn = subject.env.cloud.vpn if subject.env.cloud else None
    if vpn and any(IPv4Address(str(vpn.address)) in network for network in UNROUTED):
        message = f"got {vpn.address}, which the internet does not route; give the public address of the site's gateway"
        yield Finding("cloud.vpn.address", message)


def _no_way(subject: Subject) -> Iterable[Finding]:
    """A warning, for a line or a transit gateway may have been made elsewhere."""
    env = subject.env
    if env.sandbox or env.site is None or env.cloud is None or env.cloud.vpn:
        return
    hint = "add cloud.vpn, unless another way into the VPC is there"
    agents = env.replication and (env.replication.agent_arns or env.replication.agents)
    if env.cloud.datasync_endpoint and agents:
        yield Finding(
            "cloud.datasync_endpoint", f"agents at the site reach this endpoint through the VPC alone; {hint}"
        )
    elsewhere = env.recovery is not None and env.recovery.gateway == "elsewhere"
    if env.standby and env.gateway and not elsewhere:
        message = "the standby's load balancer is internal to the VPC, and the gateway at the site has no way there"
        yield Finding("standby", f"{message}; {hint}")


RULES = (
    Rule(id="vpn-address", severity="error", summary="a VPN ends at an address that is not public", find=_vpn_address),
    Rule(
        id="vpn-missing",
        severity="warning",
        summary="the site is to reach an endpoint or the standby in the VPC, and nothing here makes a way",
        find=_no_way,
    ),
    Rule(id="vpn-asn", severity="error", summary="BGP or AWS refuses the autonomous system numbers", find=_asns),
    Rule(
        id="replication-unused",
        severity="warning",
        summary="a field of replication that its kind of source has no place for",
        find=_unused,
    ),
    Rule(
        id="time-control",
        severity="error",
        summary="S3 cannot copy so with Replication Time Control",
        find=_time_control,
    ),
    Rule(
        id="replication-destination",
        severity="error",
        summary="DataSync is to write to a file system that is not declared",
        find=_destination,
    ),
    Rule(
        id="topic-region",
        severity="error",
        summary="a topic is in another region than what tells it",
        find=_topics,
    ),
    Rule(
        id="replication-limits",
        severity="error",
        summary="limits of replication contradict each other",
        find=_limits,
    ),
    Rule(
        id="replication-onto-itself",
        severity="error",
        summary="the source of replication is the bucket that it copies to",
        find=_onto_itself,
    ),
    Rule(
        id="agent-region",
        severity="error",
        summary="a DataSync agent was activated in another region",
        find=_agent_region,
    ),
    Rule(
        id="alarm-lag",
        severity="warning",
        summary="the alarm of replication tells between two runs that are on time, or only after the RPO is broken",
        find=_alarm_lag,
    ),
)
