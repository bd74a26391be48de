"""The plugin and its Ansible child as processes: they start, stop when told, and outlive nobody."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fullbore.provider.base import ProviderError
from fullbore.provider.events import Fold
from fullbore.provider.runner import ROOT, AnsibleRunner, Job
from fullbore.provider.values import Map

LAUNCHER = ROOT / "components" / "fullbore" / "provider" / "bin" / "pulumi-resource-fullbore"


@pytest.fixture
def plugin() -> Iterator[subprocess.Popen[str]]:
    """The plugin as the engine starts it, from another folder and with nothing of this Python's in its environment."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    process = subprocess.Popen(
        [LAUNCHER, "127.0.0.1:1"], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, cwd="/", env=environment
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_its_first_line_is_its_port_and_an_interrupt_ends_it(plugin: subprocess.Popen[str]) -> None:
    port = int(first_line(plugin))
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        pass
    plugin.send_signal(signal.SIGINT)
    assert plugin.wait(20) == 0


def test_it_ends_with_the_engine_that_was_killed(plugin: subprocess.Popen[str]) -> None:
    first_line(plugin)
    assert plugin.stdout is not None
    plugin.stdout.close()  # what the death of its reader looks like to it
    assert plugin.wait(20) == 0


def job(port: int) -> Job:
    variables: Map = {
        "ansible_host": "127.0.0.1",
        "ansible_port": port,
        "ansible_ssh_common_args": "-o StrictHostKeyChecking=yes -o UserKnownHostsFile=/dev/null",
        "fullbore_settings": [],
        "fullbore_roles": [],
    }
    return Job(play="facts", hosts={"away": variables})


@pytest.fixture
def silent() -> Iterator[tuple[int, socket.socket]]:
    """A port that takes connections and says nothing, and its listening socket."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1], server


def test_a_host_that_refuses_is_unreachable_and_nothing_is_left_behind(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        fold = Fold()
        AnsibleRunner(str(tmp_path)).run(job(probe.getsockname()[1]), fold.feed)
    failed = fold.outcomes(["away"])["away"].failed or ""
    assert failed.startswith("unreachable: ")
    assert "Connection refused" in failed
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_run_ends_and_refuses_the_next(silent: tuple[int, socket.socket], tmp_path: Path) -> None:
    port, server = silent
    runner, fold = AnsibleRunner(str(tmp_path)), Fold()
    thread = threading.Thread(target=runner.run, args=(job(port), fold.feed))
    thread.start()
    server.settimeout(60)
    connection, _ = server.accept()  # Ansible is in the middle of its first task
    with connection:
        started = time.monotonic()
        runner.stop()
        thread.join(30)
        assert not thread.is_alive()
    assert time.monotonic() - started < 30
    assert fold.outcomes(["away"])["away"].failed
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ProviderError, match="cancelled"):
        runner.run(job(port), fold.feed)


def test_an_ansible_that_cannot_run_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(ProviderError, match="ansible could not be run: exit 1"):
        AnsibleRunner().run(job(1), lambda event: None)
