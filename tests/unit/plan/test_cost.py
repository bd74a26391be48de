"""Cost: worked examples, and what must hold for any prices."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbore.config import Environment, load_file, parse
from fullbore.config.yaml_text import read_mapping
from fullbore.plan.cost import cost_plan, not_priced
from fullbore.plan.model import CostPlan, ReplicaCost

ROOT = Path(__file__).parents[3]
BASE = read_mapping(ROOT / "tests/fixtures/plan/recovery-figure-missing.all/in.yaml")
HOURS_PER_YEAR = 8766


def environment(cost: dict[str, Any], *, group: dict[str, Any] = {}, **parts: Any) -> Environment:  # noqa: B006
    changed: dict[str, Any] = {**BASE, "cost": cost}
    for name, fields in parts.items():
        changed[name] = {**changed.get(name, {}), **fields}
    groups = changed["site"]["groups"]
    return parse({**changed, "site": {**changed["site"], "groups": {"gpu": {**groups["gpu"], **group}}}})


def replica(plan: CostPlan, purchase: str) -> ReplicaCost:
    return next(item for item in plan.replicas if item.purchase == purchase)


def test_metal_is_written_off_in_a_straight_line_and_pays_for_its_cooling() -> None:
    """One machine of 300,000 dollars over 4 years, 10 kW at a PUE of 1.3 and 0.20 dollars a kWh."""
    cost = {"amortisation_years": 4, "usd_per_kwh": 0.20, "power_usage_effectiveness": 1.3}
    metal = cost_plan(environment(cost, group={"usd_per_host": 300_000, "watts_per_host": 10_000})).metal[0]
    assert metal.amortised == pytest.approx(300_000 / (4 * HOURS_PER_YEAR))
    assert metal.power == pytest.approx(10 * 1.3 * 0.20)


@pytest.mark.parametrize(
    ("cost", "years"),
    [({}, 5), ({"refresh_years": 3}, 3), ({"refresh_years": 3, "amortisation_years": 2}, 2)],
)
def test_machines_are_written_off_while_they_are_kept(cost: dict[str, Any], years: int) -> None:
    metal = cost_plan(environment(cost, group={"usd_per_host": 300_000})).metal[0]
    assert metal.amortised == pytest.approx(300_000 / (years * HOURS_PER_YEAR))


@pytest.mark.parametrize(
    ("bought", "years", "end"),
    [("2026-03-31", 3, "2029-03-31"), ("2024-02-29", 3, "2027-03-01"), ("9999-01-01", 3, "")],
)
def test_the_end_of_life_follows_from_the_day_of_purchase(bought: str, years: int, end: str) -> None:
    assert cost_plan(environment({"refresh_years": years}, group={"bought": bought})).metal[0].end_of_life == end


def test_without_dates_there_is_no_end_of_life() -> None:
    assert cost_plan(environment({})).metal[0].end_of_life == ""


def test_nodes_beyond_the_least_are_paid_for_by_the_second() -> None:
    """Two p5.48xlarge for six hours a day, one of them always there for the standby."""
    groups = {"burst": {"instance_type": "p5.48xlarge", "max_nodes": 2, "busy_s_per_day": 6 * 3600}}
    plan = cost_plan(environment({}, cloud={"node_groups": groups}))
    assert plan.parts["cloud.node_groups.burst"] == pytest.approx(55.04 * 1.25)
    assert plan.standby == pytest.approx(55.04)


@pytest.mark.parametrize(
    ("capacity", "committed", "usd"), [("on-demand", False, 50), ("on-demand", True, 30), ("spot", False, 20)]
)
def test_a_group_has_the_price_of_how_it_is_bought(capacity: str, committed: bool, usd: float) -> None:
    prices = {"p5.48xlarge": {"on_demand": 50, "reserved": 30, "spot": 20}}
    group = {"instance_type": "p5.48xlarge", "max_nodes": 1, "capacity": capacity, "committed": committed}
    plan = cost_plan(environment({"prices": prices}, cloud={"node_groups": {"burst": group}}))
    assert plan.parts["cloud.node_groups.burst"] == usd


def test_a_capacity_block_has_a_price_of_its_own() -> None:
    group = {"instance_type": "p5e.48xlarge", "max_nodes": 1, "capacity": "capacity-block"}
    plan = cost_plan(environment({}, cloud={"node_groups": {"burst": group}}))
    assert plan.parts["cloud.node_groups.burst"] == pytest.approx(43.26)


def test_copies_are_paid_for_by_what_moves_and_what_is_kept() -> None:
    """10 GiB an hour and 1000 GiB kept: DataSync 0.0125, S3 0.023 a month."""
    data = {"checkpoints": {"size_gib": 1000, "change_gib_per_hour": 10}}
    plan = cost_plan(environment({}, recovery={"data": data}))
    gb = 1.073741824
    assert plan.replication == pytest.approx(10 * gb * 0.0125 + 1000 * gb * 0.023 / 730.5, abs=1e-4)
    assert plan.parts["recovery.data.checkpoints"] == plan.replication


@pytest.mark.parametrize(
    ("data", "schedule", "gib_per_hour"),
    [
        ({"size_gib": 600}, "rate(1 hour)", 600),
        ({"size_gib": 600}, "rate(2 hours)", 300),
        ({"size_gib": 600, "change_gib_per_hour": 200}, "rate(2 hours)", 200),
        ({"size_gib": 600, "change_gib_per_hour": 100_000}, "rate(1 hour)", 600),
        ({"change_gib_per_hour": 0}, "rate(1 hour)", 0),
    ],
)
def test_copies_move_what_the_rpo_takes_a_run_to_copy(data: Any, schedule: str, gib_per_hour: float) -> None:
    """All of it in each run where no change is given, and never more than all of it."""
    env = environment({}, recovery={"data": {"checkpoints": data}}, replication={"schedule": schedule})
    gb = 1.073741824
    kept = data.get("size_gib", 0) * gb * 0.023 / 730.5
    assert cost_plan(env).replication == pytest.approx(gib_per_hour * gb * 0.0125 + kept, abs=1e-4)


def test_owning_breaks_even_where_both_sides_cost_the_same() -> None:
    """A machine holds 8 replicas of one GPU each; above the share, each costs less than the cloud's."""
    cost = {"prices": {"p5.48xlarge": {"on_demand": 80}}, "amortisation_years": 5}
    plan = cost_plan(environment(cost, group={"usd_per_host": 8 * 5 * HOURS_PER_YEAR, "watts_per_host": 0.001}))
    assert replica(plan, "owned").usd_per_hour == pytest.approx(1, rel=1e-4)
    assert replica(plan, "on-demand").usd_per_hour == pytest.approx(10)
    assert replica(plan, "on-demand").break_even == pytest.approx(0.1, rel=1e-4)


def test_tokens_cost_more_where_idle_time_is_paid_for() -> None:
    cost = {"prices": {"p5.48xlarge": {"reserved": 40}}, "tokens_per_s": 1000}
    busy = cost_plan(environment(cost))
    half = cost_plan(environment({**cost, "busy_share": 0.5}))
    for purchase, factor in (("owned", 2), ("reserved", 2), ("on-demand", 1)):
        before, after = replica(busy, purchase), replica(half, purchase)
        assert before.usd_per_million_tokens
        assert before.usd_per_million_tokens == pytest.approx(before.usd_per_hour / 3.6)
        assert after.usd_per_million_tokens == pytest.approx(factor * before.usd_per_million_tokens)


def test_the_standby_is_paid_for_where_its_replicas_land() -> None:
    """Replicas of 8 GPUs: none lands on the one GPU of g6e.xlarge; the second waits for a node of the next group."""
    groups = {
        "a-small": {"instance_type": "g6e.xlarge", "max_nodes": 4},
        "one": {"instance_type": "p5.48xlarge", "max_nodes": 1},
        "two": {"instance_type": "p5.48xlarge", "max_nodes": 1},
    }
    split = {"tensor_parallel": 8}
    plan = cost_plan(environment({}, cloud={"node_groups": groups}, serving=split, standby={"replicas": 2}))
    assert plan.standby == pytest.approx(2 * 55.04)
    assert "cloud.node_groups.a-small" not in plan.parts
    assert plan.parts["cloud.node_groups.two"] == pytest.approx(55.04)


def test_the_standby_of_production_is_named_within_the_total() -> None:
    plan = cost_plan(load_file(ROOT / "stacks/Pulumi.prod.yaml"))
    assert plan.standby == plan.parts["cloud.node_groups.standby"]
    assert 0 < plan.replication < plan.total


def test_what_has_no_price_is_named() -> None:
    prod = load_file(ROOT / "stacks/Pulumi.prod.yaml")
    files = ("storage.lustre", "storage.shared")
    lines = ("cloud.vpn", "cloud.vpn.direct_connect", "cloud.datasync_endpoint", "cloud.flow_logs_days")
    assert not_priced(prod) == (*files, *lines)
    assert not_priced(environment({})) == ()


@given(st.integers(1, 32), st.floats(1, 1e5), st.floats(0.01, 1), st.floats(0, 1e6))
def test_data_parallelism_scales_cost_and_throughput(hosts: int, rate: float, busy: float, price: float) -> None:
    """A machine more for each 8 replicas more: the site's dollars grow with them, a million tokens costs the same."""
    host = next(iter(BASE["site"]["groups"]["gpu"]["hosts"].values()))  # type: ignore[index]
    many = {f"gpu-{index:02}": {**host, "serial": f"EX-{index}"} for index in range(hosts)}
    cost = {"tokens_per_s": rate, "busy_share": busy}
    one = cost_plan(environment(cost, group={"usd_per_host": price}))
    all_of_them = cost_plan(
        environment(cost, group={"usd_per_host": price, "hosts": many}, serving={"replicas": hosts})
    )
    assert all_of_them.parts["site.groups.gpu"] == pytest.approx(hosts * one.parts["site.groups.gpu"], abs=1e-3 * hosts)
    assert replica(all_of_them, "owned").usd_per_million_tokens == pytest.approx(
        replica(one, "owned").usd_per_million_tokens
    )
    million, each = all_of_them.usd_per_million_tokens, one.usd_per_million_tokens
    assert million is not None
    assert each is not None
    assert all_of_them.total / million == pytest.approx(hosts * one.total / each, rel=1e-3)  # tokens of an hour


@given(st.floats(0.01, 1e4), st.floats(0.01, 1e4))
def test_a_dearer_cloud_never_makes_owning_look_worse(low: float, more: float) -> None:
    shares = [
        replica(cost_plan(environment({"prices": {"p5.48xlarge": {"on_demand": usd}}})), "on-demand").break_even
        for usd in (low, low + more)
    ]
    assert shares[0] is not None
    assert shares[1] is not None
    assert shares[1] <= shares[0]
