"""Host groups over a real channel, with recorded runs in place of Ansible."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from provider_plugin import RECORDED, Plugin, Recorder, refused, running

from fullbore.provider._proto import provider_pb2, status_pb2
from fullbore.provider.plugin import HOST_GROUP, Fullbore
from fullbore.provider.values import UNKNOWN, Map, Secret, decode

KEYS: dict[str, str] = json.loads((RECORDED / "host_keys.json").read_text())
ECN = "sysctl.net.ipv4.tcp_ecn"
ECN_PATH = f'hosts.gpu-01.settings["{ECN}"]'
WANTS = {ECN: "1", "limits.*.-.memlock": "unlimited"}

NIGHTS: Map = {
    "days": ["sat", "sun"],
    "start": "22:00",
    "hours": 4,
    "timeZone": "Europe/Berlin",
    "drainLimitS": 900,
    "returnLimitS": 1800,
    "kubeconfig": "",
}

Start = Callable[..., tuple[Plugin, Recorder]]


def host(name: str, wants: Map = WANTS) -> Map:
    listed = [{"id": id, "role": "baseline", "want": want, "reboot": False} for id, want in wants.items()]
    return {
        "address": "127.0.0.1",
        "port": 22,
        "hostKey": KEYS[name],
        "serial": f"S-{name}",
        "settings": dict(wants),
        "vars": {"fullbore_settings": listed, "fullbore_roles": ["baseline"]},
    }


def group(wants: Map = WANTS, **changes: Any) -> Map:
    inputs = {
        "group": "gpu",
        "rack": "r01",
        "roles": ["baseline"],
        "hosts": {name: host(name, wants) for name in KEYS},
        "ssh": {"user": "root", "privateKeyFile": "/keys/id"},
        "maxFailures": 0,
        "content": "sha256:1",
        "wipe": False,
        "rolling": {},
        "maintenance": {},
    }
    return inputs | changes


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a plugin that plays the named recordings, one a run."""
    with ExitStack() as stack:

        def begin(*runs: str) -> tuple[Plugin, Recorder]:
            recorder = Recorder(list(runs))
            return stack.enter_context(running(Fullbore(runner=recorder), HOST_GROUP)), recorder

        yield begin


def created(start: Start) -> Map:
    """Outputs of a group that is converged."""
    plugin, _ = start("quiet")
    return plugin.create(group())[1]


def test_create_keeps_what_the_hosts_reported(start: Start) -> None:
    plugin, recorder = start("repair")
    id, outputs = plugin.create(group())
    assert id == "r01/gpu"
    assert outputs["failed"] == {}
    assert outputs["hosts"]["gpu-01"]["settings"] == WANTS
    assert set(outputs["facts"]["gpu-01"]) == {"settings", "reportedAt", "signature", "content"}
    assert "vars" not in outputs["hosts"]["gpu-01"]
    job = recorder.jobs[0]
    assert (job.play, sorted(job.hosts)) == ("converge", ["gpu-01", "gpu-02"])
    assert job.groups == {"baseline": [*sorted(KEYS)], "rack_r01": [*sorted(KEYS)], "group_gpu": [*sorted(KEYS)]}
    assert KEYS["gpu-01"] in job.hosts["gpu-01"]["ansible_ssh_common_args"]


def test_a_preview_runs_nothing_and_foresees_nothing_it_cannot(start: Start) -> None:
    plugin, recorder = start()
    id, outputs = plugin.create(group(), preview=True)
    assert (id, outputs["facts"], outputs["failed"]) == ("", UNKNOWN, UNKNOWN)
    assert plugin.update(group(), {}, group(hosts=UNKNOWN), preview=True)["hosts"] is UNKNOWN
    assert recorder.jobs == []


def test_progress_shows_for_each_host_and_is_not_kept(start: Start) -> None:
    plugin, _ = start("repair")
    plugin.create(group())
    progress = [line.message for line in plugin.log.lines if line.ephemeral]
    assert "gpu-01: baseline: Apply kernel settings (changed)" in progress
    assert plugin.log.said() == []


def test_nothing_changes_where_hosts_hold_their_settings(start: Start) -> None:
    outputs = created(start)
    plugin, recorder = start()
    assert plugin.diff(group(), outputs, group()) == {}
    assert (plugin.log.said(), recorder.jobs) == ([], [])


def test_a_new_want_shows_from_the_recorded_facts(start: Start) -> None:
    outputs = created(start)
    plugin, recorder = start()
    wants = WANTS | {ECN: "0"}
    for _ in range(2):  # the engine asks for every diff twice
        assert plugin.diff(group(), outputs, group(wants))[ECN_PATH] == "UPDATE"
    lines = plugin.log.said()
    assert f"gpu-01: {ECN}: 1 -> 0" in lines
    assert len(lines) == len(set(lines)), "said once"
    assert any(line.startswith("compared with what the hosts reported") for line in lines)
    assert recorder.jobs == []


def test_secret_values_show_nowhere(start: Start) -> None:
    plugin, _ = start("quiet")
    wants = WANTS | {ECN: Secret("1")}
    inputs = group()
    inputs["hosts"]["gpu-01"]["settings"] = wants
    outputs = plugin.create(inputs)[1]
    assert outputs["hosts"]["gpu-01"]["settings"][ECN] == Secret("1")
    assert outputs["facts"]["gpu-01"]["settings"][ECN] == Secret("1")
    changed = json.loads(json.dumps(group()))
    changed["hosts"]["gpu-01"]["settings"][ECN] = Secret("7")
    assert plugin.diff(inputs, outputs, changed)[ECN_PATH] == "UPDATE"
    assert f"gpu-01: {ECN}: [secret] -> [secret]" in plugin.log.said()


def test_forged_facts_count_as_unknown(start: Start) -> None:
    outputs = created(start)
    outputs["facts"]["gpu-01"]["settings"][ECN] = "0"
    plugin, _ = start()
    assert set(plugin.diff(group(), outputs, group())) == {
        ECN_PATH,
        'hosts.gpu-01.settings["limits.*.-.memlock"]',
    }
    assert plugin.log.said("warning") == ["the recorded facts of gpu-01 are not signed by the host: not used"]
    assert "gpu-01: no facts that could be trusted: all 2 settings are unknown" in plugin.log.said()


def test_live_facts_on_request(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = created(start)
    monkeypatch.setenv("FULLBORE_LIVE", "1")
    plugin, recorder = start("drift")
    for _ in range(2):
        assert plugin.diff(group(), outputs, group()) == {ECN_PATH: "UPDATE"}
    assert [job.play for job in recorder.jobs] == ["facts"], "asked once"
    assert plugin.log.said() == [f"gpu-01: {ECN}: 2 -> 1"]


def test_read_finds_what_was_changed_by_hand(start: Start) -> None:
    outputs = created(start)
    plugin, recorder = start("drift", "repair")
    _, inputs, now = plugin.read(group(), outputs)
    assert inputs["hosts"]["gpu-01"]["settings"][ECN] == now["hosts"]["gpu-01"]["settings"][ECN] == "2"
    assert inputs["hosts"]["gpu-01"]["vars"] == group()["hosts"]["gpu-01"]["vars"]
    assert plugin.diff(inputs, now, group()) == {ECN_PATH: "UPDATE"}
    assert plugin.log.said()[0] == f"gpu-01: {ECN}: 2 -> 1"
    repaired = plugin.update(inputs, now, group())
    assert repaired["hosts"]["gpu-01"]["settings"][ECN] == "1"
    assert plugin.diff(group(), repaired, group()) == {}
    assert [job.play for job in recorder.jobs] == ["facts", "converge"]


def test_read_keeps_the_facts_of_a_host_that_is_away(start: Start) -> None:
    outputs = created(start)
    plugin, _ = start("unreachable", "quiet")
    _, inputs, now = plugin.read(group(), outputs)
    assert now["facts"]["gpu-02"] == outputs["facts"]["gpu-02"]
    assert inputs["hosts"]["gpu-02"] == group()["hosts"]["gpu-02"]
    assert list(now["failed"]) == ["gpu-02"]
    assert "gpu-02: unreachable" in plugin.log.said("warning")[0]
    assert plugin.diff(inputs, now, group()) == {"failed.gpu-02": "DELETE"}
    assert plugin.update(inputs, now, group())["failed"] == {}


def test_failures_within_the_limit_succeed_with_a_warning(start: Start) -> None:
    plugin, _ = start("unreachable")
    _, outputs = plugin.create(group(maxFailures=1))
    assert list(outputs["failed"]) == ["gpu-02"]
    assert outputs["hosts"]["gpu-02"]["settings"] == {}, "nothing is known of it"
    assert [line.split(":")[0] for line in plugin.log.said("warning")] == [
        "1 of 2 hosts failed (maxFailures is 1); the next up tries again",
        "gpu-02",
    ]
    changes = plugin.diff(group(maxFailures=1), outputs, group(maxFailures=1))
    assert changes["failed.gpu-02"] == "DELETE"
    assert changes[ECN_PATH.replace("gpu-01", "gpu-02")] == "ADD"
    assert ECN_PATH not in changes


def kept_of(status: Any) -> Any:
    """What a call that failed in part keeps (`ErrorResourceInitFailed`)."""
    rich = status_pb2.Status.FromString(dict(status.trailing_metadata())["grpc-status-details-bin"])
    detail = provider_pb2.ErrorResourceInitFailed()
    assert rich.details[0].Unpack(detail)
    return detail


def test_failures_beyond_the_limit_keep_what_was_done(start: Start) -> None:
    plugin, _ = start("unreachable")
    status = refused(lambda: plugin.create(group()))
    detail = kept_of(status)
    assert detail.id == "r01/gpu"
    assert detail.reasons[0] == "1 of 2 hosts failed, but maxFailures is 0; the next up goes on"
    assert detail.reasons[1].startswith("gpu-02: unreachable: ")
    kept = decode(detail.properties)
    assert kept["hosts"]["gpu-01"]["settings"] == WANTS
    assert decode(detail.inputs) == group()


def test_a_setting_that_did_not_take_is_a_failure(start: Start) -> None:
    plugin, _ = start("drift")
    _, outputs = plugin.create(group(maxFailures=1))
    assert outputs["failed"] == {"gpu-01": f"not as wanted after the roles ran: {ECN}: 2 -> 1"}


def test_a_setting_that_waits_for_a_reboot_is_not(start: Start) -> None:
    plugin, _ = start("drift")
    inputs = group()
    for spec in inputs["hosts"].values():
        spec["vars"]["fullbore_settings"][0]["reboot"] = True
    assert plugin.create(inputs)[1]["failed"] == {}


def test_other_roles_run_again_everywhere_and_on_a_host_that_missed_them_later(start: Start) -> None:
    outputs = created(start)
    newer = group(content="sha256:2", maxFailures=1)
    plugin, recorder = start("unreachable", "quiet", "quiet")
    assert plugin.diff(group(), outputs, newer)["content"] == "UPDATE"
    partly = plugin.update(group(), outputs, newer)
    whole = plugin.update(newer, partly, newer)
    plugin.update(newer, whole, newer)
    forced = [{name for name, spec in job.hosts.items() if spec["fullbore_force_host"]} for job in recorder.jobs]
    assert forced == [{"gpu-01", "gpu-02"}, {"gpu-02"}]
    assert [sorted(job.hosts) for job in recorder.jobs] == [["gpu-01", "gpu-02"], ["gpu-02"]], "only what is left"


ROLLING: Map = {"pool": "gpu", "atOnce": 2, "spare": 2, "rollBack": False}


def test_a_change_of_machines_that_serve_goes_to_one_first(start: Start) -> None:
    outputs = created(start)
    newer = group(content="sha256:2", rolling=ROLLING)
    plugin, recorder = start("quiet", "quiet")
    changed = plugin.update(group(), outputs, newer)
    assert [sorted(job.hosts) for job in recorder.jobs] == [["gpu-01"], ["gpu-02"]]
    assert (changed["failed"], changed["pending"]) == ({}, {})
    assert plugin.diff(newer, changed, newer) == {}


def test_a_change_that_stopped_goes_on_where_it_stopped(start: Start) -> None:
    outputs = created(start)
    newer = group(content="sha256:2", rolling=ROLLING, maxFailures=1)
    plugin, recorder = start("failed", "quiet", "quiet")
    status = refused(lambda: plugin.update(group(), outputs, newer))
    detail = kept_of(status)
    assert detail.reasons[0] == "the change stopped; the next up goes on; 1 of 2 hosts failed"
    assert detail.reasons[2] == "gpu-02: not touched: gpu-01, which changed first, failed"
    kept = decode(detail.properties)
    assert (list(kept["failed"]), list(kept["pending"])) == (["gpu-01"], ["gpu-02"])
    assert kept["facts"]["gpu-02"] == outputs["facts"]["gpu-02"]

    again, recorder = start("quiet", "quiet")
    changes = again.diff(newer, kept, newer)
    assert {path for path in changes if not path.startswith("hosts.")} == {"failed.gpu-01", "pending.gpu-02"}
    whole = again.update(newer, kept, newer)
    assert [sorted(job.hosts) for job in recorder.jobs] == [["gpu-01"], ["gpu-02"]]
    assert (whole["failed"], whole["pending"], again.diff(newer, whole, newer)) == ({}, {}, {})


def test_a_machine_more_is_the_only_one_touched(start: Start) -> None:
    plugin, recorder = start("quiet", "quiet")
    alone = group(hosts={"gpu-01": host("gpu-01")}, rolling=ROLLING)
    outputs = plugin.create(alone)[1]
    plugin.update(alone, outputs, group(rolling={**ROLLING, "spare": 1}))
    assert [sorted(job.hosts) for job in recorder.jobs] == [["gpu-01"], ["gpu-02"]]


def test_a_machine_in_another_ones_place_is_new_and_the_only_one_touched(start: Start) -> None:
    outputs = created(start)
    swapped = group(rolling={**ROLLING, "spare": 0})
    swapped["hosts"]["gpu-02"] = {**host("gpu-02"), "serial": "S-spare"}
    plugin, recorder = start("quiet")
    assert plugin.diff(group(), outputs, swapped) == {"hosts.gpu-02.serial": "UPDATE"}
    assert "gpu-02: machine S-gpu-02 is replaced by S-spare" in plugin.log.said()
    after = plugin.update(group(), outputs, swapped)
    assert [sorted(job.hosts) for job in recorder.jobs] == [["gpu-02"]]
    assert (after["failed"], after["hosts"]["gpu-02"]["serial"]) == ({}, "S-spare")
    assert after["facts"]["gpu-01"] == outputs["facts"]["gpu-01"]


def test_nothing_of_the_earlier_machine_is_kept_where_the_new_one_is_away(start: Start) -> None:
    outputs = created(start)
    swapped = group(maxFailures=1)
    swapped["hosts"]["gpu-02"] = {**host("gpu-02"), "serial": "S-spare"}
    plugin, _ = start("unreachable")
    after = plugin.update(group(), outputs, swapped)
    assert (list(after["failed"]), "gpu-02" in after["facts"]) == (["gpu-02"], False)


def test_how_a_change_would_go_is_no_change(start: Start) -> None:
    outputs = created(start)
    plugin, _ = start()
    assert plugin.diff(group(), outputs, group(rolling=ROLLING)) == {}


def test_hosts_come_and_go(start: Start) -> None:
    outputs = created(start)
    plugin, recorder = start()
    fewer = group(hosts={"gpu-01": host("gpu-01")})
    assert plugin.diff(group(), outputs, fewer) == {"hosts.gpu-02": "DELETE"}
    assert plugin.diff(fewer, outputs, group()) == {"hosts.gpu-02": "ADD"}
    assert sorted(plugin.update(group(), outputs, fewer)["hosts"]) == ["gpu-01"]
    assert recorder.jobs == [], "the other one holds what it shall"
    assert "no longer managed, and left as they are: gpu-02" in plugin.log.said()


def test_how_a_host_is_reached_shows_too(start: Start) -> None:
    outputs = created(start)
    plugin, _ = start()
    moved = group()
    moved["hosts"]["gpu-01"]["address"] = "127.0.0.2"
    assert plugin.diff(group(), outputs, moved) == {"hosts.gpu-01.address": "UPDATE"}
    unknown = group()
    unknown["hosts"]["gpu-01"] = UNKNOWN
    assert plugin.diff(group(), outputs, unknown) == {"hosts.gpu-01": "UPDATE"}


def test_delete_leaves_machines_as_they_are(start: Start) -> None:
    outputs = created(start)
    plugin, recorder = start()
    plugin.delete(group(), outputs)
    assert recorder.jobs == []
    assert plugin.log.said() == ["left as they are, with what was installed: gpu-01, gpu-02"]


def test_delete_releases_them_where_it_was_asked_to(start: Start) -> None:
    outputs = created(start)
    plugin, recorder = start("quiet", "unreachable")
    plugin.delete(group(wipe=True), outputs)
    assert [job.play for job in recorder.jobs] == ["release"]
    details = refused(lambda: plugin.delete(group(wipe=True), outputs)).details()
    assert details.startswith("1 of 2 hosts were not released: gpu-02: unreachable: ")


def test_defaults_are_filled_in(start: Start) -> None:
    plugin, _ = start()
    news = {
        key: value for key, value in group().items() if key not in ("maxFailures", "wipe", "rolling", "maintenance")
    }
    assert plugin.check(news) == (group(), [])


def spoilt(path: str, value: Any) -> Map:
    """A group with one value changed; None removes it."""
    inputs = json.loads(json.dumps(group()))
    *folders, last = path.split("/")
    place = inputs
    for folder in folders:
        place = place[folder]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return inputs


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("rack", None, "rack: is missing; give a text that is not empty"),
        ("racks", "r01", "racks: is not known here; allowed are content, group, hosts,"),
        ("roles", "baseline", "roles: got 'baseline', but it must be a list of names"),
        ("maxFailures", -1, "maxFailures: got -1, but it must be a whole number from 0"),
        ("maxFailures", True, "maxFailures: got True, but it must be a whole number from 0"),
        ("wipe", "yes", "wipe: got 'yes', but it must be true or false"),
        ("hosts", {}, "hosts: got dict, but it must be a map of 1 to 32 hosts"),
        ("hosts", Secret({}), "hosts: is secret as a whole"),
        ("hosts/GPU_3", {}, "hosts.GPU_3: is no host name"),
        ("hosts/gpu-01", "x", "hosts.gpu-01: got 'x', but it must be a map of address,"),
        ("hosts/gpu-01/port", 0, "hosts.gpu-01.port: got 0, but it must be a whole number from 1 to 65535"),
        (
            "hosts/gpu-01/hostKey",
            "ssh-rsa AAAA",
            "hosts.gpu-01.hostKey: got 'ssh-rsa AAAA', but it must be 'ssh-ed25519",
        ),
        ("hosts/gpu-01/settings/x", 4, "hosts.gpu-01.settings: got dict, but it must be a map of texts"),
        ("hosts/gpu-01/settings/x", "4", "hosts.gpu-01.vars.fullbore_settings: does not say the same as settings"),
        ("rolling/pool", "gpu", "rolling.atOnce: is missing; give a whole number from 0"),
        ("maintenance", {"days": ["sat"]}, "maintenance.start: is missing; give a time of day, HH:MM"),
        ("maintenance", {**NIGHTS, "timeZone": "Europe/Berln"}, "maintenance.timeZone: got 'Europe/Berln', but"),
        ("maintenance", {**NIGHTS, "days": ["sunday"]}, "maintenance.days: got list, but it must be a list of mon"),
        ("maintenance", {**NIGHTS, "start": "24:00"}, "maintenance.start: got '24:00', but it must be a time of day"),
        ("ssh/user", None, "ssh.user: is missing"),
        ("ssh/password", "p", "ssh.password: is not known here"),
    ],
)
def test_bad_input_is_named_by_its_path(start: Start, path: str, value: Any, message: str) -> None:
    plugin, _ = start()
    failures = plugin.check(spoilt(path, value))[1]
    assert any(failure.startswith(message) for failure in failures), failures


@pytest.mark.parametrize("path", ["rack", "hosts", "roles", "hosts/gpu-01", "hosts/gpu-01/address", "ssh/user"])
def test_what_is_not_known_yet_is_not_refused(start: Start, path: str) -> None:
    plugin, _ = start()
    inputs = spoilt(path, "placeholder")
    *folders, last = path.split("/")
    place = inputs
    for folder in folders:
        place = place[folder]
    place[last] = UNKNOWN
    assert plugin.check(inputs)[1] == []


@pytest.mark.parametrize("key", ["settings", "vars"])
def test_what_is_not_known_of_a_host_yet_shows_in_the_preview(start: Start, key: str) -> None:
    outputs = created(start)
    plugin, _ = start()
    news = spoilt(f"hosts/gpu-01/{key}", "placeholder")
    news["hosts"]["gpu-01"][key] = UNKNOWN
    assert plugin.check(news)[1] == []
    assert plugin.diff(group(), outputs, news)[f"hosts.gpu-01.{key}"] == "UPDATE"
    assert plugin.update(group(), outputs, news, preview=True)["hosts"]["gpu-01"]["address"] == "127.0.0.1"


def test_one_setting_that_is_not_known_yet_is_not_refused(start: Start) -> None:
    plugin, _ = start()
    news = spoilt(f"hosts/gpu-01/settings/{ECN}", "placeholder")
    news["hosts"]["gpu-01"]["settings"][ECN] = UNKNOWN
    assert plugin.check(news)[1] == []


@pytest.mark.parametrize("path", ["hosts/gpu-01", "hosts/gpu-01/settings", "hosts/gpu-01/vars"])
def test_a_host_that_is_secret_as_a_whole_is_refused_by_its_path(start: Start, path: str) -> None:
    plugin, _ = start()
    news = group()
    *folders, last = path.split("/")
    place = news
    for folder in folders:
        place = place[folder]
    place[last] = Secret(place[last])
    assert [failure.partition(": is secret as a whole")[0] for failure in plugin.check(news)[1]] == [
        path.replace("/", ".")
    ]
