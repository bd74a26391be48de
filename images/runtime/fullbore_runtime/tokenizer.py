"""Bytes as tokens, and the few special ones that mark who speaks.

The first 256 tokens are the bytes of UTF-8. The weights are not trained, so what the model says is no language;
`SPEAKABLE` keeps its output to printable ASCII, so that every piece of a stream is valid text.
"""

from __future__ import annotations

from collections.abc import Iterable

BOS, EOS, SYSTEM, USER, ASSISTANT, TOOL = range(256, 262)
VOCABULARY = 264
"""Padded to a multiple of eight."""

ROLE_TOKENS = {"system": SYSTEM, "developer": SYSTEM, "user": USER, "assistant": ASSISTANT, "tool": TOOL}
SPEAKABLE = (10, *range(32, 127), EOS)


def encode(text: str) -> list[int]:
    """The tokens of a plain prompt."""
    return [BOS, *text.encode()]


def encode_chat(turns: Iterable[tuple[str, str]]) -> list[int]:
    """The tokens of a conversation of (role, text), ending where the assistant is to speak."""
    tokens = [BOS]
    for role, text in turns:
        tokens += [ROLE_TOKENS[role], *text.encode(), EOS]
    return [*tokens, ASSISTANT]


def decode(token: int) -> str:
    """The text of one token of the output; special tokens have none."""
    return chr(token) if token < 128 else ""
