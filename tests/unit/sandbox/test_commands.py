"""The sandbox's commands where there is nothing to work on: they say so and leave nothing behind."""

import gzip
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from fullbore_sandbox import __main__ as commands
from fullbore_sandbox import sandbox
from fullbore_sandbox.state import SandboxError, State

STACKS = Path(__file__).parents[3] / "stacks"
COMPONENTS = Path(__file__).parents[3] / "components"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "stacks").mkdir()
    for name in ("local", "dev"):
        shutil.copy(STACKS / f"Pulumi.{name}.yaml", tmp_path / "stacks")
    monkeypatch.setattr(commands, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", ["up", "status"])
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
    assert commands.main(["up", "prod"]) == 0
    assert engine_log.read_text() == "s3://fullbore-state-prod up --refresh --stack prod\n"


def test_a_real_environment_without_a_backend_is_not_brought_up(
    checkout: Path, engine_log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.main(["up", "dev"]) == 1
    assert "stack dev: no backend for its state" in capsys.readouterr().err
    assert not engine_log.exists()


@pytest.mark.parametrize("command", ["up", "down", "force-down"])
@pytest.mark.parametrize("suffix", [".json", ".json.gz"])
def test_the_state_of_another_stack_is_not_removed(
    command: str, suffix: str, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = checkout / ".fullbore" / "backend" / ".pulumi" / "stacks" / "fullbore" / f"prod{suffix}"
    held.parent.mkdir(parents=True)
    text = json.dumps({"version": 3, "checkpoint": {"latest": {"resources": [{"urn": "urn:a"}, {"urn": "urn:b"}]}}})
    held.write_bytes(gzip.compress(text.encode()) if suffix.endswith(".gz") else text.encode())
    assert commands.main([command, "local"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"stack prod: 2 resources are known to {held} only")
    assert said.count("\n") == 1
    assert held.exists()


@pytest.mark.parametrize(
    ("content", "is_kept"),
    [
        ('{"checkpoint": {"latest": null}}', False),
        ('{"checkpoint": {"latest": {"resources": []}}}', False),
        ("{", True),
    ],
)
def test_an_empty_stack_does_not_hold_the_sandbox(content: str, is_kept: bool, tmp_path: Path) -> None:
    state = State.load_or_create(tmp_path)
    folder = tmp_path / ".fullbore" / "backend" / ".pulumi" / "stacks" / "fullbore"
    folder.mkdir(parents=True)
    (folder / "local.json").write_text('{"checkpoint": {"latest": {"resources": [{"urn": "urn:a"}]}}}')
    (folder / "dev.json").write_text(content)
    if not is_kept:
        sandbox.keep_other_stacks(state, "local")
        return
    with pytest.raises(SandboxError, match="stack dev: resources that cannot be counted"):
        sandbox.keep_other_stacks(state, "local")


@pytest.mark.parametrize(
    "name", ["local.json.18a3f.tmp", "local.json.bak.77.tmp", "local.json.bak", "local.json.attrs"]
)
def test_what_a_killed_engine_leaves_is_no_other_stack(name: str, tmp_path: Path) -> None:
    state = State.load_or_create(tmp_path)
    folder = tmp_path / ".fullbore" / "backend" / ".pulumi" / "stacks" / "fullbore"
    folder.mkdir(parents=True)
    (folder / name).write_text('{"checkpoint": {"latest": {"resour')
    sandbox.keep_other_stacks(state, "local")


@pytest.mark.parametrize("argument", ["prod", "--forse", "--force prod"])
def test_down_refuses_what_it_does_not_know(argument: str) -> None:
    done = subprocess.run(
        [STACKS.parent / "scripts" / "down", *argument.split()], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"down: got {argument.split()[-1]}, allowed")


def test_a_sandbox_is_refused_to_others_than_root(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert commands.main(["up", "local"]) == 1
    assert "got user id 1000, allowed 0" in capsys.readouterr().err


class Became(Exception):
    pass


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> None:
    def instead(path: Path, argv: list[str], environment: dict[str, str]) -> None:
        raise Became(environment.get("PULUMI_CONFIG_PASSPHRASE"))

    monkeypatch.setattr(os, "execve", instead)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE", raising=False)


@pytest.mark.usefixtures("engine_log", "became")
@pytest.mark.parametrize(
    ("arguments", "passphrase"),
    [
        (["preview", "-slocal"], "fullbore-local"),
        (["stack", "init", "prod"], "None"),
        (["preview", "-s=prod"], "None"),
        (["stack", "init"], "None"),
    ],
)
def test_the_public_passphrase_is_for_a_declared_sandbox_only(
    arguments: list[str], passphrase: str, checkout: Path
) -> None:
    shutil.copy(STACKS / "Pulumi.prod.yaml", checkout / "stacks")
    with pytest.raises(Became, match=passphrase):
        commands.main(["pulumi", *arguments])


@pytest.mark.usefixtures("engine_log", "became")
@pytest.mark.parametrize("content", ["config: [", "- a", "config:\n  fullbore:env: 3\n", "config:\n  a:b: c\n", "\0"])
def test_a_broken_stack_file_is_one_clear_message(
    content: str, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = checkout / "stacks" / "Pulumi.dev.yaml"
    file.write_text(content)
    assert commands.main(["pulumi", "preview", "-s", "dev"]) == 1
    assert capsys.readouterr().err.startswith(f"{file}: ")
