"""Rules about room: are there enough GPUs, in machines that are large enough, for every replica."""

from __future__ import annotations

from collections.abc import Iterable

from fullbore.config.models import Environment
from fullbore.plan.change import Change, put, remove
from fullbore.plan.checks.base import Finding, Rule, Subject, counted
from fullbore.plan.checks.outs import held, served, ways_out
from fullbore.plan.checks.recovery import kept_nodes
from fullbore.plan.fit import Layout
from fullbore.plan.pools import cloud_pools, layout_of, site_pools
from fullbore.plan.recovery import held_replicas

LAYOUT = ("tensor_parallel", "pipeline_parallel", "data_parallel", "expert_parallel")


def span(subject: Subject) -> Iterable[Finding]:
    """A pod lies within one machine: replicas over several machines need a group of pods, which is not there yet."""
    layout, pools = layout_of(subject.env), site_pools(subject.env)
    if layout is None or not pools:
        return
    most = max(pool.gpus_per_machine for pool in pools)
    if layout.gpus > most:
        message = f"{_product(layout)} needs {layout.gpus} GPUs in one host, but the largest host has {most}"
        chosen = served(subject.env, **dict.fromkeys(LAYOUT))
        if held(chosen):
            fix = "lower tensor_parallel or pipeline_parallel, or leave the layout out, so that one is chosen"
            yield Finding("serving.tensor_parallel", f"{message}; {fix}", LEFT)
        else:
            fix = ways_out((chosen,), held) or "take a smaller model"
            yield Finding("serving.tensor_parallel", f"{message}, which holds no layout of the model; {fix}")


LEFT = tuple(remove(f"serving.{field}") for field in LAYOUT)
"""A layout is chosen then."""


def enough(subject: Subject) -> Iterable[Finding]:
    serving, layout, pools = subject.env.serving, layout_of(subject.env), site_pools(subject.env)
    if serving is None or layout is None or not subject.env.site or not serving.replicas:
        return
    gpus = layout.gpus
    if pools and gpus > max(pool.gpus_per_machine for pool in pools):
        return  # told by replica-spans-hosts
    room = sum(pool.pods(gpus) for pool in pools)
    if serving.replicas > room:
        have = sum(pool.machines * pool.gpus_per_machine for pool in pools)
        hosts = sum(pool.machines for pool in pools)
        message = (
            f"{counted(hosts, 'host')} with {counted(have, 'GPU')} can hold {counted(room, 'replica')}, but replicas "
            f"{serving.replicas} x {_product(layout)} needs {serving.replicas * gpus}; add a host or lower replicas"
        )
        yield Finding("serving.replicas", message, (put("serving.replicas", room),))


def standby_room(subject: Subject) -> Iterable[Finding]:
    layout, standby = layout_of(subject.env), subject.env.standby
    if layout is None or standby is None or subject.env.cloud is None:
        return
    gpus, pools = layout.gpus, cloud_pools(subject.env)
    room = sum(pool.pods(gpus) for pool in pools)
    most = max((pool.gpus_per_machine for pool in pools), default=0)
    if standby.replicas and 0 < most < gpus:
        message = f"got {standby.replicas} of {counted(gpus, 'GPU')} each, but the cloud's largest node has {most}"
        yield Finding("standby.replicas", f"{message}; choose larger nodes, or split the model over fewer GPUs")
    elif standby.replicas > room:
        steps = (put("standby.replicas", room), *_warm(subject.env, room)) if room else ()
        fewer = " and ".join(map(str, steps)) or "choose other node groups"
        message = (
            f"got {standby.replicas} of {counted(gpus, 'GPU')} each, but the cloud's node groups have room for {room} "
            f"at max_nodes; raise max_nodes of a node group, or {fewer}"
        )
        yield Finding("standby.replicas", message, steps)


def _warm(env: Environment, replicas: int) -> tuple[Change, ...]:
    """What keeps nodes for so many replicas at all times, as standby-not-warm asks for."""
    if env.sandbox or env.cloud is None or held_replicas(env) >= replicas:
        return ()
    return kept_nodes(env, env.cloud, replicas)


def _product(layout: Layout) -> str:
    data = f" x data_parallel {layout.data_parallel}" if layout.data_parallel > 1 else ""
    return f"tensor_parallel {layout.tensor_parallel} x pipeline_parallel {layout.pipeline_parallel}{data}"


RULES = (
    Rule(id="replica-spans-hosts", severity="error", summary="a replica needs more GPUs than a host has", find=span),
    Rule(id="gpus-too-few", severity="error", summary="the site has too few GPUs for the replicas", find=enough),
    Rule(
        id="standby-no-room",
        severity="error",
        summary="the cloud's node groups cannot hold the standby",
        find=standby_room,
    ),
)
