"""A host group on a real machine: a systemd container of the sandbox, over SSH, with the real roles."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fullbore.config.models import Environment
from fullbore.provider.base import ProviderError, Request
from fullbore.provider.evidence import Evidences
from fullbore.provider.facts import trusted
from fullbore.provider.hostgroup import HostGroups
from fullbore.provider.runner import AnsibleRunner
from fullbore.provider.values import Map
from fullbore_sandbox import hosts, rootfs
from fullbore_sandbox.podman import ensure_network, podman, remove_all
from fullbore_sandbox.state import State

FIXTURES = Path(__file__).parents[2] / "fixtures" / "evidence"
ROCE_FILES = Path(__file__).parents[3] / "ansible" / "roles" / "roce" / "files"
ECN = "sysctl.net.ipv4.tcp_ecn"
ENVIRONMENT: Map = {
    "name": "test",
    "sandbox": {},
    "site": {
        "name": "lab",
        "cidr": "10.200.0.0/16",
        "fabric": "roce",
        "groups": {
            "storage": {
                "kind": "storage",
                "rack": "r01",
                "interfaces": ["ens1np0"],
                "hosts": {"nvme-01": {"serial": "1"}},
            }
        },
    },
}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[State, Map]]:
    """(sandbox of its own, one host as endpoints.json describes it)"""
    state = State.load_or_create(tmp_path_factory.mktemp("sandbox"))
    image = f"localhost/fullbore-{state.id}-host:test"
    podman(state, "import", str(rootfs.ensure(rootfs.HOST)), image)
    try:
        ensure_network(state)
        yield state, hosts.start(state, Environment.model_validate(ENVIRONMENT), image, print)["nvme-01"]
    finally:
        remove_all(state)
        podman(state, "rmi", "--force", image)


@dataclass
class Desk:
    """Requests about one group, and what it logged."""

    said: list[str] = field(default_factory=list)

    def ask(self, **fields: Any) -> Request:
        def write(urn: str, severity: str, message: str, ephemeral: bool) -> None:
            if not ephemeral:
                self.said.append(message)

        return Request(urn="u", type="fullbore:metal:HostGroup", name="storage", write_log=write, **fields)


def group(state: State, endpoint: Map) -> Map:
    wants = {ECN: "1", "limits.*.-.memlock": "unlimited"}
    listed = [{"id": id, "role": "baseline", "want": want, "reboot": False} for id, want in wants.items()]
    variables = {"fullbore_settings": listed, "fullbore_roles": ["baseline"], "fullbore_agent_port": 9101}
    host = {
        "address": endpoint["address"],
        "port": endpoint["port"],
        "hostKey": endpoint["host_key"],
        "serial": "1",
        "settings": wants,
        "vars": variables,
    }
    return {
        "group": "storage",
        "rack": "r01",
        "roles": ["baseline"],
        "hosts": {"nvme-01": host},
        "ssh": {"user": "root", "privateKeyFile": str(hosts.user_key(state))},
        "maxFailures": 0,
        "content": "sha256:1",
        "wipe": False,
    }


def test_a_real_host_is_converged_drifts_and_is_repaired(machine: tuple[State, Map], tmp_path: Path) -> None:
    state, endpoint = machine
    container = f"{state.network}-host-nvme-01"
    inputs, desk = group(state, endpoint), Desk()
    groups = HostGroups(AnsibleRunner(str(tmp_path)))
    assert groups.check(desk.ask(news=inputs)).failures == []

    outputs = groups.create(desk.ask(news=inputs)).outputs
    assert outputs["failed"] == {}
    assert podman(state, "exec", container, "sysctl", "-n", "net.ipv4.tcp_ecn").strip() == "1"
    assert "memlock" in podman(state, "exec", container, "cat", "/etc/security/limits.d/90-fullbore.conf")
    assert trusted("nvme-01", endpoint["host_key"], outputs["facts"]["nvme-01"]), "the host signed what it reported"
    assert groups.diff(desk.ask(old_inputs=inputs, olds=outputs, news=inputs)).changes == {}

    podman(state, "exec", container, "sysctl", "-w", "net.ipv4.tcp_ecn=2")
    found = groups.read(desk.ask(id="i", inputs=inputs, olds=outputs))
    changes = groups.diff(desk.ask(old_inputs=found.inputs, olds=found.outputs, news=inputs)).changes
    assert changes == {f'hosts.nvme-01.settings["{ECN}"]': "update"}
    assert desk.said == [f"nvme-01: {ECN}: 2 -> 1"]

    repaired = groups.update(desk.ask(id="i", old_inputs=found.inputs, olds=found.outputs, news=inputs))
    assert repaired["hosts"]["nvme-01"]["settings"][ECN] == "1"
    assert podman(state, "exec", container, "sysctl", "-n", "net.ipv4.tcp_ecn").strip() == "1"
    assert list(tmp_path.iterdir()) == []


def test_a_real_host_is_accepted_by_what_its_tools_print(machine: tuple[State, Map], tmp_path: Path) -> None:
    state, endpoint = machine
    container = f"{state.network}-host-nvme-01"
    key, run = tmp_path / "key", tmp_path / "run"
    run.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    known = group(state, endpoint)
    host = {name: known["hosts"]["nvme-01"][name] for name in ("address", "port", "hostKey", "serial")}
    evidences, desk = Evidences(AnsibleRunner(str(run))), Desk()
    public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
    given = {"group": "storage", "rack": "r01", "hosts": {"nvme-01": host}, "ssh": known["ssh"]}
    checked = evidences.check(
        desk.ask(
            news={**given, "lock": {"kernel": "6.8"}, "signingKeyFile": str(key), "publicKey": public, "strict": False}
        )
    )
    assert checked.failures == []

    without = evidences.create(desk.ask(news=checked.inputs)).outputs
    assert without["accepted"] is False
    assert "nvme-01: the output of chronyc tracking is missing" in without["problems"][0]
    assert "nvme-01: chronyc tracking did not run: chronyc: not installed" in desk.said

    text = (FIXTURES / "chronyc-tracking.pps.txt").read_text()
    script = "cat > /usr/local/bin/chronyc && chmod 755 /usr/local/bin/chronyc"
    podman(state, "exec", "-i", container, "sh", "-c", script, stdin=f"#!/bin/sh\ncat <<'END'\n{text}END\n")
    accepted = evidences.update(desk.ask(id="i", old_inputs=checked.inputs, olds=without, news=checked.inputs))
    assert (accepted["accepted"], accepted["problems"]) == (True, [])
    assert evidences.diff(desk.ask(old_inputs=checked.inputs, olds=accepted, news=checked.inputs)).changes == {}
    drifted = {**checked.inputs, "lock": {"kernel": "6.11"}}
    changes = evidences.diff(desk.ask(old_inputs=checked.inputs, olds=accepted, news=drifted)).changes
    assert changes == {"lock.kernel": "update", "evidence": "update"}
    assert list(run.iterdir()) == []


def test_a_real_host_is_taken_over_as_it_is(machine: tuple[State, Map], tmp_path: Path) -> None:
    state, endpoint = machine
    container = f"{state.network}-host-nvme-01"
    reached = {"address": endpoint["address"], "port": endpoint["port"], "host_key": endpoint["host_key"]}
    only = {"kind": "storage", "rack": "r01", "hosts": {"nvme-01": {"serial": "1", **reached}}}
    ssh = {"private_key_file": str(hosts.user_key(state))}
    site = {**ENVIRONMENT["site"], "ssh": ssh, "groups": {"storage": only}}
    groups = HostGroups(
        AnsibleRunner(str(tmp_path)), config=lambda: {"env": json.dumps({"name": "test", "site": site})}
    )
    desk = Desk()

    def put(site: str) -> None:
        owner = json.dumps({"host": "nvme-01", "serial": "1", "site": site})
        script = "mkdir -p /etc/fullbore && cat > /etc/fullbore/plan.json"
        podman(state, "exec", "-i", container, "sh", "-c", script, stdin=owner)

    put("hall")
    with pytest.raises(ProviderError, match=r"its plan file says nvme-01 \(serial 1\) of site hall, not nvme-01"):
        groups.read(desk.ask(id="r01/storage"))
    put("lab")
    podman(state, "exec", container, "sysctl", "-w", "net.ipv4.tcp_ecn=2")
    found = groups.read(desk.ask(id="r01/storage"))
    assert f"nvme-01: {ECN}: 2 -> 1" in desk.said
    assert desk.said[-1].startswith("1 of 1 hosts read, none changed: ")
    assert podman(state, "exec", container, "sysctl", "-n", "net.ipv4.tcp_ecn").strip() == "2"

    # The update that follows runs for what differs: here one role, for one setting of it.
    host = found.inputs["hosts"]["nvme-01"]
    listed = [{"id": ECN, "role": "baseline", "want": "1", "reboot": False}]
    variables = {"fullbore_settings": listed, "fullbore_roles": ["baseline"], "fullbore_agent_port": 9101}
    host = {**host, "settings": {ECN: "1"}, "vars": variables}
    wanted = {**found.inputs, "roles": ["baseline"], "hosts": {"nvme-01": host}}
    outputs = groups.update(desk.ask(id="r01/storage", old_inputs=found.inputs, olds=found.outputs, news=wanted))
    assert (outputs["failed"], outputs["hosts"]["nvme-01"]["settings"]) == ({}, {ECN: "1"})


def test_ten_adapters_that_come_at_once_are_no_crash_loop(machine: tuple[State, Map]) -> None:
    """Each runs the udev rule's command; systemd starts a unit five times in 10 s unless it is told otherwise.

    There is no udev in a container, so nothing is waited for: each start cuts off the one before, and the last ends.
    The agent here takes until it is let go, so that no start can end before the next begins.
    """
    state, _ = machine
    container = f"{state.network}-host-nvme-01"

    def put(path: str, text: str) -> None:
        script = f"mkdir -p {Path(path).parent} && cat > {path}"
        podman(state, "exec", "-i", container, "sh", "-c", script, stdin=text)

    agent = """
import os, sys, time
while not os.path.exists('/run/go'):
    time.sleep(0.05)
print(*sys.argv[1:], file=open('/run/applied', 'a'))
"""
    put("/usr/local/lib/fullbore/agent.pyz", agent)
    put("/etc/fullbore/plan.json", "{}")
    put("/etc/systemd/system/fullbore-fabric.service", (ROCE_FILES / "fullbore-fabric.service").read_text())
    (command,) = re.findall(r'RUN\+="([^"]+)"', (ROCE_FILES / "90-fullbore-fabric.rules").read_text())
    adds = f"for adapter in $(seq 10); do {command}; sleep 0.3; done;"
    first = "touch /run/go; systemctl start fullbore-fabric; rm /run/go; : > /run/applied"
    script = f"systemctl daemon-reload; {first}; {adds} touch /run/go"
    podman(state, "exec", container, "sh", "-c", script)
    # The job of the last one is waited for: a unit that is active, or becomes so, is started once.
    podman(state, "exec", container, "systemctl", "start", "fullbore-fabric")
    assert podman(state, "exec", container, "systemctl", "is-active", "fullbore-fabric").strip() == "active"
    assert podman(state, "exec", container, "cat", "/run/applied") == "apply roce\n"


def test_a_host_that_balances_interrupts_stops_doing_so(machine: tuple[State, Map], tmp_path: Path) -> None:
    state, endpoint = machine
    container = f"{state.network}-host-nvme-01"
    unit = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
    script = "cat > /etc/systemd/system/irqbalance.service && systemctl enable --now irqbalance.service"
    podman(state, "exec", "-i", container, "sh", "-c", script, stdin=unit)
    setting = {"id": "stopped.irqbalance.service", "role": "numa", "want": "stopped", "reboot": False}
    unit_setting = {"id": "unit.fullbore-numa.service", "role": "numa", "want": "enabled,active", "reboot": False}
    inputs = group(state, endpoint)
    host = inputs["hosts"]["nvme-01"]
    listed = [setting, unit_setting]
    host["settings"] = {item["id"]: item["want"] for item in listed}
    host["vars"] = {**host["vars"], "fullbore_settings": listed, "fullbore_roles": ["numa"]}
    outputs = HostGroups(AnsibleRunner(str(tmp_path))).create(Desk().ask(news={**inputs, "roles": ["numa"]})).outputs
    assert outputs["failed"] == {}
    shown = podman(state, "exec", container, "systemctl", "show", "--property=UnitFileState,ActiveState", "irqbalance")
    assert sorted(shown.split()) == ["ActiveState=inactive", "UnitFileState=disabled"]


def test_a_host_with_another_key_is_refused(machine: tuple[State, Map], tmp_path: Path) -> None:
    state, endpoint = machine
    inputs = {**group(state, endpoint), "maxFailures": 1}
    other = (hosts.user_key(state).with_suffix(".pub")).read_text().split()[:2]
    inputs["hosts"]["nvme-01"]["hostKey"] = " ".join(other)
    outputs = HostGroups(AnsibleRunner(str(tmp_path))).create(Desk().ask(news=inputs)).outputs
    assert outputs["failed"]["nvme-01"].startswith("unreachable: ")
    assert outputs["facts"] == {}
