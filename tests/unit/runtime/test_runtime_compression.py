"""Answers in gzip for clients that ask for it, whole and piece by piece."""

from __future__ import annotations

import gzip
import http.client
import json
import zlib

import httpx
import pytest
from small_server import SERVED

from fullbore_runtime.compression import Packer, wanted
from fullbore_runtime.server import Server

ASK = {"model": SERVED, "prompt": "to be or not", "max_tokens": 24, "temperature": 0}


@pytest.mark.parametrize(
    ("accept", "taken"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP;q=0.5, br", True),
        ("deflate, x-gzip", True),
        ("br", False),
        ("*", True),
        ("gzip;q=0, *", False),
        ("identity;q=1, *;q=0", False),
        ("gzip;q=many", False),
    ],
)
def test_gzip_is_taken_where_the_client_says_so(accept: str, taken: bool) -> None:
    assert wanted(accept) is taken


def test_each_piece_can_be_read_as_soon_as_it_is_there() -> None:
    packer, reader = Packer(), zlib.decompressobj(31)
    for piece in (b"data: one\n\n", b"data: two\n\n"):
        assert reader.decompress(packer.pack(piece)) == piece
    assert reader.decompress(packer.end()) == b""
    assert reader.eof


def raw(server: Server, accept: str | None, **more: object) -> tuple[http.client.HTTPResponse, bytes]:
    """An answer as it came over the wire."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    headers = {"Content-Type": "application/json"} | ({"Accept-Encoding": accept} if accept else {})
    connection.request("POST", "/v1/completions", json.dumps({**ASK, **more}), headers)
    answer = connection.getresponse()
    return answer, answer.read()


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_says_the_same_packed_and_not(server: Server, stream: bool) -> None:
    plain, text = raw(server, None, stream=stream)
    packed, data = raw(server, "gzip", stream=stream)
    assert (plain.getheader("Content-Encoding"), packed.getheader("Content-Encoding")) == (None, "gzip")
    assert plain.getheader("Vary") == packed.getheader("Vary") == "Accept-Encoding"
    assert said(gzip.decompress(data), stream) == said(text, stream)
    assert len(data) < len(text)


def said(data: bytes, stream: bool) -> str:
    """The answer's text."""
    events = [line.removeprefix("data: ") for line in data.decode().splitlines() if line.startswith("data: {")]
    return "".join(json.loads(event)["choices"][0]["text"] for event in (events if stream else [data]))


def test_an_error_is_packed_like_an_answer(client: httpx.Client) -> None:
    refused = client.post("/v1/completions", json={**ASK, "max_tokens": -1}, headers={"Accept-Encoding": "gzip"})
    assert (refused.status_code, refused.headers["Content-Encoding"]) == (400, "gzip")
    assert refused.json()["error"]["param"] == "max_tokens"


def test_what_is_short_stays_as_it_is(client: httpx.Client) -> None:
    health = client.get("/health", headers={"Accept-Encoding": "gzip"})
    assert (health.status_code, health.headers.get("Content-Encoding"), health.content) == (200, None, b"")
