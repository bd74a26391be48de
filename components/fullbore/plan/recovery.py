"""What is lost with the site (RPO), and how long until the standby serves (RTO), each as a sum of named terms.

A term is expected (the mean over when the site is lost) and worst. Its figure comes from the environment or the
catalog; one that is not given counts as nothing and names the field that it needs, so that a sum is a lower bound.
"""

from __future__ import annotations

from math import ceil

from fullbore.catalog.instances import INSTANCES
from fullbore.catalog.replication import (
    CONTINUOUS_LAUNCH_S,
    CONTINUOUS_WORST_S,
    DATASYNC_TASK_GBPS,
    FIBRE_S_PER_KM,
    HEALTH_INTERVAL_S,
    HEALTH_TIMEOUT_S,
    RTC_MOST_GBPS,
    RTC_WORST_S,
    UNHEALTHY_THRESHOLD,
)
from fullbore.config.models import Alarm, Environment, Standby
from fullbore.config.recovery import DataSet, Recovery
from fullbore.plan.fit import GIB, Layout
from fullbore.plan.fit.memory import weight_bytes
from fullbore.plan.model import CopyPlan, RecoveryPlan, Term, slowest
from fullbore.plan.pools import layout_of, model_of
from fullbore.plan.schedule import HOUR_S, ScheduleError, longest_gap_s

MIB = 1024 * 1024
STEADY = ("block-sync", "continuous")
"""Methods that copy all the time over the link from the site; s3-rtc goes from S3 to S3."""


def recovery_plan(env: Environment) -> RecoveryPlan | None:
    """The plan of a declared standby; None without one."""
    if env.standby is None:
        return None
    given = env.recovery or Recovery()
    return RecoveryPlan(
        copies=tuple(_copy(env, given, name, data) for name, data in sorted(copied_data(env).items())),
        rto_s=env.standby.rto_s,
        start=(*_switch(given), *_launch(env, given), *_start(env, env.standby, given)),
        gateway=given.gateway,
    )


def copied_data(env: Environment) -> dict[str, DataSet]:
    """What is copied, by class: as declared, else the weights where anything copies them."""
    if env.recovery and env.recovery.data:
        return {str(name): data for name, data in env.recovery.data.items()}
    if env.replication is None:
        return {}
    return {"weights": DataSet(method="s3-rtc" if env.replication.time_control else "datasync")}


def _copy(env: Environment, given: Recovery, name: str, data: DataSet) -> CopyPlan:
    standby_rpo = env.standby.rpo_s if env.standby else 0
    gap = gap_s(env, data)
    delay = 2 * (given.distance_km or 0) * FIBRE_S_PER_KM * 1000 if data.method == "block-sync" else 0.0
    return CopyPlan(
        data=name,
        method=data.method,
        path="standby.rpo_s" if data.rpo_s is None else f"recovery.data.{name}.rpo_s",
        rpo_s=standby_rpo if data.rpo_s is None else data.rpo_s,
        terms=_loss(env, given, name, data, gap),
        gap_s=gap,
        write_delay_ms=delay,
    )


def _loss(env: Environment, given: Recovery, name: str, data: DataSet, gap: float) -> tuple[Term, ...]:
    """What the newest whole copy lacks when the site is lost.

    A scheduled run copies what changed before it began, and counts when it has ended. So the newest whole copy is at
    least as old as a run takes, at most that and a gap between two runs; over all moments, half a gap on top.
    """
    if data.method == "block-sync":
        return ()
    if data.method == "s3-rtc":
        return _time_control(env, name, data)
    if data.method == "continuous":
        return (Term(name="continuous replication", expected_s=CONTINUOUS_WORST_S, worst_s=CONTINUOUS_WORST_S),)
    between = Term(name="time between runs", expected_s=gap / 2, worst_s=gap)
    if data.method == "backup":
        whole = _moved("transfer", _needs_size(data, name), size_gib(env, name, data), link_mib_s(env, limited=False))
        return (between, whole)
    return (
        between,
        _given("listing", "recovery.prepare_s", given.prepare_s),
        _moved("transfer", _needs_size(data, name), _run_gib(env, name, data, gap), link_mib_s(env)),
        *_verification(env, given, name, data, gap),
    )


def _verification(env: Environment, given: Recovery, name: str, data: DataSet, gap: float) -> tuple[Term, ...]:
    """Reading again, and comparing, what a run copied, or everything; no term where nothing is compared."""
    if not reads_again(env):
        return ()
    everything = env.replication is not None and env.replication.verify == "all"
    gib = _task_gib(env, name, data) if everything else _run_gib(env, name, data, gap)
    unsized = everything and gib is None
    path = f"recovery.data.{name}.size_gib" if unsized else "recovery.verify_mib_s"
    return (_moved("verification", path, gib, given.verify_mib_s),)


def datasync_runs(env: Environment) -> bool:
    """Whether `replication` is DataSync's; S3 itself copies in its place where it has Time Control."""
    given = env.replication
    return given is not None and not (given.source == "s3" and given.time_control)


def filled_by(env: Environment, name: str) -> str:
    """The method that fills the bucket which the standby in the cloud reads this class from: datasync or s3-rtc;
    nothing where it reads none that `replication` writes."""
    if name != "weights" or env.standby is None or env.cloud is None or env.replication is None:
        return ""
    return "datasync" if datasync_runs(env) else "s3-rtc"


def reads_again(env: Environment) -> bool:
    """Whether DataSync compares anything after it has copied it."""
    return env.replication is None or env.replication.verify != "none"


def _task_gib(env: Environment, name: str, data: DataSet) -> float | None:
    """All that the DataSync task keeps the same on both sides, GiB; None without the size of this class."""
    own = size_gib(env, name, data)
    return (
        None if own is None else own + sum(size_gib(env, other, one) or 0.0 for other, one in _others(env, name, data))
    )


def _time_control(env: Environment, name: str, data: DataSet) -> tuple[Term, ...]:
    """S3 promises 15 minutes for each object, and that up to a rate. What an hour changes may be written at once: the
    last object of it is then promised for 15 minutes after the others have gone at that rate."""
    changed = _run_gib(env, name, data, HOUR_S)
    return (
        Term(name="S3 Replication Time Control of one object", expected_s=RTC_WORST_S, worst_s=RTC_WORST_S),
        _moved("transfer at the rate that it is promised for", f"recovery.data.{name}.size_gib", changed, RTC_MIB_S),
    )


def time_control_s(env: Environment, name: str) -> float:
    """How old the newest copy of a class would be at worst, seconds, were it copied by S3 with Time Control."""
    data = copied_data(env)[name].model_copy(update={"method": "s3-rtc"})
    return sum(term.worst_s for term in _time_control(env, name, data))


RTC_MIB_S = RTC_MOST_GBPS * 1e9 / 8 / MIB


def _run_gib(env: Environment, name: str, data: DataSet, gap_s: float) -> float | None:
    """What is copied together, GiB: this class and those that go the same way; None without its size."""
    own = changed_gib(env, name, data, gap_s)
    others = _others(env, name, data)
    return None if own is None else own + sum(changed_gib(env, other, one, gap_s) or 0.0 for other, one in others)


def _others(env: Environment, name: str, data: DataSet) -> tuple[tuple[str, DataSet], ...]:
    """The classes that go the same way as this one, e.g. in the DataSync task."""
    copied = copied_data(env).items()
    return tuple((other, one) for other, one in copied if one.method == data.method and other != name)


def _needs_size(data: DataSet, name: str) -> str:
    sized = data.size_gib is not None or data.change_gib_per_hour is not None or name == "weights"
    return "recovery.link_gbps" if sized else f"recovery.data.{name}.size_gib"


def _given(name: str, path: str, seconds: float | None) -> Term:
    return Term(name=name, missing=path) if seconds is None else Term(name=name, expected_s=seconds, worst_s=seconds)


def _moved(name: str, path: str, gib: float | None, mib_s: float | None) -> Term:
    """Time to move so much at a rate."""
    return _given(name, path, None if gib is None or mib_s is None else gib * 1024 / mib_s)


def changed_gib(env: Environment, name: str, data: DataSet, gap_s: float) -> float | None:
    """What one run has to copy, GiB: what changed since the one before, at most all; None where nothing says it."""
    size = size_gib(env, name, data)
    if data.change_gib_per_hour is None:
        return size
    changed = data.change_gib_per_hour * gap_s / 3600
    return changed if size is None else min(changed, size)


def size_gib(env: Environment, name: str, data: DataSet) -> float | None:
    """All data of a class, GiB; None where nothing says it."""
    if data.size_gib is None and name == "weights":
        return weights_gib(env)
    return data.size_gib


def weights_gib(env: Environment) -> float | None:
    """All weights of the served model in its precision, GiB; None for a model that is not known."""
    model, layout = model_of(env.serving), layout_of(env)
    if model is None or layout is None:
        return None
    whole = Layout(precision=layout.precision, context_tokens=1, concurrency=1)
    return sum(weight_bytes(model, whole, 0).values()) / GIB


def link_mib_s(env: Environment, *, limited: bool = True) -> float | None:
    """What a copy may move, MiB/s: what steady copies leave of the link, and where `limited`, what a DataSync task and
    its own limit allow. Where they leave nothing, which is an error of its own, the link.
    """
    link = env.recovery.link_gbps if env.recovery else None
    steady = steady_gbps(env.recovery, STEADY) if env.recovery else 0.0
    rates = [link - steady if link > steady else link] if link else []
    if limited and link:
        rates.append(DATASYNC_TASK_GBPS)
    given = env.replication if limited else None
    limit = slowest(given.bandwidth_mib_s, *(each.mib_s for each in given.limits)) if given else None
    return min([*(gbps * 1e9 / 8 / MIB for gbps in rates), *([limit] if limit else [])], default=None)


def change_gbps(data: DataSet) -> float:
    """What a class of data changes by, Gbit/s; 0 where nothing says it."""
    return (data.change_gib_per_hour or 0.0) * GIB * 8 / 3600 / 1e9


def steady_gbps(given: Recovery, methods: tuple[str, ...]) -> float:
    """What the copies of these methods move all the time, Gbit/s."""
    return sum(change_gbps(data) for data in given.data.values() if data.method in methods)


def gap_s(env: Environment, data: DataSet) -> float:
    """Longest time between two runs of a copy, seconds; 0 where it has no schedule or none that can be read."""
    if data.method == "backup":
        return (data.every_hours or 0.0) * 3600
    if data.method != "datasync" or env.replication is None:
        return 0.0
    try:
        return longest_gap_s(env.replication.schedule)
    except ScheduleError:
        return 0.0


def strictest_rpo_s(env: Environment, method: str) -> int | None:
    """The strictest RPO of what goes this way, seconds; None where no standby depends on it."""
    standby = env.standby
    copied = (data for data in copied_data(env).values() if data.method == method)
    rpos = (standby.rpo_s if data.rpo_s is None else data.rpo_s for data in copied) if standby else ()
    return min(rpos, default=None)


def datasync_gap_s(env: Environment) -> float:
    """Longest time between two runs of DataSync, seconds; 0 where there is no schedule that can be read."""
    return gap_s(env, DataSet(method="datasync"))


MOST_LAG_HOURS = 168
"""CloudWatch looks back seven days where its periods have an hour (CloudWatch user guide, alarm evaluation)."""


def lag_hours(env: Environment, given: Alarm) -> int:
    """Hours without a run that ended well, after which somebody is told: as given, else when the RPO is broken, but not
    before the schedule could have brought two runs."""
    late_s = max(strictest_rpo_s(env, "datasync") or 0, 2 * datasync_gap_s(env))
    return min(given.lag_hours or max(1, ceil(late_s / HOUR_S)), MOST_LAG_HOURS)


def _switch(given: Recovery) -> tuple[Term, ...]:
    """Until requests go to the standby: the gateway's health checks, or the clients' name where the gateway is lost."""
    if given.gateway == "site":
        ttl = given.dns_ttl_s
        cached = Term(name="DNS cache", missing="recovery.dns_ttl_s")
        if ttl is not None:
            cached = Term(name="DNS cache", expected_s=ttl / 2, worst_s=ttl)
        return (_given("change of the clients' name", "recovery.switch_s", given.switch_s), cached)
    fast = HEALTH_INTERVAL_S * UNHEALTHY_THRESHOLD
    slow = (HEALTH_INTERVAL_S + HEALTH_TIMEOUT_S) * UNHEALTHY_THRESHOLD
    return (Term(name="health checks of the gateway", expected_s=fast, worst_s=slow),)


def _launch(env: Environment, given: Recovery) -> tuple[Term, ...]:
    if all(data.method != "continuous" for data in given.data.values()):
        return ()
    expected, worst = CONTINUOUS_LAUNCH_S
    return (Term(name="launch of recovered machines", expected_s=expected, worst_s=worst),)


def _start(env: Environment, standby: Standby, given: Recovery) -> tuple[Term, ...]:
    """How replicas beyond the warm ones start; they start beside each other."""
    needed = given.replicas or standby.replicas
    if needed <= standby.replicas:
        return ()
    start = given.start
    if start is None:
        return (Term(name=f"start of {needed - standby.replicas} replicas", missing="recovery.start"),)
    weights = weights_gib(env)
    nodes = () if held_replicas(env) >= needed else (_given("node provisioning", "recovery.start", start.provision_s),)
    return (
        *nodes,
        _moved("image pull", "recovery.start", start.image_gib, start.image_mib_s),
        _moved("weights load", "serving.model", weights, start.weights_mib_s),
        _given("compilation", "recovery.start", start.compile_s),
        _given("warm-up requests", "recovery.start", start.warm_up_s),
    )


def held_replicas(env: Environment) -> int:
    """Replicas that the nodes which the cloud keeps at all times hold."""
    groups, layout = env.cloud.node_groups.values() if env.cloud else (), layout_of(env)
    return sum(group.min_nodes * pods_per_node(layout, group.instance_type) for group in groups)


def pods_per_node(layout: Layout | None, instance_type: str) -> int:
    """Replicas that one node of a type holds; a replica lies within one node."""
    row = INSTANCES.get(instance_type)
    return row.gpus // layout.gpus if row and layout else 0


def standby_groups(env: Environment) -> tuple[str, ...]:
    """Node groups whose nodes hold a replica of the standby, by name; none where there is no standby to hold."""
    groups, layout = env.cloud.node_groups if env.cloud and env.standby else {}, layout_of(env)
    return tuple(name for name, group in sorted(groups.items()) if pods_per_node(layout, group.instance_type))


def spot_holds_standby(env: Environment) -> tuple[str, ...]:
    """The same, where all of them, or all that keep nodes, are bought as spot: AWS may take them all back."""
    names = standby_groups(env)
    groups = env.cloud.node_groups if env.cloud else {}
    keeping = tuple(name for name in names if groups[name].min_nodes)
    spot = tuple(name for name in names if groups[name].capacity == "spot")
    return spot if spot == names or (keeping and set(keeping) <= set(spot)) else ()


def standby_nodes(env: Environment) -> dict[str, int]:
    """{node group: nodes that the standby's warm replicas fill}: groups by name, each filled before the next."""
    left, nodes, layout = env.standby.replicas if env.standby else 0, dict[str, int](), layout_of(env)
    for name in standby_groups(env):
        group = env.cloud.node_groups[name] if env.cloud else None
        pods = pods_per_node(layout, group.instance_type) if group else 0
        if group and left:
            nodes[name] = min(group.max_nodes, ceil(left / pods))
            left = max(0, left - nodes[name] * pods)
    return nodes
