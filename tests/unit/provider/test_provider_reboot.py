"""Reboots: when the window is open, what is drained before, and what happens to machines that do not come back well."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from provider_plugin import RECORDED

from fullbore.provider.base import PartialFailure, ProviderError, Request
from fullbore.provider.drain import LABEL, Commands, Failed, Kubectl, NotBack, nodes_of
from fullbore.provider.hostgroup import HostGroups
from fullbore.provider.hoststate import awaiting_boot, takes_out
from fullbore.provider.runner import Job, Runner
from fullbore.provider.values import Map
from fullbore.provider.window import waits, window_of

KEYS: dict[str, str] = json.loads((RECORDED / "host_keys.json").read_text())
NIGHTS: Map = {
    "days": ["sat", "sun"],
    "start": "22:00",
    "hours": 4,
    "timeZone": "Europe/Berlin",
    "drainLimitS": 900,
    "returnLimitS": 1800,
    "kubeconfig": "/site",
}
CLOSED = datetime(2026, 11, 20, 12, tzinfo=UTC)  # a Friday
OPEN = datetime(2026, 11, 21, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "is_open"),
    [
        ("2026-11-21T20:59:59", False),  # Berlin is UTC+1 in November
        ("2026-11-21T21:00:00", True),
        ("2026-11-22T00:59:59", True),  # the night after
        ("2026-11-22T01:00:00", False),
        ("2026-11-23T00:30:00", True),  # Sunday's window, on Monday
        ("2026-11-23T21:00:00", False),
        ("2026-07-04T20:00:00", True),  # and UTC+2 in July
    ],
)
def test_when_the_window_is_open(now: str, is_open: bool) -> None:
    window = window_of(NIGHTS)
    assert window is not None
    assert window.is_open(datetime.fromisoformat(now).replace(tzinfo=UTC)) is is_open


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
def test_the_hour_that_the_clocks_skip_or_repeat_changes_no_length(day: str) -> None:
    """In the European Union, the last Sunday of March and of October."""
    window = window_of({**NIGHTS, "start": "00:30"})
    assert window is not None
    begin = datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(hours=3)
    minutes = [begin + timedelta(minutes=10 * ten) for ten in range(12 * 6)]
    assert sum(window.is_open(minute) for minute in minutes) == 4 * 6


def test_what_a_reboot_waits_for() -> None:
    opens = "it waits for the maintenance window, which opens Sat 2026-11-21 22:00 CET"
    assert waits(window_of(NIGHTS), CLOSED) == opens
    assert waits(window_of(NIGHTS), OPEN) == ""
    assert "no window" in waits(window_of({}), OPEN)


SETTING = {"id": "driver.loaded", "role": "gpu_driver", "want": "open 580", "reboot": True}


@pytest.mark.parametrize(
    ("reported", "reboot", "waiting"),
    [
        ("open 550; at boot: open 580", True, ["driver.loaded"]),
        ("open 550; at boot: open 550", True, []),  # another boot would change nothing
        ("open 550", True, []),
        ("open 580", True, []),
        ("open 550; at boot: open 580", False, []),
    ],
)
def test_a_boot_is_called_for_where_it_brings_what_is_wanted(reported: str, reboot: bool, waiting: list[str]) -> None:
    spec: Map = {"vars": {"fullbore_settings": [{**SETTING, "reboot": reboot}]}}
    assert awaiting_boot(spec, {"settings": {"driver.loaded": reported}}) == waiting
    assert awaiting_boot(spec, None) == []


class Cluster:
    """Nodes that remember; a host in `stuck` has a pod that may not be evicted."""

    def __init__(self, stuck: str = "") -> None:
        self.stuck, self.said, self.out = stuck, list[str](), set[str]()
        self.refuses, self.then = "", lambda: None

    def drain(self, host: str, limit_s: int) -> str:
        self.said.append(f"drain {host} {limit_s}")
        self.then()
        if host == self.stuck:
            return "its pods did not leave: the budget allows none"
        self.out.add(host)
        return ""

    def put_back(self, hosts: Iterable[str]) -> dict[str, str]:
        if self.refuses:
            return dict.fromkeys(set(hosts) & self.out, self.refuses)
        self.out -= set(hosts)
        return {}

    def drained(self) -> set[str]:
        return set(self.out)

    def stop(self) -> None:
        """Nothing goes on."""


class Machines:
    """Machines whose driver waits for a boot, as Ansible's events tell of them."""

    def __init__(self, lost: str = "") -> None:
        self.held = dict.fromkeys(KEYS, "550; at boot: 580")
        self.plays: list[tuple[str, list[str]]] = []
        self.lost, self.away = lost, set[str]()

    def run(self, job: Job, on_event: Callable[[Map], None]) -> None:
        self.plays.append((job.play, sorted(job.hosts)))
        away = sorted(self.away & job.hosts.keys())
        for host in away:
            on_event({"event": "unreachable", "host": host, "role": "", "task": "", "message": "no route"})
        lost = [host for host in job.hosts if job.play == "reboot" and host == self.lost]
        for host in sorted(job.hosts.keys() - self.away):
            if job.play == "reboot" and host not in lost:
                assert job.hosts[host]["fullbore_return_limit_s"] == 1800
                self.held[host] = "580"
            event: Map = {"event": "ok", "host": host, "role": "", "task": "t", "changed": False}
            if job.play != "reboot":
                settings = {"driver.loaded": self.held[host]}
                event["facts"] = {"host": host, "reported_at": "", "signature": "", "settings": settings}
            failed: Map = {**event, "event": "failed", "message": "did not come back"}
            on_event(failed if host in lost else event)
        on_event({"event": "stats", "failed": lost, "unreachable": away, "changed": []})
        on_event({"event": "end", "status": "successful", "rc": 0})

    def stop(self) -> None:
        """Nothing runs for long."""


def group() -> Map:
    def host(name: str) -> Map:
        return {
            "address": "127.0.0.1",
            "port": 22,
            "hostKey": KEYS[name],
            "serial": name,
            "settings": {"driver.loaded": "580"},
            "vars": {"fullbore_settings": [{**SETTING, "want": "580"}], "fullbore_roles": ["gpu_driver"]},
        }

    return {
        "group": "gpu",
        "rack": "r01",
        "roles": ["gpu_driver"],
        "hosts": {name: host(name) for name in KEYS},
        "ssh": {"user": "root", "privateKeyFile": "/k"},
        "content": "sha256:1",
        "maxFailures": 0,
        "wipe": False,
        "rolling": {"pool": "gpu", "atOnce": 1, "spare": 1, "rollBack": False},
        "maintenance": NIGHTS,
    }


class Desk:
    """A group of machines that hold an older driver, its cluster and its clock."""

    def __init__(self, machines: Runner, cluster: Cluster, now: datetime = CLOSED) -> None:
        self.now, self.said = now, list[str]()
        self.groups = HostGroups(machines, lambda: self.now, lambda kubeconfig: cluster)

    def ask(self, **fields: Any) -> Request:
        def write(urn: str, severity: str, message: str, ephemeral: bool) -> None:
            if not ephemeral:
                self.said.append(message)

        return Request(urn="u", type="fullbore:metal:HostGroup", name="gpu", write_log=write, **fields)

    def create(self) -> Map:
        return self.groups.create(self.ask(news=group())).outputs

    def update(self, outputs: Map) -> Map:
        return self.groups.update(self.ask(id="i", old_inputs=group(), olds=outputs, news=group()))

    def diff(self, outputs: Map) -> set[str]:
        return set(self.groups.diff(self.ask(old_inputs=group(), olds=outputs, news=group())).changes)


NEEDED = "needs a reboot for driver.loaded: "


@pytest.fixture(autouse=True)
def signed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every report is taken for the host's own: who signed it is another test's."""
    monkeypatch.setattr("fullbore.provider.hostgroup.trusted", lambda *_: True)


def test_a_reboot_waits_for_the_window_then_goes_over_one_machine_after_another() -> None:
    machines, cluster = Machines(), Cluster()
    desk = Desk(machines, cluster)
    outputs = desk.create()
    later = f"{NEEDED}it waits for the maintenance window, which opens Sat 2026-11-21 22:00 CET"
    assert outputs["pending"] == dict.fromkeys(KEYS, later)
    assert (outputs["failed"], cluster.said) == ({}, [])

    desk.said.clear()
    assert "pending.gpu-01" in desk.diff(outputs)
    assert f"gpu-01: {later}" in desk.said, "the preview names it"
    machines.plays.clear()
    assert desk.update(outputs)["pending"] == outputs["pending"]
    assert machines.plays == [], "outside of the window nothing is touched for it"

    desk.now = OPEN
    done = desk.update(outputs)
    one, two = sorted(KEYS)
    plays = ["converge", "reboot", "converge"]
    assert machines.plays == [*((play, [one]) for play in plays), *((play, [two]) for play in plays)]
    assert cluster.said == [f"drain {one} 900", f"drain {two} 900"]
    assert (cluster.out, done["pending"], done["failed"]) == (set(), {}, {})
    assert desk.diff(done) == set()


def test_pods_that_may_not_leave_keep_their_machine_up() -> None:
    machines = Machines()
    desk = Desk(machines, Cluster(stuck="gpu-01"))
    outputs = desk.create()
    desk.now = OPEN
    done = desk.update(outputs)
    assert done["pending"] == {"gpu-01": f"{NEEDED}its pods did not leave: the budget allows none"}
    assert [hosts for play, hosts in machines.plays if play == "reboot"] == [["gpu-02"]]


def test_a_canary_whose_pods_do_not_leave_proves_nothing() -> None:
    machines, names = Machines(), [f"gpu-0{n}" for n in range(1, 6)]
    machines.held = dict.fromkeys(names, "550; at boot: 580")
    desk = Desk(machines, Cluster(stuck="gpu-01"))
    inputs = {**group(), "rolling": {"pool": "gpu", "atOnce": 3, "spare": 3, "rollBack": False}}
    inputs["hosts"] = {name: {**inputs["hosts"]["gpu-01"], "serial": name} for name in names}
    outputs = desk.groups.create(desk.ask(news=inputs)).outputs
    desk.now = OPEN
    done = desk.groups.update(desk.ask(id="i", old_inputs=inputs, olds=outputs, news=inputs))
    assert list(done["pending"]) == ["gpu-01"]
    assert [hosts for play, hosts in machines.plays if play == "reboot"] == [["gpu-02"], names[2:]]


def test_a_machine_that_does_not_come_back_stays_out_and_stops_the_change() -> None:
    machines, cluster = Machines(lost="gpu-01"), Cluster()
    desk = Desk(machines, cluster)
    outputs = desk.create()
    desk.now = OPEN
    with pytest.raises(PartialFailure, match="gpu-01: t: did not come back; gpu-02: not touched: 1 failed"):
        desk.update(outputs)
    assert cluster.out == {"gpu-01"}


def test_a_reboot_that_a_killed_run_left_is_seen_by_a_refresh_and_finished() -> None:
    machines, cluster = Machines(), Cluster()
    desk = Desk(machines, cluster)
    outputs = desk.create()
    machines.held["gpu-01"], cluster.out = "580", {"gpu-01"}
    found = desk.groups.read(desk.ask(id="i", inputs=group(), olds=outputs))
    assert found.outputs["failed"] == {"gpu-01": "a reboot that was not finished left it out of service"}
    desk.groups.update(desk.ask(id="i", old_inputs=found.inputs, olds=found.outputs, news=group()))
    assert cluster.out == set()


def refreshed(desk: Desk, outputs: Map) -> Map:
    return desk.groups.read(desk.ask(id="i", inputs=group(), olds=outputs)).outputs


def test_machines_that_one_refresh_did_not_reach_still_change_one_after_another() -> None:
    machines = Machines()
    desk = Desk(machines, Cluster())
    outputs = desk.create()
    machines.away = set(KEYS)
    outputs = refreshed(desk, outputs)
    assert set(outputs["failed"]) == set(KEYS)
    machines.away, desk.now = set(), OPEN
    machines.plays.clear()
    assert desk.update(outputs)["failed"] == {}
    assert machines.plays[0] == ("facts", ["gpu-01", "gpu-02"])
    assert [hosts for play, hosts in machines.plays if play == "reboot"] == [["gpu-01"], ["gpu-02"]]


def test_a_machine_that_is_still_away_counts_as_out_of_service_and_is_not_touched() -> None:
    machines = Machines()
    desk = Desk(machines, Cluster())
    outputs = desk.create()
    machines.away = {"gpu-01"}
    outputs = refreshed(desk, outputs)
    desk.now = OPEN
    machines.plays.clear()
    with pytest.raises(PartialFailure) as caught:
        desk.update(outputs)
    assert [play for play, _ in machines.plays] == ["facts"]
    assert (set(caught.value.outputs["failed"]), set(caught.value.outputs["pending"])) == ({"gpu-01"}, {"gpu-02"})


def test_what_a_refresh_found_of_one_group_counts_for_the_others_of_its_pool() -> None:
    machines = Machines()
    desk = Desk(machines, Cluster())
    outputs, desk.now = desk.create(), OPEN
    machines.away = set(KEYS)
    desk.groups.read(replace(desk.ask(id="i", inputs=group(), olds=outputs), urn="another"))
    machines.away = set()
    with pytest.raises(PartialFailure, match="at most 1 may be out of service, and 2 failed"):
        desk.update(outputs)


def test_machines_that_a_killed_run_left_out_go_first_and_one_after_another() -> None:
    machines, cluster = Machines(), Cluster()
    desk = Desk(machines, cluster)
    outputs = desk.create()
    cluster.out = {"gpu-02"}
    outputs, desk.now = refreshed(desk, outputs), OPEN
    machines.plays.clear()
    assert desk.update(outputs)["failed"] == {}
    assert [hosts for play, hosts in machines.plays if play == "reboot"] == [["gpu-02"], ["gpu-01"]]
    cluster.out = set(KEYS)
    machines.held = dict.fromkeys(KEYS, "550; at boot: 580")
    outputs = refreshed(desk, outputs)
    machines.plays.clear()
    desk.update(outputs)
    assert [hosts for play, hosts in machines.plays if play == "reboot"] == [["gpu-01"], ["gpu-02"]]


def test_a_machine_that_answers_and_is_cordoned_counts_as_out_of_service() -> None:
    """It was lost as it booted, and nothing was refreshed since."""
    machines, cluster = Machines(), Cluster()
    desk = Desk(machines, cluster)
    outputs = {**desk.create(), "failed": {"gpu-02": "unreachable: no route"}}
    cluster.out, desk.now = {"gpu-02"}, OPEN
    assert (desk.update(outputs)["failed"], cluster.out) == ({}, set())
    assert [hosts for play, hosts in machines.plays if play == "reboot"] == [["gpu-02"], ["gpu-01"]]


def test_a_refresh_keeps_why_a_change_failed() -> None:
    machines, cluster = Machines(), Cluster()
    desk = Desk(machines, cluster)
    outputs = {**desk.create(), "failed": {"gpu-01": "role: broken", "gpu-02": "unreachable: no route"}}
    cluster.out = set(KEYS)
    assert refreshed(desk, outputs)["failed"] == {
        "gpu-01": "role: broken",
        "gpu-02": "a reboot that was not finished left it out of service",
    }


def updated(desk: Desk, outputs: Map) -> Map:
    """The outputs of an update, whether it failed in part or not."""
    try:
        return desk.update(outputs)
    except PartialFailure as error:
        return error.outputs


def test_pods_that_leave_after_the_window_closed_are_no_reason_for_a_reboot() -> None:
    machines, cluster = Machines(), Cluster()
    desk = Desk(machines, cluster)
    outputs = desk.create()
    desk.now = OPEN + timedelta(hours=2, minutes=50)

    def late() -> None:
        desk.now = OPEN + timedelta(hours=3)

    cluster.then = late
    done = desk.update(outputs)
    assert cluster.said == ["drain gpu-01 600"], "no more than is left of the window"
    assert "reboot" not in [play for play, _ in machines.plays]
    assert (cluster.out, done["failed"], set(done["pending"])) == (set(), {}, set(KEYS))


def test_a_change_that_began_before_the_window_reboots_nothing() -> None:
    machines, cluster = Machines(), Cluster()
    desk = Desk(machines, cluster)
    outputs = desk.create()
    newer = {**group(), "content": "sha256:2"}
    run = machines.run

    def slow(job: Job, on_event: Callable[[Map], None]) -> None:
        run(job, on_event)
        desk.now = OPEN

    machines.run = slow
    done = desk.groups.update(desk.ask(id="i", old_inputs=group(), olds=outputs, news=newer))
    assert "reboot" not in [play for play, _ in machines.plays]
    assert done["pending"]["gpu-01"] == f"{NEEDED}the window opened after the change began; the next up does it"


def test_machines_that_are_not_put_back_are_named_and_stop_the_change() -> None:
    machines, cluster = Machines(), Cluster()
    desk = Desk(machines, cluster)
    outputs = desk.create()
    desk.now, cluster.refuses = OPEN, "forbidden"
    done = updated(desk, outputs)
    assert done["failed"] == {"gpu-01": "not put back into service: forbidden"}
    assert (cluster.out, set(done["pending"])) == ({"gpu-01"}, {"gpu-02"})
    cluster.refuses = ""
    assert (updated(Desk(machines, cluster, OPEN), done)["failed"], cluster.out) == ({}, set())


def test_a_run_that_ends_after_the_drain_names_what_it_left_out() -> None:
    machines, cluster = Machines(), Cluster()
    desk = Desk(machines, cluster)
    outputs = desk.create()
    run, desk.now = machines.run, OPEN

    def broken(job: Job, on_event: Callable[[Map], None]) -> None:
        if job.play == "reboot":
            raise ProviderError("ansible could not be run")
        run(job, on_event)

    machines.run = broken
    done = updated(desk, outputs)
    assert (done["failed"], cluster.out) == ({"gpu-01": "ansible could not be run"}, {"gpu-01"})
    assert done["pending"] == {"gpu-02": "not touched: ansible could not be run"}


def test_an_update_that_is_cancelled_puts_back_what_it_drained() -> None:
    machines, cluster = Machines(), Cluster()
    desk = Desk(machines, cluster)
    outputs = desk.create()
    desk.now, cluster.then = OPEN, desk.groups.stop
    done = updated(desk, outputs)
    assert (cluster.said, cluster.out) == (["drain gpu-01 900"], set())
    assert done["pending"] == dict.fromkeys(KEYS, f"{NEEDED}the update was cancelled")


def test_a_cluster_that_is_not_reached_does_no_harm_where_nothing_was_drained(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> Any:
        raise Failed("kubectl get: no such file")

    cluster = Cluster()
    for name in ("put_back", "drained"):
        monkeypatch.setattr(cluster, name, gone)
    desk = Desk(Machines(), cluster)
    outputs = desk.create()
    assert (outputs["failed"], [line for line in desk.said if "kubectl" in line]) == ({}, [])
    assert refreshed(desk, outputs)["failed"] == {}
    assert desk.said[-1] == "hosts that a reboot left out of service are not known: kubectl get: no such file"


class Fleet:
    """Machines that take the driver that they are told, at their next boot, but for one version that does not load."""

    def __init__(self, broken: str, setting: str = "driver.loaded") -> None:
        self.held, self.broken, self.setting = dict.fromkeys(KEYS, "550"), broken, setting
        self.plays: list[tuple[str, list[str], str]] = []

    def run(self, job: Job, on_event: Callable[[Map], None]) -> None:
        for host, variables in sorted(job.hosts.items()):
            want = variables["fullbore_settings"][0]["want"]
            self.plays.append((job.play, [host], want))
            now = self.held[host].partition(";")[0]
            if job.play == "reboot":
                self.held[host] = "none" if want == self.broken else want
            elif job.play == "converge" and now not in (want, "none"):
                self.held[host] = f"{now}; at boot: {want}"
            elif job.play == "converge" and now == "none" and want != self.broken:
                self.held[host] = f"none; at boot: {want}"
            settings = {self.setting: self.held[host]}
            facts = {"host": host, "reported_at": "", "signature": "", "settings": settings}
            event: Map = {"event": "ok", "host": host, "role": "", "task": "t", "changed": False}
            if job.play == "converge" and self.held[host] == "none":
                on_event({**event, "event": "failed", "message": "the driver does not load"})
            else:
                on_event({**event, "facts": facts})
        failed_hosts = [host for host in job.hosts if job.play == "converge" and self.held[host] == "none"]
        on_event({"event": "stats", "failed": failed_hosts, "unreachable": [], "changed": []})
        on_event({"event": "end", "status": "successful", "rc": 0})

    def stop(self) -> None:
        """Nothing runs for long."""


def locked(driver: str, *, roll_back: bool = True, setting: str = "driver.loaded") -> Map:
    """The group under a lock with this driver."""
    inputs = group()
    inputs["rolling"] = {**inputs["rolling"], "rollBack": roll_back}
    for spec in inputs["hosts"].values():
        spec["settings"] = {setting: driver}
        spec["vars"] = {**spec["vars"], "fullbore_settings": [{**SETTING, "id": setting, "want": driver}]}
    return inputs


def kept(desk: Desk, old: Map, outputs: Map, new: Map) -> Map:
    """The outputs of an update that fails in part."""
    with pytest.raises(PartialFailure) as caught:
        desk.groups.update(desk.ask(id="i", old_inputs=old, olds=outputs, news=new))
    return caught.value.outputs


def test_a_driver_that_does_not_load_is_put_back_to_the_earlier_lock_again_and_again() -> None:
    fleet, cluster = Fleet(broken="580"), Cluster()
    desk = Desk(fleet, cluster, OPEN)
    old, new = locked("550"), locked("580")
    first = kept(desk, old, desk.groups.create(desk.ask(news=old)).outputs, new)
    assert fleet.held == dict.fromkeys(KEYS, "550")
    assert first["failed"] == {"gpu-01": "t: the driver does not load; put back to what it held before"}
    assert list(first["pending"]) == ["gpu-02"]
    assert cluster.out == set(), "it serves again"
    assert {host for _, (host,), want in fleet.plays if want == "580"} == {"gpu-01"}

    # The engine has the new lock as the old inputs now: what was before is in state.
    second = kept(Desk(fleet, cluster, OPEN), new, first, new)
    assert fleet.held == dict.fromkeys(KEYS, "550")
    desk = Desk(fleet, cluster, OPEN)
    third = desk.groups.update(desk.ask(id="i", old_inputs=new, olds=second, news=old))
    assert (third["failed"], third["pending"], "earlier" in third) == ({}, {}, False)


def closing(desk: Desk, fleet: Fleet, play: str, want: str) -> None:
    """Let the window close as this play ends."""
    run = fleet.run

    def closes(job: Job, on_event: Callable[[Map], None]) -> None:
        run(job, on_event)
        if fleet.plays[-1][0] == play and fleet.plays[-1][2] == want:
            desk.now = CLOSED

    fleet.run = closes


@pytest.mark.parametrize("setting", ["driver.loaded", "mig.0"])
def test_a_machine_whose_driver_was_changed_stays_out_until_it_boots(setting: str) -> None:
    fleet, cluster = Fleet(broken="", setting=setting), Cluster()
    desk = Desk(fleet, cluster, OPEN)
    old, new = locked("550", setting=setting), locked("580", setting=setting)
    outputs = desk.groups.create(desk.ask(news=old)).outputs
    closing(desk, fleet, "converge", "580")
    first = kept(desk, old, outputs, new)
    needed = NEEDED.replace("driver.loaded", setting)
    assert first["failed"]["gpu-01"].startswith(f"stays out of service: {needed}it waits for the maintenance window")
    assert (fleet.held["gpu-01"], cluster.out, list(first["pending"])) == ("550; at boot: 580", {"gpu-01"}, ["gpu-02"])

    second = kept(Desk(fleet, cluster), new, first, new)
    assert (cluster.out, list(second["failed"])) == ({"gpu-01"}, ["gpu-01"]), "nor does a later run put it back"
    fleet = Fleet(broken="", setting=setting)
    fleet.held["gpu-01"] = "550; at boot: 580"
    desk = Desk(fleet, cluster, OPEN)
    third = desk.groups.update(desk.ask(id="i", old_inputs=new, olds=second, news=new))
    assert (third["failed"], third["pending"], cluster.out) == ({}, {}, set())


def test_a_machine_that_could_not_boot_the_earlier_driver_is_not_said_to_be_put_back() -> None:
    fleet, cluster = Fleet(broken="580"), Cluster()
    desk = Desk(fleet, cluster, OPEN)
    old, new = locked("550"), locked("580")
    outputs = desk.groups.create(desk.ask(news=old)).outputs
    closing(desk, fleet, "reboot", "580")
    first = kept(desk, old, outputs, new)
    assert first["failed"]["gpu-01"].startswith(
        f"t: the driver does not load; it could not be put back: stays out of service: {NEEDED}it waits"
    )
    assert (fleet.held["gpu-01"], cluster.out) == ("none; at boot: 550", {"gpu-01"}), "it has no driver"


def test_a_lock_that_goes_back_goes_over_the_machines_as_any_change() -> None:
    fleet, cluster = Fleet(broken=""), Cluster()
    desk = Desk(fleet, cluster, OPEN)
    old, new = locked("550"), locked("580")
    outputs = desk.groups.create(desk.ask(news=old)).outputs
    newer = desk.groups.update(desk.ask(id="i", old_inputs=old, olds=outputs, news=new))
    assert fleet.held == dict.fromkeys(KEYS, "580")
    fleet.plays.clear()
    desk.groups.update(desk.ask(id="i", old_inputs=new, olds=newer, news=old))
    assert fleet.held == dict.fromkeys(KEYS, "550")
    assert [host for play, (host,), _ in fleet.plays if play == "reboot"] == ["gpu-01", "gpu-02"]


def test_nothing_is_put_back_where_that_was_not_asked_for() -> None:
    fleet, cluster = Fleet(broken="580"), Cluster()
    desk = Desk(fleet, cluster, OPEN)
    old, new = locked("550", roll_back=False), locked("580", roll_back=False)
    first = kept(desk, old, desk.groups.create(desk.ask(news=old)).outputs, new)
    assert first["failed"] == {"gpu-01": "t: the driver does not load"}
    assert (fleet.held["gpu-01"], cluster.out, "earlier" in first) == ("none", {"gpu-01"}, False)


def test_another_driver_waits_for_the_window_and_goes_to_machines_that_nothing_runs_on() -> None:
    """Its role refuses to change packages while something runs on the GPUs."""
    fleet, cluster = Fleet(broken=""), Cluster(stuck="gpu-01")
    desk = Desk(fleet, cluster)
    old, new = locked("550"), locked("580")
    outputs = desk.groups.create(desk.ask(news=old)).outputs
    fleet.plays.clear()
    later = desk.groups.update(desk.ask(id="i", old_inputs=old, olds=outputs, news=new))
    assert fleet.plays == []
    assert all("waits for the maintenance window" in why for why in later["pending"].values())
    assert list(later["pending"]) == ["gpu-01", "gpu-02"]

    desk.now = OPEN
    some = desk.groups.update(desk.ask(id="i", old_inputs=new, olds=later, news=new))
    assert {host for _, (host,), _ in fleet.plays} == {"gpu-02"}, "pods of the other one may not leave"
    assert cluster.said[:2] == ["drain gpu-01 900", "drain gpu-02 900"]
    assert some["pending"] == {"gpu-01": f"{NEEDED}its pods did not leave: the budget allows none"}
    assert (fleet.held, cluster.out) == ({"gpu-01": "550", "gpu-02": "580"}, set())


@pytest.mark.parametrize(
    ("reported", "out"),
    [("open 550", True), ("open 580", False), ("open 550; at boot: open 580", False), ("absent", False), (None, False)],
)
def test_only_a_driver_that_may_be_in_use_takes_a_machine_out(reported: str | None, out: bool) -> None:
    facts: Map | None = {"settings": {"driver.loaded": reported}} if reported else None
    assert takes_out({"settings": {"driver.loaded": "open 580"}}, facts) == (["driver.loaded"] if out else [])


@pytest.mark.parametrize(
    ("id", "now", "want", "out"),
    [
        ("mig.0", "off", "7g.80gb", True),
        ("package.kubelet", "1.33,hold", "1.34,hold", True),
        ("file./etc/kubernetes/kubelet.conf.d/90-fullbore.conf", "sha256 of one", "of another", True),
        ("file./etc/kubernetes/kubelet.conf.d/90-fullbore.conf", "absent", "of another", False),
        ("file./etc/default/kubelet", "sha256 of one", "of another", False),  # for joining alone
        ("label.team", "a", "b", False),
    ],
)
def test_what_roles_refuse_while_gpus_are_in_use_takes_a_machine_out(id: str, now: str, want: str, out: bool) -> None:
    assert takes_out({"settings": {id: want}}, {"settings": {id: now}}) == ([id] if out else [])


class Tool:
    """kubectl, by what each command answers: (exit, stdout, stderr)."""

    def __init__(self, answers: dict[str, tuple[int, str, str]]) -> None:
        self.answers, self.argv = answers, list[list[str]]()

    def __call__(self, argv: list[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
        assert argv[:2] == ["kubectl", "--kubeconfig=/site"]
        self.argv.append(argv[2:])
        verb = "nodes" if argv[2:4] == ["get", "nodes"] else argv[2]
        code, out, err = self.answers.get(verb, (0, "", ""))
        return subprocess.CompletedProcess(argv, code, out, err)

    def verbs(self) -> list[str]:
        return [argv[0] for argv in self.argv]


NODE = json.dumps({"kind": "Node", "metadata": {"name": "gpu-01"}, "spec": {}})


def test_a_node_is_marked_before_it_is_drained_and_budgets_are_honoured() -> None:
    tool = Tool({"get": (0, NODE, "")})
    assert Kubectl("/site", tool).drain("gpu-01", 30) == ""
    assert tool.verbs() == ["get", "label", "drain"]
    assert tool.argv[1] == ["label", "node", "gpu-01", f"{LABEL}=reboot", "--overwrite"]
    assert "--timeout=30s" in tool.argv[2]
    assert not {"--disable-eviction", "--force"} & set(tool.argv[2]), "deleting pods would pass by their budgets"


def test_a_host_that_is_no_node_has_nothing_to_leave() -> None:
    tool = Tool({})
    assert Kubectl("/site", tool).drain("nvme-01", 30) == ""
    assert tool.verbs() == ["get"]
    assert nodes_of("").drain("nvme-01", 30) == ""


def test_a_node_that_somebody_else_cordoned_stays_so() -> None:
    tool = Tool({"get": (0, json.dumps({"spec": {"unschedulable": True}}), "")})
    assert Kubectl("/site", tool).drain("gpu-01", 30) == ""
    assert tool.verbs() == ["get", "drain"]


def nodes(*names: str, cordoned: bool = True) -> str:
    spec = {"unschedulable": True} if cordoned else {}
    return json.dumps({"items": [{"metadata": {"name": name}, "spec": spec} for name in names]})


def test_a_drain_that_ends_at_its_limit_puts_the_node_back() -> None:
    said = "evicting pod fullbore/serving-0\nerror: global timeout reached: 30s\n"
    tool = Tool({"get": (0, NODE, ""), "drain": (1, "", said)})
    stays = Kubectl("/site", tool).drain("gpu-01", 30)
    assert stays == "its pods did not leave: error: global timeout reached: 30s"
    assert tool.verbs() == ["get", "label", "drain", "uncordon", "label"]
    assert tool.argv[-1] == ["label", "node", "gpu-01", f"{LABEL}-"]
    tool.answers["uncordon"] = (1, "", "forbidden")
    with pytest.raises(NotBack, match=r"did not leave: error: global timeout .*; not put back into service: forbidden"):
        Kubectl("/site", tool).drain("gpu-01", 30)


def test_only_what_was_taken_out_here_is_put_back() -> None:
    tool = Tool({"nodes": (0, nodes("gpu-01", "gpu-07"), "")})
    assert Kubectl("/site", tool).put_back(["gpu-01", "gpu-02"]) == {}
    assert [argv[1:] for argv in tool.argv if argv[0] == "uncordon"] == [["gpu-01"]]
    assert Kubectl("/site", tool).drained() == {"gpu-01", "gpu-07"}


def test_a_node_that_is_marked_and_takes_pods_is_not_out_of_service() -> None:
    tool = Tool({"nodes": (0, nodes("gpu-01", cordoned=False), "")})
    assert Kubectl("/site", tool).drained() == set()
    assert Kubectl("/site", tool).put_back(["gpu-01"]) == {}
    assert tool.argv[-1] == ["label", "node", "gpu-01", f"{LABEL}-"], "the mark goes"


def test_each_node_is_put_back_even_where_one_is_refused() -> None:
    tool = Tool({"nodes": (0, nodes("gpu-01", "gpu-02"), ""), "uncordon": (1, "", "forbidden")})
    assert Kubectl("/site", tool).put_back(["gpu-01", "gpu-02"]) == dict.fromkeys(KEYS, "forbidden")


def test_a_cluster_that_does_not_answer_is_told_of_and_loses_no_machine() -> None:
    refused = "The connection to the server 192.0.2.9:6443 was refused - did you specify the right host or port?"
    kubectl = Kubectl("/site", Tool(dict.fromkeys(("get", "nodes"), (1, "", refused))))
    for ask in (lambda: kubectl.put_back(["gpu-01"]), kubectl.drained):
        with pytest.raises(Failed, match=refused):
            ask()
    assert kubectl.drain("gpu-01", 1) == f"its pods did not leave: {refused}", "nothing was taken out"


def test_a_drain_ends_with_the_update_and_no_other_begins() -> None:
    commands = Commands()
    done = list[int]()
    thread = threading.Thread(target=lambda: done.append(commands.run(["sleep", "60"], 60).returncode))
    thread.start()
    while not done and thread.is_alive():
        commands.end("60")
        thread.join(0.005)
    assert done in ([-9], []), "killed, or refused before it began"
    with pytest.raises(Failed, match="cancelled"):
        commands.run(["sleep", "60"], 60)
    assert commands.run(["echo", "put back"], 60).stdout == "put back\n"
