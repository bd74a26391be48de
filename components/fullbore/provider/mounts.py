"""What is mounted where."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def unmount_below(folder: Path) -> None:
    """Unmount everything below `folder`, the newest first; what does not let itself be unmounted stays."""
    inside = f"{folder.resolve()}{os.sep}"
    for target, _ in reversed(mounted()):
        if target.startswith(inside):
            subprocess.run(["umount", "--lazy", target], capture_output=True, check=False)


def mounted() -> list[tuple[str, str]]:
    """Where this process sees something mounted, and the type of its file system, e.g. ext4; older mounts first."""
    lines = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [(at.encode().decode("unicode_escape"), kind) for _, at, kind, *_ in lines]  # a space is written \040
