"""Rules about settings of one kind of fabric that are given for another, and about switches that are not known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from fullbore.catalog.switches import SWITCHES
from fullbore.config.fabric import Qos, Runtimes, Traffic
from fullbore.plan.change import put, remove
from fullbore.plan.checks.base import Finding, Rule, Subject
from fullbore.plan.checks.fabric.roce import queues_of


def _roce_only(subject: Subject) -> Iterable[Finding]:
    site = subject.env.site
    if site is None or site.fabric == "roce":
        return
    for field, nothing in (("qos", Qos()), ("switch", None), ("gid_index", None)):
        if getattr(site, field) != nothing:
            message = f"is for a RoCE fabric, but site.fabric is {site.fabric}; remove it or correct site.fabric"
            yield Finding(f"site.{field}", message, (remove(f"site.{field}"),))
    for path, value in _traffic_classes(site.runtimes):
        if value is not None:
            message = f"got {value}, but packets carry a traffic class on a RoCE fabric only, and it is {site.fabric}"
            yield Finding(path, f"{message}; remove it or correct site.fabric", (remove(path),))


def _traffic_classes(runtimes: Runtimes) -> Iterator[tuple[str, int | None]]:
    for name in ("nccl", "ucx", "nvshmem", "mooncake"):
        traffic: Traffic | None = getattr(runtimes, name)
        yield f"site.runtimes.{name}.traffic_class", traffic.traffic_class if traffic else None
    yield "site.runtimes.nccl.control_traffic_class", runtimes.nccl.control_traffic_class


def _rdma_only(subject: Subject) -> Iterable[Finding]:
    """Queue pairs of verbs, which neither EFA nor TCP nor NVLink has."""
    site = subject.env.site
    if site is None or site.fabric in ("roce", "infiniband"):
        return
    message = f"is for RoCE and InfiniBand, but site.fabric is {site.fabric}; remove it or correct site.fabric"
    nvshmem = site.runtimes.nvshmem
    given = {
        "nccl.qps_per_connection": site.runtimes.nccl.qps_per_connection is not None,
        "nvshmem.transport": nvshmem is not None and "transport" in nvshmem.model_fields_set,
    }
    for field in (field for field, is_given in given.items() if is_given):
        yield Finding(f"site.runtimes.{field}", message, (remove(f"site.runtimes.{field}"),))


def _unknown_switch(subject: Subject) -> Iterable[Finding]:
    site = subject.env.site
    given = site.switch.profile if site and site.switch else None
    if given and given not in SWITCHES:
        near = get_close_matches(given, SWITCHES, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        message = f"{given[:60]} is not in the catalog; {hint}known: {', '.join(sorted(SWITCHES))}; "
        changes = (put("site.switch.profile", near[0]),) if near else ()
        yield Finding("site.switch.profile", f"{message}or say trust, pfc and ecn yourself", changes)


def _described(subject: Subject) -> Iterable[Finding]:
    for site, hosts, switch in queues_of(subject):
        used = any(group.hcas for group in site.groups.values())
        if switch is None and used and hosts.pfc and not subject.env.sandbox:
            message = "switches are not described, and are taken to trust, map, pause and mark as the hosts do"
            yield Finding("site.switch", f"{message}; name a profile, or say what its ports hold")


RULES = (
    Rule(
        id="roce-only-setting",
        severity="error",
        summary="a setting of a RoCE fabric is given for another",
        find=_roce_only,
    ),
    Rule(
        id="rdma-only-setting",
        severity="error",
        summary="a setting of verbs on a fabric without them",
        find=_rdma_only,
    ),
    Rule(
        id="switch-profile-unknown",
        severity="error",
        summary="the catalog has no such switch profile",
        find=_unknown_switch,
    ),
    Rule(
        id="switch-undescribed",
        severity="info",
        summary="nothing says what the switches of a lossless fabric do",
        find=_described,
    ),
)
