"""Copies of a tree, and commands that leave nothing behind."""

import os
import select
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fullbore.report import scratch
from fullbore.report.preview import merge_base
from fullbore.report.scratch import CommandFailed, copy_commit, copy_working_tree, resources_of, run, unseal

GIT = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "PATH": os.environ["PATH"],
}


def git(repository: Path, *arguments: str) -> str:
    return run(["git", *arguments], repository, GIT).decode().strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch=main")
    (root / "kept").write_text("one")
    (root / "gone").write_text("gone")
    (root / ".gitignore").write_text("ignored\n")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message=one")
    return root


def test_a_commit_is_copied_as_it_was(repository: Path, tmp_path: Path) -> None:
    (repository / "kept").write_text("two")
    (tmp_path / "copy").mkdir()
    copy_commit(repository, "HEAD", tmp_path / "copy")
    assert (tmp_path / "copy" / "kept").read_text() == "one"


def test_the_working_tree_is_copied_as_it_is(repository: Path, tmp_path: Path) -> None:
    (repository / "kept").write_text("two")
    (repository / "gone").unlink()
    (repository / "new").write_text("new")
    (repository / "ignored").write_text("ignored")
    (tmp_path / "copy").mkdir()
    copy_working_tree(repository, tmp_path / "copy")
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == [".gitignore", "kept", "new"]
    assert (tmp_path / "copy" / "kept").read_text() == "two"


def test_the_merge_base_is_where_the_branch_left(repository: Path) -> None:
    left = git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "--quiet", "-b", "work")
    git(repository, "commit", "--quiet", "--allow-empty", "--message=two")
    assert merge_base(repository, None) == left
    assert merge_base(repository, "HEAD") == git(repository, "rev-parse", "HEAD")
    assert merge_base(repository, "nowhere") == ""


def test_a_repository_without_main_has_no_merge_base(repository: Path) -> None:
    git(repository, "branch", "--move", "other")
    assert merge_base(repository, None) == ""


def test_a_failed_command_says_why(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="no good"):
        run([sys.executable, "-c", "import sys; sys.exit('no good')"], tmp_path, {})


def test_the_engine_s_diagnostics_are_the_reason(tmp_path: Path) -> None:
    code = """print('{"diagnostics": [{"severity": "error", "message": "bucket: no"}]}'); raise SystemExit(1)"""
    with pytest.raises(CommandFailed, match="bucket: no"):
        run([sys.executable, "-c", code], tmp_path, {})


def has_ended(pid: int, within_s: float) -> bool:
    """True once the process is gone; waits for its end, which a signal only begins."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with os.fdopen(handle) as file:
        return bool(select.select([file], [], [], within_s)[0])


def test_a_command_leaves_no_child(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys\n"
        "null = subprocess.DEVNULL\n"
        "child = subprocess.Popen(['sleep', '600'], stdin=null, stdout=null, stderr=null)\n"
        "print(child.pid)"
    )
    child = int(run([sys.executable, "-c", code], tmp_path, {"PATH": os.environ["PATH"]}))
    assert has_ended(child, within_s=30)


def test_commands_can_be_ended_from_another_thread_and_none_begins_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "_ended", threading.Event())
    pipe = tmp_path / "started"
    os.mkfifo(pipe)
    failures: list[str] = []

    def wait_for_ever() -> None:
        code = f"open({str(pipe)!r}, 'w').close(); import signal; signal.pause()"
        try:
            run([sys.executable, "-c", code], tmp_path, {})
        except CommandFailed as error:
            failures.append(str(error))

    thread = threading.Thread(target=wait_for_ever)
    thread.start()
    pipe.read_text()  # returns when the child has opened and closed its end
    scratch.end_all()
    thread.join(timeout=30)
    assert len(failures) == 1
    with pytest.raises(CommandFailed, match="told to stop"):
        run(["true"], tmp_path, {})


def test_encrypted_values_become_unknown_and_are_remembered(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_text(
        "encryptionsalt: v1:AAAA\nconfig:\n  fullbore:env:\n    name: dev\n    replication:\n"
        "      password:\n        secure: v1:BBBB\n"
    )
    assert unseal(file) == {"fullbore:env.replication.password": "v1:BBBB"}
    text = file.read_text()
    assert "v1:" not in text
    assert "encryptionsalt" not in text


def test_resources_are_the_engine_s_without_its_own() -> None:
    root = Path("/somewhere/tree")
    document = {
        "steps": [
            {
                "op": "create",
                "newState": {"urn": "urn:pulumi:dev::p::pulumi:pulumi:Stack::p-dev", "type": "pulumi:pulumi:Stack"},
            },
            {
                "op": "create",
                "newState": {
                    "urn": "urn:pulumi:dev::p::fullbore:image:Image::runtime",
                    "type": "fullbore:image:Image",
                    "inputs": {"__defaults": [], "context": "/somewhere/tree/images/runtime", "args": ["a"]},
                },
            },
        ]
    }
    (image,) = resources_of(document, root)
    assert (image.name, image.type) == ("runtime", "fullbore:image:Image")
    assert image.inputs == {"context": "./images/runtime", "args": ["a"]}


def test_nothing_of_the_caller_s_credentials_reaches_a_preview(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("KUBECONFIG", "x")
    monkeypatch.setenv("PULUMI_ACCESS_TOKEN", "x")
    (tmp_path / "tree").mkdir()
    environ = scratch.make_tree(tmp_path / "tree", tmp_path / "scratch").environ
    assert not {"AWS_SECRET_ACCESS_KEY", "KUBECONFIG", "PULUMI_ACCESS_TOKEN"} & set(environ)
    assert environ["FULLBORE_PLAN_ONLY"] == "1"
    shown = subprocess.run(["env"], env=environ, capture_output=True, text=True, check=True).stdout
    assert "PULUMI_BACKEND_URL=file://" in shown


@pytest.mark.parametrize("copy", ["commit", "working tree"])
def test_a_link_that_leads_out_is_left_out(
    copy: str, repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, target in {"absolute": "/etc/hostname", "above": "../../outside", "inside": "kept"}.items():
        (repository / name).symlink_to(target)
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message=links")
    (tmp_path / "copy").mkdir()
    if copy == "commit":
        copy_commit(repository, "HEAD", tmp_path / "copy")
    else:
        copy_working_tree(repository, tmp_path / "copy")
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == [".gitignore", "gone", "inside", "kept"]
    assert "preview: absolute: a link out of the repository, left out" in capsys.readouterr().err
