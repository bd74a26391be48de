"""Rules about what replication and standby can promise."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address
from urllib.parse import parse_qs, urlsplit

from fullbore.config.models import Site
from fullbore.plan.checks.base import Finding, Rule, Subject
from fullbore.plan.schedule import HOUR_S, ScheduleError, longest_gap_s, shortest_gap_s


def _schedule(subject: Subject) -> Iterable[Finding]:
    given = subject.env.replication
    if given is None:
        return
    try:
        gap = shortest_gap_s(given.schedule)
    except ScheduleError as error:
        yield Finding(
            "replication.schedule", f"{error}; allowed cron(MINUTE HOUR DAY MONTH WEEKDAY YEAR) or rate(N hours)"
        )
        return
    if gap < HOUR_S:
        message = f"runs every {gap // 60} minutes, but DataSync runs at most hourly; allowed rate(1 hour) or longer"
        yield Finding("replication.schedule", message)


REPLICATION_NEEDS = {
    "smb": {"user": "the user of the share", "password": "the user's password, as a Pulumi secret"},
    "nfs": {},
    "s3": {},
}
"""Fields that a source cannot do without."""


def _source(subject: Subject) -> Iterable[Finding]:
    given = subject.env.replication
    if given is None:
        return
    for field, what in REPLICATION_NEEDS[given.source].items():
        if getattr(given, field) is None:
            yield Finding(f"replication.{field}", f"missing; a source of kind {given.source} needs {what}")
    if given.source != "s3" and not given.agent_arns:
        message = (
            f"got an empty list; a source of kind {given.source} is read by a DataSync agent at the site, add its ARN"
        )
        yield Finding("replication.agent_arns", message)


def _rpo(subject: Subject) -> Iterable[Finding]:
    standby, replication = subject.env.standby, subject.env.replication
    if standby is None or replication is None:
        return
    if standby.rpo_s < HOUR_S:
        message = (
            f"got {standby.rpo_s} s, but scheduled DataSync alone runs at most hourly; allowed {HOUR_S} or more, "
            "or add what does it: S3 Replication Time Control (15 minutes, S3 to S3), DataSync tasks started by "
            "events, or AWS Elastic Disaster Recovery (seconds)"
        )
        yield Finding("standby.rpo_s", message)
        return
    try:
        gap = longest_gap_s(replication.schedule)
    except ScheduleError:
        return
    if gap > standby.rpo_s:
        message = f"got {standby.rpo_s} s, but replication.schedule runs {gap} s apart; allowed that or more"
        yield Finding("standby.rpo_s", f"{message}, or replicate more often")


def _no_replication(subject: Subject) -> Iterable[Finding]:
    if subject.env.standby and subject.env.storage and subject.env.replication is None:
        message = "a standby is declared, but nothing copies weights to its bucket; add replication, or upload them"
        yield Finding("replication", message)


def _backend(subject: Subject) -> Iterable[Finding]:
    env = subject.env
    if env.standby is None or env.site is None or env.state_backend is None:
        return
    inside = _inside(env.site, env.state_backend)
    if inside:
        message = (
            f"{inside} is inside the site that the standby must survive; keep the state elsewhere, e.g. s3://BUCKET"
        )
        yield Finding("state_backend", message)


def _inside(site: Site, url: str) -> str:
    """The host of a backend's URL where it is one of the site's; else nothing."""
    try:
        parts = urlsplit(url)
        queries = parse_qs(parts.query).get("endpoint", [])
        endpoint = queries[0] if queries else ""
        candidates = (parts.hostname or "", urlsplit(f"//{endpoint.rpartition('//')[2]}").hostname or "")
    except ValueError:
        return ""
    names = {name for group in site.groups.values() for name in group.hosts}
    for candidate in candidates:
        if candidate.partition(".")[0] in names or f".{site.name}." in f".{candidate}.":
            return candidate
        if _is_address(candidate) and IPv4Address(candidate) in site.cidr:
            return candidate
    return ""


def _is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


RULES = (
    Rule(
        id="replication-incomplete",
        severity="error",
        summary="the source needs credentials or an agent that are not given",
        find=_source,
    ),
    Rule(
        id="schedule-invalid",
        severity="error",
        summary="DataSync cannot run on this schedule (at most hourly)",
        find=_schedule,
    ),
    Rule(id="rpo-unreachable", severity="error", summary="replication cannot meet the RPO", find=_rpo),
    Rule(
        id="standby-without-replication",
        severity="warning",
        summary="nothing copies weights to the standby",
        find=_no_replication,
    ),
    Rule(
        id="state-inside-site",
        severity="error",
        summary="the state backend is lost together with the site",
        find=_backend,
    ),
)
