"""Rules about the links between hosts: do they carry what replicas send."""

from __future__ import annotations

from collections.abc import Iterable

from fullbore.catalog.accelerators import ACCELERATORS
from fullbore.catalog.runtimes import LINE_SHARE
from fullbore.config.fabric import Load
from fullbore.config.models import Environment
from fullbore.plan.change import put, remove
from fullbore.plan.checks.base import Finding, Rule, Subject, counted
from fullbore.plan.fabric import fabric_plan, links, narrowest_group
from fullbore.plan.fabric.need import PREFILL
from fullbore.plan.fit import illegal
from fullbore.plan.pools import layout_of, model_of


def _too_slow(subject: Subject) -> Iterable[Finding]:
    site = subject.env.site
    group = narrowest_group(site) if site else None
    if site is None or group is None:
        return
    needed = fabric_plan(subject.env, site).flows
    total = sum(flow.gbps for flow in needed)
    if not needed:
        return
    if site.fabric == "nvlink":
        if group.accelerator and ACCELERATORS[group.accelerator].link_domain > group.gpus_per_host:
            return  # NVLink itself joins the hosts, and replica-spans-hosts tells of what is not served so
        message = f"{needed[0].what} needs {total:.2f} Gbit/s between hosts, but there is no network between them"
        yield Finding("site.load", f"{message}; name the fabric that joins them in site.fabric")
        return
    count = links(group)
    carried = count * site.link_gbps * LINE_SHARE
    if total > carried:
        parts = ", ".join(f"{flow.what} {flow.gbps:.2f}" for flow in needed)
        rate = total / count / LINE_SHARE
        message = (
            f"got {site.link_gbps:g}, and {counted(count, 'link')} at {LINE_SHARE:.0%} of it carry {carried:.2f} "
            f"Gbit/s, but a host sends {total:.2f} ({parts}); take {_up(rate)} or more, more links, or less load"
        )
        yield Finding("site.link_gbps", message, (put("site.link_gbps", int(_up(rate))),))


def _load_unused(subject: Subject) -> Iterable[Finding]:
    """Rates of traffic that no replica sends between hosts."""
    site = subject.env.site
    if site is None or site.load == Load() or _misdescribed(subject.env):
        return
    sent = {flow.what for flow in fabric_plan(subject.env, site).flows}
    prefill = {flow for flow in sent if flow == PREFILL}
    used = {
        "tokens_per_s": bool(sent - prefill),
        "prompt_tokens_per_s": bool(prefill),
    }
    for field, by_default in Load():
        if getattr(site.load, field) != by_default and not used[field]:
            message = "has no effect: replicas send nothing between hosts that depends on it"
            fix = (remove(f"site.load.{field}"),)
            yield Finding(f"site.load.{field}", f"{message}; remove it, or declare a serving layout that does", fix)


def _misdescribed(env: Environment) -> bool:
    """True where the model or its layout is wrong, which other rules tell of, so that what it sends is not known."""
    model, layout = model_of(env.serving), layout_of(env)
    return env.serving is not None and (model is None or layout is None or bool(illegal(model, layout)))


def _up(gbps: float) -> str:
    return f"{int(gbps) + (gbps > int(gbps))}"


RULES = (
    Rule(
        id="load-unused",
        severity="warning",
        summary="a rate is given of traffic that nothing sends between hosts",
        find=_load_unused,
    ),
    Rule(
        id="fabric-too-slow",
        severity="error",
        summary="the links between hosts do not carry what the layout sends",
        find=_too_slow,
    ),
)
