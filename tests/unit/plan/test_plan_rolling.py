"""The order in which machines change: every one that changes once, none other, and never too many at once."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbore.config.rolling import Rolling
from fullbore.plan.model import GroupPlan, HostPlan
from fullbore.plan.rolling import machines_for, rolled, spare_machines, waves
from fullbore.waves import Left, next_wave

DEFAULT = Rolling()


def group(name: str, hosts: int, kind: str = "gpu", rack: str = "") -> GroupPlan:
    machines = (HostPlan(name=f"{name}-{n:02}", serial=name, address="", port=22, host_key="") for n in range(hosts))
    return GroupPlan(
        name=name,
        kind="gpu" if kind == "gpu" else "storage",
        rack=rack or name,
        roles=(),
        hosts=tuple(machines),
        max_failures=0,
        settings=(),
        document={},
    )


def names(groups: Sequence[GroupPlan], kind: str = "gpu") -> list[str]:
    return [host.name for group in groups if group.kind == kind for host in group.hosts]


RACKS = st.lists(st.integers(1, 32), min_size=1, max_size=12)
SHARES = st.builds(
    Rolling,
    wave_share=st.sampled_from([0.01, 0.1, 0.25, 1.0]),
    min_serving_share=st.sampled_from([None, 0.0, 0.5, 0.9]),
)


@given(RACKS, SHARES, st.none() | st.integers(0, 400), st.data())
def test_the_waves_of_any_change(sizes: list[int], rolling: Rolling, needed: int | None, data: st.DataObject) -> None:
    groups = rolled([group(f"r{n:02}", size) for n, size in enumerate(sizes)], rolling, needed)
    machines = names(groups)
    changed = data.draw(st.sets(st.sampled_from(machines)))
    spare = spare_machines(len(machines), rolling, needed)
    found = waves(groups, changed)
    if spare == 0:
        assert found == ()
        return
    assert sorted(host for wave in found for host in wave) == sorted(changed), "each once, and none other"
    assert all(0 < len(wave) <= spare for wave in found), "the floor holds"
    assert not found or len(found[0]) == 1, "a canary"
    first_rack = {host.name for host in groups[0].hosts}
    wave = max(1, int(rolling.wave_share * len(machines) + 1e-9))
    assert all(len(each) <= wave for each in found[1:] if not first_rack & set(each))
    in_first = [bool(first_rack & set(each)) for each in found]
    assert in_first == sorted(in_first, reverse=True), "the canary's rack is done before any other begins"


def test_a_thousand_machines_are_a_canary_a_rack_and_waves_of_a_tenth() -> None:
    groups = rolled([group(f"r{n:02}", 32) for n in range(31)] + [group("r31", 8)], DEFAULT, needed=800)
    found = waves(groups, names(groups))
    assert [len(wave) for wave in found] == [1, 31, *[96] * 10, 8]
    assert waves(groups, ["r07-05"]) == (("r07-05",),), "one machine more is one machine's change"


def test_storage_goes_first_and_one_machine_after_another() -> None:
    groups = rolled([group("gpu", 4), group("disk", 3, kind="storage")], DEFAULT, needed=None)
    assert [group.name for group in groups] == ["gpu", "disk"], "as they came"
    found = waves(groups, [*names(groups), *names(groups, "storage")])
    assert found == (("disk-00",), ("disk-01",), ("disk-02",), ("gpu-00",), ("gpu-01", "gpu-02", "gpu-03"))


@pytest.mark.parametrize(
    ("machines", "share", "needed", "spare"),
    [
        (8, None, 7, 1),
        (8, None, 8, 1),  # nothing could ever change otherwise
        (8, None, None, 8),
        (10, 0.9, None, 1),
        (10, 0.7, 9, 3),
        (4, 0.9, None, 0),
        (1, 0.0, 1, 1),
    ],
)
def test_machines_that_may_be_out_of_service(
    machines: int, share: float | None, needed: int | None, spare: int
) -> None:
    assert spare_machines(machines, Rolling(min_serving_share=share), needed) == spare


@pytest.mark.parametrize(
    ("replicas", "gpus", "hosts", "needed"),
    [(7, 8, [8] * 8, 7), (2, 1, [8, 8], 1), (5, 4, [8, 8, 4], 3), (9, 8, [8] * 4, 4), (0, 1, [8], 1)],
)
def test_machines_that_replicas_need(replicas: int, gpus: int, hosts: list[int], needed: int) -> None:
    assert machines_for(replicas, gpus, hosts) == needed


@given(st.integers(0, 9), st.integers(0, 9), st.integers(1, 9), st.integers(-3, 9), st.booleans())
def test_a_wave_takes_no_more_than_there_is_room_for(
    idle: int, serving: int, at_once: int, room: int, ok: bool
) -> None:
    left = Left(idle=tuple(f"i{n}" for n in range(idle)), serving=tuple(f"s{n}" for n in range(serving)))
    wave = next_wave(left, at_once=at_once, room=room, proven=ok)
    if idle:
        assert wave == left.idle
    else:
        assert wave == left.serving[: len(wave)]
        assert len(wave) == max(0, min(serving, at_once if ok else 1, room))


def test_the_floor_is_not_rounded_down() -> None:
    for machines in range(1, 300):
        kept = machines - spare_machines(machines, Rolling(min_serving_share=0.9), None)
        assert kept == ceil(machines * 9 / 10)
