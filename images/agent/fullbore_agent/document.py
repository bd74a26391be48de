"""The host's plan, `/etc/fullbore/plan.json`: read and checked."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

PATH = Path("/etc/fullbore/plan.json")
VERSION = 1
NEEDED = ("host", "serial", "site", "rack", "kind", "agent", "settings")


class BadPlan(ValueError):
    """The plan cannot be used; the text says why, after the file's path."""


def load(path: Path = PATH) -> dict[str, Any]:
    """The plan's document. Raises BadPlan where it is missing, not JSON, of another version, or changed."""
    try:
        document = json.loads(path.read_text())
    except OSError as error:
        raise BadPlan(f"{path}: {error.strerror}; converge the host again") from error
    except ValueError as error:
        raise BadPlan(f"{path}: not JSON ({error}); converge the host again") from error
    fault = _fault(document)
    if fault:
        raise BadPlan(f"{path}: {fault}")
    return document


def _fault(document: Any) -> str | None:
    if not isinstance(document, dict):
        return "holds no object; converge the host again"
    if document.get("version") != VERSION:
        return f"version {document.get('version')!r}, but this agent reads {VERSION}; converge the host again"
    if document.get("checksum") != checksum(document):
        return "checksum does not match: it was changed by hand; converge the host again"
    missing = [name for name in NEEDED if name not in document]
    return f"{', '.join(missing)}: missing" if missing else None


def checksum(document: dict[str, Any]) -> str:
    """sha256 of the canonical JSON of the document without its checksum, as `fullbore.plan.hosts` writes it."""
    body = {key: value for key, value in document.items() if key != "checksum"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
