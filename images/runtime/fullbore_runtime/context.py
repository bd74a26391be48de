"""What becomes of a prompt that is longer than the context: with the policy `truncate` its oldest part is cut off.

How much of a prompt is kept is said here for every engine; for vLLM, which has truncation for a request but not for a
server, `Truncate` asks for it in every request (`--middleware`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

ENVIRONMENT = "FULLBORE_CONTEXT_TOKENS"
"""The context of the server, for the middleware; the launcher sets it."""
ANSWER_TOKENS = 256
"""Room that is left for an answer where the request does not say how long it may be: our choice."""
CHAT = "/v1/chat/completions"
PATHS = ("/v1/completions", CHAT)
"""Where vLLM 0.24 takes truncate_prompt_tokens and truncation_side (entrypoints/openai/*/protocol.py)."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


def kept_tokens(context: int, answer: int | None) -> int:
    """Most tokens of a prompt that are kept, so that an answer of `answer` tokens fits; an eighth of the context, at
    most ANSWER_TOKENS, is left for it where the request does not say. Below 1 where the answer alone is too long."""
    return context - (answer or max(1, min(ANSWER_TOKENS, context // 8)))


class Truncate:
    """ASGI middleware: each completion asks vLLM to keep the end of its prompt, unless the client says something else
    about that. What is no JSON object goes on as it came, for the server to refuse."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.context = int(os.environ[ENVIRONMENT])

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in PATHS:
            await self.app(scope, receive, send)
            return
        body = truncated(await whole_body(receive), self.context, chat=scope["path"] == CHAT)
        headers = [(name, value) for name, value in scope["headers"] if name.lower() != b"content-length"]
        length = (b"content-length", str(len(body)).encode())
        await self.app({**scope, "headers": [*headers, length]}, replayed(body, receive), send)


async def whole_body(receive: Receive) -> bytes:
    """The request's body; what has come by then where the client goes away."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return b"".join(parts)


def replayed(body: bytes, receive: Receive) -> Receive:
    """The body once, and then whatever comes: the client's going away."""
    waiting = [body]

    async def next_message() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return next_message


def truncated(body: bytes, context: int, *, chat: bool) -> bytes:
    """The body of a completion with vLLM's truncation asked for. Lengths that are none are left for vLLM to refuse."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if not isinstance(value, dict) or value.get("truncate_prompt_tokens") is not None:
        return body
    answer = value.get("max_tokens")
    if chat and value.get("max_completion_tokens") is not None:
        answer = value["max_completion_tokens"]
    if answer is not None and (not isinstance(answer, int) or isinstance(answer, bool) or answer < 1):
        return body
    kept = kept_tokens(context, answer)
    if kept < 1:
        return body
    return json.dumps({**value, "truncate_prompt_tokens": kept, "truncation_side": "left"}).encode()
