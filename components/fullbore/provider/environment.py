"""What a child process gets of this process's environment, which holds the stack's decrypted configuration."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

COMMON: Final = ("HOME", "LANG", "LC_ALL", "LOGNAME", "TMPDIR", "USER", "XDG_CACHE_HOME")
"""Variables that every child gets where they are set."""


def kept(names: Iterable[str]) -> dict[str, str]:
    """The variables of `COMMON` and of `names` that are set. PATH is not among them unless it is named."""
    return {name: os.environ[name] for name in (*COMMON, *names) if name in os.environ}
