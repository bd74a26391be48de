"""A checkout of its own for the life-cycle tests, so that a sandbox of the developer's is left alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from checkout import Checkout

ROOT = Path(__file__).parents[2]


def copy_tree(target: Path) -> None:
    """Copy what git tracks, and new files it does not ignore, as they stand now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    for name in filter(None, listed):
        source = ROOT / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    (target / ".venv").symlink_to((ROOT / ".venv").resolve())
    subprocess.run(["git", "init", "-q", "."], cwd=target, check=True)
    subprocess.run(["git", "add", "-A"], cwd=target, check=True)


@pytest.fixture(scope="session")
def checkout() -> Iterator[Checkout]:
    """A fresh checkout; whatever a failed test left running in it is taken down at the end."""
    folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="fullbore-test-")))
    copy_tree(folder)
    checkout = Checkout(folder)
    checkout.temporary.mkdir()
    try:
        yield checkout
    finally:
        if checkout.state.exists():
            checkout.run("scripts/down", "--force", check=False)
        for each in (folder, checkout.temporary):
            shutil.rmtree(each, ignore_errors=True)
