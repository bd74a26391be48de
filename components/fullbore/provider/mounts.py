"""What is mounted below a folder that is to be removed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def unmount_below(folder: Path) -> None:
    """Unmount everything below `folder`, the newest first; what does not let itself be unmounted stays."""
    inside = f"{folder.resolve()}{os.sep}"
    for target in reversed(_targets()):
        if target.startswith(inside):
            subprocess.run(["umount", "--lazy", target], capture_output=True, check=False)


def _targets() -> list[str]:
    """Where this process sees something mounted; spaces are written as \\040 there."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line.split()[1].encode().decode("unicode_escape") for line in lines]
