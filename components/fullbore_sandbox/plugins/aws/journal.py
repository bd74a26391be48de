"""A journal of creations, written before and after each call, so that a killed run can be settled.

Each line is a JSON object: {"urn", "type", "phase": "begin" | "created", "id", "token", "region", "endpoints"}.
A `begin` without its `created` means that the object may or may not exist: `recover` asks AWS for the token.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

JOURNAL = "FULLBORE_JOURNAL"
"""Names the file; nothing is written where it is not set."""

_lock = threading.Lock()


def write(entry: Mapping[str, Any]) -> None:
    """Append one line and wait until it is on disk."""
    path = os.environ.get(JOURNAL)
    if not path:
        return
    line = json.dumps(entry, sort_keys=True) + "\n"
    with _lock, Path(path).open("a") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def entries(path: Path | None = None) -> Iterator[dict[str, Any]]:
    """The lines of the journal at `path`, else of the one that JOURNAL names; none where there is no such file.

    A last line cut short by a kill is passed over, for its call was never made.
    """
    path = path or (Path(named) if (named := os.environ.get(JOURNAL)) else None)
    for line in path.read_text().splitlines() if path and path.exists() else ():
        with suppress(ValueError):
            yield json.loads(line)
