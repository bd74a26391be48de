"""What an explanation tells of the way to the cloud, of where weights lie there, and of how they come there. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from fullbore.catalog.replication import RTC_MOST_GBPS, RTC_WORST_S
from fullbore.config.models import Environment
from fullbore.plan.model import LustrePlan, Plan, ReplicationPlan, SharedPlan, StoragePlan, TimeControlPlan, VpnPlan
from fullbore.report.section import Row, Section, fact

OWN_KEY = "a key of the environment's own, which stays when the environment is destroyed"
_VERIFIES = {
    "transferred": "what was copied is read again and compared",
    "all": "everything is read again and compared, copied or not",
    "none": "nothing is read again",
}
_THROUGHPUT = {
    "elastic": "as much as is asked for, paid by what moves",
    "bursting": "as much as what is stored earns",
}
_BACKUP_MODES = {
    "governance": "in governance mode: who may bypass it can still remove a version",
    "compliance": "in compliance mode: nobody can remove a version",
}


def ways_section(env: Environment, plan: Plan) -> Section:
    """The ways between site and VPC, the one that is used first above the other."""
    vpn = plan.cloud.vpn if plan.cloud else None
    if plan.cloud is None or vpn is None:
        return Section(title="", rows=())
    reached = f"{vpn.site_cidr} reaches the VPC's private endpoints; " if vpn.site_cidr else ""
    note = f"{reached}the site learns {plan.cloud.cidr} by BGP"
    return Section(title="ways between site and cloud", rows=tuple(_ways(vpn)), note=note)


def _ways(vpn: VpnPlan) -> Iterator[Row]:
    line = vpn.direct
    if line:
        yield {
            "way": "Direct Connect",
            "from": line.connection_id,
            "used": "first",
            "ASN of the site": f"{line.site_asn}",
            "ASN of the cloud": f"{line.gateway_asn}",
            "VLAN": f"{line.vlan}",
            "largest packet (bytes)": line.mtu,
            "BGP key": "given" if line.bgp_key else "made by AWS",
        }
    yield {
        "way": "VPN",
        "from": vpn.site_address,
        "used": "where the line fails" if line else "always",
        "ASN of the site": f"{vpn.site_asn}",
        "ASN of the cloud": f"{vpn.cloud_asn}",
        "VLAN": "",
        "largest packet (bytes)": "",
        "BGP key": "",
    }


def storage_section(env: Environment, plan: Plan) -> Section:
    rows = tuple(_storage(plan.storage)) if plan.storage else ()
    return Section(title="cloud storage", rows=rows)


def _storage(plan: StoragePlan) -> Iterator[Row]:
    reached = ["the environment's own account alone reaches it"] if plan.confined else []
    stays = [] if plan.may_replicate else ["it may be copied to no other region"]
    yield fact("bucket of the weights", plan.bucket, "; ".join((*reached, *stays)))
    yield fact("replaced versions are kept (days)", plan.expire_noncurrent_days, "of each object of the bucket")
    yield fact("logs/ is kept (days)", plan.logs_days or "for good", "of the same bucket")
    yield fact("encryption", "own key" if plan.own_key else "the account's key", OWN_KEY if plan.own_key else "for S3")
    if plan.backups:
        yield fact("bucket of backups", plan.backups.bucket, _BACKUP_MODES[plan.backups.mode])
        yield fact("a backup is locked (days)", plan.backups.retain_days, "by S3 Object Lock, from its writing on")
    if plan.lustre:
        yield from _lustre(plan.lustre)
    if plan.shared:
        yield from _shared(plan.shared)


def _lustre(plan: LustrePlan) -> Iterator[Row]:
    rate = round(plan.size_gib / 1024 * plan.mb_s_per_tib)
    yield fact("FSx for Lustre (GiB)", plan.size_gib, f"in zone {plan.zone}, where its readers should be, too")
    yield fact("it is read at (MB/s)", rate, f"{plan.mb_s_per_tib:,} MB/s for each TiB of its size")
    yield fact("it shows", f"{plan.folder}/", "of the bucket of the weights; a file is loaded when it is first read")


def _shared(plan: SharedPlan) -> Iterator[Row]:
    yield fact("EFS", plan.throughput, _THROUGHPUT[plan.throughput])
    note = "after somebody read them last" if plan.idle_days else ""
    yield fact("files move to cheaper storage after (days)", plan.idle_days or "never", note)


def replication_section(env: Environment, plan: Plan) -> Section:
    rows = tuple(_replication(plan)) if plan.storage else ()
    return Section(title="replication of the weights", rows=rows)


def _replication(plan: Plan) -> Iterator[Row]:
    if plan.replication:
        yield from _datasync(plan.replication, plan)
    if plan.time_control:
        yield from _time_control(plan.time_control, plan)


def _datasync(copy: ReplicationPlan, plan: Plan) -> Iterator[Row]:
    bucket = plan.storage.bucket if plan.storage else ""
    targets = {
        "bucket": (bucket, "the bucket of the weights"),
        "lustre": ("FSx for Lustre", "storage.lustre, from where nothing goes to the bucket"),
        "shared": ("EFS", "storage.shared"),
    }
    yield fact("copied by", "AWS DataSync", "what is gone at the site stays in the cloud")
    yield fact("from", _source(copy), f"kind of store: {copy.source}")
    yield fact("to", *targets[copy.destination])
    yield from _agents(copy)
    yield fact("runs", copy.schedule, "hours of a cron are UTC")
    yield from _limits(copy)
    if copy.include:
        yield fact("copies only", ", ".join(copy.include), "of replication.include")
    if copy.exclude:
        yield fact("leaves out", ", ".join(copy.exclude), "of replication.exclude")
    yield from _told_of_runs(copy)
    yield fact("way back", "a task" if copy.failback else "none", "that somebody starts" if copy.failback else "")


def _agents(copy: ReplicationPlan) -> Iterator[Row]:
    """None is needed where the source is in the cloud itself."""
    count, new = len(copy.agent_arns) + len(copy.agents), len(copy.agents)
    way = "an endpoint of the VPC" if copy.private else "the internet"
    if count:
        activated = f", {new} of them activated by this stack" if new else ""
        yield fact("agents", count, f"reach DataSync by {way}{activated}")


def _told_of_runs(copy: ReplicationPlan) -> Iterator[Row]:
    yield fact("verifies", copy.verify, _VERIFIES[copy.verify])
    below = "below logs/ of the bucket" if copy.report else ""
    yield fact("report of each file", "yes" if copy.report else "no", below)
    alarm = copy.alarm
    told = _told(alarm.topic_arn) if alarm else "nobody is told of a run that fails or is missing"
    yield fact("alarm after no good run for (h)", alarm.lag_hours if alarm else "none", told)


def _source(copy: ReplicationPlan) -> str:
    where = f"{copy.server}:{copy.port}" if copy.port else copy.server
    return f"{where}{f' bucket {copy.bucket}' if copy.bucket else ''} {copy.path}"


def _limits(copy: ReplicationPlan) -> Iterator[Row]:
    """What a run may take of the link, by the hour that it begins at."""
    if not copy.limits:
        yield fact("may take of the link (MiB/s)", copy.bandwidth_mib_s or "all", "at any hour")
    for limit in copy.limits:
        begins = f"may take of the link from {limit.from_hour:02}:00 on (MiB/s)"
        yield fact(begins, limit.mib_s or "all", "UTC; a run keeps the limit that it began with")


def _told(topic_arn: str | None) -> str:
    return f"tells {topic_arn}" if topic_arn else "shows in CloudWatch only"


def _time_control(copy: TimeControlPlan, plan: Plan) -> Iterator[Row]:
    bucket = plan.storage.bucket if plan.storage else ""
    yield fact("copied by", "S3", "Replication Time Control")
    yield fact("from", copy.source_bucket, f"in {copy.source_region}; {copy.prefix or 'every object'}")
    yield fact("to", bucket, f"the bucket of the weights, in {copy.region}")
    yield fact(
        "a new object is there within (s)",
        RTC_WORST_S,
        f"what S3 promises for 99.99 % of them, up to {RTC_MOST_GBPS:g} Gbit/s",
    )
    key = copy.source_key_arn
    yield fact("key of the source's objects", "given" if key else "not the account's own", key or "")
    events = copy.events_topic_arn
    yield fact("objects that fail or come late", "are told" if events else "not told", events or "")
    yield fact("alarm when behind by (s)", copy.lag_s, _told(copy.alarm_topic_arn))
