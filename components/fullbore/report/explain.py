"""The plan in words and figures: tables that a terminal or a JSON reader shows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fullbore.catalog.models import MODELS
from fullbore.config.models import Environment
from fullbore.plan.checks.serving import fits
from fullbore.plan.fit import parameters
from fullbore.plan.model import Plan
from fullbore.plan.schedule import ScheduleError, longest_gap_s

Value = str | int | float
Row = Mapping[str, Value]


@dataclass(frozen=True, kw_only=True)
class Section:
    """One table: a title, and rows whose keys are the columns; a unit stands in the column's name."""

    title: str
    rows: tuple[Row, ...]
    note: str = ""


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
            "roles": ", ".join(group.roles),
            "settings a host": len(group.hosts[0].settings),
        }
        for group in (plan.site.groups if plan.site else ())
    )
    fabric = f"fabric {env.site.fabric}, {env.site.link_gbps:g} Gbit/s a link" if env.site else ""
    return Section(title="site", rows=rows, note=fabric)


def _model(env: Environment, plan: Plan) -> Section:
    serving = env.serving
    model = MODELS.get(serving.model) if serving else None
    if serving is None or model is None:
        return Section(title="model", rows=())
    row: Row = {
        "model": model.name,
        "parameters (10^9)": round(parameters(model) / 1e9, 2),
        "attention": model.attention,
        "precision": serving.precision,
        "tensor x pipeline parallel": f"{serving.tensor_parallel} x {serving.pipeline_parallel}",
        "replicas": serving.replicas,
        "standby replicas": plan.standby.serving.replicas if plan.standby else 0,
    }
    return Section(title="model", rows=(row,), note=f"from {model.source}")


def _fit(env: Environment, plan: Plan) -> Section:
    rows = tuple(
        {
            "where": pool.path,
            "GPU": pool.accelerator.name,
            "HBM (GiB)": round(fit.hbm_gib, 1),
            "usable (GiB)": round(fit.budget_gib, 1),
            "weights (GiB)": round(fit.weights_gib, 1),
            "activations (GiB)": round(fit.fixed_gib, 1),
            "KV cache (KiB a token)": round(fit.kv_bytes_per_token / 1024, 1),
            "KV cache (tokens)": fit.kv_tokens,
            "wanted (tokens)": fit.wanted_tokens,
            "fits": "yes" if fit.kv_tokens >= fit.wanted_tokens else "in part" if fit.fits else "no",
        }
        for pool, fit in fits(env)
    )
    return Section(title="fit of one GPU", rows=rows, note="the fullest rank; a token's KV cache is kept in 16 bits")


def _capacity(env: Environment, plan: Plan) -> Section:
    rows = tuple(
        {
            "node group": group.name,
            "instance type": group.instance_type,
            "GPUs": f"{group.gpus} x {group.accelerator}",
            "EFA interfaces": group.efa_interfaces,
            "nodes (min/desired/max)": f"{group.min_nodes}/{group.desired_nodes}/{group.max_nodes}",
            "bought": group.capacity,
        }
        for group in (plan.cloud.node_groups if plan.cloud else ())
    )
    subnets = ", ".join(f"{subnet.zone} {subnet.cidr}" for subnet in plan.cloud.subnets) if plan.cloud else ""
    return Section(title="cloud capacity", rows=rows, note=f"subnets: {subnets}")


def _recovery(env: Environment, plan: Plan) -> Section:
    standby = plan.standby
    if standby is None:
        return Section(title="recovery", rows=())
    row: Row = {
        "RPO asked (s)": standby.rpo_s,
        "replication gap (s)": _gap(plan),
        "RTO asked (s)": standby.rto_s,
        "warm replicas": standby.serving.replicas,
    }
    return Section(
        title="recovery", rows=(row,), note="the gap is between two starts; the copy's own time comes on top"
    )


def _gap(plan: Plan) -> Value:
    try:
        return longest_gap_s(plan.replication.schedule) if plan.replication else "none"
    except ScheduleError:
        return "unknown"


def _cost(env: Environment, plan: Plan) -> Section:
    rows = [{"part": part, "US dollars an hour": round(usd, 2)} for part, usd in plan.cost.parts.items()]
    if rows:
        rows.append({"part": "total", "US dollars an hour": round(plan.cost.total, 2)})
    note = "an estimate: list prices of us-east-1; for metal, assumed prices over 5 years and power (see the catalog)"
    return Section(title="cost", rows=tuple(rows), note=note)


_SECTIONS: tuple[Callable[[Environment, Plan], Section], ...] = (_hosts, _model, _fit, _capacity, _recovery, _cost)
