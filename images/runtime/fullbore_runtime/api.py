"""OpenAI's request and response bodies: validation, and the answers' JSON. Pure: no socket, no engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from fullbore_runtime import tokenizer
from fullbore_runtime.context import kept_tokens
from fullbore_runtime.engine import Job
from fullbore_runtime.errors import RequestError
from fullbore_runtime.tokenizer import ROLE_TOKENS, Prompt

MAX_STOPS = 16
MAX_STOP_CHARS = 256
GREEDY_BELOW = 1e-5
"""Temperatures below this are taken as 0: dividing by them leaves nothing but the likeliest token anyway."""

UNSUPPORTED: Mapping[str, tuple[object, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
}
"""Fields that change the answer and that this engine does not have, with the values that ask for nothing."""


@dataclass(frozen=True)
class Limits:
    """What the launcher chose."""

    served_model: str
    max_model_len: int
    default_max_tokens: int
    truncate: bool = False
    """Whether the oldest part of a prompt that is too long is cut off; it is refused if not."""


@dataclass(frozen=True)
class Call:
    """A request that can be run."""

    job: Job
    stream: bool
    include_usage: bool


def parse_body(data: bytes) -> dict[str, object]:
    """The JSON object of a body. Raises RequestError."""
    try:
        value = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise RequestError(None, f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise RequestError(None, f"the body must be a JSON object, got {type(value).__name__}")
    return value


def chat_call(body: Mapping[str, object], limits: Limits) -> Call:
    """A chat completion. Raises RequestError."""
    return call(body, limits, tokenizer.chat(messages(body.get("messages"))), chat=True)


def completion_call(body: Mapping[str, object], limits: Limits) -> Call:
    """A plain completion. Raises RequestError."""
    prompt = body.get("prompt")
    if not isinstance(prompt, str):
        raise RequestError("prompt", f"must be a text, got {kind(prompt)}")
    return call(body, limits, tokenizer.plain(well_formed("prompt", prompt)), chat=False)


def call(body: Mapping[str, object], limits: Limits, prompt: Prompt, *, chat: bool) -> Call:
    check_model(body.get("model"), limits.served_model)
    refuse_unsupported(body)
    stream = boolean(body, "stream")
    kept = kept_length(len(prompt), body, limits, chat=chat) if limits.truncate else len(prompt)
    most = max_tokens(body, limits, kept, chat=chat)
    return Call(
        job=Job(
            prompt=tuple(prompt.last(kept)),
            max_tokens=most,
            temperature=temperature(body),
            top_p=number(body, "top_p", 1.0, low=0.0, high=1.0, low_open=True),
            stop=stops(body.get("stop")),
            seed=whole(body, "seed", low=-(2**63), high=2**63 - 1),
        ),
        stream=stream,
        include_usage=include_usage(body.get("stream_options"), stream),
    )


def check_model(got: object, served: str) -> None:
    if not isinstance(got, str):
        raise RequestError("model", f"must be a text, got {kind(got)}; this server has {served!r}")
    if got != served:
        raise RequestError(
            "model", f"{got!r} does not exist; this server has {served!r}", status=404, code="model_not_found"
        )


def refuse_unsupported(body: Mapping[str, object]) -> None:
    for name, harmless in UNSUPPORTED.items():
        got = body.get(name)
        if got is not None and got not in harmless:
            raise RequestError(name, "is not supported by the CPU profile; leave it out", code="unsupported_parameter")


def messages(value: object) -> list[tuple[str, str]]:
    if not isinstance(value, list) or not value:
        raise RequestError("messages", f"must be a list of at least one message, got {kind(value)}")
    return [message(f"messages[{index}]", item) for index, item in enumerate(value)]


def message(path: str, value: object) -> tuple[str, str]:
    if not isinstance(value, dict):
        raise RequestError(path, f"must be an object with role and content, got {kind(value)}")
    role = value.get("role")
    if not isinstance(role, str) or role not in ROLE_TOKENS:
        raise RequestError(f"{path}.role", f"must be one of {', '.join(ROLE_TOKENS)}, got {kind(role)}")
    return role, content(f"{path}.content", value.get("content"))


def content(path: str, value: object) -> str:
    """The text of a message: a text, or a list of parts of type text."""
    if isinstance(value, str):
        return well_formed(path, value)
    if not isinstance(value, list) or not value:
        raise RequestError(path, f"must be a text or a list of text parts, got {kind(value)}")
    return "".join(part(f"{path}[{index}]", item) for index, item in enumerate(value))


def part(path: str, value: object) -> str:
    text = value.get("text") if isinstance(value, dict) and value.get("type") == "text" else None
    if not isinstance(text, str):
        raise RequestError(path, 'must be {"type": "text", "text": "..."}: this model reads text only')
    return well_formed(path, text)


def well_formed(path: str, text: str) -> str:
    """JSON can spell half of a surrogate pair; UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RequestError(path, f"holds half a character (a lone surrogate at {error.start})") from error
    return text


def kept_length(prompt: int, body: Mapping[str, object], limits: Limits, *, chat: bool) -> int:
    """Tokens of a prompt's end that leave room for the answer; all of them where the answer alone is too long."""
    kept = kept_tokens(limits.max_model_len, asked_tokens(body, chat=chat)[1])
    return min(prompt, kept) if kept > 0 else prompt


def asked_tokens(body: Mapping[str, object], *, chat: bool) -> tuple[str, int | None]:
    """The field that says how long an answer may be, and what it says."""
    name = "max_completion_tokens" if chat and body.get("max_completion_tokens") is not None else "max_tokens"
    return name, whole(body, name, low=1, high=2**31)


def max_tokens(body: Mapping[str, object], limits: Limits, prompt: int, *, chat: bool) -> int:
    room = limits.max_model_len - prompt
    if room < 1:
        raise RequestError(
            "messages" if chat else "prompt",
            f"has {prompt} tokens, but a sequence may have {limits.max_model_len} with its answer; shorten it",
            code="context_length_exceeded",
        )
    name, asked = asked_tokens(body, chat=chat)
    if asked is None:
        return min(room, limits.default_max_tokens)
    if asked > room:
        raise RequestError(
            name,
            f"got {asked}, but after {prompt} tokens of prompt there is room for {room} of {limits.max_model_len}",
            code="context_length_exceeded",
        )
    return asked


def temperature(body: Mapping[str, object]) -> float:
    value = number(body, "temperature", 1.0, low=0.0, high=2.0)
    return 0.0 if value < GREEDY_BELOW else value


def stops(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or len(found) > MAX_STOPS:
        raise RequestError("stop", f"must be a text or a list of at most {MAX_STOPS} texts, got {kind(value)}")
    for index, item in enumerate(found):
        if not isinstance(item, str) or not 1 <= len(item) <= MAX_STOP_CHARS:
            raise RequestError(
                f"stop[{index}]", f"must be a text of 1 to {MAX_STOP_CHARS} characters, got {kind(item)}"
            )
    return tuple(found)


def include_usage(value: object, stream: bool) -> bool:
    if value is None:
        return False
    if not isinstance(value, dict):
        raise RequestError("stream_options", f"must be an object, got {kind(value)}")
    if not stream:
        raise RequestError("stream_options", "is allowed only where stream is true")
    return boolean(value, "include_usage")


def boolean(body: Mapping[str, object], name: str) -> bool:
    got = body.get(name)
    if got is None or isinstance(got, bool):
        return bool(got)
    raise RequestError(name, f"must be true or false, got {kind(got)}")


def number(
    body: Mapping[str, object], name: str, default: float, *, low: float, high: float, low_open: bool = False
) -> float:
    got = body.get(name)
    if got is None:
        return default
    above = f"{'above' if low_open else 'from'} {low:g} to {high:g}"
    if not isinstance(got, (int, float)) or isinstance(got, bool):
        raise RequestError(name, f"must be a number {above}, got {kind(got)}")
    # Not-a-number fails every comparison; an integer may be too large for a float.
    if not low <= got <= high or (low_open and got == low):
        raise RequestError(name, f"must be {above}, got {kind(got)}")
    return float(got)


def whole(body: Mapping[str, object], name: str, *, low: int, high: int) -> int | None:
    got = body.get(name)
    if got is None or (isinstance(got, int) and not isinstance(got, bool) and low <= got <= high):
        return got
    raise RequestError(name, f"must be a whole number from {low} to {high}, got {kind(got)}")


def kind(value: object) -> str:
    """What was got, short enough for a message."""
    if value is None:
        return "nothing"
    if isinstance(value, (list, dict)):
        return f"{type(value).__name__} of {len(value)}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def error_body(error: RequestError | str, type_: str = "invalid_request_error") -> dict[str, object]:
    """OpenAI's error object."""
    param = error.param if isinstance(error, RequestError) else None
    code = error.code if isinstance(error, RequestError) else None
    return {"error": {"message": str(error), "type": type_, "param": param, "code": code}}


def usage(prompt: int, generated: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": generated, "total_tokens": prompt + generated}


@dataclass(frozen=True)
class Answer:
    """Makes the bodies of one request's answer."""

    id: str
    model: str
    created: int
    chat: bool

    def whole(self, text: str, finish: str, counts: Mapping[str, int]) -> dict[str, object]:
        body = {"message": {"role": "assistant", "content": text}} if self.chat else {"text": text}
        choice = {"index": 0, **body, "logprobs": None, "finish_reason": finish}
        return {**self.head(stream=False), "choices": [choice], "usage": counts}

    def opening(self) -> dict[str, object] | None:
        """The first chunk of a chat stream, which names the role."""
        return self.chunk({"role": "assistant", "content": ""}, None) if self.chat else None

    def text_chunk(self, text: str, finish: str | None) -> dict[str, object]:
        return self.chunk({"content": text} if text else {}, finish) if self.chat else self.text_choice(text, finish)

    def usage_chunk(self, counts: Mapping[str, int]) -> dict[str, object]:
        return {**self.head(stream=True), "choices": [], "usage": counts}

    def chunk(self, delta: Mapping[str, str], finish: str | None) -> dict[str, object]:
        choice = {"index": 0, "delta": dict(delta), "logprobs": None, "finish_reason": finish}
        return {**self.head(stream=True), "choices": [choice]}

    def text_choice(self, text: str, finish: str | None) -> dict[str, object]:
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
        return {**self.head(stream=True), "choices": [choice]}

    def head(self, *, stream: bool) -> dict[str, object]:
        chat = "chat.completion.chunk" if stream else "chat.completion"
        return {
            "id": self.id,
            "object": chat if self.chat else "text_completion",
            "created": self.created,
            "model": self.model,
        }
