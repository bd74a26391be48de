"""Builds the agent as one file, a zipapp that holds its pure-Python dependencies: no network, the same bytes each time.

    python images/agent/build.py FOLDER     prints the path of FOLDER/agent-DIGEST.pyz

Dependencies are taken from the distributions that are installed beside the interpreter that runs this.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

SOURCE = Path(__file__).resolve().parent / "fullbore_agent"
REQUIRED = ("prometheus-client",)
OPTIONAL = ("nvidia-ml-py",)
"""Left out where it is not installed: the agent then finds GPUs only if the host has the module itself."""
EPOCH = (1980, 1, 1, 0, 0, 0)
MAIN = b"from fullbore_agent.__main__ import main\n\nraise SystemExit(main())\n"


class BuildError(Exception):
    """A dependency is missing."""


def build(folder: Path) -> Path:
    """The zipapp for the present source; built only where `folder` does not hold it yet. Raises BuildError."""
    files = dict(sorted(_files()))
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    target = folder / f"agent-{digest.hexdigest()[:16]}.pyz"
    if not target.exists():
        _write(target, files)
    return target


def _files() -> Iterator[tuple[str, bytes]]:
    """(path in the archive, content) of the package and what it needs."""
    yield "__main__.py", MAIN
    for path in SOURCE.rglob("*.py"):
        yield path.relative_to(SOURCE.parent).as_posix(), path.read_bytes()
    for name in (*REQUIRED, *OPTIONAL):
        yield from _distribution(name)


def _distribution(name: str) -> Iterator[tuple[str, bytes]]:
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError as error:
        if name in REQUIRED:
            raise BuildError(f"{name}: not installed; run scripts/setup") from error
        return
    for file in distribution.files or ():
        # Tests and command-line scripts lie outside of the package or are not needed on a host.
        if file.suffix == ".py" and ".." not in file.parts:
            yield file.as_posix(), file.read_binary()


def _write(target: Path, files: dict[str, bytes]) -> None:
    """Written aside and renamed: two runs at once never see half a file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent)
    with os.fdopen(handle, "wb") as out:
        out.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, content in files.items():
                archive.writestr(zipfile.ZipInfo(path, EPOCH), content, zipfile.ZIP_DEFLATED)
    Path(name).chmod(0o644)
    Path(name).replace(target)


if __name__ == "__main__":
    try:
        print(build(Path(sys.argv[1])))
    except BuildError as error:
        raise SystemExit(f"build.py: {error}") from error
