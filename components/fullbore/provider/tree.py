"""The files of a build context: which count, what they hash to, and a copy that builds the same everywhere."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

IGNORED: Final = frozenset({"__pycache__", ".git", ".pytest_cache", ".ruff_cache"})
"""Folders that tools leave behind; none of them may change an image."""


def files(context: Path) -> Iterator[Path]:
    """Every file and symbolic link of a context, relative to it and sorted by its path."""
    found: list[Path] = []
    for folder, folders, names in os.walk(context):
        folders[:] = [name for name in folders if name not in IGNORED]
        links = [name for name in folders if Path(folder, name).is_symlink()]
        found += [Path(folder, name).relative_to(context) for name in (*names, *links) if not name.endswith(".pyc")]
    yield from sorted(found)


def source_digest(context: Path, arguments: Mapping[str, object]) -> str:
    """sha256 over the paths, modes and contents of a context's files and over the build's arguments.

    Of a mode only whether it can be executed counts: the rest depends on the umask of whoever checked it out.
    """
    digest = hashlib.sha256(json.dumps(arguments, sort_keys=True).encode())
    for relative in files(context):
        path = context / relative
        if path.is_symlink():
            kind, content = "link", os.fsencode(path.readlink())
        else:
            kind, content = ("run" if _executable(path) else "file"), path.read_bytes()
        for part in (os.fsencode(relative), kind.encode(), content):
            digest.update(len(part).to_bytes(8, "big") + part)
    return f"sha256:{digest.hexdigest()}"


def stage(context: Path, target: Path) -> None:
    """Copies the files that count, with modes that do not depend on the checkout: 0644 or 0755."""
    target.mkdir(parents=True)
    target.chmod(0o755)
    for relative in files(context):
        source, copy = context / relative, target / relative
        for folder in reversed(relative.parents[:-1]):
            (target / folder).mkdir(exist_ok=True)
            (target / folder).chmod(0o755)
        shutil.copy(source, copy, follow_symlinks=False)
        if not copy.is_symlink():
            copy.chmod(0o755 if _executable(source) else 0o644)


def _executable(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o100)
