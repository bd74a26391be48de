"""The campaign of kills keeps every seed that failed, however it failed."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import kills


class Stage:
    """A checkout on which every command ends well; none of it is real."""

    def run(self, *argv: str, **options: Any) -> None: ...

    def census(self) -> Counter[str]:
        return Counter()


@contextmanager
def stage() -> Iterator[Stage]:
    yield Stage()


@pytest.mark.parametrize(
    "error", [AssertionError("made twice"), subprocess.TimeoutExpired("scripts/up", 900), ConnectionError("refused")]
)
@pytest.mark.parametrize("where", ["carry_out", "assert_mended"])
def test_a_seed_that_fails_is_kept(
    error: Exception, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise error

    failed, log = tmp_path / "failed.json", tmp_path / "log.jsonl"
    failed.write_text("[3]\n")
    monkeypatch.setattr(kills, "FAILED", failed)
    monkeypatch.setattr(kills, "LOG", log)
    monkeypatch.setattr(kills, "scratch_checkout", stage)
    for name in ("carry_out", "assert_mended"):
        monkeypatch.setattr(kills, name, fail if name == where else lambda *_: "")
    monkeypatch.setattr("sys.argv", ["kills", "--seed", "7"])
    assert kills.main() == 1
    assert json.loads(failed.read_text()) == [3, 7]
    assert [json.loads(line)["seed"] for line in log.read_text().splitlines()] == [7]
