"""What recorded runs of ansible-runner fold into, and what was signed in them.

The recordings are of two sandbox hosts; `recorded/host_keys.json` holds their public SSH host keys.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from provider_plugin import RECORDED, recorded

from fullbore.provider.events import MAX_REASON, Fold, Outcome, slim
from fullbore.provider.facts import age, age_s, from_module, setting_changes, trusted
from fullbore.provider.values import UNKNOWN, Map, Secret

HOSTS = ("gpu-01", "gpu-02")
KEYS: dict[str, str] = json.loads((RECORDED / "host_keys.json").read_text())
ECN = "sysctl.net.ipv4.tcp_ecn"


def outcomes(name: str, *more: Map) -> dict[str, Outcome]:
    fold = Fold()
    for event in [*recorded(name), *more]:
        fold.feed(event)
    return fold.outcomes(HOSTS)


def values(outcome: Outcome) -> Map:
    assert outcome.facts is not None
    return outcome.facts["settings"]


def test_drift_is_reported_and_is_no_failure() -> None:
    found = outcomes("drift")
    assert (values(found["gpu-01"])[ECN], values(found["gpu-02"])[ECN]) == ("2", "1")
    assert [found[host].failed for host in HOSTS] == [None, None]


def test_after_a_repair_the_newest_full_report_counts() -> None:
    found = outcomes("repair")
    assert values(found["gpu-01"])[ECN] == "1"
    assert set(values(found["gpu-01"])) == set(values(found["gpu-02"])), "a role's own check reports fewer settings"
    assert (found["gpu-01"].changed, found["gpu-02"].changed) == (True, False)


def test_a_converged_host_is_left_alone() -> None:
    assert [outcome.changed for outcome in outcomes("quiet").values()] == [False, False]


def test_an_unreachable_host_is_named_with_the_reason() -> None:
    found = outcomes("unreachable")
    assert found["gpu-01"].failed is None
    assert found["gpu-02"].facts is None
    assert (found["gpu-02"].failed or "").startswith("unreachable: Data could not be sent to remote host")


def test_a_failed_task_is_named_with_role_and_reason() -> None:
    found = outcomes("failed")
    assert (found["gpu-01"].failed or "").startswith("baseline: Apply kernel settings: ")
    assert "sysctl.net.core.no_such_setting" in (found["gpu-01"].failed or "")
    assert values(found["gpu-01"])[ECN] == "1", "facts that were read before it failed are kept"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("canceled", "the run was stopped"),
        ("timeout", "ran out of time"),
        ("failed", "ansible did not finish: it said"),
    ],
)
def test_a_run_without_statistics_finished_no_host(status: str, reason: str) -> None:
    fold = Fold()
    for event in recorded("repair"):
        if event["event"] != "stats":
            fold.feed(event)
    fold.feed({"event": "end", "status": status, "rc": 254})
    assert all((outcome.failed or "").startswith(reason) for outcome in fold.outcomes(HOSTS).values())


def test_what_ansible_says_before_it_starts_is_the_reason() -> None:
    fold = Fold()
    fold.feed(slim({"event": "error", "stdout": "ERROR! the playbook could not be found\n"}) or {})
    assert fold.outcomes(["a"])["a"].failed == "ansible did not finish: ERROR! the playbook could not be found"


def test_what_must_not_be_logged_is_not() -> None:
    result = {"censored": "...", "_ansible_no_log": True, "msg": "hush", "stderr": "hush"}
    event = slim({"event": "runner_on_failed", "event_data": {"host": "a", "res": result}})
    assert event is not None
    assert "hush" not in json.dumps(event)


def test_an_ignored_failure_is_none() -> None:
    data = {"host": "a", "res": {"msg": "no"}, "ignore_errors": True}
    assert slim({"event": "runner_on_failed", "event_data": data}) is None


def test_a_reason_is_one_short_line() -> None:
    data = {"host": "a", "task": "t", "role": "r", "res": {"msg": "long\n" * 500}}
    event = slim({"event": "runner_on_failed", "event_data": data})
    fold = Fold()
    fold.feed(event or {})
    fold.feed({"event": "stats", "failed": ["a"], "unreachable": [], "changed": []})
    reason = fold.outcomes(["a"])["a"].failed or ""
    assert len(reason) == MAX_REASON
    assert "\n" not in reason


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("Data could not be sent: Host key verification failed.", "compare its key with host_key"),
        ("root@10.0.0.1: Permission denied (publickey).", "let the key of site.ssh.private_key_file log in"),
        ("Missing sudo password", "let site.ssh.user run sudo without a password"),
        ("sudo: a password is required", "let site.ssh.user run sudo without a password"),
        ("failed to replace file: [Errno 28] No space left on device: b'/etc/x'", "free space there"),
        ("ssh: connect to host 10.0.0.1 port 22: Connection refused", "see that it is powered"),
        ("irq.ens1np0: is absent, want local", "see that the machine has what its group declares"),
        ("host is being changed by ann@desk (run 1); wait for that run to end, or end it", ""),
    ],
)
def test_a_reason_says_what_to_do(said: str, what: str) -> None:
    data = {"host": "a", "task": "t", "role": "r", "res": {"msg": said + " " + "x" * MAX_REASON}}
    fold = Fold()
    fold.feed(slim({"event": "runner_on_failed", "event_data": data}) or {})
    fold.feed({"event": "stats", "failed": ["a"], "unreachable": [], "changed": []})
    reason = fold.outcomes(["a"])["a"].failed or ""
    assert reason[MAX_REASON:].removeprefix("; ").startswith(what)
    assert bool(reason[MAX_REASON:]) == bool(what)


def test_the_failed_item_of_a_loop_is_the_one_named() -> None:
    items = [{"msg": "fine"}, {"failed": True, "msg": "broken"}]
    data = {"host": "a", "res": {"msg": "One or more items failed", "results": items}}
    event = slim({"event": "runner_on_failed", "event_data": data})
    assert event is not None
    assert event["message"] == "broken"


def facts_of(host: str) -> Map:
    found = outcomes("drift")[host].facts
    assert found is not None
    return from_module(found)


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_s_own_signature_holds(host: str) -> None:
    assert trusted(host, KEYS[host], facts_of(host))


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {ECN: "1"}},
        {"reportedAt": "2030-01-01T00:00:00+00:00"},
        {"signature": ""},
        {"signature": "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"},
        {"settings": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_altered_facts_are_not_trusted(change: Map) -> None:
    assert not trusted("gpu-01", KEYS["gpu-01"], {**facts_of("gpu-01"), **change})


def test_facts_of_another_host_or_key_are_not_trusted() -> None:
    assert not trusted("gpu-02", KEYS["gpu-01"], facts_of("gpu-01"))
    assert not trusted("gpu-01", KEYS["gpu-02"], facts_of("gpu-01"))


@pytest.mark.parametrize(
    ("have", "want", "change"),
    [
        ({"a": "1"}, {"a": "1"}, None),
        ({"a": "1"}, {"a": "2"}, ("update", "h: a: 1 -> 2")),
        ({}, {"a": "2"}, ("add", "h: a: unknown -> 2")),
        ({"a": "1"}, {"a": UNKNOWN}, ("update", "h: a: 1 -> unknown")),
        ({"a": "1"}, {"a": Secret("2")}, ("update", "h: a: [secret] -> [secret]")),
        ({"a": Secret("1")}, {"a": "2"}, ("update", "h: a: [secret] -> [secret]")),
        ({"a": "1", "b": "2"}, {"a": "1"}, None),
    ],
)
def test_changes_of_settings(have: Map, want: Map, change: Any) -> None:
    assert setting_changes("h", have, want).get("hosts.h.settings.a") == change


def test_what_a_machine_has_nothing_for_is_met_and_no_other_setting_can_say_so() -> None:
    text = "not applicable: no cpufreq"
    assert setting_changes("h", {"governor.all": text}, {"governor.all": "performance"}) == {}
    assert len(setting_changes("h", {"tos.mlx5_0": text}, {"tos.mlx5_0": "106"})) == 1


@pytest.mark.parametrize(
    ("reported", "words"),
    [
        ("2026-01-01T11:59:20+00:00", "40 s ago"),
        ("2026-01-01T11:57:00+00:00", "3 min ago"),
        ("2026-01-01T09:00:00+00:00", "3 h ago"),
        ("2025-12-25T12:00:00+00:00", "7 d ago"),
        ("2026-01-01T14:00:00+02:00", "0 s ago"),
        ("2026-01-02T00:00:00+00:00", "in the future, by their own clocks"),
        ("yesterday", "at an unknown time"),
    ],
)
def test_age_in_words(reported: str, words: str) -> None:
    assert age(age_s(reported, datetime(2026, 1, 1, 12, tzinfo=UTC))) == words
