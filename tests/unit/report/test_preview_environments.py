"""Which environments a preview shows when none is named."""

from pathlib import Path

import pytest
from test_scratch import git

from fullbore.config import environment_names
from fullbore.report.preview import main, real_environments

SANDBOX = "config: { fullbore:env: { name: here, sandbox: {} } }"
REAL = "config: { fullbore:env: { name: there } }"


def commit(repository: Path, **stacks: str) -> str:
    """A commit with these stack files and no other."""
    folder = repository / "stacks"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, text in stacks.items():
        (folder / f"Pulumi.{name}.yaml").write_text(text)

    git(repository, "init", "--quiet")
    git(repository, "add", "-A")
    git(repository, "commit", "--quiet", "--message=stacks")
    return git(repository, "rev-parse", "HEAD")


def test_new_and_removed_ones_are_shown_and_a_sandbox_is_not(tmp_path: Path) -> None:
    base = commit(tmp_path, local=SANDBOX, removed=REAL, kept=REAL)
    commit(tmp_path, local=SANDBOX, added=REAL, kept=REAL)
    assert real_environments(tmp_path, base) == ("added", "kept", "removed")
    assert real_environments(tmp_path, "") == ("added", "kept")


def test_a_file_that_cannot_be_read_is_shown(tmp_path: Path) -> None:
    base = commit(tmp_path, damaged="config: [", other="nothing", empty="")
    assert real_environments(tmp_path, base) == ("damaged", "empty", "other")


def test_what_is_no_file_is_no_environment(tmp_path: Path) -> None:
    commit(tmp_path, kept=REAL)
    (tmp_path / "stacks" / "Pulumi.folder.yaml").mkdir()
    (tmp_path / "stacks" / "Pulumi.nowhere.yaml").symlink_to("nowhere")
    assert real_environments(tmp_path, "") == ("kept",)
    assert environment_names(tmp_path) == ("kept",)


def test_an_empty_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["", "dev"]) == 2
    assert capsys.readouterr().err == "preview: got an empty name, allowed names of environments\n"
