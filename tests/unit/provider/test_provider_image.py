"""Images: what a build depends on, and the real life of one against a real registry."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, TCPServer
from typing import Any, ClassVar

import pytest
from provider_plugin import Plugin, refused, running

from fullbore.config.base import REPOSITORY_PATTERN
from fullbore.provider.base import ProviderError
from fullbore.provider.builder import BUILDERS, Build, Builder
from fullbore.provider.image import REPOSITORY, Images
from fullbore.provider.plugin import IMAGE, Fullbore
from fullbore.provider.registry import Registry
from fullbore.provider.tree import source_digest, stage
from fullbore.provider.values import UNKNOWN, Map, Secret

REGISTRY_PROGRAM = "docker-registry"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def registry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, bool]]:
    """A real registry on loopback: (host:port, whether it allows deletion, as it does if the test says nothing)."""
    deletes = getattr(request, "param", True)
    folder = tmp_path_factory.mktemp("registry")
    address = f"127.0.0.1:{free_port()}"
    (folder / "config.yml").write_text(
        f"version: 0.1\nhttp: {{addr: '{address}'}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: {str(deletes).lower()}}}}}\n"
    )
    command = [REGISTRY_PROGRAM, "serve", str(folder / "config.yml")]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            wait_until_it_answers(f"http://{address}/v2/", process, folder / "log")
            yield address, deletes
        finally:
            process.terminate()


def wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """The smallest context that builds: no base image, one file."""
    folder = tmp_path / "context"
    (folder / "sub").mkdir(parents=True)
    (folder / "Containerfile").write_text("FROM scratch\nARG WHO\nCOPY sub /sub\nENV WHO=$WHO\n")
    (folder / "sub" / "hello").write_text("hello\n")
    return folder


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Plugin]:
    (tmp_path / "builds").mkdir()
    builder = Builder(folder=str(tmp_path / "builds"))
    with running(Fullbore(images=Images(builder, root=tmp_path)), IMAGE) as plugin:
        yield plugin


def inputs(address: Any, **changes: Any) -> Map:
    image = {"context": "context", "registry": address, "repository": "t/image", "insecure": True}
    return image | {"buildArgs": {"WHO": "me"}} | changes


@pytest.mark.parametrize("registry", [True, False], ids=["deletes", "keeps"], indirect=True)
def test_the_life_of_an_image(plugin: Plugin, registry: tuple[str, bool], context: Path, tmp_path: Path) -> None:
    address, deletes = registry
    checked, failures = plugin.check(inputs(address))
    assert failures == []
    foreseen = plugin.create(checked, preview=True)[1]
    assert (foreseen["digest"], foreseen["ref"]) == (UNKNOWN, UNKNOWN)

    id, outputs = plugin.create(checked)
    digest = outputs["digest"]
    assert (id, outputs["ref"]) == (f"{address}/t/image", f"{address}/t/image@{digest}")
    assert any(line.message.startswith("STEP") and line.ephemeral for line in plugin.log.lines), "progress shows"
    assert Registry(address, insecure=True).digest("t/image", digest) == digest
    assert plugin.read(checked, outputs) == ("i", checked, outputs)

    # The same files elsewhere, younger and with other modes: the same source, and nothing is built.
    elsewhere = tmp_path / "elsewhere"
    stage(context, elsewhere)
    (elsewhere / "sub" / "hello").chmod(0o600)
    os.utime(elsewhere / "sub" / "hello", (1, 1))
    again, _ = plugin.check(inputs(address, context="elsewhere"))
    assert again["source"] == checked["source"]
    assert plugin.diff(checked, outputs, again) == {}

    # Built a second time in another repository, it is the same to the last bit.
    other, _ = plugin.check(inputs(address, context="elsewhere", repository="t/other"))
    assert plugin.create(other)[1]["digest"] == digest

    (context / "sub" / "hello").write_text("changed\n")
    changed, _ = plugin.check(inputs(address))
    assert plugin.diff(checked, outputs, changed) == {"source": "UPDATE"}
    newer = plugin.update(checked, outputs, changed)
    assert newer["digest"] != digest

    plugin.delete(changed | {"insecure": False}, newer | {"insecure": False})
    assert plugin.read(changed, newer)[0] != "", "another environment may run the same manifest"
    plugin.delete(changed, newer)
    assert (plugin.read(changed, newer)[0] == "") == deletes
    assert any("does not allow deletion" in line for line in plugin.log.said()) != deletes
    assert not list((tmp_path / "builds").iterdir()), "a build leaves nothing behind"


def test_a_build_that_was_pushed_is_not_repeated(plugin: Plugin, registry: tuple[str, bool], context: Path) -> None:
    address, _ = registry
    checked, _ = plugin.check(inputs(address, repository="t/twice"))
    first = plugin.create(checked)[1]
    assert plugin.create(checked)[1] == first
    assert any("nothing is built" in line for line in plugin.log.said())


def test_a_pinned_image_is_looked_up_and_left_alone(plugin: Plugin, registry: tuple[str, bool], context: Path) -> None:
    address, _ = registry
    checked, _ = plugin.check(inputs(address, repository="t/pinned"))
    built = plugin.create(checked)[1]
    pinned, failures = plugin.check(
        {"registry": address, "repository": "t/pinned", "insecure": True, "digest": built["digest"]}
    )
    assert failures == []
    assert "source" not in pinned
    assert plugin.create(pinned, preview=True)[1]["ref"] == built["ref"]
    outputs = plugin.create(pinned)[1]
    assert outputs["ref"] == built["ref"]
    plugin.delete(pinned, outputs)
    assert plugin.read(pinned, outputs)[0] != ""
    absent = pinned | {"digest": f"sha256:{'0' * 64}"}
    assert "push it, or leave digest out to build" in refused(lambda: plugin.create(absent)).details()


def test_a_build_that_fails_says_why(plugin: Plugin, registry: tuple[str, bool], context: Path) -> None:
    (context / "Containerfile").write_text("FROM scratch\nCOPY absent /\n")
    checked, _ = plugin.check(inputs(registry[0]))
    details = refused(lambda: plugin.create(checked)).details()
    assert "failed (exit" in details
    assert "absent" in details


def test_secret_arguments_reach_the_build_and_no_output(
    plugin: Plugin, registry: tuple[str, bool], context: Path
) -> None:
    (context / "Containerfile").write_text("FROM scratch\nARG TOKEN\nLABEL t=$TOKEN\nCOPY sub /sub\n")
    checked, _ = plugin.check(inputs(registry[0], repository="t/secret", buildArgs={"TOKEN": Secret("hush-hush")}))
    outputs = plugin.create(checked)[1]
    assert outputs["buildArgs"] == {"TOKEN": Secret("hush-hush")}
    assert not [line.message for line in plugin.log.lines if "hush-hush" in line.message]


@pytest.mark.parametrize("program", list(BUILDERS))
def test_no_builder_gets_a_value_in_its_arguments(program: str, tmp_path: Path) -> None:
    build = Build(context=tmp_path, containerfile="C", arguments={"TOKEN": "hush"}, target="r/a:t", insecure=True)
    commands = BUILDERS[program](build, tmp_path / "context", tmp_path)
    words = [word for command in commands for word in command]
    assert words[0] == program
    assert "TOKEN" in words
    assert not [word for word in words if "hush" in word]


def test_what_changes_a_source(context: Path) -> None:
    base = source_digest(context, {})
    (context / "sub" / "__pycache__").mkdir()
    (context / "sub" / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"x")
    (context / "sub" / "hello").touch()
    assert source_digest(context, {}) == base, "what tools leave behind is no source"
    seen = {base, source_digest(context, {"WHO": "me"})}
    (context / "sub" / "hello").chmod(0o755)
    seen.add(source_digest(context, {}))
    (context / "sub" / "hello").rename(context / "hello")
    seen.add(source_digest(context, {}))
    (context / "link").symlink_to("hello")
    seen.add(source_digest(context, {}))
    (context / "link").unlink()
    (context / "link").symlink_to("other")
    seen.add(source_digest(context, {}))
    assert len(seen) == 6


def test_parts_of_a_source_do_not_run_into_each_other(tmp_path: Path) -> None:
    for name, files in {"one": {"a": "bc", "d": ""}, "two": {"a": "b", "cd": ""}}.items():
        (tmp_path / name).mkdir()
        for file, content in files.items():
            (tmp_path / name / file).write_text(content)
    assert source_digest(tmp_path / "one", {}) != source_digest(tmp_path / "two", {})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context": "nowhere"}, "context: nowhere is no folder"),
        ({"context": None}, "context: is missing"),
        ({"containerfile": "Dockerfile"}, "containerfile: context has no file Dockerfile"),
        ({"registry": ""}, "registry: is missing"),
        ({"repository": "Upper/Case"}, "repository: got 'Upper/Case', but it must be lower-case"),
        ({"digest": "sha256:12"}, "digest: got 'sha256:12', but it must be sha256: and 64"),
        ({"buildArgs": {"A": 1}}, "buildArgs: must be a map of texts"),
        ({"contxt": "x"}, "contxt: is not known here; allowed are context,"),
    ],
)
def test_bad_input_is_named(plugin: Plugin, context: Path, changes: Map, message: str) -> None:
    failures = plugin.check(inputs("127.0.0.1:1", **changes))[1]
    assert any(failure.startswith(message) for failure in failures), failures


def test_unknown_arguments_leave_the_source_unknown(plugin: Plugin, context: Path) -> None:
    checked, failures = plugin.check(inputs("127.0.0.1:1", buildArgs={"WHO": UNKNOWN}))
    assert (failures, checked["source"]) == ([], UNKNOWN)
    checked, failures = plugin.check(inputs("127.0.0.1:1", context=UNKNOWN))
    assert (failures, checked["source"]) == ([], UNKNOWN)
    checked, failures = plugin.check(inputs(UNKNOWN, insecure=UNKNOWN))
    assert failures == []


def test_insecure_is_true_or_false_and_no_text(plugin: Plugin, context: Path) -> None:
    _, failures = plugin.check(inputs("127.0.0.1:1", insecure="false"))
    assert failures == ["insecure: got a str, but it must be true or false"]


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "DOCKER_HOST", "TMPDIR", "SOURCE_DATE_EPOCH", "A=B", ""])
def test_no_build_argument_alters_the_builder(name: str, plugin: Plugin, context: Path) -> None:
    _, failures = plugin.check(inputs("127.0.0.1:1", buildArgs={name: "x", "WHO": "me", "GO_VERSION": "1"}))
    assert failures == [f"buildArgs.{name}: would alter the builder itself; give the argument another name"]


def test_another_registry_is_another_image(plugin: Plugin, context: Path) -> None:
    old, _ = plugin.check(inputs("127.0.0.1:1"))
    new, _ = plugin.check(inputs("127.0.0.1:2"))
    assert plugin.diff(old, {}, new) == {"registry": "UPDATE_REPLACE"}


def test_a_registry_that_is_not_there_is_named() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(ProviderError, match=f"{address}: the registry does not answer: .*; is it running"):
        Registry(address, insecure=True).digest("a", "b")


class Guarded(BaseHTTPRequestHandler):
    """A registry that wants a token, and gives one out for the right password."""

    def do_GET(self) -> None:
        ok = self.headers.get("Authorization") == "Basic dTpw"
        body = b'{"token": "t0"}' if ok else b""
        self.send_response(200 if ok else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        if self.headers.get("Authorization") == "Bearer t0":
            self.send_response(200)
            self.send_header("Docker-Content-Digest", "sha256:abc")
        else:
            self.send_response(401)
            realm = f"http://127.0.0.1:{self.server.server_port}/token"  # pyright: ignore[reportAttributeAccessIssue]
            self.send_header("WWW-Authenticate", f'Bearer realm="{realm}",service="r",scope="repository:a:pull"')
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_registry_that_wants_a_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.1", 0), Guarded) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        address = f"127.0.0.1:{server.server_port}"
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
        monkeypatch.setenv("HOME", str(tmp_path))
        with pytest.raises(ProviderError, match="status 401; log in to it"):
            Registry(address, insecure=True).digest("a", "b")
        (tmp_path / "auth.json").write_text(f'{{"auths": {{"{address}": {{"auth": "dTpw"}}}}}}')
        # Nothing on this machine is asked through the proxy that leads out of it.
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        assert Registry(address, insecure=True).digest("a", "b") == "sha256:abc"
        server.shutdown()


class Elsewhere(Guarded):
    """Sends every question about a token on to another server."""

    target = ""

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", self.target)
        self.send_header("Content-Length", "0")
        self.end_headers()


class Listening(Guarded):
    """Notes what it is told, and gives a token to anybody; a manifest without a digest."""

    heard: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        self.heard.append(self.headers.get("Authorization"))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_password_does_not_follow_a_redirect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(Elsewhere) as address, served(Listening) as other:
        monkeypatch.setattr(Elsewhere, "target", f"http://{other}/token")
        monkeypatch.setattr(Listening, "heard", [])
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
        (tmp_path / "auth.json").write_text(f'{{"auths": {{"{address}": {{"auth": "dTpw"}}}}}}')
        with pytest.raises(ProviderError, match="status 401; log in to it"):
            Registry(address, insecure=True).digest("a", "b")
        assert Listening.heard == [None]


def test_a_tag_is_no_digest() -> None:
    with served(Listening) as address:
        with pytest.raises(ProviderError, match=f"{address}: says no digest of a:b"):
            Registry(address, insecure=True).digest("a", "b")
        assert Registry(address, insecure=True).digest("a", "sha256:abc") == "sha256:abc"


class Garbage(StreamRequestHandler):
    def handle(self) -> None:
        self.rfile.readline()
        self.wfile.write(b"no HTTP\r\n")


def test_a_port_that_speaks_something_else_is_named() -> None:
    with TCPServer(("127.0.0.1", 0), Garbage) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        address = f"127.0.0.1:{server.server_address[1]}"
        with pytest.raises(ProviderError, match=f"{address}: the registry does not answer: no HTTP"):
            Registry(address, insecure=True).digest("a", "b")
        server.shutdown()


@pytest.mark.parametrize(
    ("insecure", "realm"), [(False, "http://r.example/token"), (True, "file:///etc/hostname"), (False, "")]
)
def test_a_password_goes_nowhere_in_the_clear(insecure: bool, realm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    challenge = Message()
    challenge["WWW-Authenticate"] = f'Bearer realm="{realm}",service="r"'
    sent: list[str] = []

    def opened(_: Registry) -> None:
        sent.append(realm)
        raise OSError

    monkeypatch.setattr(Registry, "_send", lambda *_: (401, challenge))
    monkeypatch.setattr(Registry, "_opener", opened)
    with pytest.raises(ProviderError, match="wants a token from"):
        Registry("r.example", insecure).digest("a", "b")
    assert not sent


@pytest.mark.parametrize("program", list(BUILDERS))
def test_no_builder_gets_what_is_not_for_it(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs, context = tmp_path / "bin", tmp_path / "empty"
    programs.mkdir()
    context.mkdir()
    told = programs / program
    told.write_text("#!/bin/sh\n/usr/bin/env\nexit 1\n")
    told.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("PULUMI_CONFIG", '{"fullbore:password": "hush-hush"}')
    monkeypatch.setenv("REGISTRY_AUTH_FILE", "/run/auth.json")
    build = Build(context=context, containerfile="C", arguments={"WHO": "me"}, target="r/a:t", insecure=True)
    lines: list[str] = []
    with pytest.raises(ProviderError, match=f"{program} failed"):
        Builder(str(tmp_path)).build(build, lines.append)
    assert {"REGISTRY_AUTH_FILE=/run/auth.json", "WHO=me", "SOURCE_DATE_EPOCH=0"} <= set(lines)
    assert not [line for line in lines if "PULUMI" in line or "hush-hush" in line]


def test_an_environment_and_the_provider_take_the_same_repositories() -> None:
    """So that none is refused in the middle of an update."""
    assert f"^{REPOSITORY.pattern}$" == REPOSITORY_PATTERN
