"""What an hour of the environment costs, US dollars: cloud by list price, metal by amortisation and power.

First form: on-demand list prices of one region, a straight line for metal, no egress. The catalog names each source.
"""

from __future__ import annotations

from math import ceil

from fullbore.catalog.accelerators import ACCELERATORS
from fullbore.catalog.instances import EKS_CONTROL_PLANE_USD_PER_HOUR, INSTANCES
from fullbore.catalog.metal import (
    AMORTISATION_YEARS,
    HOURS_PER_YEAR,
    POWER_USAGE_EFFECTIVENESS,
    STORAGE_HOST_KW,
    STORAGE_HOST_USD,
    USD_PER_KWH,
)
from fullbore.config.models import Cloud, Environment, HostGroup
from fullbore.plan.model import CostPlan
from fullbore.plan.pools import layout_of


def cost_plan(env: Environment) -> CostPlan:
    """US dollars an hour by the path of the part; a part whose price is unknown is left out."""
    parts: dict[str, float] = {}
    if env.site:
        parts |= {f"site.groups.{name}": _metal(group) for name, group in sorted(env.site.groups.items())}
    if env.cloud:
        parts |= _cloud(env, env.cloud)
    return CostPlan(parts={path: round(usd, 4) for path, usd in parts.items()})


def _metal(group: HostGroup) -> float:
    """Price / (years x hours) + kW x PUE x price of a kWh, for all machines of the group."""
    row = ACCELERATORS.get(group.accelerator or "")
    usd = row.usd * group.gpus_per_host if row else STORAGE_HOST_USD
    kw = row.kw * group.gpus_per_host if row else STORAGE_HOST_KW
    price = usd if group.usd_per_host is None else group.usd_per_host
    hourly = price / (AMORTISATION_YEARS * HOURS_PER_YEAR) + kw * POWER_USAGE_EFFECTIVENESS * USD_PER_KWH
    return hourly * len(group.hosts)


def _cloud(env: Environment, cloud: Cloud) -> dict[str, float]:
    parts = {"cloud.control_plane": EKS_CONTROL_PLANE_USD_PER_HOUR}
    first = next(iter(sorted(cloud.node_groups)), None)
    for name, group in sorted(cloud.node_groups.items()):
        price = _hourly(group.instance_type)
        asked = max(group.min_nodes, group.desired_nodes)
        nodes = max(asked, standby_nodes(env, group.instance_type)) if name == first else asked
        if price is not None and nodes:
            parts[f"cloud.node_groups.{name}"] = price * nodes
    return parts


def standby_nodes(env: Environment, instance_type: str) -> int:
    """Nodes of a type that the standby's warm replicas fill."""
    row = INSTANCES.get(instance_type)
    layout = layout_of(env)
    if env.standby is None or layout is None or row is None:
        return 0
    pods_per_node = row.gpus // layout.gpus
    return ceil(env.standby.replicas / pods_per_node) if pods_per_node else 0


def _hourly(instance_type: str) -> float | None:
    row = INSTANCES.get(instance_type)
    return row.usd_per_hour if row else None
