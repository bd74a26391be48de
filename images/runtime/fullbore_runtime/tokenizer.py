"""Bytes as tokens, and the few special ones that mark who speaks.

The first 256 tokens are the bytes of UTF-8. The weights are not trained, so what the model says is no language;
`SPEAKABLE` keeps its output to printable ASCII, so that every piece of a stream is valid text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

BOS, EOS, SYSTEM, USER, ASSISTANT, TOOL = range(256, 262)
VOCABULARY = 264
"""Padded to a multiple of eight."""

ROLE_TOKENS = {"system": SYSTEM, "developer": SYSTEM, "user": USER, "assistant": ASSISTANT, "tool": TOOL}
SPEAKABLE = (10, *range(32, 127), EOS)


@dataclass(frozen=True)
class Prompt:
    """A prompt before it is tokenised: bytes of text, and special tokens.

    Its length is known without tokens being made of it: making those of a prompt that is refused would hold up the
    engine, which shares the interpreter with every other thread.
    """

    pieces: tuple[bytes | int, ...]

    def __len__(self) -> int:
        return sum(1 if isinstance(piece, int) else len(piece) for piece in self.pieces)

    def last(self, count: int) -> list[int]:
        """The last `count` tokens, 1 or more; no work is done for those before them."""
        found: list[int] = []
        for piece in reversed(self.pieces):
            if len(found) < count:
                end = [piece] if isinstance(piece, int) else list(piece[-(count - len(found)) :])
                found = end + found
        return found


def plain(text: str) -> Prompt:
    """A plain prompt."""
    return Prompt((BOS, text.encode()))


def chat(turns: Iterable[tuple[str, str]]) -> Prompt:
    """A conversation of (role, text), ending where the assistant is to speak."""
    said = (piece for role, text in turns for piece in (ROLE_TOKENS[role], text.encode(), EOS))
    return Prompt((BOS, *said, ASSISTANT))


def decode(token: int) -> str:
    """The text of one token of the output; special tokens have none."""
    return chr(token) if token < 128 else ""
