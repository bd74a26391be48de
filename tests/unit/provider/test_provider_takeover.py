"""Import of a host group over a real channel: an id and the stack's configuration, and recorded runs as Ansible."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from provider_plugin import RECORDED, Plugin, Recorder, refused, running

from fullbore.provider.base import ProviderError
from fullbore.provider.events import Outcome
from fullbore.provider.plugin import HOST_GROUP, Fullbore
from fullbore.provider.takeover import declared_inputs, refuse
from fullbore.provider.values import Map, Secret

KEYS: dict[str, str] = json.loads((RECORDED / "host_keys.json").read_text())
ECN = "sysctl.net.ipv4.tcp_ecn"
ID = "r01/storage"

Start = Callable[..., tuple[Plugin, Recorder]]


def environment(max_failures: int = 0) -> Map:
    hosts = {
        name: {"serial": f"S-{name}", "address": f"192.0.2.{at}", "host_key": key}
        for at, (name, key) in enumerate(KEYS.items(), 11)
    }
    site = {
        "name": "hall",
        "cidr": "192.0.2.0/24",
        "fabric": "roce",
        "ssh": {"private_key_file": "/keys/id"},
        "max_failures": max_failures,
        "groups": {"storage": {"kind": "storage", "rack": "r01", "hosts": hosts}},
    }
    return {"name": "test", "site": site}


def config(**changes: Any) -> Map:
    """As the engine hands a stack's configuration to the provider of its name."""
    return {"env": json.dumps(environment(**changes))}


@pytest.fixture(scope="module")
def inputs() -> Map:
    """What the program gives of the group."""
    return declared_inputs(config(), ID)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a plugin that plays the named recordings, one a run."""
    with ExitStack() as stack:

        def begin(*runs: str, config: Map) -> tuple[Plugin, Recorder]:
            recorder = Recorder(list(runs))
            plugin = stack.enter_context(running(Fullbore(runner=recorder), HOST_GROUP))
            plugin.configure(config)
            return plugin, recorder

        yield begin


def test_machines_are_taken_over_as_they_are(start: Start, inputs: Map) -> None:
    plugin, recorder = start("drift", config=config())
    id, found, outputs = plugin.read({}, {}, id=ID)
    assert (id, found) == (ID, inputs), "the program's inputs, so that nothing but the machines differs"
    assert plugin.check(found) == (found, [])
    assert [job.play for job in recorder.jobs] == ["facts"], "nothing is changed"
    assert outputs["hosts"]["gpu-01"]["settings"][ECN] == "2"
    assert (outputs["failed"], outputs["pending"], outputs["facts"]["gpu-01"]["content"]) == ({}, {}, "")
    said = plugin.log.said()
    assert f"gpu-01: {ECN}: 2 -> 1" in said
    assert f"gpu-02: {ECN}: 1 -> 1" not in said
    assert said[-1].startswith("2 of 2 hosts read, none changed: ")
    assert said[-1].endswith(" differ from the plan; the next up changes only these")

    changes = plugin.diff(found, outputs, inputs)
    assert changes[f'hosts.gpu-01.settings["{ECN}"]'] == "UPDATE"
    assert f'hosts.gpu-02.settings["{ECN}"]' not in changes
    assert all(".settings[" in path for path in changes), "settings and nothing else"


def test_an_environment_that_holds_secrets_comes_as_one(start: Start, inputs: Map) -> None:
    plugin, _ = start("quiet", config={"env": Secret(json.dumps(environment()))})
    assert plugin.read({}, {}, id=ID)[1] == inputs


@pytest.mark.parametrize(
    ("id", "given", "said"),
    [
        ("storage", config(), "no host group of test; an id is RACK/GROUP, and its groups are r01/storage"),
        (ID, {}, "the stack's configuration has no fullbore:env"),
        (ID, {"env": json.dumps({"name": "test"})}, "its groups are none, for it has no site"),
        (ID, {"env": json.dumps({"name": "test", "sight": {}})}, "fullbore:env is refused: "),
        (
            ID,
            {"env": json.dumps(environment() | {"site": environment()["site"] | {"cidr": "10.0.0.0/24"}})},
            "the environment cannot be provisioned: site.groups.storage.hosts",
        ),
    ],
    ids=["id", "no-environment", "no-site", "typo", "bad-plan"],
)
def test_what_cannot_be_imported_is_one_message(start: Start, id: str, given: Map, said: str) -> None:
    plugin, recorder = start(config=given)
    details = refused(lambda: plugin.read({}, {}, id=id)).details()
    assert details.startswith(f"{id}: ")
    assert said in details
    assert "\n" not in details
    assert recorder.jobs == []


def test_machines_that_are_away_are_named(start: Start) -> None:
    plugin, _ = start("unreachable", config=config())
    details = refused(lambda: plugin.read({}, {}, id=ID)).details()
    said = "not imported: 1 of 2 hosts told nothing, and maxFailures is 0: gpu-02: unreachable: "
    assert said in details


def test_as_many_as_may_fail_may_be_away(start: Start) -> None:
    given = config(max_failures=1)
    plugin, _ = start("unreachable", config=given)
    _, found, outputs = plugin.read({}, {}, id=ID)
    assert list(outputs["facts"]) == ["gpu-01"]
    assert outputs["failed"]["gpu-02"].startswith("unreachable: ")
    assert plugin.log.said("warning")[0].startswith("nothing is known of 1 of 2 hosts: gpu-02: ")
    assert plugin.diff(found, outputs, found)["failed.gpu-02"] == "DELETE"


@pytest.mark.parametrize(
    ("other", "refuses"),
    [({}, False), ({"host": "gpu-07"}, True), ({"serial": "S-9"}, True), ({"site": "lab"}, True)],
    ids=["own", "host", "serial", "site"],
)
def test_machines_of_another_environment_are_left_to_it(inputs: Map, other: Map, refuses: bool) -> None:
    owner = {"host": "gpu-01", "serial": "S-gpu-01", "site": "hall"} | other
    outcomes = {host: Outcome(facts={"settings": {}}) for host in KEYS}
    outcomes["gpu-01"] = Outcome(facts={"settings": {}, "owner": owner})
    if not refuses:
        refuse("storage", inputs, outcomes)
        return
    with pytest.raises(ProviderError) as caught:
        refuse("storage", inputs, outcomes)
    told = "its plan file says {host} (serial {serial}) of site {site}, not gpu-01 (serial S-gpu-01) of site hall"
    assert told.format_map(owner) in str(caught.value)
