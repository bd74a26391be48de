"""The sandbox's commands where there is nothing to work on: they say so and leave nothing behind."""

import os
import shutil
from pathlib import Path

import pytest

from fullbore_sandbox import __main__ as commands

STACKS = Path(__file__).parents[3] / "stacks"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "stacks").mkdir()
    for name in ("local", "dev"):
        shutil.copy(STACKS / f"Pulumi.{name}.yaml", tmp_path / "stacks")
    monkeypatch.setattr(commands, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", ["up", "deploy", "status"])
def test_an_environment_that_is_not_there_leaves_no_trace(
    command: str, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.main([command, "nope"]) == 2
    assert "nope: there is no such environment" in capsys.readouterr().err
    assert [path.name for path in checkout.iterdir()] == ["stacks"]


def test_status_says_that_no_sandbox_runs(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["status", "local"]) == 1
    assert capsys.readouterr().err == f"{checkout}: no sandbox runs here; run scripts/up\n"
    assert [path.name for path in checkout.iterdir()] == ["stacks"]


def test_a_real_environment_has_no_sandbox(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["status", "dev"]) == 0
    assert "no sandbox runs for it" in capsys.readouterr().err
    assert [path.name for path in checkout.iterdir()] == ["stacks"]


@pytest.fixture
def engine_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where an engine that only notes its arguments and backend notes them; no login, no backend in the environment."""
    tools, log = tmp_path / "tools", tmp_path / "asked"
    tools.mkdir()
    script = f'#!/bin/sh\n[ "$1" = version ] && echo v3.250.0 || echo "$PULUMI_BACKEND_URL $*" >> {log}\n'
    for name in ("pulumi", "pulumi-language-python"):
        (tools / name).write_text(script)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("PULUMI_BACKEND_URL", "PULUMI_HOME", "PULUMI_ACCESS_TOKEN", "PULUMI_STACK"):
        monkeypatch.delenv(name, raising=False)
    return log


def test_a_real_environment_is_brought_up_with_the_engine_s_own_confirmation(checkout: Path, engine_log: Path) -> None:
    shutil.copy(STACKS / "Pulumi.prod.yaml", checkout / "stacks")
    assert commands.main(["deploy", "prod"]) == 0
    assert engine_log.read_text() == "s3://fullbore-state-prod up --refresh --stack prod\n"


def test_a_real_environment_without_a_backend_is_not_brought_up(
    checkout: Path, engine_log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.main(["deploy", "dev"]) == 1
    assert "stack dev: no backend for its state" in capsys.readouterr().err
    assert not engine_log.exists()
