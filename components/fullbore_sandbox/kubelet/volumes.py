"""Volumes of a pod as folders of this machine, which containers mount.

Files of ConfigMaps and Secrets are replaced as kubelet does: a new folder, then one rename of the link `..data`, so
that a reader sees all old files or all new ones. A mount with a subPath keeps what it had, as with kubelet.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from fullbore_sandbox.kubelet.spec import ConfigError, Kind, Lookup, Mount, Object, data, field

DEFAULT_MODE = 0o644
KEYED: Mapping[str, tuple[Kind, str]] = {"configMap": ("configmaps", "name"), "secret": ("secrets", "secretName")}


@dataclass(frozen=True)
class File:
    """One file of a volume."""

    content: bytes
    mode: int


def files(pod: Object, volume: Object, lookup: Lookup, pod_ip: str) -> dict[str, File] | None:
    """The files of a volume by relative path; None for a volume that containers fill themselves.

    Raises ConfigError where a ConfigMap, Secret or key is missing that is not optional.
    """
    if "projected" in volume:
        projected = volume["projected"]
        mode = projected.get("defaultMode", DEFAULT_MODE)
        merged: dict[str, File] = {}
        for source in projected.get("sources", []):
            merged.update(_source(pod, source, lookup, pod_ip, mode, "name") or {})
        return merged
    return _source(pod, volume, lookup, pod_ip, DEFAULT_MODE, None)


def _source(
    pod: Object, source: Object, lookup: Lookup, pod_ip: str, mode: int, name_key: str | None
) -> dict[str, File] | None:
    for key, (kind, own_key) in KEYED.items():
        if key in source:
            wanted = source[key]
            return _keys(kind, wanted.get(name_key or own_key, ""), wanted, lookup, wanted.get("defaultMode", mode))
    if "downwardAPI" in source:
        return {
            item["path"]: File(_downward(pod, item, pod_ip), item.get("mode", mode))
            for item in source["downwardAPI"].get("items", [])
        }
    return None


def _downward(pod: Object, item: Object, pod_ip: str) -> bytes:
    if "fieldRef" not in item:
        raise ConfigError(f"downwardAPI {item['path']}: allowed is fieldRef")
    return field(pod, item["fieldRef"]["fieldPath"], pod_ip).encode()


def _keys(kind: Kind, name: str, wanted: Object, lookup: Lookup, mode: int) -> dict[str, File]:
    found = lookup(kind, name)
    optional = wanted.get("optional", False)
    if found is None:
        if optional:
            return {}
        raise ConfigError(f'{kind[:-1]} "{name}" not found')
    values = data(kind, found)
    items: list[Object] = wanted.get("items") or [{"key": key, "path": key} for key in values]
    missing = [item["key"] for item in items if item["key"] not in values]
    if missing and not optional:
        raise ConfigError(f'{kind[:-1]} "{name}" has no key {", ".join(missing)}')
    return {i["path"]: File(values[i["key"]], i.get("mode", mode)) for i in items if i["key"] in values}


def write(folder: Path, content: Mapping[str, File], group: int | None = None) -> bool:
    """Make `folder` hold these files; True where something changed."""
    digest = _digest(content)
    link = folder / "..data"
    if link.is_symlink() and link.readlink().name == f"..{digest}":
        return False
    folder.mkdir(parents=True, exist_ok=True)
    old = link.readlink().name if link.is_symlink() else None
    made = folder / f"..{digest}"
    for path, file in content.items():
        _write_file(made / path, file, group)
    made.mkdir(exist_ok=True)
    for top in {Path(path).parts[0] for path in content}:
        if not (folder / top).is_symlink():
            (folder / top).symlink_to(f"..data/{top}")
    partial = folder / "..data_tmp"
    partial.unlink(missing_ok=True)
    partial.symlink_to(made.name)
    partial.replace(link)
    _prune(folder, content, old)
    return True


def _digest(content: Mapping[str, File]) -> str:
    described = sha256()
    for path, file in sorted(content.items()):
        described.update(f"{path}\0{file.mode}\0{len(file.content)}\0".encode() + file.content)
    return described.hexdigest()[:16]


def _write_file(path: Path, file: File, group: int | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.content)
    if group is not None:
        os.chown(path, -1, group)
    path.chmod(file.mode | (0o440 if group is not None else 0))


def _prune(folder: Path, content: Mapping[str, File], old: str | None) -> None:
    kept = {Path(path).parts[0] for path in content}
    for entry in folder.iterdir():
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in kept:
            entry.unlink()
    if old:
        shutil.rmtree(folder / old, ignore_errors=True)


def refresh(root: Path, pod: Object, lookup: Lookup, pod_ip: str) -> bool:
    """Make the folders of all volumes below `root`; True where the files of one changed. Raises ConfigError."""
    group = pod["spec"].get("securityContext", {}).get("fsGroup")
    changed = False
    for volume in pod["spec"].get("volumes", []):
        folder = root / volume["name"]
        content = files(pod, volume, lookup, pod_ip)
        if content is not None:
            changed |= write(folder, content, group)
        elif not folder.exists():
            folder.mkdir(parents=True)
            folder.chmod(0o777 if group is None else 0o2777)
            if group is not None:
                os.chown(folder, -1, group)
    return changed


def source(root: Path, mount: Mount) -> Path:
    """What a container binds for `mount`. Raises ConfigError for a subPath that leaves the volume."""
    folder = (root / mount.volume).resolve()
    if not mount.sub_path:
        return folder
    path = folder / mount.sub_path
    if not path.resolve().is_relative_to(folder):
        raise ConfigError(f"subPath {mount.sub_path}: leaves the volume {mount.volume}")
    if not path.exists():
        path.mkdir(parents=True)
    return path.resolve()
