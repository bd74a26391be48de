"""The sandbox's commands where there is nothing to work on: they say so and leave nothing behind."""

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
