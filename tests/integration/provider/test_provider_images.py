"""The real life of an image: built by a real builder, pushed to a real registry."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from provider_plugin import Plugin, free_port, image_context, image_inputs, image_plugin, refused

from fullbore.provider.base import ProviderError
from fullbore.provider.builder import Build, Builder
from fullbore.provider.registry import Registry
from fullbore.provider.tree import stage
from fullbore.provider.values import UNKNOWN, Secret

REGISTRY_PROGRAM = "docker-registry"


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
    return image_context(tmp_path / "context")


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Plugin]:
    with image_plugin(tmp_path) as plugin:
        yield plugin


@pytest.mark.parametrize("registry", [True, False], ids=["deletes", "keeps"], indirect=True)
def test_the_life_of_an_image(plugin: Plugin, registry: tuple[str, bool], context: Path, tmp_path: Path) -> None:
    address, deletes = registry
    checked, failures = plugin.check(image_inputs(address))
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
    again, _ = plugin.check(image_inputs(address, context="elsewhere"))
    assert again["source"] == checked["source"]
    assert plugin.diff(checked, outputs, again) == {}

    # Built a second time in another repository, it is the same to the last bit.
    other, _ = plugin.check(image_inputs(address, context="elsewhere", repository="t/other"))
    assert plugin.create(other)[1]["digest"] == digest

    (context / "sub" / "hello").write_text("changed\n")
    changed, _ = plugin.check(image_inputs(address))
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
    checked, _ = plugin.check(image_inputs(address, repository="t/twice"))
    first = plugin.create(checked)[1]
    assert plugin.create(checked)[1] == first
    assert any("nothing is built" in line for line in plugin.log.said())


def test_a_pinned_image_is_looked_up_and_left_alone(plugin: Plugin, registry: tuple[str, bool], context: Path) -> None:
    address, _ = registry
    checked, _ = plugin.check(image_inputs(address, repository="t/pinned"))
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
    checked, _ = plugin.check(image_inputs(registry[0]))
    details = refused(lambda: plugin.create(checked)).details()
    assert "failed (exit" in details
    assert "absent" in details


def test_secret_arguments_reach_the_build_and_no_output(
    plugin: Plugin, registry: tuple[str, bool], context: Path
) -> None:
    (context / "Containerfile").write_text("FROM scratch\nARG TOKEN\nLABEL t=$TOKEN\nCOPY sub /sub\n")
    checked, _ = plugin.check(
        image_inputs(registry[0], repository="t/secret", buildArgs={"TOKEN": Secret("hush-hush")})
    )
    outputs = plugin.create(checked)[1]
    assert outputs["buildArgs"] == {"TOKEN": Secret("hush-hush")}
    assert not [line.message for line in plugin.log.lines if "hush-hush" in line.message]


TRIAL = """#!/bin/sh
case " $* " in *" bud "*) ;; *) exit 0 ;; esac
trial=$2/overlay/compat1/merged
mkdir -p "$trial" && mount -t tmpfs trial "$trial" && echo trying
trap 'exit 143' TERM
while :; do sleep 0.05; done
"""
"""A buildah that tries out a mount, as the real one does first of all, and takes until it is stopped."""


def test_a_builder_that_is_stopped_in_its_trial_mount_leaves_nothing(
    context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin" / "buildah"
    fake.parent.mkdir()
    fake.write_text(TRIAL)
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent), prepend=os.pathsep)
    folder = tmp_path / "with a space"
    folder.mkdir()
    builder = Builder(str(folder))
    said: list[str] = []

    def stop(line: str) -> None:
        said.append(line)
        builder.stop()

    build = Build(context=context, containerfile="Containerfile", arguments={}, target="x/y:z", insecure=True)
    with pytest.raises(ProviderError, match="cancelled"):
        builder.build(build, stop)
    assert said[0] == "trying"
    assert list(folder.iterdir()) == []
    assert "trial" not in [line.split()[0] for line in Path("/proc/self/mounts").read_text().splitlines()]
