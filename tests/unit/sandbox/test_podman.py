"""Which container engine is used."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from fullbore_sandbox import podman, state
from fullbore_sandbox.process import start_time
from fullbore_sandbox.state import SandboxError, State


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is the whole PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    podman.binary.cache_clear()
    yield tmp_path
    podman.binary.cache_clear()


def program(folder: Path, name: str, status: int) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\nexit {status}\n")
    path.chmod(0o755)
    return path


def test_podman_comes_first(programs: Path) -> None:
    program(programs, "docker", 0)
    wanted = program(programs, "podman", 0)
    assert podman.binary() == str(wanted)


def test_docker_where_its_daemon_answers(programs: Path) -> None:
    wanted = program(programs, "docker", 0)
    assert podman.binary() == str(wanted)


def test_docker_without_its_daemon_is_no_engine(programs: Path) -> None:
    program(programs, "docker", 1)
    with pytest.raises(SandboxError, match="neither podman nor a docker daemon"):
        podman.binary()


def test_credentials_of_the_caller_do_not_reach_it(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Podman starts a name server that goes on running, with the environment that podman was given."""
    program(programs, "podman", 0)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    found = podman.environment(State.load_or_create(tmp_path))
    assert found["PATH"] == str(programs)
    assert found["HTTPS_PROXY"] == "http://proxy.example:3128"
    assert "hunter2" not in found.values()


@pytest.mark.parametrize(
    "told",
    [
        '[{"subnets": [{"subnet": "10.200.7.0/24"}, {"subnet": "fd00::/64"}]}, {"name": "none"}]',
        '[{"IPAM": {"Config": [{"Subnet": "10.200.7.0/24"}, {"Gateway": "10.200.7.1"}]}}, {"IPAM": {"Config": null}}]',
    ],
    ids=["podman", "docker"],
)
def test_networks_of_the_engine_are_in_use(programs: Path, told: str) -> None:
    """By podman's way to tell of them and by Docker's; the sandbox has IPv4 only."""
    engine = program(programs, "podman", 0)
    engine.write_text(f'#!/bin/sh\n[ "$2" = ls ] && echo a b && exit\n[ "$3$4" = ab ] && echo \'{told}\'\n')
    assert set(podman.networks_in_use()) - set(state.routed_networks()) == {IPv4Network("10.200.7.0/24")}


@pytest.mark.parametrize("others", ["", "0123abcd"])
def test_what_podman_runs_beside_the_containers_is_waited_for(others: str, programs: Path, tmp_path: Path) -> None:
    """Where containers of others run, all but the name server that they share."""
    program(programs, "podman", 0).write_text(f"#!/bin/sh\necho {others}\n")
    made = State.load_or_create(tmp_path)
    beside: dict[str, subprocess.Popen[bytes]] = {}
    for name, seconds in (("conmon", "0.1"), ("aardvark-dns", "60" if others else "0.1")):
        shutil.copy("/bin/sleep", tmp_path / name)
        beside[name] = subprocess.Popen([tmp_path / name, seconds], env=podman.settings(made))
    try:
        podman._wait_for_helpers(made)
        running = [name for name, process in beside.items() if start_time(process.pid) is not None]
        assert running == (["aardvark-dns"] if others else [])
    finally:
        for process in beside.values():
            process.kill()
            process.wait()
