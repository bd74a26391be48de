"""Daemons are started once, recognised after a restart, and stopped with their children."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fullbore_sandbox import process
from fullbore_sandbox.process import Daemon, start_time, stop_all, wait_gone
from fullbore_sandbox.state import SandboxError, State


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    made = State.load_or_create(tmp_path)
    yield made
    stop_all(made)


def test_start_twice_is_one_process(state: State) -> None:
    daemon = Daemon(state, "sleeper", ["sleep", "600"])
    daemon.start()
    pid = daemon.pid
    Daemon(state, "sleeper", ["sleep", "600"]).start()
    assert pid is not None
    assert daemon.pid == pid


def test_changed_arguments_start_it_again(state: State) -> None:
    daemon = Daemon(state, "sleeper", ["sleep", "600"])
    daemon.start()
    pid = daemon.pid
    assert pid
    Daemon(state, "sleeper", ["sleep", "601"]).start()
    assert daemon.pid not in (None, pid)
    assert start_time(pid) is None


def test_it_keeps_no_descriptor_of_its_caller(state: State) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    os.set_blocking(reader, False)
    Daemon(state, "sleeper", ["sleep", "600"]).start()
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert pipe.read() == b""  # its end; None while another process could still write


def test_killed_daemon_is_started_again(state: State) -> None:
    daemon = Daemon(state, "sleeper", ["sleep", "600"])
    daemon.start()
    pid = daemon.pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    assert wait_gone(pid, 5)
    assert not daemon.running
    daemon.start()
    assert daemon.pid not in (None, pid)


def test_stop_takes_the_children_along(state: State, tmp_path: Path) -> None:
    child_file = tmp_path / "child"
    script = f"sleep 600 & echo $! > {child_file}.new; mv {child_file}.new {child_file}; wait"
    daemon = Daemon(state, "parent", ["bash", "-c", script], ready=child_file.exists)
    daemon.start()
    child = int(child_file.read_text())
    daemon.stop()
    assert wait_gone(child, 5)
    assert not daemon.running
    assert not daemon.record.exists()


def test_one_that_ignores_sigterm_is_killed(state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "STOP_S", 0.3)
    up = tmp_path / "up"
    daemon = Daemon(
        state, "deaf", ["bash", "-c", f"trap '' TERM; touch {up}; while :; do sleep 0.1; done"], ready=up.exists
    )
    daemon.start()
    pid = daemon.pid
    assert pid
    daemon.stop()
    assert start_time(pid) is None


def test_failure_shows_the_log(state: State) -> None:
    daemon = Daemon(state, "broken", ["sh", "-c", "echo no such device; exit 3"], ready=lambda: False)
    with pytest.raises(SandboxError, match=r"(?s)broken: ended before it was ready.*no such device"):
        daemon.start()


def test_never_ready_is_an_error(state: State) -> None:
    daemon = Daemon(state, "slow", ["sleep", "600"], ready=lambda: False, deadline_s=0.3)
    with pytest.raises(SandboxError, match="slow: not ready after"):
        daemon.start()


def test_environment_and_folder_reach_it(state: State, tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = f'echo "$FRUIT $PWD" > {out}.new; mv {out}.new {out}; exec sleep 600'
    Daemon(state, "env", ["sh", "-c", script], {"FRUIT": "fig"}, ready=out.exists, cwd=tmp_path).start()
    assert out.read_text().split() == ["fig", str(tmp_path)]


def test_credentials_of_the_caller_do_not_reach_it(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_HOME", "GITHUB_TOKEN", "KUBECONFIG"):
        monkeypatch.setenv(name, "hunter2")
    daemon = Daemon(state, "sleeper", ["sleep", "600"], {"FRUIT": "fig"})
    daemon.start()
    given = Path(f"/proc/{daemon.pid}/environ").read_bytes().split(b"\0")
    assert b"FRUIT=fig" in given
    assert f"PATH={os.environ['PATH']}".encode() in given
    assert [each for each in given if b"hunter2" in each] == []


def test_recycled_pid_is_left_alone(state: State) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        daemon = Daemon(state, "old", ["sleep", "600"])
        daemon.record.write_text(f'{{"pid": {bystander.pid}, "started": 1, "argv": ""}}')
        assert not daemon.running
        daemon.stop()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_stop_all_names_what_ran(state: State) -> None:
    for name in ("one", "two"):
        Daemon(state, name, ["sleep", "600"]).start()
    assert sorted(stop_all(state)) == ["one", "two"]
    assert stop_all(state) == []
