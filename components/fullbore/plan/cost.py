"""What an hour of the environment costs, US dollars: cloud as it is bought, metal by amortisation and power, copies.

List prices are those of one region, metal is written off in a straight line, and what leaves the cloud is not counted.
The catalog names each source; the environment's `cost` replaces what it holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

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
from fullbore.catalog.prices import (
    BETWEEN_REGIONS,
    DATASYNC,
    GB_PER_GIB,
    HOURS_PER_MONTH,
    S3_STANDARD,
    S3_TIME_CONTROL,
    instance_price,
)
from fullbore.config.cost import Cost
from fullbore.config.models import Cloud, Environment, HostGroup, NodeGroup
from fullbore.config.recovery import DataSet
from fullbore.plan.fit import Layout, illegal, speed
from fullbore.plan.model import CostPlan, MetalCost, ReplicaCost
from fullbore.plan.pools import layout_of, model_of
from fullbore.plan.recovery import (
    changed_gib,
    copied_data,
    datasync_runs,
    gap_s,
    pods_per_node,
    size_gib,
    standby_nodes,
)

DAY_S = 86_400
PURCHASES = ("on-demand", "reserved", "spot", "capacity-block")
BY_THE_SECOND = ("on-demand", "spot")
"""What is paid for only while it runs; the others are paid for all the time."""


def cost_plan(env: Environment) -> CostPlan:
    """US dollars an hour by the path of the part; a part whose price is unknown is left out, and a check names it."""
    cost = env.cost or Cost()
    metal = tuple(_metal(cost, name, group) for name, group in sorted(env.site.groups.items())) if env.site else ()
    copies = _copies(env)
    parts = {item.path: item.amortised + item.power for item in metal}
    parts |= _cloud(env, env.cloud) if env.cloud else {}
    parts |= copies
    replicas = tuple(_replicas(env, cost, metal))
    return CostPlan(
        parts={path: round(usd, 4) for path, usd in parts.items()},
        metal=metal,
        replicas=replicas,
        standby=round(_standby(env), 4),
        replication=round(sum(copies.values()), 4),
        usd_per_million_tokens=_per_million(env, cost, replicas, sum(parts.values())),
    )


def _metal(cost: Cost, name: str, group: HostGroup) -> MetalCost:
    """Price / (years x hours), and kW x PUE x price of a kWh, for all machines of the group."""
    row = ACCELERATORS.get(group.accelerator or "")
    usd = row.usd * group.gpus_per_host if row else STORAGE_HOST_USD
    kw = row.kw * group.gpus_per_host if row else STORAGE_HOST_KW
    price = usd if group.usd_per_host is None else group.usd_per_host
    power = kw if group.watts_per_host is None else group.watts_per_host / 1000
    building = power * (cost.power_usage_effectiveness or POWER_USAGE_EFFECTIVENESS)
    per_kwh = USD_PER_KWH if cost.usd_per_kwh is None else cost.usd_per_kwh
    hosts = len(group.hosts)
    years = cost.amortisation_years or cost.refresh_years or AMORTISATION_YEARS
    return MetalCost(
        path=f"site.groups.{name}",
        hosts=hosts,
        amortised=hosts * price / (years * HOURS_PER_YEAR),
        power=hosts * building * per_kwh,
        price=hosts * price,
        end_of_life=_years_after(group.bought, cost.refresh_years) if group.bought and cost.refresh_years else "",
    )


def _years_after(day: date, years: int) -> str:
    """The same day so many years later; the 29th of February becomes the 1st of March."""
    try:
        return day.replace(year=day.year + years).isoformat()
    except ValueError:
        return date(day.year + years, 3, 1).isoformat() if day.year + years <= date.max.year else ""


def _cloud(env: Environment, cloud: Cloud) -> dict[str, float]:
    """The control plane and each group: nodes that always run, and the others while all of them do."""
    parts = {"cloud.control_plane": EKS_CONTROL_PLANE_USD_PER_HOUR}
    warm = standby_nodes(env)
    for name, group in sorted(cloud.node_groups.items()):
        price = price_of(env, group)
        nodes = max(group.min_nodes, group.desired_nodes, warm.get(name, 0))
        nodes += max(0, group.max_nodes - nodes) * group.busy_s_per_day / DAY_S
        if price is not None and nodes:
            parts[f"cloud.node_groups.{name}"] = price * nodes
    return parts


def not_priced(env: Environment) -> tuple[str, ...]:
    """Paths of what is paid for, too, and that the catalog has no price of."""
    cloud, storage = env.cloud, env.storage
    vpn = cloud.vpn if cloud else None
    given = {
        "storage.lustre": storage.lustre if storage else None,
        "storage.shared": storage.shared if storage else None,
        "cloud.vpn": vpn,
        "cloud.vpn.direct_connect": vpn.direct_connect if vpn else None,
        "cloud.datasync_endpoint": cloud.datasync_endpoint if cloud else None,
        "cloud.flow_logs_days": cloud.flow_logs_days if cloud else None,
    }
    return tuple(path for path, value in given.items() if value)


def purchase_of(group: NodeGroup) -> str:
    """How a group is bought, one of PURCHASES."""
    return "reserved" if group.committed and group.capacity == "on-demand" else group.capacity


def price_of(env: Environment, group: NodeGroup) -> float | None:
    """US dollars an hour of one node of a group; None where neither the environment nor the catalog says it."""
    return usd_per_hour(env, group.instance_type, purchase_of(group))


def usd_per_hour(env: Environment, instance_type: str, purchase: str) -> float | None:
    """US dollars an hour of an instance type as it is bought, one of PURCHASES; None where nothing says it."""
    given = env.cost.prices.get(instance_type) if env.cost else None
    usd: float | None = getattr(given, purchase.replace("-", "_")) if given else None
    return instance_price(instance_type, purchase) if usd is None else usd


def _standby(env: Environment) -> float:
    """The nodes that the standby's warm replicas fill."""
    groups = env.cloud.node_groups if env.cloud else {}
    return sum((price_of(env, groups[name]) or 0.0) * nodes for name, nodes in standby_nodes(env).items())


def _copies(env: Environment) -> dict[str, float]:
    """What the copies cost: moving what changes, and keeping one whole copy in S3. DataSync goes on with the weights
    where no class is said to go that way."""
    parts: dict[str, float] = {}
    copied = copied_data(env)
    if datasync_runs(env) and all(data.method != "datasync" for data in copied.values()):
        weights = copied.get("weights", DataSet()).model_copy(update={"method": "datasync"})
        parts["replication"] = _copy(env, "weights", weights)
    parts |= {f"recovery.data.{name}": _copy(env, name, data) for name, data in sorted(copied.items())}
    return {path: usd for path, usd in parts.items() if usd}


def _copy(env: Environment, name: str, data: DataSet) -> float:
    moved = _moved_gib(env, name, data) * GB_PER_GIB * _USD_PER_GB.get(data.method, 0.0)
    kept = (size_gib(env, name, data) or 0.0) * GB_PER_GIB * S3_STANDARD.usd / HOURS_PER_MONTH
    return moved + (kept if data.method in _IN_S3 else 0.0)


def _moved_gib(env: Environment, name: str, data: DataSet) -> float:
    """GiB an hour: what the RPO takes a run to copy, over the longest time between two; without a schedule, changes."""
    gap = gap_s(env, data)
    changed = changed_gib(env, name, data, gap) if gap else data.change_gib_per_hour
    return (changed or 0.0) * 3600 / (gap or 3600)


_USD_PER_GB = {
    "datasync": DATASYNC.usd,
    "s3-rtc": S3_TIME_CONTROL.usd + BETWEEN_REGIONS.usd,
}
"""Price of moving a GB. Lines between sites and the servers of AWS Elastic Disaster Recovery are not counted."""
_IN_S3 = ("datasync", "s3-rtc", "backup")


def _replicas(env: Environment, cost: Cost, metal: tuple[MetalCost, ...]) -> Iterator[ReplicaCost]:
    """Both sides of keeping it on premises or bursting: one replica an hour in each place that holds one."""
    dearest, layout = 0.0, layout_of(env)
    for item in metal:
        group = env.site.groups[item.path.rpartition(".")[2]] if env.site else None
        pods = _pods_per_host(layout, group) if group else 0
        if group and pods:
            usd = (item.amortised + item.power) / item.hosts / pods
            dearest = max(dearest, usd)
            yield _replica(cost, item.path, "owned", usd, _rate(env, layout, group.accelerator))
    for name, group in sorted(env.cloud.node_groups.items()) if env.cloud else ():
        pods, row = pods_per_node(layout, group.instance_type), INSTANCES.get(group.instance_type)
        for purchase in PURCHASES if pods else ():
            price = usd_per_hour(env, group.instance_type, purchase)
            if price is not None:
                rate = _rate(env, layout, row.accelerator if row else None)
                yield _replica(cost, f"cloud.node_groups.{name}", purchase, price / pods, rate, dearest)


def _replica(
    cost: Cost, path: str, purchase: str, usd: float, estimate: float | None, owned: float = 0.0
) -> ReplicaCost:
    """Owning costs `owned` all the time, this `usd` while it runs: they are equal where it runs owned / usd of it."""
    seconds = purchase in BY_THE_SECOND
    busy = 1.0 if seconds else cost.busy_share or 1.0
    rate = cost.tokens_per_s or estimate
    return ReplicaCost(
        path=path,
        purchase=purchase,
        usd_per_hour=usd,
        by_the_second=seconds,
        tokens_per_s=rate,
        estimated=cost.tokens_per_s is None,
        usd_per_million_tokens=usd / (rate * 3600 * busy) * 1e6 if rate else None,
        break_even=owned / usd if seconds and owned and usd else None,
    )


def _rate(env: Environment, layout: Layout | None, accelerator: str | None) -> float | None:
    """Estimated tokens a second of one replica on such GPUs; None where the model or its layout is not known."""
    model, row = model_of(env.serving), ACCELERATORS.get(accelerator or "")
    if model is None or layout is None or row is None or illegal(model, layout):
        return None
    return speed(model, row, layout).tokens_per_s


def _pods_per_host(layout: Layout | None, group: HostGroup) -> int:
    return group.gpus_per_host // layout.gpus if layout and group.kind == "gpu" else 0


def _per_million(env: Environment, cost: Cost, replicas: tuple[ReplicaCost, ...], usd_per_hour: float) -> float | None:
    """Everything that is paid for, over what the site's replicas serve, the slowest kind taken for all."""
    count = env.serving.replicas if env.serving else 0
    rates = [item.tokens_per_s for item in replicas if item.purchase == "owned" and item.tokens_per_s]
    rate = cost.tokens_per_s or min(rates, default=0.0)
    if not rate or not count:
        return None
    return usd_per_hour / (count * rate * 3600 * (cost.busy_share or 1.0)) * 1e6
