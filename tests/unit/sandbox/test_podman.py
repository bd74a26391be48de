"""Which container engine is used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fullbore_sandbox import podman
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
