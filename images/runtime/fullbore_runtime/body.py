"""Reading a request's body, by length or in chunks, never more than is allowed."""

from __future__ import annotations

from typing import Protocol

from fullbore_runtime.errors import RequestError

MAX_BODY_BYTES = 1 << 20
MAX_LINE_BYTES = 1024


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def readline(self, size: int, /) -> bytes: ...


class Headers(Protocol):
    def get(self, name: str, /) -> str | None: ...


def read_body(stream: Readable, headers: Headers) -> bytes:
    """The whole body. Raises RequestError with 400, 411 or 413."""
    encoding = headers.get("Transfer-Encoding")
    if encoding is not None:
        if encoding.strip().lower() != "chunked":
            raise RequestError(None, f"transfer-encoding {encoding!r} is not supported; send chunked or a length")
        return read_chunks(stream)
    length = headers.get("Content-Length")
    if length is None:
        raise RequestError(None, "a body with a length is needed", status=411)
    if not (length.isascii() and length.isdigit()):
        raise RequestError(None, f"content-length must be a number, got {length!r}")
    check_size(int(length))
    return exactly(stream, int(length))


def read_chunks(stream: Readable) -> bytes:
    """A body in HTTP/1.1's chunks (RFC 9112, section 7.1); trailers are read and dropped."""
    body = b""
    while size := chunk_size(stream.readline(MAX_LINE_BYTES)):
        check_size(len(body) + size)
        body += exactly(stream, size)
        if exactly(stream, 2) != b"\r\n":
            raise RequestError(None, "a chunk of the body does not end where it says")
    while stream.readline(MAX_LINE_BYTES).strip():
        pass
    return body


def chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not digits or len(digits) > 8 or digits.strip(b"0123456789abcdefABCDEF"):
        raise RequestError(None, "a chunk of the body has no size")
    return int(digits, 16)


def check_size(size: int) -> None:
    if size > MAX_BODY_BYTES:
        raise RequestError(None, f"the body has more than {MAX_BODY_BYTES} bytes", status=413)


def exactly(stream: Readable, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise RequestError(None, f"the body ended after {len(data)} of {size} bytes")
    return data
