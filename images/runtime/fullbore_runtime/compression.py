"""Answers in gzip, for clients that ask for it (RFC 9110, section 12.5.3)."""

from __future__ import annotations

import zlib

LEAST_BYTES = 30
"""Shorter answers stay as they are: Envoy's min_content_length (extensions.filters.http.compressor.v3)."""
LEVEL = 1
"""The quickest: answers are short, and a server's time is for the model."""
WINDOW_BITS, MEMORY_LEVEL = 12, 5
"""2**(bits + 2) + 2**(level + 9) bytes for each stream, 32 KiB (zlib's zconf.h), where the defaults take 256."""
GZIP = 16
"""Added to the window's bits it asks zlib for gzip's head and tail (zlib.h, deflateInit2)."""


def wanted(accept: str) -> bool:
    """Whether an Accept-Encoding takes gzip. What it does not name it takes where it names `*`."""
    weights: dict[str, float] = {}
    for part in accept.lower().split(","):
        name, *parameters = (word.strip() for word in part.split(";"))
        given = next((word[2:] for word in parameters if word.startswith("q=")), "1")
        try:
            weights[name] = float(given)
        except ValueError:
            weights[name] = 0.0
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


class Packer:
    """One answer. What `pack` returns can be read at once by whoever got all of it so far; `end` closes it."""

    def __init__(self) -> None:
        self._zlib = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP + WINDOW_BITS, MEMORY_LEVEL)

    def pack(self, data: bytes) -> bytes:
        return self._zlib.compress(data) + self._zlib.flush(zlib.Z_SYNC_FLUSH)

    def end(self, data: bytes = b"") -> bytes:
        return self._zlib.compress(data) + self._zlib.flush()
