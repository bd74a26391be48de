"""`fullbore discover` and `fullbore power` against sushy-emulator and its fake driver, over TLS and with a password."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import yaml
from bmc_certificate import certificate_for

EMULATOR = Path(__file__).with_name("prompt_emulator.py")
UUID = "6f1c2a3b-0000-4000-8000-00000000b3c1"
USER, PASSWORD = "operator", "of the emulator"
START_S, TRIES = 60, 3
CONFIG = f"""
SUSHY_EMULATOR_FAKE_DRIVER = True
SUSHY_EMULATOR_FAKE_SYSTEMS = [
    {{"uuid": "{UUID}", "name": "gpu-01", "power_state": "Off", "nics": [{{"mac": "B8:CE:F6:00:00:01"}}]}}
]
SUSHY_EMULATOR_STORAGE = {{"{UUID}": [{{"Id": "1", "Name": "local", "StorageControllers": [], "Drives": ["a", "b"]}}]}}
SUSHY_EMULATOR_DRIVES = {{
    ("{UUID}", "1"): [
        {{"Id": "a", "Name": "a", "CapacityBytes": 3840755982336, "Protocol": "NVMe"}},
        {{"Id": "b", "Name": "b", "CapacityBytes": 480103981056, "Protocol": "SATA"}},
    ]
}}
"""


@dataclass
class Bmc:
    """A running emulator, and an environment whose host `gpu-01` is behind it."""

    address: str
    environment: Path

    def fullbore(self, *arguments: str, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
        environ = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        environ |= {"FULLBORE_BMC_PASSWORD": password}
        command, *rest = arguments
        argv = [sys.executable, "-m", "fullbore", command, str(self.environment), *rest]
        return subprocess.run(argv, env=environ, text=True, capture_output=True, timeout=300)

    def document(self, *arguments: str) -> dict[str, Any]:
        done = self.fullbore(*arguments, "--json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def bmc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bmc]:
    folder = tmp_path_factory.mktemp("bmc")
    certificate, key = certificate_for(folder)
    password = folder / "password"
    password.write_text(f"{USER}:{bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(rounds=4)).decode()}\n")
    config = folder / "emulator.conf"
    config.write_text(
        f"{CONFIG}SUSHY_EMULATOR_AUTH_FILE = {str(password)!r}\nSUSHY_EMULATOR_STATE_DIR = {str(folder)!r}\n"
    )
    with emulator(
        folder, ["--config", str(config), "--ssl-certificate", str(certificate), "--ssl-key", str(key)]
    ) as port:
        yield Bmc(f"127.0.0.1:{port}", written(folder, f"127.0.0.1:{port}", certificate))


@contextmanager
def emulator(folder: Path, options: list[str]) -> Iterator[int]:
    """Started on a free port, another one where somebody took it meanwhile."""
    log = folder / "log"
    for _ in range(TRIES):
        port = free_port()
        argv = [sys.executable, str(EMULATOR), "-i", "127.0.0.1", "-p", str(port), *options]
        with log.open("w") as out:
            child = subprocess.Popen(argv, env={**os.environ, "TMPDIR": str(folder)}, stdout=out, stderr=out)
        try:
            if answers(port, child):
                yield port
                return
        finally:
            child.send_signal(signal.SIGINT)
            child.wait(timeout=START_S)
    pytest.fail(f"the emulator did not start: {log.read_text()}")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def answers(port: int, child: subprocess.Popen[bytes]) -> bool:
    """Whether it listens in time; false where it ended."""
    end = time.monotonic() + START_S
    while child.poll() is None and time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.1)
    return False


def written(folder: Path, address: str, certificate: Path) -> Path:
    group = {
        "kind": "storage",
        "rack": "r01",
        "hosts": {"gpu-01": {"serial": "EX-0001", "bmc": address}},
    }
    site = {"name": "hall", "cidr": "192.0.2.0/24", "fabric": "ethernet", "groups": {"nvme": group}}
    site["bmc"] = {"user": USER, "ca_file": str(certificate)}
    path = folder / "example.yaml"
    path.write_text(yaml.safe_dump({"config": {"fullbore:env": {"name": "example", "sandbox": {}, "site": site}}}))
    return path


def test_the_inventory_of_a_machine_that_is_off(bmc: Bmc) -> None:
    host = bmc.document("discover")["hosts"]["gpu-01"]
    found = host["inventory"]
    assert (found["manufacturer"], found["power"], found["unread"]) == ("Sushy Emulator", "Off", [])
    assert [adapter["macs"] for adapter in found["adapters"]] == [["b8:ce:f6:00:00:01"]]
    assert [(drive["name"], drive["protocol"]) for drive in found["drives"]] == [("a", "NVMe"), ("b", "SATA")]
    told = [(each["path"], each["planned"]) for each in host["differences"]]
    assert told == [("site.groups.nvme.hosts.gpu-01.serial", "EX-0001")]
    assert host["differences"][0]["found"] in found["chassis_serials"]


def test_it_is_switched_and_boots_from_the_network_once(bmc: Bmc) -> None:
    assert bmc.document("power", "gpu-01", "status")["power"] == "Off"
    on = bmc.fullbore("power", "gpu-01", "on", "--boot", "pxe")
    assert on.returncode == 0, on.stderr
    assert on.stdout.startswith("gpu-01: On; boots from Pxe (")
    cycled = bmc.fullbore("power", "gpu-01", "cycle", "--boot", "disk")
    assert cycled.returncode == 0, cycled.stderr
    states = cycled.stderr.splitlines()
    assert states.index("gpu-01: Off") < len(states) - 1
    assert states[-1] == "gpu-01: On"
    assert cycled.stdout.startswith("gpu-01: On; boots from Hdd (")
    assert bmc.fullbore("power", "gpu-01", "off", "--force").returncode == 0
    assert bmc.document("power", "gpu-01", "status")["power"] == "Off"


def test_a_wrong_password_is_told(bmc: Bmc) -> None:
    refused = bmc.fullbore("power", "gpu-01", "status", password="mistyped")
    assert refused.returncode == 2
    assert "site.groups.nvme.hosts.gpu-01.bmc: the user or the password is wrong (HTTP 401)" in refused.stderr
    assert "mistyped" not in refused.stdout + refused.stderr
