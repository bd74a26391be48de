"""Volumes as folders: what containers read, and how it changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from cluster_fakes import Object, config_map, recorded_pod, secret

from fullbore_sandbox.kubelet import volumes
from fullbore_sandbox.kubelet.spec import ConfigError, Mount
from fullbore_sandbox.kubelet.volumes import File

MAPS = {"settings": config_map("settings", mode="fast", size="8")}
SECRETS = {"token": secret("token", value="s3cret")}


def lookup(kind: str, name: str) -> Object | None:
    return (MAPS if kind == "configmaps" else SECRETS).get(name)


def files(volume: Object) -> dict[str, File] | None:
    return volumes.files(recorded_pod(), {"name": "v", **volume}, lookup, "10.0.0.1")


def test_a_config_map_gives_a_file_a_key() -> None:
    found = files({"configMap": {"name": "settings"}})
    assert found == {"mode": File(b"fast", 0o644), "size": File(b"8", 0o644)}


def test_items_choose_keys_paths_and_modes() -> None:
    items = [{"key": "value", "path": "deep/token", "mode": 0o400}]
    assert files({"secret": {"secretName": "token", "items": items}}) == {"deep/token": File(b"s3cret", 0o400)}


def test_projected_sources_are_merged() -> None:
    field = {"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}
    sources = [{"configMap": {"name": "settings"}}, {"secret": {"name": "token"}}, {"downwardAPI": {"items": [field]}}]
    found = files({"projected": {"sources": sources}})
    assert found
    assert {k: v.content for k, v in found.items()} == {
        "mode": b"fast",
        "size": b"8",
        "value": b"s3cret",
        "name": b"serving-0",
    }


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"configMap": {"name": "none"}}, 'configmap "none" not found'),
        ({"secret": {"secretName": "none"}}, 'secret "none" not found'),
        (
            {"configMap": {"name": "settings", "items": [{"key": "x", "path": "x"}]}},
            'configmap "settings" has no key x',
        ),
    ],
)
def test_what_is_missing_is_named(volume: Object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        files(volume)


def test_an_optional_map_gives_an_empty_folder() -> None:
    assert files({"configMap": {"name": "none", "optional": True}}) == {}


def test_files_are_replaced_by_one_rename(tmp_path: Path) -> None:
    assert volumes.write(tmp_path / "v", {"a": File(b"1", 0o644), "b": File(b"1", 0o600)})
    first = (tmp_path / "v" / "..data").readlink()
    assert not volumes.write(tmp_path / "v", {"a": File(b"1", 0o644), "b": File(b"1", 0o600)})
    assert volumes.write(tmp_path / "v", {"a": File(b"2", 0o644)})
    assert (tmp_path / "v" / "a").read_text() == "2"
    assert not (tmp_path / "v" / "b").is_symlink()
    assert not (tmp_path / "v" / first).exists()
    assert (tmp_path / "v" / "a").readlink() == Path("..data/a")


def test_an_empty_dir_is_open_to_all_and_kept(tmp_path: Path) -> None:
    pod = recorded_pod(securityContext={})
    volumes.refresh(tmp_path, pod, lookup, "10.0.0.1")
    assert (tmp_path / "scratch").stat().st_mode & 0o777 == 0o777
    (tmp_path / "scratch" / "kept").touch()
    assert not volumes.refresh(tmp_path, pod, lookup, "10.0.0.1")
    assert (tmp_path / "scratch" / "kept").exists()


def test_a_sub_path_stays_inside_its_volume(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    assert volumes.source(tmp_path, Mount(volume="v", path="/x", sub_path="a")) == (tmp_path / "v" / "a").resolve()
    with pytest.raises(ConfigError, match=r"subPath \.\./\.\.: leaves the volume v"):
        volumes.source(tmp_path, Mount(volume="v", path="/x", sub_path="../.."))
