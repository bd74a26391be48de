"""What the plan says of the replication whose lag is measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

VERSION = 1
METHODS = ("datasync", "s3-rtc")


class DocumentError(ValueError):
    """The document cannot be used; the message says why."""


@dataclass(frozen=True)
class Document:
    """`fullbore.plan.model.LagPlan`, as it is written for this program."""

    environment: str
    method: str
    region: str
    """Where it is asked: of the task, or of the source bucket."""
    task: str = ""
    """ARN or name of the DataSync task."""
    dimensions: Mapping[str, str] = field(default_factory=dict)
    """Of the metrics of S3's replication."""
    rpo_s: int | None = None
    """Seconds; None where no standby depends on the copy."""
    version: int = VERSION


def read_document(text: str) -> Document:
    """Raises DocumentError."""
    try:
        given: Any = json.loads(text)
    except ValueError as error:
        raise DocumentError(f"not JSON: {error}") from error
    if not isinstance(given, dict):
        raise DocumentError("got no JSON object")
    known = {each.name: each for each in fields(Document)}
    needed = [name for name, each in known.items() if each.default is each.default_factory is MISSING]
    unknown, missing = sorted(given.keys() - known.keys()), sorted(needed - given.keys())
    if unknown or missing:
        raise DocumentError(f"unknown: {', '.join(unknown) or 'nothing'}; missing: {', '.join(missing) or 'nothing'}")
    return _checked(Document(**given))


def _checked(document: Document) -> Document:
    if document.version != VERSION:
        raise DocumentError(f"version: got {document.version}, allowed {VERSION}; use the program of the same release")
    if document.method not in METHODS:
        raise DocumentError(f"method: got {document.method}, allowed {', '.join(METHODS)}")
    told = document.task if document.method == "datasync" else document.dimensions
    if not told:
        raise DocumentError(f"{document.method}: neither task nor dimensions; name what is measured")
    return document
