"""RPO and RTO as sums of terms: worked examples, and what must hold for any figures."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbore.config import Environment, load_file, parse
from fullbore.config.yaml_text import read_mapping
from fullbore.plan import make_plan
from fullbore.plan.model import RecoveryPlan
from fullbore.plan.recovery import link_mib_s, recovery_plan

ROOT = Path(__file__).parents[3]
BASE = read_mapping(ROOT / "tests/fixtures/plan/recovery-figure-missing.all/in.yaml")


def environment(recovery: dict[str, Any], **parts: Any) -> Environment:
    changed: dict[str, Any] = dict(BASE)
    for name, fields in parts.items():
        changed[name] = {**changed[name], **fields}
    return parse({**changed, "recovery": {**changed["recovery"], **recovery}})


def plan_of(recovery: dict[str, Any], **parts: Any) -> RecoveryPlan:
    plan = recovery_plan(environment(recovery, **parts))
    assert plan
    return plan


def test_the_age_of_a_scheduled_copy() -> None:
    """100 GiB an hour over 10 Gbit/s, read again at 500 MiB/s: 60 + 85.9 + 204.8 s, and up to an hour before."""
    copy = plan_of(
        {"verify_mib_s": 500, "data": {"checkpoints": {"size_gib": 500, "change_gib_per_hour": 100}}}
    ).copies[0]
    run = 60 + 100 * 1024**3 * 8 / 10e9 + 100 * 1024 / 500
    assert copy.run_s == pytest.approx(run)
    assert copy.worst_s == pytest.approx(3600 + run)
    assert copy.expected_s == pytest.approx(1800 + run)


def test_a_run_reads_again_what_verify_says() -> None:
    """At 500 MiB/s: what changed in the hour, all that the task keeps of both classes, or nothing."""
    some = {"size_gib": 500, "change_gib_per_hour": 100}
    given = {"verify_mib_s": 500, "data": {"checkpoints": some, "logs": {"size_gib": 40, "change_gib_per_hour": 10}}}

    def verification(verify: str) -> list[float]:
        copy = plan_of(given, replication={"verify": verify}).copies[0]
        return [term.worst_s for term in copy.terms if term.name == "verification"]

    assert verification("transferred") == pytest.approx([110 * 1024 / 500])
    assert verification("all") == pytest.approx([540 * 1024 / 500])
    assert verification("none") == []


def test_reading_everything_again_needs_the_size_and_reading_nothing_no_rate() -> None:
    data = {"checkpoints": {"change_gib_per_hour": 100}}
    all_ = plan_of({"verify_mib_s": 500, "data": data}, replication={"verify": "all"}).copies[0]
    assert [term.missing for term in all_.terms if term.missing] == ["recovery.data.checkpoints.size_gib"]
    none = make_plan(environment({"verify_mib_s": 500}, replication={"verify": "none"})).problems
    assert [problem.path for problem in none if problem.rule == "recovery-figure-unused"] == ["recovery.verify_mib_s"]


def test_a_new_release_of_the_weights_is_copied_whole() -> None:
    # 8.03e9 parameters of 2 bytes
    transfer = plan_of({"data": {"weights": {}}}).copies[0].terms[2]
    assert transfer.worst_s == pytest.approx(8_030_261_248 * 2 * 8 / 10e9, rel=0.001)


def test_time_control_promises_each_object_and_a_rate() -> None:
    """15 minutes for the last object, after what an hour changes has gone at 1 Gbit/s, with all that goes this way."""
    seconds = 1024**3 * 8 / 1e9
    whole, change = (
        {"size_gib": 600, "method": "s3-rtc"},
        {"size_gib": 600, "change_gib_per_hour": 20, "method": "s3-rtc"},
    )
    alone = {
        name: plan_of({"data": {"checkpoints": given}}).copies[0] for name, given in (("all", whole), ("20", change))
    }
    assert alone["all"].worst_s == pytest.approx(900 + 600 * seconds)
    assert alone["20"].worst_s == pytest.approx(900 + 20 * seconds)
    both = plan_of({"data": {"checkpoints": change, "logs": change}})
    assert [copy.worst_s for copy in both.copies] == pytest.approx([900 + 40 * seconds] * 2)


def test_one_task_fills_ten_gigabits_and_no_more() -> None:
    assert link_mib_s(environment({"link_gbps": 100})) == link_mib_s(environment({"link_gbps": 10}))
    assert link_mib_s(environment({"link_gbps": 10}, replication={"bandwidth_mib_s": 100})) == 100


def test_steady_copies_take_their_share_of_the_link_first() -> None:
    """2,000 GiB an hour are 4.77 of 10 Gbit/s; the scheduled copy has the rest, and S3's own copies take none."""
    steady = {"size_gib": 5000, "change_gib_per_hour": 2000}
    left = link_mib_s(environment({"data": {"state": {**steady, "method": "continuous"}}}), limited=False)
    assert left == pytest.approx((10e9 / 8 - 2000 * 1024**3 / 3600) / 1024**2)
    from_s3 = link_mib_s(environment({"data": {"state": {**steady, "method": "s3-rtc"}}}), limited=False)
    assert from_s3 == pytest.approx(10e9 / 8 / 1024**2)


def test_classes_of_one_task_are_copied_in_one_run() -> None:
    one = {"size_gib": 500, "change_gib_per_hour": 100}
    alone = plan_of({"data": {"checkpoints": one}}).copies[0]
    both = plan_of({"data": {"checkpoints": one, "logs": one}}).copies[0]
    assert both.run_s - 60 == pytest.approx(2 * (alone.run_s - 60))  # but for listing


def test_a_mirror_over_100_km_loses_nothing_and_delays_each_write_by_a_millisecond() -> None:
    data = {"state": {"size_gib": 10, "method": "block-sync"}}
    copy = plan_of({"distance_km": 100, "data": data}).copies[0]
    assert copy.worst_s == 0
    assert copy.write_delay_ms == pytest.approx(0.98)


def test_the_repository_s_production_meets_what_it_asks() -> None:
    plan = make_plan(load_file(ROOT / "stacks/Pulumi.prod.yaml")).recovery
    assert plan
    assert plan.worst_s <= plan.rto_s
    assert all(copy.worst_s <= copy.rpo_s for copy in plan.copies)
    assert not [term for copy in plan.copies for term in copy.terms if term.missing]


HOURS = st.integers(1, 48)
FIGURES = st.fixed_dictionaries(
    {
        "link_gbps": st.floats(0.01, 400),
        "prepare_s": st.floats(0, 3600),
        "verify_mib_s": st.floats(1, 10_000),
        "switch_s": st.floats(0, 600),
        "dns_ttl_s": st.integers(0, 3600),
    }
)


@given(FIGURES, HOURS, st.floats(0, 1000))
def test_expected_is_never_beyond_worst_and_a_faster_link_never_loses_more(
    figures: dict[str, Any], hours: int, change: float
) -> None:
    figures["data"] = {"weights": {"change_gib_per_hour": change}}
    slow = plan_of(figures, replication={"schedule": f"rate({hours} hours)"})
    fast = plan_of({**figures, "link_gbps": figures["link_gbps"] * 2}, replication={"schedule": f"rate({hours} hours)"})
    assert slow.expected_s <= slow.worst_s
    assert slow.copies[0].expected_s <= slow.copies[0].worst_s
    assert fast.copies[0].worst_s <= slow.copies[0].worst_s


@given(FIGURES, HOURS)
def test_what_a_problem_allows_removes_it(figures: dict[str, Any], hours: int) -> None:
    """The figure in the message of rpo-unreachable and of rto-unreachable is one that passes."""
    schedule = {"schedule": f"rate({hours} hours)"}
    asked = environment(figures, replication=schedule, standby={"rpo_s": 3600, "rto_s": 0})
    found = {problem.rule: problem.message for problem in make_plan(asked).problems}
    rpo, rto = found.get("rpo-unreachable"), found.get("rto-unreachable")
    mended = {
        "rpo_s": int(rpo.split(" s old")[0].rpartition(" ")[2]) if rpo else 3600,
        "rto_s": int(rto.split(" s at worst")[0].rpartition(" ")[2]) if rto else 0,
    }
    left = make_plan(environment(figures, replication=schedule, standby=mended)).problems
    assert not {"rpo-unreachable", "rto-unreachable"} & {problem.rule for problem in left}


def test_datasync_is_paid_for_whatever_the_rpo_is_said_to_come_from() -> None:
    """2 GiB an hour at DataSync's price, and the weights kept in S3: the same, named after what moves them."""
    weights = {"change_gib_per_hour": 2}
    by_datasync = make_plan(environment({"data": {"weights": weights}})).cost.parts
    mirrored = make_plan(environment({"data": {"weights": {**weights, "method": "continuous"}}})).cost.parts
    assert mirrored["replication"] == by_datasync["recovery.data.weights"]
    assert "replication" not in by_datasync
