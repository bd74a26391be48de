"""The registry is a real one; what is pushed to it can be asked for, and is pushed once."""

import hashlib
import json
import shutil
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from fullbore_sandbox import registry
from fullbore_sandbox.process import stop_all
from fullbore_sandbox.state import State


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    assert shutil.which("docker-registry"), "run scripts/setup"
    made = State.load_or_create(tmp_path)
    registry.daemon(made).start()
    yield made
    stop_all(made)


@pytest.fixture
def image(tmp_path: Path) -> registry.Image:
    layer = tmp_path / "layer.tar"
    (tmp_path / "hello").write_text("hello\n")
    with tarfile.open(layer, "w") as tar:
        tar.add(tmp_path / "hello", "hello")
    digest = f"sha256:{hashlib.sha256(layer.read_bytes()).hexdigest()}"
    return registry.Image(repository="fullbore/base", layer=layer, layer_digest=digest, config={"Labels": {"a": "b"}})


def get(state: State, path: str) -> bytes:
    request = urllib.request.Request(
        f"http://{registry.address(state)}/v2/fullbore/base/{path}", headers={"Accept": registry.MANIFEST}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read()


def test_what_was_pushed_is_served_by_digest(
    state: State, image: registry.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as proxied:  # a proxy leads out of this machine, and the registry is on it
        proxied.setenv("http_proxy", "http://127.0.0.1:9")
        reference = registry.push(state, image)
    address, _, digest = reference.partition("/fullbore/base@")
    assert address == registry.address(state)
    manifest = json.loads(get(state, f"manifests/{digest}"))
    assert get(state, f"blobs/{manifest['layers'][0]['digest']}") == image.layer.read_bytes()
    assert json.loads(get(state, f"blobs/{manifest['config']['digest']}"))["config"] == {"Labels": {"a": "b"}}


def test_second_push_sends_nothing(state: State, image: registry.Image) -> None:
    first = registry.push(state, image)
    size = image.layer.stat().st_size
    image.layer.unlink()
    with image.layer.open("wb") as file:
        file.truncate(size)
    assert registry.push(state, image) == first
