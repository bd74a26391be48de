"""The agent as one file."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

BUILD = Path(__file__).parents[3] / "images" / "agent" / "build.py"


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("agent_build", BUILD)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_same_source_gives_the_same_bytes(script: ModuleType, tmp_path: Path) -> None:
    one, two = script.build(tmp_path / "one"), script.build(tmp_path / "two")
    assert one.name == two.name
    assert one.read_bytes() == two.read_bytes()


def test_it_is_built_once_and_leaves_nothing_else(script: ModuleType, tmp_path: Path) -> None:
    path = script.build(tmp_path)
    os.utime(path, (1, 1))
    assert script.build(tmp_path) == path
    assert path.stat().st_mtime == 1
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_it_runs_with_a_bare_python(script: ModuleType, tmp_path: Path) -> None:
    path = script.build(tmp_path)
    argv = ["/usr/bin/python3", "-I", str(path)]
    done = subprocess.run([*argv, "check", str(tmp_path / "none")], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"fullbore-agent: {tmp_path}/none: No such file or directory; converge the host again\n"
    assert "prometheus_client/exposition.py" in zipfile.ZipFile(path).namelist()


def test_a_missing_dependency_is_named(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "REQUIRED", ("no-such-distribution",))
    with pytest.raises(script.BuildError, match="no-such-distribution: not installed; run scripts/setup"):
        script.build(tmp_path)
