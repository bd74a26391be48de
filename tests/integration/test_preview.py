"""`scripts/preview`'s program with the real engine: two sides of a small repository, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fullbore.report.scratch import copy_working_tree, run
from fullbore_sandbox import engine, toolchain

ROOT = Path(__file__).parents[2]
GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """This working tree as the first commit of a repository of its own."""
    root = tmp_path / "repository"
    root.mkdir()
    copy_working_tree(ROOT, root)
    for command in (("init", "--quiet", "--initial-branch=main"), ("add", "."), ("commit", "--quiet", "--message=one")):
        run([*GIT, *command], root, os.environ)
    return root


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An engine on PATH, and a folder for temporary files that is empty again at the end."""
    found = engine.installed_engine()
    folders = [found.parent] if found else [toolchain.path(name).parent for name in toolchain.ENGINE]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    yield os.environ | {
        "PATH": os.pathsep.join([*map(str, folders), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT / "components"),
        "TMPDIR": str(temporary),
    }
    assert list(temporary.iterdir()) == []


def previewed(repository: Path, environ: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fullbore.report.preview", *arguments]
    return subprocess.Popen(
        command, cwd=repository, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_the_difference_of_two_sides(repository: Path, environ: dict[str, str]) -> None:
    dev = repository / "stacks" / "Pulumi.dev.yaml"
    text = dev.read_text()
    assert "expire_noncurrent_days: 14" in text
    dev.write_text(text.replace("expire_noncurrent_days: 14", "expire_noncurrent_days: 7"))
    (repository / "stacks" / "Pulumi.extra.yaml").write_text("config:\n  fullbore:env:\n    nmae: extra\n")
    with previewed(repository, environ, "dev", "extra", "--json") as process:
        out, err = process.communicate(timeout=300)
    assert process.returncode == 2, err
    dev_report, extra = json.loads(out)["environments"]
    assert dev_report["status"] == {"base": "previewed", "head": "previewed"}, dev_report["reason"]
    (change,) = dev_report["changes"]
    assert (change["kind"], change["name"]) == ("change", "storage-lifecycle")
    assert [(item["before"], item["after"]) for item in change["properties"]] == [(14, 7)]
    assert dev_report["usd_per_hour_delta"] == 0
    assert extra["status"] == {"base": "absent", "head": "refused"}
    assert {problem["path"] for problem in extra["problems"]} == {"name", "nmae"}


def test_told_to_stop_it_removes_what_it_made(repository: Path, environ: dict[str, str]) -> None:
    with previewed(repository, environ, "dev") as process:
        assert process.stderr
        process.stderr.readline()  # the first environment has begun
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
