"""Request validation: whatever a client sends is either a call that can be run or an error that names the field."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbore_runtime.api import Call, Limits, chat_call, completion_call, error_body, parse_body
from fullbore_runtime.body import MAX_BODY_BYTES, read_body
from fullbore_runtime.engine import StopScanner
from fullbore_runtime.errors import RequestError

LIMITS = Limits("m", max_model_len=64, default_max_tokens=16)
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}

BAD: dict[str, tuple[dict[str, object], str, int]] = {
    "no messages": ({"messages": None}, "messages", 400),
    "empty messages": ({"messages": []}, "messages", 400),
    "no role": ({"messages": [{"content": "x"}]}, "messages[0].role", 400),
    "unknown role": ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", 400),
    "content is a number": ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content", 400),
    "an image": ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0]", 400),
    "half a character": ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages[0].content", 400),
    "another model": ({"model": "gpt"}, "model", 404),
    "no model": ({"model": None}, "model", 400),
    "too hot": ({"temperature": 2.1}, "temperature", 400),
    "temperature not a number": ({"temperature": float("nan")}, "temperature", 400),
    "temperature a text": ({"temperature": "0"}, "temperature", 400),
    "temperature true": ({"temperature": True}, "temperature", 400),
    "temperature beyond a float": ({"temperature": 10**400}, "temperature", 400),
    "top_p nothing": ({"top_p": 0}, "top_p", 400),
    "no tokens": ({"max_tokens": 0}, "max_tokens", 400),
    "half a token": ({"max_tokens": 1.5}, "max_tokens", 400),
    "more tokens than room": ({"max_tokens": 64}, "max_tokens", 400),
    "newer name for it": ({"max_completion_tokens": 64}, "max_completion_tokens", 400),
    "a prompt too long": ({"messages": [{"role": "user", "content": "x" * 64}]}, "messages", 400),
    "an empty stop": ({"stop": [""]}, "stop[0]", 400),
    "too many stops": ({"stop": ["x"] * 17}, "stop", 400),
    "stream is a text": ({"stream": "yes"}, "stream", 400),
    "stream options without stream": ({"stream_options": {"include_usage": True}}, "stream_options", 400),
    "two choices": ({"n": 2}, "n", 400),
    "tools": ({"tools": [{"type": "function"}]}, "tools", 400),
    "a schema": ({"response_format": {"type": "json_object"}}, "response_format", 400),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_request_names_its_field(case: str) -> None:
    body, param, status = BAD[case]
    with pytest.raises(RequestError) as refused:
        chat_call({**CHAT, **body}, LIMITS)
    assert (refused.value.param, refused.value.status) == (param, status)
    error = error_body(refused.value)["error"]
    assert isinstance(error, dict)
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"].startswith(param)


def test_a_request_without_options_gets_openai_defaults() -> None:
    call = chat_call(CHAT, LIMITS)
    assert (call.stream, call.include_usage) == (False, False)
    assert (call.job.max_tokens, call.job.temperature, call.job.top_p, call.job.stop) == (16, 1.0, 1.0, ())


def test_harmless_values_of_fields_that_are_missing_here_are_taken() -> None:
    chat_call({**CHAT, "n": 1, "tools": [], "logit_bias": {}, "response_format": {"type": "text"}, "user": "u"}, LIMITS)


def test_the_default_never_exceeds_the_room() -> None:
    assert completion_call({"model": "m", "prompt": "x" * 60}, LIMITS).job.max_tokens == 3


CUTTING = replace(LIMITS, truncate=True)


@pytest.mark.parametrize(
    ("length", "asked", "kept", "answer"),
    [
        (200, 24, 40, 24),
        (200, None, 56, 8),
        (40, None, 40, 16),
        (200, 63, 1, 63),
    ],
)
def test_a_prompt_that_is_too_long_keeps_its_end(length: int, asked: int | None, kept: int, answer: int) -> None:
    text = "".join(chr(ord("a") + index % 26) for index in range(length - 1))
    job = completion_call({"model": "m", "prompt": text, "max_tokens": asked}, CUTTING).job
    assert (len(job.prompt), job.max_tokens) == (kept, answer)
    assert bytes(job.prompt[-20:]) == text.encode()[-20:][-kept:]


def test_an_answer_that_is_too_long_is_refused_whatever_becomes_of_prompts() -> None:
    with pytest.raises(RequestError, match="max_tokens"):
        completion_call({"model": "m", "prompt": "x", "max_tokens": 64}, CUTTING)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        "model",
        "messages",
        "prompt",
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "seed",
        "stream",
        "stream_options",
        "n",
        "tools",
        "response_format",
        "logprobs",
        "logit_bias",
    ]
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "robot"]), "content": JSON | st.text()}
    ),
    max_size=3,
)


@given(st.dictionaries(FIELDS, JSON), MESSAGES | JSON, st.booleans())
def test_any_body_is_a_call_within_the_limits_or_one_error(
    body: dict[str, object], messages: object, valid_model: bool
) -> None:
    asked = {"messages": messages, "prompt": messages, **body, **({"model": "m"} if valid_model else {})}
    statuses: set[int] = set()
    for parse in (chat_call, completion_call):
        try:
            call = parse(asked, LIMITS)
        except RequestError as error:
            json.dumps(error_body(error), allow_nan=False).encode()
            statuses.add(error.status)
            continue
        check_runnable(call)
    assert statuses <= {400, 404}


def check_runnable(call: Call) -> None:
    job = call.job
    assert 1 <= job.max_tokens <= LIMITS.max_model_len - len(job.prompt)
    assert all(0 <= token < 264 for token in job.prompt)
    assert job.temperature == 0 or 1e-5 <= job.temperature <= 2
    assert 0 < job.top_p <= 1
    assert all(job.stop)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_one_error(data: bytes) -> None:
    try:
        value = parse_body(data)
    except RequestError:
        return
    assert isinstance(value, dict)


def test_a_body_nested_too_deep_is_an_error() -> None:
    with pytest.raises(RequestError, match="not JSON"):
        parse_body(b"[" * 100_000)


class Bytes:
    """A stream that ends."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, size: int, /) -> bytes:
        out, self.data = self.data[:size], self.data[size:]
        return out

    def readline(self, size: int, /) -> bytes:
        end = self.data.find(b"\n") + 1 or len(self.data)
        return self.read(min(end, size))


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=5), st.sampled_from([b"", b";name=value"]))
def test_chunks_join_to_the_body(chunks: list[bytes], extra: bytes) -> None:
    wire = b"".join(b"%x%s\r\n%s\r\n" % (len(chunk), extra, chunk) for chunk in chunks) + b"0\r\nTrailer: x\r\n\r\nNEXT"
    stream = Bytes(wire)
    assert read_body(stream, {"Transfer-Encoding": "chunked"}) == b"".join(chunks)
    assert stream.data == b"NEXT"


@pytest.mark.parametrize(
    ("headers", "data", "status"),
    [
        ({}, b"", 411),
        ({"Content-Length": "-1"}, b"", 400),
        ({"Content-Length": "5"}, b"abc", 400),
        ({"Content-Length": str(MAX_BODY_BYTES + 1)}, b"", 413),
        ({"Transfer-Encoding": "gzip"}, b"", 400),
        ({"Transfer-Encoding": "chunked"}, b"zz\r\n", 400),
        ({"Transfer-Encoding": "chunked"}, b"ffffffff\r\n", 413),
        ({"Transfer-Encoding": "chunked"}, b"3\r\nabcX", 400),
    ],
)
def test_a_body_that_is_none_is_refused(headers: dict[str, str], data: bytes, status: int) -> None:
    with pytest.raises(RequestError) as refused:
        read_body(Bytes(data), headers)
    assert refused.value.status == status


@given(st.text("abc", max_size=30), st.lists(st.text("abc", min_size=1, max_size=4), max_size=3))
def test_text_is_cut_at_the_first_stop_string_whatever_the_pieces(text: str, stops: list[str]) -> None:
    scanner, out, stopped = StopScanner(tuple(stops)), "", False
    for letter in text:
        piece, stopped = scanner.push(letter)
        out += piece
        if stopped:
            break
    ends = [text.find(stop) + len(stop) for stop in stops if stop in text]
    if not ends:
        assert (out + scanner.flush(), stopped) == (text, False)
        return
    assert stopped
    read = text[: min(ends)]
    assert out == read[: min(at for stop in stops if (at := read.find(stop)) >= 0)]
