"""Rules about what replication and standby can promise."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

from fullbore.catalog.replication import (
    CONTINUOUS_WORST_S,
    DATASYNC_AGENTS_FOR_MANY_FILES,
    DATASYNC_MANY_FILES,
    DATASYNC_MOST_AGENTS,
    DATASYNC_MOST_FILES,
    DATASYNC_SHORTEST_GAP_S,
    DATASYNC_TASK_GBPS,
    FIBRE_S_PER_KM,
    RTC_MOST_GBPS,
    RTC_WORST_S,
    SYNCHRONOUS_MOST_MS,
)
from fullbore.config.models import Cloud, Environment, Replication
from fullbore.plan.change import Change, put, remove
from fullbore.plan.checks.base import Finding, Rule, Subject, counted
from fullbore.plan.model import CopyPlan, RecoveryPlan, Term
from fullbore.plan.pools import layout_of
from fullbore.plan.recovery import (
    STEADY,
    change_gbps,
    copied_data,
    filled_by,
    held_replicas,
    link_mib_s,
    pods_per_node,
    reads_again,
    recovery_plan,
    spot_holds_standby,
    standby_groups,
    steady_gbps,
    time_control_s,
)
from fullbore.plan.schedule import ScheduleError, shortest_gap_s
from fullbore.plan.sovereignty import inside_site


def _schedule(subject: Subject) -> Iterable[Finding]:
    given = subject.env.replication
    if given is None:
        return
    try:
        gap = shortest_gap_s(given.schedule)
    except ScheduleError as error:
        message = f"{error}; allowed cron(MINUTE HOUR DAY MONTH WEEKDAY YEAR) or rate(N hours)"
        yield Finding("replication.schedule", message, (HOURLY,))
        return
    if gap < DATASYNC_SHORTEST_GAP_S:
        message = f"runs every {gap // 60} minutes, but DataSync runs at most hourly; allowed rate(1 hour) or longer"
        yield Finding("replication.schedule", message, (HOURLY,))


HOURLY = put("replication.schedule", "rate(1 hour)")
"""As often as DataSync runs."""
REPLICATION_NEEDS = {
    "smb": {"user": "the user of the share", "password": "the user's password, as a Pulumi secret"},
    "nfs": {},
    "s3": {},
    "object-store": {
        "bucket": "its bucket",
        "user": "an access key of the store",
        "password": "the access key's secret, as a Pulumi secret",
    },
    "hdfs": {"user": "the user that reads"},
}
"""Fields that a source cannot do without."""


def _source(subject: Subject) -> Iterable[Finding]:
    given = subject.env.replication
    if given is None:
        return
    for field, what in REPLICATION_NEEDS[given.source].items():
        if getattr(given, field) is None:
            yield Finding(f"replication.{field}", f"missing; a source of kind {given.source} needs {what}")
    if given.source != "s3" and not _count_agents(given):
        message = (
            f"got an empty list; a source of kind {given.source} is read by a DataSync agent at the site, add its ARN"
        )
        yield Finding("replication.agent_arns", message)


def _rpo(subject: Subject) -> Iterable[Finding]:
    env, plan = subject.env, recovery_plan(subject.env)
    for copy in plan.copies if plan else ():
        if copy.method == "datasync" and copy.rpo_s < DATASYNC_SHORTEST_GAP_S:
            message = f"got {copy.rpo_s} s, but scheduled DataSync alone runs at most hourly"
            reached = _reachable(copy)
            message += f"; allowed {reached.value} or more, or {_sooner(env, copy)}"
            yield Finding(copy.path, message, (reached,))
        elif copy.worst_s > copy.rpo_s:
            message = (
                f"got {copy.rpo_s} s, but at worst the newest copy of {copy.data} is {ceil(copy.worst_s)} s old "
                f"({_sum(copy.terms)}); allowed that or more, or {_fresher(env, copy)}"
            )
            yield Finding(copy.path, message, (_reachable(copy),))


def _reachable(copy: CopyPlan) -> Change:
    """The RPO that the copy has."""
    return put(copy.path, max(ceil(copy.worst_s), DATASYNC_SHORTEST_GAP_S if copy.method == "datasync" else 0))


def _sooner(env: Environment, copy: CopyPlan) -> str:
    """What copies more often than DataSync's schedule, from where the data is and to where it is read."""
    source, path = env.replication.source if env.replication else "s3", f"recovery.data.{copy.data}.method"
    soon = copy.rpo_s >= time_control_s(env, copy.data)
    filled = filled_by(env, copy.data)
    first = "replication.time_control and " if filled == "datasync" else ""
    ways = [f"{first}{path}: s3-rtc (15 minutes an object, S3 to S3)"] if source == "s3" and soon else []
    if not filled:
        words = "continuous (AWS Elastic Disaster Recovery, seconds)"
        ways += [f"{path}: {words}"] if copy.rpo_s >= CONTINUOUS_WORST_S else []
        ways.append(f"{path}: block-sync (nothing is lost, a second site within reach)")
    elif source != "s3" and soon:
        ways.append(
            f"keep {copy.data} in S3, which S3 itself copies, each object within 15 minutes (replication.time_control)"
        )
    elif not ways:
        ways.append(f"put {copy.data} into the bucket before they are served, outside of this stack")
    return " or ".join(ways)


def _fresher(env: Environment, copy: CopyPlan) -> str:
    """What makes the loss smaller, of what can still be done. Nothing is lost with block-sync."""
    if filled_by(env, copy.data) == "s3-rtc":
        return f"change less in an hour, or put {copy.data} into the bucket before they are served"
    if copy.method in ("s3-rtc", "continuous"):
        sooner = copy.method == "s3-rtc" and copy.rpo_s >= CONTINUOUS_WORST_S
        less = "change less in an hour, or " if copy.method == "s3-rtc" and copy.rpo_s >= RTC_WORST_S else ""
        return less + ("replicate continuously or synchronously" if sooner else "replicate synchronously")
    whole_hours = max(1, ceil(copy.run_s / DATASYNC_SHORTEST_GAP_S)) * DATASYNC_SHORTEST_GAP_S
    ways = list[str]()
    if copy.gap_s > whole_hours:
        ways.append("replicate more often" if copy.method == "datasync" else "back up more often")
    ways += _quicker(env, copy)
    return " or ".join([*ways, "replicate"] if copy.method == "backup" else ways)


def _quicker(env: Environment, copy: CopyPlan) -> list[str]:
    """What makes a run shorter: more of what bounds its transfer, or less to do."""
    if not copy.run_s:
        return []
    ways, scheduled = list[str](), copy.method == "datasync"
    given, link = env.replication if scheduled else None, env.recovery.link_gbps if env.recovery else None
    unlimited = env.model_copy(update={"replication": None})
    if given and link_mib_s(env) != link_mib_s(unlimited):
        ways.append("allow a run more (replication.bandwidth_mib_s, limits)")
    elif link and (link < DATASYNC_TASK_GBPS or not scheduled):
        ways.append("copy over a faster link")
    if given and given.verify == "all":
        ways.append("read again only what was copied (replication.verify: transferred)")
    return [*ways, "copy less"]


def _sum(terms: Iterable[Term]) -> str:
    return " + ".join(f"{term.name} {term.worst_s:.0f}" for term in terms if term.worst_s)


def _rto(subject: Subject) -> Iterable[Finding]:
    plan = recovery_plan(subject.env)
    if plan and plan.worst_s > plan.rto_s:
        message = (
            f"got {plan.rto_s} s, but the standby serves after {ceil(plan.worst_s)} s at worst ({_sum(plan.start)}); "
            "allowed that or more"
        )
        slowest = max(plan.start, key=lambda term: term.worst_s)
        reached = put("standby.rto_s", ceil(plan.worst_s))
        yield Finding("standby.rto_s", f"{message}, or shorten the {slowest.name}{_hint(plan)}", (reached,))


def _cold(subject: Subject) -> Iterable[Finding]:
    """Warm replicas need nodes that are there; a sandbox keeps simulated ones."""
    env = subject.env
    if env.standby is None or env.cloud is None or env.sandbox:
        return
    held, steps = held_replicas(env), kept_nodes(env, env.cloud, env.standby.replicas)
    ending = [name for name in standby_groups(env) if env.cloud.node_groups[name].capacity == "capacity-block"]
    if held < env.standby.replicas and (steps or ending):
        fix = f"{' and '.join(map(str, steps))}, or lower replicas"
        if not steps:
            fix = f"the capacity block of {', '.join(ending)} ends: add a group that is bought another way"
        message = (
            f"got {env.standby.replicas}, which the RTO takes for running, but the nodes that are always there "
            f"(min_nodes) hold {held}; {fix}"
        )
        yield Finding("standby.replicas", message, steps)


def _spot(subject: Subject) -> Iterable[Finding]:
    """AWS takes spot nodes back within two minutes, and most of all when many need them at once, as after a disaster
    (EC2 user guide, Spot Instance interruptions). spot-alone leaves these groups to this rule."""
    names = () if subject.env.sandbox else spot_holds_standby(subject.env)
    if names:
        path = f"cloud.node_groups.{names[0]}.capacity"
        message = (
            f"got spot for {', '.join(names)}, but the standby has no other nodes, and those can be taken back with "
            "two minutes' notice; buy them on demand or reserved, or add a group that is"
        )
        yield Finding(path, message, tuple(put(f"cloud.node_groups.{name}.capacity", "on-demand") for name in names))


def kept_nodes(env: Environment, cloud: Cloud, replicas: int) -> tuple[Change, ...]:
    """The min_nodes that hold so many replicas, the first groups filled first and spot last; none where all groups
    cannot, without capacity blocks, which end."""
    missing, steps, layout = replicas, list[Change](), layout_of(env)
    for name, group in sorted(cloud.node_groups.items(), key=lambda item: (item[1].capacity == "spot", item[0])):
        pods = pods_per_node(layout, group.instance_type)
        nodes = min(group.max_nodes, ceil(missing / pods)) if pods and group.capacity != "capacity-block" else 0
        missing -= nodes * pods
        if nodes > group.min_nodes:
            steps.append(put(f"cloud.node_groups.{name}.min_nodes", nodes))
    return tuple(steps) if missing <= 0 else ()


def _hint(plan: RecoveryPlan) -> str:
    cold = any(term.name == "weights load" for term in plan.start)
    return ", or keep as many warm replicas as must serve" if cold else ""


def _unknown_figure(subject: Subject) -> Iterable[Finding]:
    """A sandbox has neither a link nor a name of its own."""
    plan = recovery_plan(subject.env)
    if plan is None or subject.env.sandbox:
        return
    terms = [*(term for copy in plan.copies for term in copy.terms), *plan.start]
    missing = {term.missing: term.name for term in terms if term.missing}
    if missing:
        named = ", ".join(f"{path} ({name})" for path, name in sorted(missing.items()))
        yield Finding("recovery", f"RPO and RTO are lower bounds, give what they leave out: {named}")


def _overrun(subject: Subject) -> Iterable[Finding]:
    plan = recovery_plan(subject.env)
    for copy in plan.copies if plan else ():
        if copy.gap_s and copy.run_s > copy.gap_s:
            rarer = _rarer(subject.env, copy)
            ways = [f"run less often ({' and '.join(map(str, rarer))})"] if rarer else []
            message = (
                f"a run copies {copy.data} in {copy.run_s:.0f} s at worst, but runs are {copy.gap_s:.0f} s apart, so "
                f"that it falls ever further behind; {' or '.join([*ways, *_quicker(subject.env, copy)])}"
            )
            where = "replication.schedule" if copy.method == "datasync" else f"recovery.data.{copy.data}.every_hours"
            yield Finding(where, message, rarer)


def _rarer(env: Environment, copy: CopyPlan) -> tuple[Change, ...]:
    """A schedule whose runs end before the next ones begin, with the RPO that it has: what changes in between is more
    then, too. None where there is no such schedule."""
    hours = ceil(copy.run_s / 3600)
    for many in (hours, 2 * hours, 4 * hours, 8 * hours):
        after, change = _every(env, copy, many)
        plan = recovery_plan(after)
        if plan and all(other.run_s <= other.gap_s for other in plan.copies if other.data == copy.data):
            late = [other for other in plan.copies if other.method == copy.method and other.worst_s > other.rpo_s]
            longer = {other.path: max(ceil(one.worst_s) for one in late if one.path == other.path) for other in late}
            return (change, *(put(path, seconds) for path, seconds in longer.items()))
    return ()


def _every(env: Environment, copy: CopyPlan, hours: int) -> tuple[Environment, Change]:
    """The environment with the copy made every so many hours, and the change that makes it so."""
    if copy.method == "datasync":
        schedule = f"rate({counted(hours, 'hour')})"
        replication = env.replication and env.replication.model_copy(update={"schedule": schedule})
        return env.model_copy(update={"replication": replication}), put("replication.schedule", schedule)
    given = env.recovery.data if env.recovery else {}
    update = {"every_hours": hours}
    data = {name: one.model_copy(update=update) if name == copy.data else one for name, one in given.items()}
    recovery = env.recovery and env.recovery.model_copy(update={"data": data})
    return env.model_copy(update={"recovery": recovery}), put(f"recovery.data.{copy.data}.every_hours", hours)


def _unused_figure(subject: Subject) -> Iterable[Finding]:
    """Figures of another way to copy, or to move clients, than the one that is planned."""
    env, given = subject.env, subject.env.recovery
    if given is None or env.standby is None:
        return
    methods = {data.method for data in copied_data(env).values()}
    runs = "datasync" in methods
    steady = [data for data in given.data.values() if data.method in STEADY]
    moving = runs or "backup" in methods or any(data.change_gib_per_hour for data in steady)
    cold = (given.replicas or env.standby.replicas) > env.standby.replicas
    needs = {
        "link_gbps": (moving, "no copy is said to move anything over it"),
        "prepare_s": (runs, "nothing is said to be copied by datasync"),
        "verify_mib_s": (
            runs and reads_again(env),
            "replication.verify is none" if runs else "nothing is said to be copied by datasync",
        ),
        "distance_km": ("block-sync" in methods, "nothing is said to be copied by block-sync"),
        "switch_s": (given.gateway == "site", "the gateway stands elsewhere and moves clients itself"),
        "dns_ttl_s": (given.gateway == "site", "the gateway stands elsewhere and moves clients itself"),
        "start": (cold, "as many replicas are warm as must serve"),
    }
    for field, (used, why) in needs.items():
        if not used and getattr(given, field) is not None:
            message = f"given, but {why}; remove it, or correct what it belongs to"
            yield Finding(f"recovery.{field}", message, (remove(f"recovery.{field}"),))


def _rate(subject: Subject) -> Iterable[Finding]:
    """Copies without a schedule must keep up with the changes, all that share a way together."""
    given = subject.env.recovery
    if given is None:
        return
    ways = (
        ("S3 Replication Time Control promises nothing beyond", RTC_MOST_GBPS, ("s3-rtc",)),
        ("recovery.link_gbps carries", given.link_gbps, STEADY),
    )
    for what, most, methods in ways:
        together = steady_gbps(given, methods)
        for name, data in given.data.items() if most is not None and together > most else ():
            gbps = change_gbps(data)
            if data.method in methods and gbps:
                own = f"got {data.change_gib_per_hour:g} GiB an hour ({gbps:.3f} Gbit/s)"
                shared = f", {together:.3f} with what goes the same way" if together > gbps else ""
                message = f"{own}{shared}, but {what} {most:g} Gbit/s; copy less or another way"
                yield Finding(f"recovery.data.{name}.change_gib_per_hour", message)


def _method(subject: Subject) -> Iterable[Finding]:
    env = subject.env
    for name, data in env.recovery.data.items() if env.recovery else ():
        path = f"recovery.data.{name}.method"
        if data.method == "datasync" and env.replication is None:
            yield Finding(path, "got datasync, but there is no replication; add replication or choose another method")
        if data.method == "s3-rtc" and env.replication and env.replication.source != "s3":
            message = f"got s3-rtc, which copies from S3 to S3, but replication.source is {env.replication.source}"
            fix = put(path, "datasync")
            yield Finding(path, f"{message}; keep the data in S3 or choose another method, e.g. datasync", (fix,))
        controlled = env.replication and env.replication.source == "s3" and env.replication.time_control
        if data.method == "datasync" and controlled:
            message = "got datasync, but replication.time_control has S3 copy in place of DataSync; choose s3-rtc"
            yield Finding(path, message, (put(path, "s3-rtc"),))
        if (data.method == "backup") != (data.every_hours is not None):
            missing, where = data.every_hours is None, f"recovery.data.{name}.every_hours"
            message = (
                f"got {data.every_hours}, but method {data.method} has a time of its own between copies; remove it"
            )
            message = (
                "missing; method backup needs the time between two backups, hours, e.g. 24" if missing else message
            )
            yield Finding(where, message, () if missing else (remove(where),))
        if data.method == "block-sync" and env.recovery and env.recovery.distance_km is None:
            message = "missing; each write waits for the other side, give the length of the fibre"
            yield Finding("recovery.distance_km", message)


def _not_filled(subject: Subject) -> Iterable[Finding]:
    """Copies that somebody else makes, of what the standby reads from where DataSync writes."""
    env = subject.env
    source = env.replication.source if env.replication else ""
    for name, data in env.recovery.data.items() if env.recovery else ():
        filled = filled_by(env, name)
        refused = data.method == "s3-rtc" and source != "s3"  # by replication-method
        if filled and data.method not in (filled, "datasync") and not refused:
            path = f"recovery.data.{name}.method"
            after = _with_method(env, name, filled)
            plan = recovery_plan(after)
            kept = plan and all(copy.worst_s <= copy.rpo_s for copy in plan.copies if copy.data == name)
            message = (
                f"got {data.method}, but the standby reads {name} from the bucket that {_FILLERS[filled]} fills, and "
                f"nothing here sets up another way, so that the RPO is that of {filled}; say {filled}"
            )
            controlled = filled == "datasync" and source == "s3"
            other = ", or have S3 copy them (replication.time_control)" if controlled else ""
            mirrors = [one for one in copied_data(after).values() if one.method == "block-sync"]
            alone = env.recovery and env.recovery.distance_km is not None and not mirrors
            rest = (remove("recovery.distance_km"),) if alone else ()
            hours = (remove(f"recovery.data.{name}.every_hours"),) if data.every_hours is not None else ()
            yield Finding(path, f"{message}{other}", (put(path, filled), *hours, *rest) if kept else ())


_FILLERS = {"datasync": "DataSync", "s3-rtc": "S3 (replication.time_control)"}


def _with_method(env: Environment, name: str, method: str) -> Environment:
    given = env.recovery.data if env.recovery else {}
    data = {other: one.model_copy(update={"method": method}) if other == name else one for other, one in given.items()}
    return env.model_copy(update={"recovery": env.recovery and env.recovery.model_copy(update={"data": data})})


def _write_delay(subject: Subject) -> Iterable[Finding]:
    plan = recovery_plan(subject.env)
    late = [copy for copy in plan.copies if copy.write_delay_ms > SYNCHRONOUS_MOST_MS] if plan else []
    if late and subject.env.recovery:
        most = SYNCHRONOUS_MOST_MS / (2 * FIBRE_S_PER_KM * 1000)
        message = (
            f"got {subject.env.recovery.distance_km:g} km: each write of {', '.join(copy.data for copy in late)} waits "
            f"{late[0].write_delay_ms:.0f} ms for the other side; at most {SYNCHRONOUS_MOST_MS:g} ms are advised, "
            f"which is {int(most)} km; take a nearer site, or another method"
        )
        yield Finding("recovery.distance_km", message)


def _count_agents(replication: Replication) -> int:
    return len(replication.agent_arns) + len(replication.agents)


def _agents(subject: Subject) -> Iterable[Finding]:
    replication = subject.env.replication
    if replication and _count_agents(replication) > DATASYNC_MOST_AGENTS:
        message = f"got {_count_agents(replication)}, allowed at most {DATASYNC_MOST_AGENTS} for one location"
        room = max(DATASYNC_MOST_AGENTS - len(replication.agents), 0)
        fewer = put("replication.agent_arns", list(replication.agent_arns[:room]))
        changes = (fewer,) if len(replication.agents) <= DATASYNC_MOST_AGENTS else ()
        yield Finding("replication.agent_arns", f"{message}; one fills {DATASYNC_TASK_GBPS:g} Gbit/s", changes)


def _files(subject: Subject) -> Iterable[Finding]:
    env = subject.env
    for name, data in env.recovery.data.items() if env.recovery else ():
        if data.method == "datasync" and data.files and data.files > DATASYNC_MOST_FILES:
            message = f"got {data.files}, but a DataSync run takes at most {DATASYNC_MOST_FILES} (Basic mode)"
            yield Finding(f"recovery.data.{name}.files", f"{message}; pack them, or split the data")


def _few_agents(subject: Subject) -> Iterable[Finding]:
    env = subject.env
    agents = _count_agents(env.replication) if env.replication else 0
    for name, data in env.recovery.data.items() if env.recovery else ():
        many = data.method == "datasync" and data.files and data.files > DATASYNC_MANY_FILES
        if many and 0 < agents < DATASYNC_AGENTS_FOR_MANY_FILES:
            message = f"got {agents} for {data.files} files of {name}; {DATASYNC_AGENTS_FOR_MANY_FILES} are advised"
            yield Finding("replication.agent_arns", f"{message} beyond {DATASYNC_MANY_FILES}")


def _no_replication(subject: Subject) -> Iterable[Finding]:
    if subject.env.standby and subject.env.storage and subject.env.replication is None:
        message = "a standby is declared, but nothing copies weights to its bucket; add replication, or upload them"
        yield Finding("replication", message)


STATE_SCHEMES = ("file", "s3", "gs", "azblob", "postgres", "postgresql", "http", "https")
"""Where the engine can keep state (https://www.pulumi.com/docs/iac/concepts/state-and-backends/)."""


def _scheme(subject: Subject) -> Iterable[Finding]:
    given = subject.env.state_backend
    scheme, found, _ = (given or "").partition("://")
    if given and scheme not in STATE_SCHEMES:
        what = f"got {scheme[:20]}://" if found else "got no URL"
        allowed = ", ".join(f"{name}://" for name in STATE_SCHEMES)
        yield Finding("state_backend", f"{what}, which the engine has no state in; allowed {allowed}")


def _backend(subject: Subject) -> Iterable[Finding]:
    env = subject.env
    if env.standby is None or env.site is None or env.state_backend is None:
        return
    inside = inside_site(env.site, env.state_backend)
    if inside:
        message = (
            f"{inside} is inside the site that the standby must survive; keep the state elsewhere, e.g. s3://BUCKET"
        )
        yield Finding("state_backend", message)


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
    Rule(id="rto-unreachable", severity="error", summary="the standby does not serve within the RTO", find=_rto),
    Rule(
        id="standby-on-spot",
        severity="warning",
        summary="every node that the standby can run on may be taken back",
        find=_spot,
    ),
    Rule(
        id="standby-not-warm",
        severity="error",
        summary="the cloud does not keep the nodes of the warm replicas at all times",
        find=_cold,
    ),
    Rule(
        id="recovery-figure-missing",
        severity="info",
        summary="a figure that RPO or RTO follow from is not given",
        find=_unknown_figure,
    ),
    Rule(
        id="recovery-figure-unused",
        severity="warning",
        summary="a figure is given that no RPO or RTO follows from",
        find=_unused_figure,
    ),
    Rule(
        id="replication-overruns",
        severity="error",
        summary="a run of the replication takes longer than the time between two",
        find=_overrun,
    ),
    Rule(
        id="replication-too-slow",
        severity="error",
        summary="data changes faster than its copy without a schedule keeps up",
        find=_rate,
    ),
    Rule(
        id="replication-method",
        severity="error",
        summary="a method cannot copy from where the data is",
        find=_method,
    ),
    Rule(
        id="method-not-set-up",
        severity="error",
        summary="the standby reads what another method fills than the one that the RPO is taken from",
        find=_not_filled,
    ),
    Rule(
        id="mirror-too-far",
        severity="warning",
        summary="each synchronous write waits longer than is advised",
        find=_write_delay,
    ),
    Rule(
        id="datasync-agents", severity="error", summary="a location has more agents than DataSync takes", find=_agents
    ),
    Rule(id="datasync-files", severity="error", summary="more files than a DataSync run takes", find=_files),
    Rule(
        id="datasync-agents-few",
        severity="warning",
        summary="tens of millions of files are copied by fewer agents than advised",
        find=_few_agents,
    ),
    Rule(
        id="standby-without-replication",
        severity="warning",
        summary="nothing copies weights to the standby",
        find=_no_replication,
    ),
    Rule(id="state-backend", severity="error", summary="the engine cannot keep its state there", find=_scheme),
    Rule(
        id="state-inside-site",
        severity="error",
        summary="the state backend is lost together with the site",
        find=_backend,
    ),
)
