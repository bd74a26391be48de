"""Faults of single machines in one change of a group: each is named with what to do, and touches no other machine.

Real machines: systemd containers of the sandbox, over SSH, with the real roles, in two runs of Ansible in all.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fullbore.config.models import Environment
from fullbore.provider.base import Request
from fullbore.provider.hostgroup import HostGroups
from fullbore.provider.runner import AnsibleRunner
from fullbore.provider.values import Map
from fullbore_sandbox import hosts, rootfs
from fullbore_sandbox.podman import containers, ensure_network, podman, remove_all
from fullbore_sandbox.state import State
from waiting import wait_for

ECN = "sysctl.net.ipv4.tcp_ecn"
BASELINE = {ECN: "1", "limits.*.-.memlock": "unlimited"}
NUMA = {"irq.ens1np0": "local", "unit.fullbore-numa.service": "enabled,active"}
IDLE = {"stopped.irqbalance.service": "stopped", "unit.fullbore-numa.service": "enabled,active"}
RUNTIME = {"package.containerd.io": "1.7,hold"}
HOSTS: dict[str, dict[str, dict[str, str]]] = {
    "well": {"baseline": BASELINE, "numa": NUMA},
    "full": {"baseline": BASELINE},
    "held": {"baseline": BASELINE},
    "other": {"baseline": BASELINE, "numa": NUMA},
    "mirror": {"container_runtime": RUNTIME},
    "down": {"baseline": BASELINE, "numa": IDLE},
}
"""{host: {role: {setting: wanted}}}"""
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
                "hosts": {name: {"serial": name} for name in HOSTS},
            }
        },
    },
}
CONF = "/etc/sysctl.d/90-fullbore.conf"
OLD = "net.ipv4.tcp_ecn = 2\n"
FILL = f"""set -e
mount -t tmpfs -o size=16k tmpfs /etc/sysctl.d
cat > {CONF}
dd if=/dev/zero of=/etc/sysctl.d/fill bs=4k 2>/dev/null || true
"""
MIRROR = "http://127.0.0.1:9/debian/dists/bookworm/InRelease"
NO_MIRROR = f"""#!/bin/sh
# What apt-get of Debian 12 says where nothing answers.
case "$*" in *update*) ;; *) exit 0 ;; esac
echo "E: Failed to fetch {MIRROR}  Could not connect to 127.0.0.1:9 (127.0.0.1)." >&2
echo "E: Some index files failed to download. They have been ignored, or old ones used instead." >&2
exit 100
"""
AGENT = """mkdir -p /usr/local/lib/fullbore /etc/fullbore
echo pass > /usr/local/lib/fullbore/agent.pyz
echo '{}' > /etc/fullbore/plan.json
"""
"""What the unit of the role numa runs, and waits for; no role of these machines installs it."""
UNIT = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
GOES_DOWN = """#!/bin/sh
# Once, in the middle of a role: SIGRTMIN+13 halts systemd at once.
case "$*" in disable*) rm "$0"; kill -47 1; exec sleep 600;; esac
exec /usr/bin/systemctl "$@"
"""


class Rack:
    """The machines, and what is done to them behind the stack's back."""

    def __init__(self, state: State, image: str) -> None:
        self.state, self._image = state, image
        self.endpoints: Map = {}

    def start(self) -> None:
        """Those that do not run."""
        self.endpoints = hosts.start(self.state, Environment.model_validate(ENVIRONMENT), self._image, print)

    def shell(self, host: str, script: str, given: str = "") -> str:
        container = f"{self.state.network}-host-{host}"
        return podman(self.state, "exec", "-i", "--privileged", container, "sh", "-c", script, stdin=given)

    def sysroot(self, host: str) -> Path:
        """The double of a machine's hardware and of its tools."""
        return self.state.dir / "hosts" / host / "sysroot"

    def link(self) -> Path:
        """The interface that the machine with other hardware lacks."""
        return self.sysroot("other") / "sys" / "class" / "net" / "ens1np0"

    def is_down(self, host: str) -> bool:
        return containers(self.state)[f"{self.state.network}-host-{host}"].startswith("exited")

    def inputs(self, *names: str) -> Map:
        return {
            "group": "storage",
            "rack": "r01",
            "roles": ["baseline", "numa", "container_runtime"],
            "hosts": {name: self._host(name) for name in names},
            "ssh": {"user": "root", "privateKeyFile": str(hosts.user_key(self.state))},
            "maxFailures": len(names) - 1,
            "content": "sha256:1",
            "wipe": False,
            "rolling": {},
            "maintenance": {},
        }

    def _host(self, name: str) -> Map:
        roles, endpoint = HOSTS[name], self.endpoints[name]
        listed = [
            {"id": id, "role": role, "want": want, "reboot": False}
            for role, wants in roles.items()
            for id, want in wants.items()
        ]
        variables = {"fullbore_settings": listed, "fullbore_roles": list(roles), "fullbore_agent_port": 9101}
        return {
            "address": endpoint["address"],
            "port": endpoint["port"],
            "hostKey": endpoint["host_key"],
            "serial": name,
            "settings": {item["id"]: item["want"] for item in listed},
            "vars": {**variables, "fullbore_files": []},
        }


@pytest.fixture
def rack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rack]:
    state = State.load_or_create(tmp_path_factory.mktemp("sandbox"))
    image = f"localhost/fullbore-{state.id}-host:test"
    podman(state, "import", str(rootfs.ensure(rootfs.HOST)), image)
    try:
        ensure_network(state)
        rack = Rack(state, image)
        rack.start()
        yield rack
    finally:
        remove_all(state)
        podman(state, "rmi", "--force", image)


def ask(**fields: object) -> Request:
    return Request(urn="u", type="fullbore:metal:HostGroup", name="storage", **fields)  # pyright: ignore[reportArgumentType]


def break_all_but_one(rack: Rack) -> None:
    for host in ("well", "other", "down"):
        rack.shell(host, AGENT)
    rack.shell("full", FILL, OLD)
    lock = {"run": "elsewhere:1:1:1", "holder": "ann@desk", "since": "2026-01-01T00:00:00Z", "seen": time.time()}
    rack.shell("held", "cat > /run/fullbore.lock", json.dumps(lock))
    rack.link().unlink()
    (rack.sysroot("mirror") / "usr" / "bin" / "apt-get").write_text(NO_MIRROR)
    rack.shell("down", "cat > /etc/systemd/system/irqbalance.service && systemctl enable --now irqbalance", UNIT)
    rack.shell("down", "cat > /usr/local/sbin/systemctl && chmod 755 /usr/local/sbin/systemctl", GOES_DOWN)


def test_each_fault_is_named_with_what_to_do_and_stays_where_it_is(rack: Rack, tmp_path: Path) -> None:
    groups, inputs, target = HostGroups(AnsibleRunner(str(tmp_path))), rack.inputs(*HOSTS), rack.link().readlink()
    break_all_but_one(rack)
    outputs = groups.create(ask(news=inputs)).outputs
    said = outputs["failed"]
    assert sorted(said) == sorted(HOSTS.keys() - {"well"}), json.dumps(said, indent=1)
    assert outputs["hosts"]["well"]["settings"] == inputs["hosts"]["well"]["settings"]

    assert said["full"].startswith("baseline: Write kernel settings: ")
    assert "No space left on device" in said["full"]
    assert said["full"].endswith("; free space there, then run up again")
    assert rack.shell("full", f"cat {CONF}") == OLD, "the file of before is whole"
    assert rack.shell("full", "ls -A /etc/sysctl.d").split() == ["90-fullbore.conf", "fill"]

    assert "host is being changed by ann@desk (run elsewhere:1:1:1)" in said["held"]
    assert "wait for that run to end" in said["held"]
    assert rack.shell("held", f"ls {CONF} 2>/dev/null || true") == ""

    assert "irq.ens1np0: is absent, want local" in said["other"]
    assert said["other"].endswith("machines with other hardware are a group of their own")

    assert f"apt-get: Failed to fetch {MIRROR} Could not connect" in said["mirror"]
    assert "see that the mirror answers from there; nothing was installed" in said["mirror"]

    wait_for("the machine to be down", lambda: rack.is_down("down"))
    assert said["down"].startswith(("unreachable: ", "numa: ")), "its connection or its module ends first"

    # Each is mended; the next update finishes what was begun.
    rack.shell("full", "rm /etc/sysctl.d/fill")
    rack.shell("held", "rm /run/fullbore.lock")
    rack.link().symlink_to(target)
    rack.start()
    rest = rack.inputs(*(HOSTS.keys() - {"mirror"}))
    again = groups.update(ask(id="r01/storage", old_inputs=inputs, olds=outputs, news=rest))
    assert again["failed"] == {}
    assert {name: host["settings"] for name, host in again["hosts"].items()} == {
        name: host["settings"] for name, host in rest["hosts"].items()
    }
    assert "net.ipv4.tcp_ecn = 1" in rack.shell("full", f"cat {CONF}")
    events = [json.loads(line) for line in rack.shell("down", "cat /var/lib/fullbore/journal.jsonl").splitlines()]
    assert [event["event"] for event in events if event["role"] == "numa"] == ["begin", "begin", "finish"], "repeated"
