"""Images: what a build depends on, and what is said to a registry."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, TCPServer
from typing import ClassVar

import pytest
from provider_plugin import Plugin, free_port, image_context, image_inputs, image_plugin

from fullbore.config.base import REPOSITORY_PATTERN
from fullbore.provider.base import ProviderError
from fullbore.provider.builder import BUILDERS, Build, Builder
from fullbore.provider.image import REPOSITORY
from fullbore.provider.registry import Registry
from fullbore.provider.tree import source_digest
from fullbore.provider.values import UNKNOWN, Map


@pytest.fixture
def context(tmp_path: Path) -> Path:
    return image_context(tmp_path / "context")


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Plugin]:
    with image_plugin(tmp_path) as plugin:
        yield plugin


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
    failures = plugin.check(image_inputs("127.0.0.1:1", **changes))[1]
    assert any(failure.startswith(message) for failure in failures), failures


def test_unknown_arguments_leave_the_source_unknown(plugin: Plugin, context: Path) -> None:
    checked, failures = plugin.check(image_inputs("127.0.0.1:1", buildArgs={"WHO": UNKNOWN}))
    assert (failures, checked["source"]) == ([], UNKNOWN)
    checked, failures = plugin.check(image_inputs("127.0.0.1:1", context=UNKNOWN))
    assert (failures, checked["source"]) == ([], UNKNOWN)
    checked, failures = plugin.check(image_inputs(UNKNOWN, insecure=UNKNOWN))
    assert failures == []


def test_insecure_is_true_or_false_and_no_text(plugin: Plugin, context: Path) -> None:
    _, failures = plugin.check(image_inputs("127.0.0.1:1", insecure="false"))
    assert failures == ["insecure: got a str, but it must be true or false"]


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "DOCKER_HOST", "TMPDIR", "SOURCE_DATE_EPOCH", "A=B", ""])
def test_no_build_argument_alters_the_builder(name: str, plugin: Plugin, context: Path) -> None:
    _, failures = plugin.check(image_inputs("127.0.0.1:1", buildArgs={name: "x", "WHO": "me", "GO_VERSION": "1"}))
    assert failures == [f"buildArgs.{name}: would alter the builder itself; give the argument another name"]


def test_another_registry_is_another_image(plugin: Plugin, context: Path) -> None:
    old, _ = plugin.check(image_inputs("127.0.0.1:1"))
    new, _ = plugin.check(image_inputs("127.0.0.1:2"))
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
