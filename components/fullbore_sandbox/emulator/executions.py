"""DataSync executions that really copy: objects between buckets, and files of a share that is a folder here.

A share of a location, `HOST` and `/FOLDER`, is the folder HOST/FOLDER below the one that FULLBORE_SHARES names. Every
file is read again after it was written, as the task's options say; the end of a run is an event, and each rule of
EventBridge that matches it counts it, as AWS does.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

SHARES = "FULLBORE_SHARES"
REPORTS = "Detailed-Reports"

Json = dict[str, Any]


class Store(Protocol):
    """Files by their names below the location's folder."""

    def names(self) -> list[str]: ...
    def read(self, name: str) -> bytes: ...
    def write(self, name: str, content: bytes) -> None: ...
    def remove(self, name: str) -> None: ...


class Bucket:
    """Objects below a prefix of a moto bucket."""

    def __init__(self, s3: Any, bucket: str, prefix: str) -> None:
        self.s3, self.bucket, self.prefix = s3, bucket, f"{prefix}/" if prefix else ""

    def names(self) -> list[str]:
        keys = self.s3.get_bucket(self.bucket).keys.keys()
        return sorted(str(key)[len(self.prefix) :] for key in keys if str(key).startswith(self.prefix))

    def read(self, name: str) -> bytes:
        return self.s3.get_object(self.bucket, self.prefix + name).value

    def write(self, name: str, content: bytes) -> None:
        self.s3.put_object(self.bucket, self.prefix + name, content)

    def remove(self, name: str) -> None:
        self.s3.delete_object(self.bucket, self.prefix + name)


class Folder:
    """Files of a share."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        return sorted(str(file.relative_to(self.path)) for file in self.path.rglob("*") if file.is_file())

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_bytes(content)

    def remove(self, name: str) -> None:
        (self.path / name).unlink()


class Unreachable(Exception):
    """A location's store cannot be reached; the message says which."""


def store_of(uri: str, s3: Any) -> Store:
    """What a location's URI leads to, e.g. s3://bucket/weights/ or nfs://nas.example/export/. Raises Unreachable."""
    parts = urlsplit(uri)
    folder = parts.path.strip("/")
    if parts.scheme == "s3":
        return Bucket(s3, parts.netloc, folder)
    shares = os.environ.get(SHARES)
    path = Path(shares, parts.netloc, folder) if shares else None
    if path is None or not path.is_dir() or ".." in path.parts:
        raise Unreachable(f"{uri}: no agent reaches it; in this emulation it is a folder below {SHARES}")
    return Folder(path)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one run did; it succeeded where there is no error."""

    copied: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    bytes_copied: int = 0
    verified: int = 0
    broken: tuple[str, ...] = ()
    error: str = ""
    detail: str = field(default="")

    @property
    def status(self) -> str:
        return "ERROR" if self.error else "SUCCESS"


def execute(source: Store, destination: Store, task: Json) -> Outcome:
    """One run of a task: its filters, options and checks (DataSync API reference, Options)."""
    options = task.get("Options") or {}
    wanted = [name for name in source.names() if selected(name, task)]
    there = set(destination.names())
    copied: list[str] = []
    size = 0
    for name in wanted:
        content = source.read(name)
        if name in there and _keeps(options, content, destination.read(name)):
            continue
        destination.write(name, content)
        copied.append(name)
        size += len(content)
    if options.get("PreserveDeletedFiles") == "REMOVE":
        for name in there - set(source.names()):
            destination.remove(name)
    checked = {"NONE": [], "POINT_IN_TIME_CONSISTENT": wanted}.get(options.get("VerifyMode", ""), copied)
    broken = tuple(name for name in checked if _digest(source, name) != _digest(destination, name))
    detail = f"{', '.join(broken)}: what was written is not what was read" if broken else ""
    return Outcome(
        copied=tuple(copied),
        skipped=tuple(sorted(set(wanted) - set(copied))),
        bytes_copied=size,
        verified=len(checked) - len(broken),
        broken=broken,
        error="VerifyFailed" if broken else "",
        detail=detail,
    )


def _keeps(options: Json, new: bytes, old: bytes) -> bool:
    """Whether a file that is there stays: it never changes, or only what differs is copied and nothing does."""
    never = options.get("OverwriteMode") == "NEVER"
    return never or (options.get("TransferMode", "CHANGED") == "CHANGED" and new == old)


def _digest(store: Store, name: str) -> str:
    return hashlib.sha256(store.read(name)).hexdigest()


def selected(name: str, task: Json) -> bool:
    """Whether the filters let a file through: an exclusion wins, and without inclusions everything is included."""
    included, excluded = (_patterns(task.get(kind) or []) for kind in ("Includes", "Excludes"))
    path = f"/{name}"
    if any(_matches(path, pattern) for pattern in excluded):
        return False
    return not included or any(_matches(path, pattern) for pattern in included)


def _patterns(rules: Iterable[Json]) -> list[str]:
    return [pattern for rule in rules for pattern in rule["Value"].split("|")]


def _matches(path: str, pattern: str) -> bool:
    """A pattern names a file, or a folder with all below it; without a slash in front it is looked for anywhere."""
    anywhere = pattern if pattern.startswith(("/", "*")) else f"*/{pattern}"
    return fnmatchcase(path, anywhere) or fnmatchcase(path, f"{anywhere.rstrip('/')}/*")


def report(outcome: Outcome, execution_arn: str) -> Json:
    """The report of a run, file by file."""
    return {
        "TaskExecutionArn": execution_arn,
        "Status": outcome.status,
        "Transferred": list(outcome.copied),
        "Skipped": list(outcome.skipped),
        "Failed": list(outcome.broken),
    }


def event(outcome: Outcome, execution_arn: str, account: str, region: str) -> Json:
    """The event by which the end of a run is said (DataSync user guide, "Monitoring events by using EventBridge")."""
    return {
        "version": "0",
        "source": "aws.datasync",
        "detail-type": "DataSync Task Execution State Change",
        "account": account,
        "region": region,
        "resources": [execution_arn],
        "detail": {"State": outcome.status},
    }


def write_report(s3: Any, config: Json, outcome: Outcome, execution_arn: str) -> None:
    place = config["Destination"]["S3"]
    bucket = Bucket(s3, place["S3BucketArn"].rpartition(":")[2], str(place.get("Subdirectory", "")).strip("/"))
    text = json.dumps(report(outcome, execution_arn), sort_keys=True)
    bucket.write(f"{REPORTS}/{execution_arn.rpartition('/')[2]}.json", text.encode())
