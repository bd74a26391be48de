"""How a place in a file is written: `site.zones[0]`."""

from __future__ import annotations

from collections.abc import Sequence

KEY = "fullbore:env"
"""The one key of a stack's configuration that holds an environment."""

_ECHO = 60
"""Longest key that a path repeats, characters."""


def dotted(loc: Sequence[str | int]) -> str:
    """`("site", "zones", 0)` as `site.zones[0]`; a key that holds dots or spaces is quoted."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.isascii() and part.replace("-", "").replace("_", "").replace(":", "").isalnum():
            text += f".{part}"
        else:
            text += f'["{clip(part)}"]'
    return text.removeprefix(".") or "environment"


def in_stack_file(loc: Sequence[str | int]) -> str:
    """A place counted from a stack file's top level; inside the environment as every other problem names it."""
    inside = tuple(loc[:2]) == ("config", KEY) and len(loc) > 2
    return dotted(loc[2:] if inside else loc)


def clip(text: str) -> str:
    """The text, or its beginning where it is long."""
    return text if len(text) <= _ECHO else text[: _ECHO - 3] + "..."
