"""The lock of versions: the default is good, what is bad is found, and what is proposed is the least that helps."""

from itertools import combinations, pairwise, product
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proposed_changes import assert_changes_help

from fullbore.catalog.versions.conflicts import CONFLICTS, Condition, Conflict
from fullbore.catalog.versions.releases import CHANGEABLE, CUDA, DOCA, EFA, GOOD, KERNELS
from fullbore.config import parse
from fullbore.config.models import Accelerator
from fullbore.config.versions import Versions
from fullbore.plan import make_plan
from fullbore.plan.checks import versions as checks
from fullbore.plan.least_change import Lock
from fullbore.plan.versions import (
    Catalog,
    Facts,
    broken,
    compare,
    cost_of,
    facts_of,
    least_change,
    oldest_driver,
    parsed,
    resolve,
    violated,
)

ACCELERATORS = get_args(Accelerator)


def facts(*accelerators: str, efa: bool = False) -> Facts:
    return {"accelerator": frozenset(accelerators), "efa_nodes": frozenset({"yes" if efa else "no"})}


def document(*accelerators: str, efa: bool = False, **versions: Any) -> dict[str, Any]:
    groups = {
        f"gpu-{name}": {
            "kind": "gpu",
            "rack": "r01",
            "accelerator": name,
            "gpus_per_host": 8,
            "hosts": {f"host-{name}": {"serial": f"EX-{name}"}},
        }
        for name in accelerators
    }
    site = {"name": "hall", "cidr": "192.0.2.0/24", "fabric": "efa" if efa else "infiniband", "groups": groups}
    return {"name": "example", "sandbox": {}, "site": site, "versions": versions}


def lock_of(env: dict[str, Any]) -> dict[str, str]:
    return {row.part: row.version for row in make_plan(parse(env)).versions.parts}


def problems(env: dict[str, Any]) -> set[str]:
    return {problem.rule for problem in make_plan(parse(env)).problems if problem.rule.startswith("versions-")}


@pytest.mark.parametrize(
    ("one", "other", "sign"),
    [
        ("13.0", "13.0.0", 0),
        ("570.26", "570.124.06", -1),
        ("2.29.3", "2.29.2", 1),
        ("2.6.0amzn1.0", "2.6.0", 0),
        ("6.8.0-45-generic", "6.8", 0),
        ("5.12", "5.4", 1),
    ],
)
def test_versions_compare_as_numbers(one: str, other: str, sign: int) -> None:
    difference = compare(one, other)
    assert (difference > 0) - (difference < 0) == sign


@pytest.mark.parametrize("efa", [False, True])
@pytest.mark.parametrize("accelerator", ACCELERATORS)
def test_what_is_chosen_for_a_gpu_is_good(accelerator: str, efa: bool) -> None:
    env = document(accelerator, efa=efa)
    assert problems(env) == set()
    assert violated(lock_of(env), facts(accelerator, efa=efa)) == ()


def test_volta_gets_what_still_drives_it() -> None:
    lock = lock_of(document("v100-32"))
    assert (lock["gpu_kernel_modules"], lock["gpu_memory"]) == ("proprietary", "peermem")
    assert compare(lock["cuda"], "13") < 0
    assert compare(lock["gpu_driver"], "590") < 0


def test_the_parts_left_out_follow_those_given() -> None:
    env = {**document("h100", efa=True), "versions": {"efa": "1.43.2", "cuda": "12.8.1"}}
    lock = lock_of(env)
    assert (lock["libfabric"], lock["ofi_nccl"]) == ("2.1.0amzn5.0", "1.16.3")
    assert (lock["efa"], lock["cuda"]) == ("1.43.2", "12.8.1")
    assert problems(env) == set()


def test_the_firmware_is_the_one_that_the_drivers_bring() -> None:
    assert lock_of(document("h200", nic="connectx-7"))["nic_firmware"] == "28.47.2682"


def test_gpus_that_no_lock_drives_together_are_told() -> None:
    env = document("v100-32", "b200")
    assert "versions-gpu-modules" in problems(env)
    told = [problem.message for problem in make_plan(parse(env)).problems if problem.rule == "versions-gpu-modules"]
    assert all("no release that is known goes with" in message for message in told)


@pytest.mark.parametrize(
    ("accelerator", "versions", "rule"),
    [
        ("h100", {"cuda": "13.0.0", "gpu_driver": "570.133.20"}, "versions-cuda-driver"),
        ("h100", {"cuda": "13.0.0", "gpu_driver": "570.133.20", "cuda_compat": True}, None),
        ("h100", {"cuda": "13.0.0", "gpu_driver": "530.30.02", "cuda_compat": True}, "versions-cuda-driver"),
        ("h100", {"cuda": "12.8.0", "gpu_driver": "550.54.15"}, "versions-cuda-minor"),
        ("h100", {"cuda": "12.8.0", "gpu_driver": "595.71.05"}, None),
        ("b200", {"gpu_driver": "570.124.06", "cuda": "12.8.1"}, "versions-driver-gpu"),
        ("b200", {"gpu_driver": "570.133.20", "cuda": "12.8.1"}, None),
        ("b200", {"gpu_kernel_modules": "proprietary"}, "versions-gpu-modules"),
        ("h100", {"kernel": "5.11"}, None),  # nvidia-peermem is chosen
        ("h100", {"kernel": "5.11", "gpu_memory": "dmabuf"}, "versions-gpu-memory"),
        ("h100", {"kernel": "5.12", "gpu_memory": "dmabuf"}, None),
        ("h100", {"ofed": "inbox", "gpu_memory": "peermem"}, "versions-gpu-memory"),
        ("h100", {"ofed": "doca_ofed", "gpu_memory": "peermem"}, None),
        ("h100", {"nccl": "2.29.2"}, "versions-known-bad"),
        ("gb200", {"nccl": "2.28.9"}, "versions-known-bad"),
        ("h100", {"nccl": "2.28.9"}, None),
        ("h100", {"container_toolkit": "1.17.7"}, "versions-container-toolkit"),
        ("h100", {"container_toolkit": "1.17.8"}, None),
        ("h100", {"gpu_driver": "565.77", "kernel": "6.13", "cuda": "12.6.3"}, "versions-driver-kernel"),
        ("h100", {"gpu_driver": "565.77", "kernel": "6.12", "cuda": "12.6.3"}, None),
    ],
)
def test_what_the_sources_say(accelerator: str, versions: dict[str, Any], rule: str | None) -> None:
    assert problems(document(accelerator, **versions)) == ({rule} if rule else set())


def brute_force(lock: Lock, machines: Facts, catalog: Catalog) -> tuple[object, ...] | None:
    """The cost of the cheapest good lock, found by trying every combination."""
    parts = [part for part in catalog.releases if part in lock]
    for count in range(len(parts) + 1):
        tries = [
            dict(zip(chosen, values, strict=True))
            for chosen in combinations(parts, count)
            for values in product(*([r for r in catalog.releases[part] if r != lock[part]] for part in chosen))
        ]
        good = [changes for changes in tries if not violated({**lock, **changes}, machines, catalog.conflicts)]
        if good:
            return min(cost_of(lock, changes, catalog.releases) for changes in good)
    return None


NAMES = ("one", "two", "three", "four")
RELEASES = ("1.0", "2.0", "3.0", "4.0")
CONDITIONS = st.one_of(
    st.builds(Condition, part=st.sampled_from(NAMES), at_least=st.sampled_from(RELEASES)),
    st.builds(Condition, part=st.sampled_from(NAMES), below=st.sampled_from(RELEASES)),
    st.builds(Condition, part=st.sampled_from(NAMES), any_of=st.tuples(st.sampled_from(RELEASES))),
    st.builds(Condition, part=st.just("accelerator"), any_of=st.just(("b200",))),
)
ROWS = st.lists(CONDITIONS, min_size=1, max_size=3).map(
    lambda when: Conflict(rule="versions-x", part="one", when=tuple(when), why="", source="")
)


@given(
    st.fixed_dictionaries({name: st.sampled_from((*RELEASES, "2.5")) for name in NAMES}),
    st.lists(ROWS, max_size=6),
    st.sampled_from(["b200", "h100"]),
)
def test_the_least_change_is_the_least(lock: dict[str, str], rows: list[Conflict], accelerator: str) -> None:
    catalog = Catalog(releases=dict.fromkeys(NAMES, RELEASES), conflicts=tuple(rows))
    found = least_change(lock, facts(accelerator), catalog=catalog)
    expected = brute_force(lock, facts(accelerator), catalog)
    if found is None:
        assert expected is None
        return
    changes = {part: value for part, value in found.items() if value != lock[part]}
    assert violated(found, facts(accelerator), catalog.conflicts) == ()
    assert cost_of(lock, changes, catalog.releases) == expected


@given(st.sampled_from(ACCELERATORS), st.booleans(), st.data())
def test_the_least_change_in_the_catalog_is_the_least(accelerator: str, efa: bool, data: st.DataObject) -> None:
    """Against every change of one part: where one is good, nothing dearer is proposed."""
    parts = data.draw(st.lists(st.sampled_from(sorted(CHANGEABLE)), min_size=1, max_size=2, unique=True))
    lock = {**GOOD, **{part: data.draw(st.sampled_from(CHANGEABLE[part])) for part in parts}}
    machines = facts(accelerator, efa=efa)
    found = least_change(lock, machines)
    assert found
    cost = cost_of(lock, {p: v for p, v in found.items() if v != lock.get(p)}, CHANGEABLE)
    assert violated(found, machines) == ()
    for part in set(CHANGEABLE) & set(lock):
        for release in CHANGEABLE[part]:
            if release != lock[part] and not violated({**lock, part: release}, machines):
                assert cost <= cost_of(lock, {part: release}, CHANGEABLE)


GIVEN = st.fixed_dictionaries(
    {},
    optional={
        **{part: st.sampled_from(releases) for part, releases in CHANGEABLE.items()},
        "os": st.sampled_from(["ubuntu-20.04", "ubuntu-24.04", "ubuntu-26.04", "amazon-linux-2", "rhel-10"]),
        "nic": st.sampled_from(["connectx-4", "connectx-7", "connectx-8"]),
        "cuda_compat": st.booleans(),
        "kubernetes": st.sampled_from(["1.32", "1.33"]),
    },
)


@given(st.sampled_from(ACCELERATORS), st.booleans(), GIVEN)
def test_a_change_that_is_proposed_removes_its_finding(accelerator: str, efa: bool, versions: dict[str, Any]) -> None:
    assert_changes_help({**document(accelerator, efa=efa), "versions": versions})


@given(st.sampled_from(ACCELERATORS), st.booleans(), GIVEN)
def test_no_older_driver_is_as_good_as_the_oldest(accelerator: str, efa: bool, versions: dict[str, Any]) -> None:
    env = parse({**document(accelerator, efa=efa), "versions": versions})
    lock, machines = resolve(env), facts_of(env)
    assert broken(env) == violated(lock, machines)
    allowed = {row for row in broken(env) if row.severity == "error"}
    good = [
        driver
        for driver in (*CHANGEABLE["gpu_driver"], lock["gpu_driver"])
        if {row for row in violated({**lock, "gpu_driver": driver}, machines) if row.severity == "error"} <= allowed
    ]
    assert all(compare(oldest_driver(lock, machines), driver) <= 0 for driver in good)
    assert oldest_driver(lock, machines) in good


@given(st.sampled_from(ACCELERATORS), GIVEN)
def test_what_is_given_is_never_chosen_otherwise(accelerator: str, versions: dict[str, Any]) -> None:
    lock = lock_of({**document(accelerator), "versions": versions})
    said = {True: "yes", False: "no"}
    assert {part: lock[part] for part in versions} == {part: said.get(value, value) for part, value in versions.items()}


def test_rows_name_parts_that_can_be_locked() -> None:
    known = {*Versions.model_fields, "accelerator", "efa_nodes"}
    for row in CONFLICTS:
        assert row.part in Versions.model_fields
        assert row.source
        assert {condition.part for condition in row.when} <= known
        assert any(condition.part == row.part for condition in row.when)


def test_rows_have_severities_and_summaries_of_their_rule() -> None:
    assert {row.rule for row in CONFLICTS} == set(checks.SUMMARIES)
    assert len({(row.rule, row.severity) for row in CONFLICTS}) == len(checks.SUMMARIES)


@pytest.mark.parametrize("releases", [[row.version for row in rows] for rows in (CUDA, EFA, DOCA)] + [list(KERNELS)])
def test_releases_are_listed_oldest_first(releases: list[str]) -> None:
    assert all(compare(one, other) < 0 for one, other in pairwise(releases))


def test_drivers_and_toolkits_grow_together() -> None:
    drivers = [row.driver for row in CUDA]
    assert all(compare(one, other) <= 0 for one, other in pairwise(drivers))
    assert all(parsed(driver) for driver in drivers)


@pytest.mark.parametrize("row", CONFLICTS, ids=lambda row: f"{row.rule}-{row.part}")
def test_every_row_can_occur(row: Conflict) -> None:
    """No row contradicts itself: some value meets all its conditions on one part."""
    by_part: dict[str, list[Condition]] = {}
    for condition in row.when:
        by_part.setdefault(condition.part, []).append(condition)
    for part, conditions in by_part.items():
        tries = {
            bound for c in conditions for bound in (c.at_least, *c.any_of, *CHANGEABLE.get(part, ()), "0.1", "99.0")
        }
        tries |= {f"{'.'.join(bound.split('.')[:-1])}.0" for c in conditions if (bound := c.below)}
        one = Conflict(rule="versions-x", part=part, when=tuple(conditions), why="", source="")
        machines: Facts = {part: frozenset(tries)} if part in ("accelerator", "efa_nodes") else {}
        assert any(violated({part: value}, machines, [one]) for value in tries if value), row
