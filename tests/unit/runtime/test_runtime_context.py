"""The context policy: what is kept of a prompt that is too long, and how vLLM is asked to keep it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbore_runtime.context import ENVIRONMENT, Truncate, kept_tokens, truncated

BENCH = Path(__file__).parents[3] / "images" / "runtime" / "bench"


@given(st.integers(2, 1 << 20), st.one_of(st.none(), st.integers(1, 1 << 20)))
def test_what_is_kept_and_the_answer_fill_the_context(context: int, answer: int | None) -> None:
    kept = kept_tokens(context, answer)
    if answer is None:
        assert 1 <= kept < context
        assert context - kept <= max(1, context // 8)
    else:
        assert kept + answer == context


@pytest.mark.parametrize(
    ("chat", "asked", "kept"),
    [
        (False, {}, 4096 - 256),
        (False, {"max_tokens": 96}, 4000),
        (True, {"max_tokens": 96}, 4000),
        (True, {"max_tokens": 96, "max_completion_tokens": 100}, 3996),
        (False, {"max_tokens": 96, "max_completion_tokens": 100}, 4000),
        (True, {"max_tokens": None}, 4096 - 256),
    ],
)
def test_a_request_asks_for_the_end_of_its_prompt(chat: bool, asked: dict[str, Any], kept: int) -> None:
    given = {"model": "m", "prompt": "é", **asked}
    made = json.loads(truncated(json.dumps(given).encode(), 4096, chat=chat))
    assert made == {**given, "truncate_prompt_tokens": kept, "truncation_side": "left"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1]",
        b"\xff",
        b"[" * 100_000,
        b'{"truncate_prompt_tokens": 7}',
        b'{"max_tokens": 4096}',
        b'{"max_tokens": -1}',
        b'{"max_tokens": true}',
        b'{"max_tokens": "many"}',
        b'{"max_tokens": 7, "max_completion_tokens": 0}',
    ],
)
def test_what_the_server_refuses_or_the_client_decides_goes_on_as_it_came(body: bytes) -> None:
    assert truncated(body, 4096, chat=True) == body


class Inner:
    """An application that keeps what it was called with, and reads its request to the end and once more."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        self.messages = [await receive(), await receive()]


def asked(monkeypatch: pytest.MonkeyPatch, path: str, *parts: bytes, method: str = "POST") -> Inner:
    """What the application sees of a request whose body comes in parts, and whose client then goes away."""
    monkeypatch.setenv(ENVIRONMENT, "1024")
    inner = Inner()
    coming = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    coming[-1]["more_body"] = False
    coming.append({"type": "http.disconnect"})

    async def receive() -> Any:
        return coming.pop(0)

    async def send(message: Any) -> None:
        raise AssertionError(message)

    headers = [(b"Content-Length", b"1"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    asyncio.run(Truncate(inner)(scope, receive, send))
    return inner


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
def test_a_completion_comes_whole_with_its_new_length_and_then_the_client_goes(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    inner = asked(monkeypatch, path, b'{"max_', b'tokens": 24}')
    first, second = inner.messages
    assert json.loads(first["body"])["truncate_prompt_tokens"] == 1000
    assert first["more_body"] is False
    assert second["type"] == "http.disconnect"
    lengths = [value for name, value in inner.scope["headers"] if name.lower() == b"content-length"]
    assert lengths == [str(len(first["body"])).encode()]
    assert (b"content-type", b"application/json") in inner.scope["headers"]


@pytest.mark.parametrize(("path", "method"), [("/v1/embeddings", "POST"), ("/v1/completions", "GET")])
def test_other_requests_are_not_touched(monkeypatch: pytest.MonkeyPatch, path: str, method: str) -> None:
    inner = asked(monkeypatch, path, b"{}", method=method)
    assert inner.messages[0]["body"] == b"{}"
    assert (b"Content-Length", b"1") in inner.scope["headers"]


def test_a_running_vllm_kept_what_this_asks_for() -> None:
    """images/runtime/bench/context.py on an H200; the client that cuts by itself has 7 tokens."""
    rows = json.loads((BENCH / "results" / "context.json").read_text(encoding="utf-8"))
    kept = {row["case"]: row["kept"] for row in rows if row["policy"] == "truncate" and row["status"] == 200}
    assert all(row["end"] for row in rows if row["status"] == 200)
    assert (kept["text"], kept["chat"]) == (kept_tokens(4096, 96), kept_tokens(4096, 100))
    assert kept["chat, no length of the answer"] == kept_tokens(4096, None)
    assert [row["status"] for row in rows if row["policy"] == "refuse"] == [400]
