"""`/etc/fullbore/plan.json`: what the plan says to this pod, as one versioned document.

Fields: `version` (1), `kind` ("serving"), `model` (the name that is served), and where the plan has a say `profile`
("cpu" or "cuda"), `context_tokens`, `concurrency`, `port`, `weights_sha256` (digest of the weights' manifest) and
`checksum` ("sha256:" and the digest of the document's canonical JSON text without this field). Fields that are not
known here are left alone: an older image must be able to read a newer plan of the same version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fullbore_runtime.errors import DocumentError

VERSION = 1
KIND = "serving"
PATH = Path("etc/fullbore/plan.json")


@dataclass(frozen=True)
class Document:
    """The fields that the runtime uses; None where the plan leaves the choice to the runtime."""

    model: str
    profile: str | None
    context_tokens: int | None
    concurrency: int | None
    port: int | None
    weights_sha256: str | None


def read(path: Path) -> Document | None:
    """The document at `path`; None where there is no such file. Raises DocumentError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DocumentError(f"{path}: cannot be read ({error})") from error
    try:
        value = json.loads(text)
    except ValueError as error:
        raise DocumentError(f"{path}: is not JSON ({error}); deploy the pod again") from error
    if not isinstance(value, dict):
        raise DocumentError(f"{path}: must hold one JSON object, got {type(value).__name__}")
    return parse(value)


def parse(value: Mapping[str, object]) -> Document:
    """The document in `value`. Raises DocumentError where version, checksum or a type is wrong."""
    version = value.get("version")
    if version != VERSION:
        raise DocumentError(
            f"version: got {version!r}, but this image reads {VERSION}; deploy an image of the plan's age"
        )
    check_sum(value)
    if value.get("kind") != KIND:
        raise DocumentError(f"kind: got {value.get('kind')!r}, must be {KIND!r}; this is another machine's document")
    model = text_field(value, "model")
    if model is None:
        raise DocumentError("model: is missing; the plan must name the model that is served")
    return Document(
        model=model,
        profile=text_field(value, "profile"),
        context_tokens=count_field(value, "context_tokens"),
        concurrency=count_field(value, "concurrency"),
        port=count_field(value, "port"),
        weights_sha256=text_field(value, "weights_sha256"),
    )


def canonical_sha256(value: Mapping[str, object]) -> str:
    """sha256 of the document's canonical JSON text without its `checksum`."""
    rest = {key: item for key, item in value.items() if key != "checksum"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def check_sum(value: Mapping[str, object]) -> None:
    got = value.get("checksum")
    if got is None:
        return
    want = canonical_sha256(value)
    if not isinstance(got, str) or got.removeprefix("sha256:") != want:
        raise DocumentError(f"checksum: got {got}, but the content's is {want}; the file was changed, deploy it again")


def text_field(value: Mapping[str, object], name: str) -> str | None:
    got = value.get(name)
    if got is None or (isinstance(got, str) and got):
        return got
    raise DocumentError(f"{name}: must be a text, got {got!r}")


def count_field(value: Mapping[str, object], name: str) -> int | None:
    got = value.get(name)
    if got is None or (isinstance(got, int) and not isinstance(got, bool) and got >= 1):
        return got
    raise DocumentError(f"{name}: must be a whole number of at least 1, got {got!r}")
