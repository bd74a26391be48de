"""A change in waves: what is reached when machines fail, and what groups side by side leave to each other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbore.provider.base import ProviderError
from fullbore.provider.rolling import UNREACHABLE, Member, Pools, Rolled, roll
from fullbore.waves import Left

HOSTS = tuple(f"h{n}" for n in range(6))


def member(name: str = "a", **changes: Any) -> Member:
    given: dict[str, Any] = {"at_once": 2, "spare": 6, "max_failures": 1} | changes
    return Member(urn=name, pool="gpu", **given)


class Machines:
    """Keeps what was changed at once, and lets some fail."""

    def __init__(self, bad: dict[str, str] | None = None) -> None:
        self.waves: list[tuple[str, ...]] = []
        self.bad = bad or {}

    def change(self, wave: tuple[str, ...]) -> dict[str, str]:
        self.waves.append(wave)
        return {host: self.bad[host] for host in wave if host in self.bad}


def rolling(machines: Machines, member: Member, left: Left, failed: dict[str, str] | None = None) -> Rolled:
    return roll(Pools(), member, left, machines.change, failed or {})


def test_one_machine_then_so_many_at_once() -> None:
    machines = Machines()
    assert rolling(machines, member(), Left(serving=HOSTS)) == Rolled({}, {})
    assert machines.waves == [("h0",), ("h1", "h2"), ("h3", "h4"), ("h5",)]


def test_a_failed_canary_stops_the_change_even_where_one_may_fail() -> None:
    machines = Machines({"h0": "role: broken"})
    rolled = rolling(machines, member(), Left(serving=HOSTS))
    assert machines.waves == [("h0",)]
    assert rolled.failed == {"h0": "role: broken"}
    assert rolled.pending == dict.fromkeys(HOSTS[1:], "not touched: h0, which changed first, failed")


def test_a_machine_that_is_away_says_nothing_of_the_change() -> None:
    machines = Machines({"h0": f"{UNREACHABLE}no route"})
    rolled = rolling(machines, member(), Left(serving=HOSTS))
    assert machines.waves == [("h0",), ("h1",), ("h2", "h3"), ("h4", "h5")], "the next one is the canary"
    assert (list(rolled.failed), rolled.pending) == (["h0"], {})


def test_too_many_failures_stop_it() -> None:
    machines = Machines({"h1": "x", "h2": "x"})
    rolled = rolling(machines, member(), Left(serving=HOSTS))
    assert machines.waves == [("h0",), ("h1", "h2")]
    assert rolled.pending == dict.fromkeys(("h3", "h4", "h5"), "not touched: 2 failed, but maxFailures is 1")


def test_the_floor_stops_it() -> None:
    machines = Machines({"h1": "x"})
    rolled = rolling(machines, member(spare=1), Left(serving=HOSTS))
    assert machines.waves == [("h0",), ("h1",)]
    assert list(rolled.pending) == ["h2", "h3", "h4", "h5"]
    assert rolled.pending["h2"].startswith("not touched: of kind gpu, at most 1 may be out of service, and 1 failed; ")


def test_what_serves_nothing_goes_first_and_frees_the_room_where_it_comes_back() -> None:
    left = Left(idle=("h5",), serving=("h0", "h1"))
    machines = Machines()
    assert rolling(machines, member(spare=1), left, {"h5": "x"}) == Rolled({}, {})
    assert machines.waves == [("h5",), ("h0",), ("h1",)]
    machines = Machines({"h5": "again"})
    assert list(rolling(machines, member(spare=1), left, {"h5": "x"}).pending) == ["h0", "h1"]
    assert machines.waves == [("h5",)]


@pytest.mark.parametrize(
    ("spare", "waves"), [(2, [("h0",), ("h1", "h2"), ("h3",)]), (1, [("h0",), ("h1",), ("h2",), ("h3",)])]
)
def test_what_is_out_already_goes_before_what_serves_and_takes_no_room(
    spare: int, waves: list[tuple[str, ...]]
) -> None:
    machines = Machines()
    left = Left(out=("h0", "h1"), serving=("h2", "h3"))
    assert rolling(machines, member(spare=spare, max_failures=0), left, {"h0": "x", "h1": "x"}) == Rolled({}, {})
    assert machines.waves == waves


def test_a_canary_that_the_change_was_not_tried_on_proves_nothing() -> None:
    machines = Machines()
    roll(Pools(), member(at_once=3), Left(serving=HOSTS), machines.change, {}, untried={"h0"})
    assert machines.waves == [("h0",), ("h1",), ("h2", "h3", "h4"), ("h5",)]


def test_a_canary_of_a_change_that_reboots_nothing_proves_no_reboot() -> None:
    pools, machines = Pools(), Machines()
    roll(pools, member("a"), Left(serving=("a0", "a1")), machines.change, {})
    roll(pools, replace(member("b"), reboots=True), Left(serving=("b0", "b1", "b2")), machines.change, {})
    roll(pools, replace(member("c"), reboots=True), Left(serving=("c0", "c1")), machines.change, {})
    assert machines.waves == [("a0",), ("a1",), ("b0",), ("b1", "b2"), ("c0", "c1")]


def test_a_run_that_ends_keeps_what_was_done() -> None:
    def change(wave: tuple[str, ...]) -> dict[str, str]:
        if wave != ("h0",):
            raise ProviderError("cancelled")
        return {}

    rolled = roll(Pools(), member(max_failures=9), Left(serving=HOSTS), change, {})
    assert rolled == Rolled(
        dict.fromkeys(("h1", "h2"), "cancelled"), dict.fromkeys(("h3", "h4", "h5"), "not touched: cancelled")
    )
    with pytest.raises(ProviderError):
        roll(Pools(), member(), Left(serving=("h1",)), change, {})


@given(st.sets(st.sampled_from(HOSTS)), st.sets(st.sampled_from(HOSTS)), st.integers(0, 6), st.integers(0, 6))
def test_no_more_than_the_floor_leaves_are_ever_out(idle: set[str], bad: set[str], spare: int, limit: int) -> None:
    left = Left(idle=tuple(sorted(idle)), serving=tuple(host for host in HOSTS if host not in idle))
    out = set(idle)

    def change(wave: tuple[str, ...]) -> dict[str, str]:
        assert set(wave) == idle or len(out | set(wave)) <= spare
        out.difference_update(set(wave) - bad)
        out.update(set(wave) & bad)
        return dict.fromkeys(set(wave) & bad, "x")

    rolled = roll(Pools(), member(spare=spare, max_failures=limit), left, change, dict.fromkeys(idle, "x"))
    assert rolled.failed.keys() == out
    assert not rolled.failed.keys() & rolled.pending.keys()


def together(pools: Pools, *runs: tuple[Member, Callable[[tuple[str, ...]], dict[str, str]], Left]) -> list[Rolled]:
    """Groups that change at the same time, each in its own thread."""
    found: dict[str, Rolled] = {}

    def one(member: Member, change: Callable[[tuple[str, ...]], dict[str, str]], left: Left) -> None:
        found[member.urn] = roll(pools, member, left, change, {})

    threads = [threading.Thread(target=one, args=run) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    return [found[member.urn] for member, _, _ in runs]


def test_groups_side_by_side_share_one_canary_and_the_room() -> None:
    lock, now, most, order = threading.Lock(), [0], [0], list[tuple[str, ...]]()

    def change(wave: tuple[str, ...]) -> dict[str, str]:
        with lock:
            order.append(wave)
            now[0] += len(wave)
            most[0] = max(most[0], now[0])
        with lock:
            now[0] -= len(wave)
        return {}

    lefts = [Left(serving=tuple(f"{name}{n}" for n in range(8))) for name in "abc"]
    runs = [(member(name, spare=3), change, left) for name, left in zip("abc", lefts, strict=True)]
    assert together(Pools(), *runs) == [Rolled({}, {})] * 3
    assert [len(wave) for wave in order].count(1) >= 1
    assert len(order[0]) == 1
    assert most[0] <= 3
    assert sorted(host for wave in order for host in wave) == sorted(host for left in lefts for host in left.serving)


def test_a_canary_that_fails_stops_the_groups_beside_it() -> None:
    pools, machines = Pools(), Machines({"a0": "x"})
    first = roll(pools, member("a"), Left(serving=("a0", "a1")), machines.change, {})
    second = roll(pools, member("b"), Left(serving=("b0", "b1")), machines.change, {})
    assert (machines.waves, list(first.pending)) == ([("a0",)], ["a1"])
    assert second.pending == dict.fromkeys(("b0", "b1"), "not touched: a0, which changed first, failed")
