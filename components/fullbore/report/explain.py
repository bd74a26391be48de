"""The plan in words and figures: tables that a terminal or a JSON reader shows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from fullbore.catalog.shapes import QUOTAS
from fullbore.config.models import Environment, HostGroup
from fullbore.plan.capacity import quota_uses, zone_needs
from fullbore.plan.cost import PURCHASES, not_priced, purchase_of, usd_per_hour
from fullbore.plan.model import Plan, ReplicaCost, SubnetPlan, Term
from fullbore.plan.pools import first_of
from fullbore.plan.recovery import copied_data, size_gib
from fullbore.report.explain_cluster import access_section, doors_section, pods_section
from fullbore.report.explain_copies import replication_section, storage_section, ways_section
from fullbore.report.explain_infiniband import infiniband_section, partitions_section
from fullbore.report.explain_machines import (
    containers_section,
    driver_section,
    nodes_section,
    nvme_section,
    registries_section,
)
from fullbore.report.explain_model import (
    fit_section,
    layouts_section,
    model_section,
    thumb_section,
    tiers_section,
)
from fullbore.report.explain_site import (
    environment_section,
    fabric_section,
    links_section,
    numa_section,
    rolling_notes,
    switch_section,
)
from fullbore.report.section import Row, Section, Value, merged


def explain(env: Environment, plan: Plan) -> tuple[Section, ...]:
    """The sections that have something to say, in the order that they are read."""
    sections = (build(env, plan) for build in _SECTIONS)
    return tuple(section for section in sections if section.rows)


def _hosts(env: Environment, plan: Plan) -> Section:
    rows = tuple(
        {
            "group": group.name,
            "kind": group.kind,
            "rack": group.rack,
            "hosts": len(group.hosts),
            **(_machine(env.site.groups[group.name]) if env.site else {}),
            "settings a host": len(group.settings) + 1,  # and the plan file
        }
        for group in (plan.site.groups if plan.site else ())
    )
    return Section(title="site", rows=rows, note="\n".join(_site_notes(env, plan)))


def _machine(group: HostGroup) -> dict[str, Value]:
    """One machine of a group."""
    return {
        "GPUs": f"{group.gpus_per_host} x {group.accelerator}" if group.accelerator else "",
        "CPUs": group.cpus,
        "NUMA nodes": group.numa_nodes,
        "memory (GiB)": group.memory_gib,
    }


def _site_notes(env: Environment, plan: Plan) -> Iterator[str]:
    """The fabric, the roles of groups that share them, and how far the environment goes its own way."""
    if env.site is None or plan.site is None:
        return
    yield f"fabric {env.site.fabric}, {env.site.link_gbps:g} Gbit/s a link"
    by_roles: dict[tuple[str, ...], list[str]] = {}
    for group in plan.site.groups:
        by_roles.setdefault(group.roles, []).append(group.name)
    for roles, names in by_roles.items():
        yield f"{first_of(names)}: roles {', '.join(roles)}"
    if env.site.sysctl:
        own = (f"{key} = {value}" for key, value in sorted(env.site.sysctl.items()))
        yield f"kernel settings of the site's own: {', '.join(own)}"
    yield from rolling_notes(plan.site)
    asked = plan.site.acceptance
    if asked:
        cables = sum(len(host.cables) for group in plan.site.groups for host in group.hosts)
        way = "keeps new replicas from being placed" if asked.strict else "is a warning"
        yield (
            f"acceptance: dcgmi diag level {asked.dcgm_level}, floors with{'' if asked.nvls else 'out'} NVLink SHARP, "
            f"{cables} cables; a failed check {way}; results hold for {asked.valid_days} days"
        )


def _networks(env: Environment, plan: Plan) -> Section:
    """Address ranges side by side, and the clusters that are joined through them."""
    ranges = (
        ("site", env.site.cidr if env.site else None, ""),
        ("VPC", env.cloud.cidr if env.cloud else None, (env.cloud.kubeconfig or "") if env.cloud else ""),
        ("pods of the site's cluster", env.cluster.pod_cidr if env.cluster else None, _kubeconfig(plan)),
    )
    rows = tuple(
        {"network": name, "range": str(cidr), "addresses": cidr.num_addresses, "cluster joined by": kubeconfig}
        for name, cidr, kubeconfig in ranges
        if cidr
    )
    simulated = env.sandbox
    nodes = f"simulated GPU nodes: {simulated.gpu_nodes}, standby {simulated.standby_nodes}" if simulated else ""
    return Section(title="networks", rows=rows, note=nodes)


def _kubeconfig(plan: Plan) -> str:
    return plan.cluster.kubeconfig if plan.cluster else ""


def _capacity(env: Environment, plan: Plan) -> Section:
    rows = tuple(
        {
            "node group": group.name,
            "instance type": group.instance_type,
            "GPUs": f"{group.gpus} x {group.accelerator}",
            "EFA interfaces": group.efa_interfaces,
            "nodes (min/desired/max)": f"{group.min_nodes}/{group.desired_nodes}/{group.max_nodes}",
            "bought": purchase_of(env.cloud.node_groups[group.name]) if env.cloud else group.capacity,
            "all nodes run (h a day)": round(env.cloud.node_groups[group.name].busy_s_per_day / 3600, 2)
            if env.cloud
            else 0,
            "reservation": group.capacity_reservation_id or "none",
            "zones": ", ".join(group.zones),
            "placement group": {"create": "its own", "existing": group.placement_group or "", "none": "none"}[
                group.placement
            ],
        }
        for group in (plan.cloud.node_groups if plan.cloud else ())
    )
    subnets = ", ".join(_subnet(subnet) for subnet in plan.cloud.subnets) if plan.cloud else ""
    return Section(title="cloud capacity", rows=rows, note=f"subnets: {subnets}")


def _subnet(subnet: SubnetPlan) -> str:
    zone_id = f" ({subnet.zone_id})" if subnet.zone_id else ""
    return f"{subnet.zone}{zone_id} {subnet.cidr}"


def _addresses(env: Environment, plan: Plan) -> Section:
    needs = zone_needs(env.cloud) if env.cloud else ()
    rows = tuple(
        {
            "zone": need.zone,
            "subnet": str(need.subnet),
            "nodes at most": need.nodes,
            "in units of": "16 addresses" if need.unit == "block" else "1 address",
            "room": need.room,
            "needed": need.least,
            "taken by default": "unknown" if need.wanted is None else need.wanted,
        }
        for need in needs
    )
    note = "with the control plane and the private endpoints; by default the network plugin keeps addresses ready"
    return Section(title="cloud addresses", rows=rows, note=note)


def _quotas(env: Environment, plan: Plan) -> Section:
    rows = tuple(
        {
            "name": f"{QUOTAS[use.name].title} ({QUOTAS[use.name].code})",
            "node groups": use.by,
            "in units of": QUOTAS[use.name].unit,
            "asked for": use.asked,
            "at max_nodes": use.most,
            "quota": "not given" if use.given is None else use.given,
        }
        for use in (quota_uses(env.cloud) if env.cloud else ())
    )
    return Section(title="cloud quotas", rows=rows, note="capacity blocks count against no quota of vCPUs")


def _versions(env: Environment, plan: Plan) -> Section:
    rows = tuple(
        {"part": row.part, "version": row.version, "locked by": "environment" if row.given else "default"}
        for row in plan.versions.parts
    )
    note = (
        "for the site's machines and the cloud's images alike; defaults are chosen to go with what is given\n"
        f"no replica starts with a GPU driver before {plan.versions.oldest_driver}"
    )
    if env.cloud and env.cloud.node_groups:
        note += (
            "\nos and kernel are of the site's machines: the cloud's nodes run Amazon Linux 2023, as their image has it"
        )
    return Section(title="versions", rows=rows, note=note)


def _survives(env: Environment, plan: Plan) -> Section:
    rows = tuple(
        {
            "data": name,
            "copied by": data.method,
            "all of it (GiB)": _figure(size_gib(env, name, data), 1),
            "changes (GiB an hour)": _figure(data.change_gib_per_hour, 1),
            "files": data.files or "",
        }
        for name, data in sorted(copied_data(env).items())
    )
    return Section(title="recovery: what must survive", rows=rows)


def _rpo(env: Environment, plan: Plan) -> Section:
    rows = tuple(
        {
            "data": copy.data,
            "method": copy.method,
            "term": name,
            "expected (s)": round(expected, 1),
            "worst (s)": round(worst, 1),
            "asked (s)": asked,
        }
        for copy in (plan.recovery.copies if plan.recovery else ())
        for name, expected, worst, asked in _sum_of(copy.terms, copy.rpo_s)
    )
    delays = [copy for copy in (plan.recovery.copies if plan.recovery else ()) if copy.write_delay_ms]
    waits = "".join(f"; each write of {copy.data} waits {copy.write_delay_ms:.2f} ms for the fibre" for copy in delays)
    return Section(title="recovery: what is lost (RPO)", rows=rows, note=f"the age of the newest whole copy{waits}")


def _rto(env: Environment, plan: Plan) -> Section:
    if plan.recovery is None:
        return Section(title="", rows=())
    rows = tuple(
        {"term": name, "expected (s)": round(expected, 1), "worst (s)": round(worst, 1), "asked (s)": asked}
        for name, expected, worst, asked in _sum_of(plan.recovery.start, plan.recovery.rto_s)
    )
    return Section(title="recovery: until the standby serves (RTO)", rows=rows)


def _sum_of(terms: Sequence[Term], asked: int) -> Iterator[tuple[str, float, float, Value]]:
    """Terms and their sum; a term whose figure is missing says which."""
    for term in terms:
        name = f"{term.name} (not given: {term.missing})" if term.missing else term.name
        yield name, term.expected_s, term.worst_s, ""
    yield "sum", sum(term.expected_s for term in terms), sum(term.worst_s for term in terms), asked


def _cost(env: Environment, plan: Plan) -> Section:
    metal = {item.path: item for item in plan.cost.metal}
    rows: list[Row] = []
    for part, usd in plan.cost.parts.items():
        of_it = metal.get(part)
        rows.append(
            {
                "part": part,
                "US dollars an hour": round(usd, 2),
                "of it power and cooling": round(of_it.power, 2) if of_it else "",
                "end of life": of_it.end_of_life if of_it else "",
            }
        )
    if rows:
        last: Row = {"part": "total", "US dollars an hour": round(plan.cost.total, 2)}
        rows.append({**last, "of it power and cooling": "", "end of life": ""})
    shares = f"of it the standby {plan.cost.standby:.2f}, replication {plan.cost.replication:.2f}; "
    per_million = plan.cost.usd_per_million_tokens
    tokens = "" if per_million is None else f"{per_million:.2f} US dollars a million tokens; "
    without = not_priced(env)
    left = f"; not counted: {', '.join(without)}" if without else ""
    note = f"{shares}{tokens}list prices of us-east-1, and for metal the catalog's, unless `cost` gives others{left}"
    return Section(title="cost", rows=tuple(rows), note=note)


def _prices(env: Environment, plan: Plan) -> Section:
    types = sorted({group.instance_type for group in env.cloud.node_groups.values()}) if env.cloud else []
    rows = tuple(
        {"instance type": name, **{purchase: _figure(usd_per_hour(env, name, purchase), 2) for purchase in PURCHASES}}
        for name in types
    )
    return Section(title="prices of cloud nodes (US dollars an hour)", rows=rows)


def _keep_or_burst(env: Environment, plan: Plan) -> Section:
    rows = tuple(
        {
            "where": replica.path,
            "bought": replica.purchase,
            "US dollars a replica and hour": round(replica.usd_per_hour, 2),
            "paid for": "while it runs" if replica.by_the_second else "always",
            "tokens a second": _rate(replica),
            "US dollars a million tokens": _figure(replica.usd_per_million_tokens, 2),
            "owning is cheaper above": _share(replica.break_even),
        }
        for replica in plan.cost.replicas
    )
    note = "owning is compared by the dearest group of the site; the share is of the time that the replica runs"
    return Section(title="keep it on premises or burst", rows=merged(rows, "where"), note=note)


def _rate(replica: ReplicaCost) -> Value:
    if replica.tokens_per_s is None:
        return "not known"
    return f"{replica.tokens_per_s:,.0f}{' (estimated)' if replica.estimated else ''}"


def _figure(value: float | None, digits: int) -> Value:
    return "" if value is None else round(value, digits)


def _share(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0%}" if value <= 1 else "never"


def _flows(env: Environment, plan: Plan) -> Section:
    rows = tuple(
        {
            "data": flow.data,
            "by": flow.path,
            "to": flow.to,
            "country": flow.country or "not known",
            "allowed": "yes" if flow.allowed else "no",
        }
        for flow in plan.flows
    )
    note = "nothing says what may leave the site: add sovereignty"
    return Section(title="where data goes", rows=rows, note="" if env.sovereignty else note)


def _policy(env: Environment, plan: Plan) -> Section:
    given = env.sovereignty
    if given is None:
        return Section(title="", rows=())
    first: Row = {"data": "all that is not named", "may go to": "the site", "countries": given.country}
    rows = [
        {"data": name, "may go to": ", ".join(("the site", *rule.regions)), "countries": ", ".join(rule.countries)}
        for name, rule in sorted(given.classes.items())
    ]
    return Section(title="what may leave the site", rows=(first, *rows))


_SECTIONS: tuple[Callable[[Environment, Plan], Section], ...] = (
    _hosts,
    _networks,
    model_section,
    fit_section,
    layouts_section,
    tiers_section,
    thumb_section,
    pods_section,
    doors_section,
    numa_section,
    fabric_section,
    environment_section,
    switch_section,
    links_section,
    infiniband_section,
    partitions_section,
    driver_section,
    containers_section,
    registries_section,
    nodes_section,
    nvme_section,
    _capacity,
    _addresses,
    _quotas,
    access_section,
    ways_section,
    storage_section,
    replication_section,
    _versions,
    _survives,
    _rpo,
    _rto,
    _policy,
    _flows,
    _cost,
    _prices,
    _keep_or_burst,
)
