"""The CPU server as the launcher starts it, asked by OpenAI's own client. Bounded: a minute or so in all."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, OpenAI

from fullbore_runtime import weights
from fullbore_runtime.manifest import Shape

MODEL = "served-by-fullbore"
CLIENTS = 200
SMALL = Shape(width=32, layers=3, heads=4, kv_heads=2, hidden=48, positions=512)
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def model_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model")
    weights.make(directory, seed=7, shape=SMALL)
    return directory


@contextmanager
def served(model_directory: Path, folder: Path, concurrency: int) -> Iterator[str]:
    """facts -> tune -> launch in a process of its own, as in a pod; its address, once it is ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    plan = {"version": 1, "kind": "serving", "model": MODEL, "profile": "cpu", "port": port, "concurrency": concurrency}
    (folder / "plan.json").write_text(json.dumps(plan))
    argv = [sys.executable, "-m", "fullbore_runtime", f"--plan={folder / 'plan.json'}"]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "images" / "runtime"), "PYTHONUNBUFFERED": "1"}
    env["FULLBORE_MODEL_DIRECTORY"] = str(model_directory)
    with (folder / "log").open("w") as log, subprocess.Popen(argv, env=env, stdout=log, stderr=log) as child:
        try:
            address = f"http://127.0.0.1:{port}"
            until(lambda: ready(address, child), 30)
            yield address
        finally:
            child.terminate()
            # The second signal cuts the time in which the gateway would notice.
            child.terminate()
            assert child.wait(60) == 0


def ready(address: str, child: subprocess.Popen[bytes]) -> bool:
    assert child.poll() is None, "the server ended"
    try:
        return httpx.get(f"{address}/health", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def until(what: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come in time"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def address(model_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(model_directory, tmp_path_factory.mktemp("pod"), concurrency=64) as found:
        yield found


@pytest.fixture
def client(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAI]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with OpenAI(base_url=f"{address}/v1", api_key="none", timeout=60, max_retries=0) as found:
        yield found


def ask(client: OpenAI, text: str = "hello", **more: Any) -> Any:
    wanted: dict[str, Any] = {"model": MODEL, "temperature": 0, "max_tokens": 16, **more}
    return client.chat.completions.create(messages=[{"role": "user", "content": text}], **wanted)


def metric(address: str, name: str) -> float:
    lines = httpx.get(f"{address}/metrics", trust_env=False).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def test_models_are_listed(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [MODEL]


def test_a_chat_is_answered_and_counted(client: OpenAI) -> None:
    answer = ask(client)
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_parts_and_earlier_turns_are_read(client: OpenAI) -> None:
    turns: Any = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
        {"role": "assistant", "content": "three"},
        {"role": "user", "content": "four"},
    ]
    answer = client.chat.completions.create(model=MODEL, messages=turns, max_tokens=4)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > len("be briefonetwothreefour")


def test_a_stream_says_the_same_as_the_whole_answer(client: OpenAI) -> None:
    whole = ask(client)
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == whole.choices[0].finish_reason


def test_a_plain_completion_is_answered(client: OpenAI) -> None:
    answer = client.completions.create(model=MODEL, prompt="once", max_tokens=8, temperature=0)
    streamed = client.completions.create(model=MODEL, prompt="once", max_tokens=8, temperature=0, stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed) == answer.choices[0].text


def test_a_stream_that_is_closed_ends_the_generation(client: OpenAI, address: str) -> None:
    before = metric(address, 'vllm:request_success_total{model_name="served-by-fullbore",finished_reason="abort"')
    with ask(client, "endless", max_tokens=480, stream=True) as stream:
        next(iter(stream))
    until(lambda: metric(address, "vllm:num_requests_running") == 0, 20)
    after = metric(address, 'vllm:request_success_total{model_name="served-by-fullbore",finished_reason="abort"')
    # A short answer may have ended by itself before the loss was seen; then nothing was aborted, and nothing runs.
    assert after - before in (0, 1)


def test_a_client_that_times_out_leaves_nothing_running(client: OpenAI, address: str) -> None:
    with pytest.raises(openai.APITimeoutError):
        ask(client.with_options(timeout=0.01), "endless", max_tokens=480)
    until(lambda: metric(address, "vllm:num_requests_running") == 0, 20)


WRONG: dict[str, tuple[dict[str, Any], type[openai.APIStatusError], str | None]] = {
    "an unknown model": ({"model": "other"}, openai.NotFoundError, "model"),
    "no messages": ({"messages": []}, openai.BadRequestError, "messages"),
    "an unknown role": (
        {"messages": [{"role": "ghost", "content": "x"}]},
        openai.BadRequestError,
        "messages[0].role",
    ),
    "a picture": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        openai.BadRequestError,
        "messages[0].content[0]",
    ),
    "too hot": ({"temperature": 3}, openai.BadRequestError, "temperature"),
    "a text for a number": ({"top_p": "all"}, openai.BadRequestError, "top_p"),
    "more than fits": ({"max_tokens": 100_000}, openai.BadRequestError, "max_tokens"),
    "a prompt that is too long": (
        {"messages": [{"role": "user", "content": "x" * 600}]},
        openai.BadRequestError,
        "messages",
    ),
    "two answers at once": ({"n": 2}, openai.BadRequestError, "n"),
    "tools": ({"tools": [{"type": "function", "function": {"name": "f"}}]}, openai.BadRequestError, "tools"),
    "options of a stream without one": ({"stream_options": {}}, openai.BadRequestError, "stream_options"),
}


@pytest.mark.parametrize("case", WRONG)
def test_malformed_input_is_refused_by_field(client: OpenAI, case: str) -> None:
    body, error, param = WRONG[case]
    base = {"model": MODEL, "messages": [{"role": "user", "content": "x"}], "max_tokens": 2}
    with pytest.raises(error) as refused:
        # Past the typed calls, which do not let most of these out.
        client.post("/chat/completions", body={**base, **body}, cast_to=object)
    assert refused.value.param == param


def test_after_all_that_the_server_still_answers(client: OpenAI) -> None:
    assert ask(client).choices[0].finish_reason in ("stop", "length")


def at_once(address: str, ask_one: Callable[[AsyncOpenAI, int], Awaitable[str]]) -> list[str | BaseException]:
    """What each of 200 clients got, each with connections of its own."""

    async def one(number: int) -> str:
        # Without certificates to load, which is most of what 200 clients would cost here.
        http = DefaultAsyncHttpxClient(verify=False, trust_env=False)
        given: dict[str, Any] = {"base_url": f"{address}/v1", "api_key": "none", "timeout": 90, "max_retries": 0}
        async with AsyncOpenAI(http_client=http, **given) as client:
            return await ask_one(client, number)

    async def together() -> list[str | BaseException]:
        return await asyncio.gather(*(one(number) for number in range(CLIENTS)), return_exceptions=True)

    return asyncio.run(together())


async def answer_of(client: AsyncOpenAI, number: int) -> str:
    """Every other client streams; there are ten different questions."""
    turns: Any = [{"role": "user", "content": f"question {number % 10}"}]
    given: dict[str, Any] = {"model": MODEL, "messages": turns, "temperature": 0, "max_tokens": 12}
    if number % 2:
        stream = await client.chat.completions.create(stream=True, **given)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    whole = await client.chat.completions.create(**given)
    return whole.choices[0].message.content or ""


def test_200_clients_at_once_all_get_the_answer_that_one_alone_gets(client: OpenAI, address: str) -> None:
    alone = [ask(client, f"question {number}", max_tokens=12).choices[0].message.content for number in range(10)]
    answers = at_once(address, answer_of)
    assert answers == [alone[number % 10] for number in range(CLIENTS)]
    assert len(set(alone)) > 1
    assert metric(address, "vllm:num_requests_running") == 0


def test_200_clients_of_a_small_pod_are_answered_or_told_to_come_back(
    model_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with served(model_directory, tmp_path, concurrency=2) as address:
        answers = at_once(address, answer_of)
        refused = [answer for answer in answers if isinstance(answer, BaseException)]
        assert {type(error) for error in refused} <= {openai.RateLimitError}
        assert len(refused) < CLIENTS
        assert httpx.get(f"{address}/health", trust_env=False).status_code == 200
