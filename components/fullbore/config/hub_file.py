"""A Hugging Face `config.json` that an environment names: read here, understood by the catalog."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationInfo
from pydantic_core import PydanticCustomError

MOST_BYTES = 1 << 20
"""Larger than any published configuration."""


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """What stands in the file; `path` is as it was written."""

    path: str
    content: Mapping[str, Any] = field(hash=False)


def read_hub_file(value: object, info: ValidationInfo) -> HubFile:
    """The file that `value` names, relative to the validation context's `folder` (the stack file's)."""
    if isinstance(value, HubFile):
        return value
    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "text")
    context = cast("Mapping[str, Path]", info.context or {})
    folder = context.get("folder", Path())
    try:
        with (folder / value).open("rb") as file:
            text = file.read(MOST_BYTES + 1)
        content: object = json.loads(text) if len(text) <= MOST_BYTES else None
    except OSError as error:
        raise _refused(value, f"cannot be read: {error.strerror or type(error).__name__}") from error
    except (ValueError, RecursionError) as error:
        raise _refused(value, "is no JSON document") from error
    if not isinstance(content, dict):
        raise _refused(value, "is no JSON object of less than 1 MiB")
    return HubFile(path=value, content=cast("dict[str, Any]", content))


def _refused(path: str, reason: str) -> PydanticCustomError:
    return PydanticCustomError("hub_file", "{reason}", {"reason": reason})
