"""What a tool printed that is not its output."""

from __future__ import annotations


class Unreadable(ValueError):
    """The text is not what the tool prints when it ran to its end; the message says what is missing."""


def number(text: str, what: str) -> float:
    """The number at the start of a text (`16x`, `26.562 GB/s`); `Unreadable` for N/A, inf and nan."""
    word = text.split()[0] if text.split() else ""
    digits = word.rstrip("xX")
    if not digits or digits.strip("+-.0123456789eE") or digits[-1] in "eE":
        raise Unreadable(f"{what} is {text or 'empty'}, not a number")
    try:
        return float(digits)
    except ValueError:
        raise Unreadable(f"{what} is {text}, not a number") from None


def positive(text: str, what: str) -> float:
    """A number above zero: tools print 0 and less where they measured nothing."""
    value = number(text, what)
    if value <= 0:
        raise Unreadable(f"{what} is {text}, which no measurement gives")
    return value
