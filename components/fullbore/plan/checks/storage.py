"""Rules about what keeps data in the cloud: buckets and file systems."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

from fullbore.plan.change import put
from fullbore.plan.checks.base import Finding, Rule, Subject
from fullbore.plan.recovery import copied_data, size_gib


def _same_bucket(subject: Subject) -> Iterable[Finding]:
    """Object Lock would hold weights that are replaced every day, too."""
    storage = subject.env.storage
    if storage and storage.backups and storage.backups.bucket == storage.bucket:
        message = f"got {storage.bucket}, which holds the weights; backups need another bucket, whose lock would hold"
        yield Finding("storage.backups.bucket", f"{message} every version of a weight; name another")


LUSTRE_LEAST_GIB, LUSTRE_STEP_GIB = 1200, 2400
"""Sizes on SSD: the least, or a multiple (FSx API reference, CreateFileSystem, StorageCapacity)."""
LUSTRE_PATH = "storage.lustre.size_gib"


def _lustre_size(subject: Subject) -> Iterable[Finding]:
    lustre = subject.env.storage.lustre if subject.env.storage else None
    if lustre and lustre.size_gib != LUSTRE_LEAST_GIB and lustre.size_gib % LUSTRE_STEP_GIB:
        larger = _lustre_for(max(lustre.size_gib, _written_gib(subject)))
        message = f"got {lustre.size_gib}, allowed {LUSTRE_LEAST_GIB} or a multiple of {LUSTRE_STEP_GIB}; the next is"
        yield Finding(LUSTRE_PATH, f"{message} {larger}", (put(LUSTRE_PATH, larger),))


def _lustre_full(subject: Subject) -> Iterable[Finding]:
    """The first run copies all of it."""
    lustre = subject.env.storage.lustre if subject.env.storage else None
    written = _written_gib(subject)
    if lustre and written > lustre.size_gib:
        step = put(LUSTRE_PATH, _lustre_for(written))
        message = f"got {lustre.size_gib}, but DataSync copies {written:.1f} GiB there; {step}, or copy to the bucket"
        yield Finding(LUSTRE_PATH, message, (step,))


def _written_gib(subject: Subject) -> float:
    """What DataSync keeps in the file system, GiB; 0 where it writes elsewhere."""
    env = subject.env
    if env.replication is None or env.replication.destination != "lustre" or env.replication.time_control:
        return 0.0
    copied = ((name, data) for name, data in copied_data(env).items() if data.method == "datasync")
    return sum(size_gib(env, name, data) or 0.0 for name, data in copied)


def _lustre_for(gib: float) -> int:
    """The smallest size that holds so much, GiB."""
    return LUSTRE_LEAST_GIB if gib <= LUSTRE_LEAST_GIB else ceil(gib / LUSTRE_STEP_GIB) * LUSTRE_STEP_GIB


def _lustre_zone(subject: Subject) -> Iterable[Finding]:
    cloud, storage = subject.env.cloud, subject.env.storage
    zone = storage.lustre.zone if storage and storage.lustre else None
    if cloud and zone and zone not in cloud.zones:
        message = f"got {zone}, but cloud.zones has no subnet there (it has {', '.join(cloud.zones)}); choose one"
        yield Finding("storage.lustre.zone", message, (put("storage.lustre.zone", cloud.zones[0]),))


RULES = (
    Rule(id="lustre-size", severity="error", summary="FSx for Lustre has no such size", find=_lustre_size),
    Rule(
        id="lustre-full",
        severity="error",
        summary="DataSync copies more to FSx for Lustre than it holds",
        find=_lustre_full,
    ),
    Rule(
        id="lustre-zone",
        severity="error",
        summary="FSx for Lustre is to stand where the VPC has no subnet",
        find=_lustre_zone,
    ),
    Rule(id="backups-bucket", severity="error", summary="backups are kept among the weights", find=_same_bucket),
)
