"""What is built once is kept, checked, and built again only where it is damaged."""

import json
import os
import stat
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from fullbore_sandbox import toolchain
from fullbore_sandbox.state import SandboxError
from fullbore_sandbox.toolchain import ENGINE, TOOLS, Tool, is_intact, sha256, tool, version_of


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, and a Go module without dependencies in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("GOCACHE", str(Path.home() / ".cache" / "go-build"))
    monkeypatch.setattr(toolchain, "MODULES", tmp_path / "modules")
    module = tmp_path / "modules" / "hello"
    module.mkdir(parents=True)
    (module / "go.mod").write_text("module hello\n\ngo 1.24\n")
    (module / "go.sum").write_text("")
    (module / "main.go").write_text("package main\n\nvar Version string\n\nfunc main() { print(Version) }\n")
    monkeypatch.setitem(
        TOOLS,
        "hello",
        Tool(name="hello", module="hello", version="v1", package="hello", variables={"main.Version": "9"}),
    )
    return tmp_path / "cache" / "fullbore"


def run(path: Path) -> str:
    return subprocess.run([path], capture_output=True, text=True, check=True).stderr


def test_build_sets_the_version_and_keeps_the_result(cache: Path) -> None:
    built = tool("hello")
    assert run(built) == "9"
    assert built.parent.parent == cache
    before = built.stat().st_mtime_ns
    assert tool("hello").stat().st_mtime_ns == before


def test_damaged_tool_is_built_again(cache: Path) -> None:
    built = tool("hello")
    built.chmod(stat.S_IRWXU)
    built.write_bytes(built.read_bytes()[:-1] + b"x")
    assert not is_intact(built)
    assert run(tool("hello")) == "9"


def test_changed_module_gives_another_folder(cache: Path) -> None:
    first = tool("hello")
    (toolchain.MODULES / "hello" / "go.sum").write_text("\n")
    assert TOOLS["hello"].path != first


def test_two_clones_build_once(cache: Path) -> None:
    said: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda _: tool("hello", said.append), range(2)))
    assert paths[0] == paths[1]
    assert len(said) == 1


def test_failed_build_says_why_and_leaves_no_tool(cache: Path) -> None:
    (toolchain.MODULES / "hello" / "main.go").write_text("package main\n\nfunc main() { undefined() }\n")
    with pytest.raises(SandboxError, match=r"(?s)modules/hello: go build failed.*undefined"):
        tool("hello")
    assert not TOOLS["hello"].path.exists()


def test_a_cache_that_cannot_be_written_serves_what_is_in_it(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(30, "Read-only file system", str(path))

    built = tool("hello")
    monkeypatch.setattr(toolchain, "locked", refuse)
    assert tool("hello") == built
    built.unlink()
    with pytest.raises(SandboxError, match=r"hello\.lock: Read-only file system; .*XDG_CACHE_HOME"):
        tool("hello")


def test_folder_digest_covers_names_and_content(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_text("1")
    first = sha256(tmp_path / "d")
    (tmp_path / "d" / "a").rename(tmp_path / "d" / "b")
    assert sha256(tmp_path / "d") != first


@pytest.mark.parametrize(
    ("text", "version"),
    [("go1.26.6", (1, 26, 6)), ("v3.250.0\n", (3, 250, 0)), ("v3.251.0-alpha.1", (3, 251, 0)), ("none", ())],
)
def test_versions_compare_as_numbers(text: str, version: tuple[int, ...]) -> None:
    assert version_of(text) == version


@pytest.mark.parametrize("name", TOOLS)
def test_every_row_is_pinned_by_its_module(name: str) -> None:
    """The version in the table is the one in go.mod, and the package is one of its tools."""
    row = TOOLS[name]
    described = json.loads(
        subprocess.run(
            [toolchain.go(), "mod", "edit", "-json"],
            cwd=toolchain.MODULES / row.module,
            env={**os.environ, "GOTOOLCHAIN": "local"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
    required = {r["Path"]: r["Version"] for r in described["Require"]}
    if row.package:
        assert row.package in [t["Path"] for t in described["Tool"]]
    holder = max((p for p in required if (row.package or row.source).startswith(p)), key=len)
    assert required[holder] == row.version


def test_the_engine_shares_one_folder() -> None:
    assert len({TOOLS[name].folder for name in ENGINE}) == 1


def test_builds_that_run_are_ended_with_their_compilers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = tmp_path / "go"
    go.write_text(f"#!/bin/sh\ntrap 'exit 1' INT\ntouch {tmp_path}/begun\nsleep 600\n")
    go.chmod(0o755)
    monkeypatch.setattr(toolchain, "go", lambda: str(go))
    with ThreadPoolExecutor(1) as pool:
        build = pool.submit(toolchain._go, "volcano", "build")
        try:
            while not (tmp_path / "begun").exists():
                time.sleep(0.02)
        finally:
            while not build.done():  # an interrupt that comes before the shell has begun to sleep is lost
                toolchain.end_builds()
                wait([build], 0.1)
        with pytest.raises(SandboxError, match="go build failed"):
            build.result(10)
