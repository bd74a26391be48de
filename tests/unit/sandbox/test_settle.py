"""After a killed run: whose lock it is, which processes are left over, and what was being made."""

import json
import os
import socket
import subprocess
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fullbore_sandbox import settle
from fullbore_sandbox.engine import Engine, checkpoint, journal
from fullbore_sandbox.process import start_time, wait_gone
from fullbore_sandbox.state import SandboxError, State


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State.load_or_create(tmp_path)


@pytest.fixture
def process(state: State) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs under the checkout's PULUMI_HOME, as a plugin does."""
    child = subprocess.Popen(["sleep", "600"], env={**os.environ, **home(state)})
    yield child
    child.kill()
    child.wait()


def home(state: State) -> dict[str, str]:
    return {"PULUMI_HOME": str(state.root / ".fullbore" / "home"), "FULLBORE_JOURNAL": str(journal(state))}


def lock(state: State, pid: int, host: str = socket.gethostname(), taken: datetime | None = None) -> Path:
    folder = state.root / ".fullbore/backend/.pulumi/locks/organization/fullbore/local"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{pid}.json"
    stamp = (taken or datetime.now(UTC)).isoformat()
    path.write_text(json.dumps({"pid": pid, "username": "root", "hostname": host, "timestamp": stamp}))
    return path


def dead_pid() -> int:
    child = subprocess.Popen(["true"])
    child.wait()
    return child.pid


def test_lock_of_a_dead_process_is_removed(state: State) -> None:
    path = lock(state, dead_pid())
    assert settle.remove_dead_locks(state, "local") == 1
    assert not path.exists()


def test_lock_of_a_live_process_stays(state: State) -> None:
    path = lock(state, os.getpid())
    with pytest.raises(SandboxError, match=f"stack local: process {os.getpid()} on"):
        settle.remove_dead_locks(state, "local")
    assert path.exists()


def test_lock_older_than_the_process_with_its_pid_is_removed(state: State) -> None:
    lock(state, os.getpid(), taken=datetime(2020, 1, 1, tzinfo=UTC))
    assert settle.remove_dead_locks(state, "local") == 1


def test_lock_of_another_machine_stays(state: State) -> None:
    lock(state, dead_pid(), host="elsewhere")
    with pytest.raises(SandboxError, match="on elsewhere"):
        settle.remove_dead_locks(state, "local")


def test_process_of_a_dead_run_is_ended(
    state: State, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "TERM_S", 5.0)
    assert list(settle.orphaned(state)) == [process.pid]
    assert settle.end_orphans(state, patience_s=0.1) == 1
    assert start_time(process.pid) is None


def test_process_that_ends_by_itself_is_waited_for(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    argv = ["sh", "-c", "read line; exit 7"]
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, env={**os.environ, **home(state)})
    wait = settle._wait

    def end_it_and_wait(pids: Iterable[int], seconds: float) -> None:
        assert child.stdin
        child.stdin.close()
        wait(pids, seconds)

    monkeypatch.setattr(settle, "_wait", end_it_and_wait)
    assert settle.end_orphans(state) >= 1
    assert wait_gone(child.pid, 1)


@pytest.mark.parametrize(("program", "is_orphan"), [("pulumi-resource-x", True), ("bash", False)])
def test_a_users_shell_with_the_engine_s_home_is_left_alone(
    program: str, is_orphan: bool, state: State, tmp_path: Path
) -> None:
    path = tmp_path / program
    path.write_text("#!/bin/sh\necho; read line\n")
    path.chmod(0o755)
    environment = {**os.environ, "PULUMI_HOME": home(state)["PULUMI_HOME"]}
    with subprocess.Popen([path], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.readline()
        assert list(settle.orphaned(state)) == ([child.pid] if is_orphan else [])


def test_processes_of_another_checkout_are_left_alone(state: State, tmp_path: Path) -> None:
    other = State.load_or_create(tmp_path / "other")
    child = subprocess.Popen(["sleep", "600"], env={**os.environ, **home(other)})
    try:
        assert settle.end_orphans(state, patience_s=0) == 0
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()


def test_what_stands_below_a_live_engine_is_left_alone(state: State, tmp_path: Path) -> None:
    engine = tmp_path / "pulumi"
    # A copy, for the kernel names a process after the file behind a link.
    engine.write_bytes(Path("/bin/sh").resolve().read_bytes())
    engine.chmod(0o755)
    # Until it is `sleep`, what the engine forked has the engine's name.
    script = "sleep 600 & until read name < /proc/$!/comm && [ $name = sleep ]; do :; done; echo; wait"
    child = subprocess.Popen([engine, "-c", script], env=home(state), stdout=subprocess.PIPE)
    try:
        assert child.stdout
        child.stdout.readline()
        assert list(settle.orphaned(state)) == []
        child.kill()
        child.wait()
        assert len(list(settle.orphaned(state))) == 1
    finally:
        child.kill()
        child.wait()
        settle.end_orphans(state, patience_s=0)


def test_pending_creations_are_read_from_the_checkpoint(state: State) -> None:
    file = checkpoint(state, "local")
    assert settle.pending_creations(state, "local") == []
    file.parent.mkdir(parents=True)
    operations = [
        {"type": "creating", "resource": {"urn": "urn:a"}},
        {"type": "updating", "resource": {"urn": "urn:b"}},
    ]
    file.write_text(json.dumps({"version": 3, "checkpoint": {"latest": {"pending_operations": operations}}}))
    assert settle.pending_creations(state, "local") == ["urn:a"]


def test_the_journal_tells_what_was_made(state: State) -> None:
    engine = Engine(state=state, pulumi=Path("/nonexistent"), folders=(), sandbox=True)
    notes = [
        {"urn": "urn:a", "phase": "begin", "token": "t1", "id": None},
        {"urn": "urn:a", "phase": "created", "token": "t1", "id": "vpc-1"},
    ]
    journal(state).parent.mkdir(parents=True)
    journal(state).write_text("".join(json.dumps(n) + "\n" for n in notes) + '{"urn": "urn:')
    assert settle._made(engine, "urn:a") == "vpc-1"
    assert settle._made(engine, "urn:of-another-provider") is None


def creating(urn: str) -> dict[str, object]:
    return {"type": "creating", "resource": {"urn": urn, "custom": True, "type": "t", "inputs": {"a": 1}}}


def test_what_was_made_becomes_a_resource_and_the_rest_is_forgotten() -> None:
    stack: dict[str, object] = {"urn": "urn:stack", "custom": False}
    deployment = {
        "resources": [stack],
        "pending_operations": [creating("urn:a"), creating("urn:b"), {"type": "deleting", "resource": stack}],
    }
    settle.adopt(deployment, {"urn:a": "vpc-1"})
    assert deployment == {
        "resources": [stack, {"urn": "urn:a", "custom": True, "type": "t", "inputs": {"a": 1}, "id": "vpc-1"}]
    }


def test_what_a_replacement_replaces_is_left_to_be_deleted() -> None:
    old = {"urn": "urn:a", "custom": True, "type": "t", "inputs": {"a": 0}, "id": "vpc-0"}
    deployment = {"resources": [{"urn": "urn:stack"}, old], "pending_operations": [creating("urn:a")]}
    settle.adopt(deployment, {"urn:a": "vpc-1"})
    assert [(r.get("id"), r.get("delete")) for r in deployment["resources"]] == [
        (None, None),
        ("vpc-1", None),
        ("vpc-0", True),
    ]
