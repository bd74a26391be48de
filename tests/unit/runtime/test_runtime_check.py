"""Shards are checked beside the engine, and nobody who waits goes on with weights that were not."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from fullbore_runtime import check
from fullbore_runtime.errors import WeightsError
from fullbore_runtime.facts import software
from fullbore_runtime.launch import launch
from fullbore_runtime.tune import Launch
from fullbore_runtime.tune.settings import CHECK, Setting, env

SHARD = "weights-00002-of-00002.npz"


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = Path(sys.modules["fullbore_runtime"].__file__ or "").parent.parent
    monkeypatch.setenv("PYTHONPATH", str(package))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_who_waits_goes_on_when_every_shard_is_right(model_directory: Path, begun: None) -> None:
    check.wait(check.begin(model_directory, 2))


def test_a_damaged_shard_ends_who_waits(model_directory: Path, tmp_path: Path, begun: None) -> None:
    copy = Path(shutil.copytree(model_directory, tmp_path / "model"))
    (copy / SHARD).write_bytes(b"other")
    with pytest.raises(WeightsError, match=rf"shard {SHARD}: sha256 is [0-9a-f]{{64}}, but the manifest says"):
        check.wait(check.begin(copy, 2))


def test_a_check_that_dies_ends_who_waits(tmp_path: Path) -> None:
    (tmp_path / "finding").touch()
    with pytest.raises(WeightsError, match="ended without a finding"):
        check.wait(tmp_path / "finding")


def test_waiting_lasts_as_long_as_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "finding"
    held = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    waiting = threading.Thread(target=check.wait, args=(path,))
    waiting.start()
    waiting.join(0.02)
    assert waiting.is_alive()
    os.write(held, check.RIGHT.encode())
    os.close(held)
    waiting.join(10)
    assert not waiting.is_alive()


def test_a_folder_without_a_manifest_is_no_reason_to_wait_forever(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    assert "manifest.json" in check.finding(tmp_path, 1)


@pytest.mark.parametrize(("plugins", "loaded"), [(None, True), ("other,fullbore", True), ("other", False)])
def test_the_plugin_counts_where_vllm_would_load_it(
    plugins: str | None, loaded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "fullbore_runtime-0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: fullbore-runtime\nVersion: 0\n")
    (installed / "entry_points.txt").write_text(
        "[vllm.general_plugins]\nfullbore = fullbore_runtime.kernels.plugin:register\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert software.plugin({} if plugins is None else {"VLLM_PLUGINS": plugins}) is loaded


def test_the_engine_is_told_where_the_finding_will_be(monkeypatch: pytest.MonkeyPatch) -> None:
    become: list[Mapping[str, str]] = []
    begun: list[tuple[Path, int]] = []
    monkeypatch.setattr(os, "execve", lambda _path, _argv, env: become.append(env))
    monkeypatch.setattr(check, "begin", lambda *given: begun.append(given) or Path("/finding"))
    words = ("/models/m", "4")
    launch(Launch("vllm", (Setting("beside", CHECK, words, "why"), env("A", 1, "why"))))
    assert begun == [(Path("/models/m"), 4)]
    assert (become[0][check.ENVIRONMENT], become[0]["A"]) == ("/finding", "1")
