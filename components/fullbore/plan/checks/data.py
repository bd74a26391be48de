"""Rules about where data is kept and what a copy of it may take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from fullbore.plan.change import Change
from fullbore.plan.checks.base import Finding, Rule, Subject


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
        change = Change(path=("replication", "bandwidth_mib_s"), value=None)
        yield Finding("replication.bandwidth_mib_s", message, (change,))


def _same_bucket(subject: Subject) -> Iterable[Finding]:
    """Object Lock would hold weights that are replaced every day, too."""
    storage = subject.env.storage
    if storage and storage.backups and storage.backups.bucket == storage.bucket:
        message = f"got {storage.bucket}, which holds the weights; backups need another bucket, whose lock would hold"
        yield Finding("storage.backups.bucket", f"{message} every version of a weight; name another")


RULES = (
    Rule(
        id="replication-limits",
        severity="error",
        summary="limits of replication contradict each other",
        find=_limits,
    ),
    Rule(id="backups-bucket", severity="error", summary="backups are kept among the weights", find=_same_bucket),
)
