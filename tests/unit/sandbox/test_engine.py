"""The engine's environment: what it is kept from, which plugins it finds, and which stack a command is about."""

import json
import os
from importlib.metadata import version
from pathlib import Path

import pytest

from fullbore_sandbox import engine
from fullbore_sandbox.engine import PASSPHRASE, PLUGINS, Engine, backend_of, plugins_folder, stack_of
from fullbore_sandbox.state import SandboxError, State


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> State:
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    return State.load_or_create(tmp_path / "checkout")


def opened(state: State, sandbox: bool = True) -> Engine:
    return Engine(state=state, pulumi=Path("/tools/pulumi"), folders=(Path("/tools"),), sandbox=sandbox)


def test_a_sandbox_keeps_its_state_to_itself(state: State) -> None:
    made = opened(state).environment({"PULUMI_BACKEND_URL": "s3://company", "PATH": "/bin"})
    assert made["PULUMI_BACKEND_URL"] == f"file://{state.root}/.fullbore/backend?metadata=skip"
    assert made["PULUMI_HOME"].startswith(str(state.root))


@pytest.mark.parametrize("name", ["DIY_BACKEND_GZIP", "SELF_MANAGED_STATE_GZIP", "DIY_BACKEND_ZSTD"])
def test_a_sandbox_s_state_is_never_packed(name: str, state: State) -> None:
    """Its checkpoint is read here under one name, after a kill above all."""
    given = {f"PULUMI_{name}": "true", "PATH": "/bin"}
    assert opened(state).environment(given)[f"PULUMI_{name}"] == "false"
    assert opened(state, sandbox=False).environment(given)[f"PULUMI_{name}"] == "true"


def test_a_real_environment_keeps_the_users_home_login_and_passphrase(state: State) -> None:
    given = {"PULUMI_BACKEND_URL": "s3://company", "PULUMI_HOME": "/home/me/.pulumi", "PATH": "/bin"}
    made = opened(state, sandbox=False).environment(given)
    assert given.items() - {("PATH", "/bin")} <= made.items()
    assert {name for name in made if "PASSPHRASE" in name or name == "FULLBORE_JOURNAL"} == set()
    alone = opened(state, sandbox=False).environment({"PATH": "/bin"})
    assert {name for name in alone if name in ("PULUMI_HOME", "PULUMI_BACKEND_URL")} == set()
    assert not (state.root / ".fullbore" / "backend").exists()


def test_the_state_of_a_real_environment_goes_where_its_file_says(state: State) -> None:
    assert backend_of("prod", "s3://state", {}) == "s3://state"
    assert backend_of("prod", "s3://state", {"PULUMI_BACKEND_URL": "s3://mine"}) == "s3://mine"
    engine = Engine(state=state, pulumi=Path("/tools/pulumi"), folders=(), sandbox=False, backend="s3://state")
    assert engine.environment({"PATH": "/bin"})["PULUMI_BACKEND_URL"] == "s3://state"


def test_a_real_environment_without_a_backend_is_refused(state: State) -> None:
    with pytest.raises(SandboxError, match=r"^stack prod: no backend for its state; set state_backend in .* login`$"):
        backend_of("prod", None, {})


@pytest.mark.parametrize("chosen", [True, False])
def test_a_users_login_is_a_backend(state: State, chosen: bool) -> None:
    home = Path.home() / (".pulumi" if chosen else "other")
    home.mkdir(parents=True)
    (home / "credentials.json").write_text(json.dumps({"current": "s3://company"}))
    assert backend_of("prod", None, {} if chosen else {"PULUMI_HOME": str(home)}) is None


def test_stand_ins_are_found_for_a_sandbox_only(state: State) -> None:
    folder = str(state.dir / "plugins")
    assert folder in opened(state).environment({"PATH": "/bin"})["PATH"].split(os.pathsep)
    assert folder not in opened(state, sandbox=False).environment({"PATH": "/bin"})["PATH"].split(os.pathsep)


@pytest.mark.parametrize(
    ("given", "passphrase"),
    [
        ({}, PASSPHRASE),
        ({"PULUMI_CONFIG_PASSPHRASE": "mine"}, "mine"),
        ({"PULUMI_CONFIG_PASSPHRASE_FILE": "/secret"}, None),
    ],
)
def test_a_users_passphrase_is_never_replaced(state: State, given: dict[str, str], passphrase: str | None) -> None:
    made = opened(state).environment({"PATH": "/bin", **given})
    assert made.get("PULUMI_CONFIG_PASSPHRASE") == passphrase


def official(state: State, provider: str, number: str) -> Path:
    folder = Path.home() / ".pulumi" / "plugins" / f"resource-{provider}-v{number}"
    folder.mkdir(parents=True)
    path = folder / f"pulumi-resource-{provider}"
    path.touch(mode=0o755)
    return path


@pytest.mark.parametrize(
    ("mode", "number", "is_official"),
    [
        ("auto", version("pulumi-aws"), True),
        ("auto", "1.0.0", False),
        ("sandbox", version("pulumi-aws"), False),
    ],
)
def test_the_official_plugin_of_the_sdks_version_is_preferred(
    state: State, mode: str, number: str, is_official: bool
) -> None:
    path = official(state, "aws", number)
    folder = plugins_folder(state, {"FULLBORE_PLUGINS": mode})
    wanted = path if is_official else PLUGINS / "pulumi-resource-aws"
    assert (folder / "pulumi-resource-aws").readlink() == wanted
    assert (folder / "pulumi-resource-kubernetes").readlink() == PLUGINS / "pulumi-resource-kubernetes"


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("official", "FULLBORE_PLUGINS: official, but pulumi-resource-aws .* is not installed"),
        ("offical", "FULLBORE_PLUGINS: got offical, allowed auto, official, sandbox"),
    ],
)
def test_what_cannot_be_chosen_is_an_error(state: State, mode: str, message: str) -> None:
    with pytest.raises(SandboxError, match=message):
        plugins_folder(state, {"FULLBORE_PLUGINS": mode})


@pytest.mark.parametrize(
    ("args", "stack"),
    [
        (["preview", "-s", "dev"], "dev"),
        (["preview", "--stack", "organization/fullbore/prod"], "prod"),
        (["up", "--stack=staging"], "staging"),
        (["preview", "-s=dev"], "dev"),
        (["preview", "-sdev"], "dev"),
        (["up", "-yfs", "dev"], "dev"),
        (["stack", "init", "prod"], "prod"),
        (["stack", "init", "--secrets-provider", "passphrase", "prod"], "prod"),
        (["--color", "never", "stack", "select", "acme/fullbore/prod"], "prod"),
        (["stack", "rm", "--yes", "prod"], "prod"),
        (["stack", "tag", "ls"], "local"),
        (["config", "cp", "-s", "local", "--dest", "prod"], "prod"),
        (["config", "set", "-s", "dev", "key", "prod"], "dev"),
        (["up", "-m", "-sdev"], "local"),
        (["up"], "local"),
    ],
)
def test_the_stack_of_a_command(state: State, args: list[str], stack: str) -> None:
    workspaces = state.root / ".fullbore" / "home" / "workspaces"
    workspaces.mkdir(parents=True)
    (workspaces / "fullbore-1-workspace.json").write_text(json.dumps({"stack": "organization/fullbore/local"}))
    assert stack_of(args, state, {}) == stack


def test_the_stack_in_the_environment_is_before_the_one_selected(state: State) -> None:
    assert stack_of(["up"], state, {"PULUMI_STACK": "prod"}) == "prod"
    assert stack_of(["up", "-s", "dev"], state, {"PULUMI_STACK": "prod"}) == "dev"
    assert stack_of(["stack", "init", "dev"], state, {"PULUMI_STACK": "prod"}) == "dev"


def test_no_stack_selected(state: State) -> None:
    assert stack_of(["version"], state, {}) is None


def test_an_old_engine_on_path_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, answer in (("pulumi", "v3.249.9"), ("pulumi-language-python", "")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {answer}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert engine.installed_engine() is None
    (tmp_path / "pulumi").write_text("#!/bin/sh\necho v3.251.0\n")
    assert engine.installed_engine() == tmp_path / "pulumi"
    (tmp_path / "pulumi-language-python").unlink()
    assert engine.installed_engine() is None


def test_the_official_installer_s_engine_is_found_off_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ".pulumi" / "bin"
    folder.mkdir(parents=True)
    for name in ("pulumi", "pulumi-language-python"):
        (folder / name).write_text("#!/bin/sh\necho v3.250.0\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert engine.installed_engine() == folder / "pulumi"
