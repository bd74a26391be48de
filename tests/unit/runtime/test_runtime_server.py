"""The server over HTTP: answers, streams, refusals, cancellation and drain."""

from __future__ import annotations

import concurrent.futures
import http.client
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from small_server import SERVED, client_of, serving
from test_runtime_model import greedy_reference

from fullbore_runtime import weights
from fullbore_runtime.errors import Unavailable
from fullbore_runtime.model import Model
from fullbore_runtime.server import Server
from fullbore_runtime.tokenizer import EOS, plain

ENDLESS = "endless"
"""A prompt after which this model does not end by itself soon."""
PACKAGE = Path(sys.modules["fullbore_runtime"].__file__ or "").parent.parent


def chat(**more: object) -> dict[str, object]:
    return {"model": SERVED, "messages": [{"role": "user", "content": "hello"}], "temperature": 0, **more}


def prompt(**more: object) -> dict[str, object]:
    return {"model": SERVED, "prompt": "hello", "temperature": 0, **more}


def events(response: httpx.Response) -> list[str]:
    """The data of each event; the form itself is checked."""
    parts = response.text.split("\n\n")
    assert parts.pop() == "", "a stream ends with an empty line"
    assert all(part.startswith("data: ") and "\n" not in part for part in parts)
    return [part.removeprefix("data: ") for part in parts]


def test_a_chat_completion_has_openai_s_form(client: httpx.Client) -> None:
    response = client.post("/v1/chat/completions", json=chat(max_tokens=12), headers={"x-request-id": "r-1"})
    body = response.json()
    assert response.status_code == 200
    assert (body["object"], body["model"], body["id"][:9]) == ("chat.completion", SERVED, "chatcmpl-")
    assert body["choices"][0]["message"]["role"] == "assistant"
    assert len(body["choices"][0]["message"]["content"]) <= 12
    assert body["usage"]["prompt_tokens"] == len(b"hello") + 4
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]
    named = {name: response.headers[f"x-{name}"] for name in ("fullbore-pool", "fullbore-pod", "request-id")}
    assert named == {"fullbore-pool": "serving", "fullbore-pod": "pod-1", "request-id": "r-1"}


def test_the_answer_at_temperature_0_is_the_model_s_own(client: httpx.Client, model: Model) -> None:
    expected = greedy_reference(model, plain(ENDLESS).last(512), 10)
    assert EOS not in expected, "choose another prompt: this one ends by itself"
    text = client.post("/v1/completions", json=prompt(prompt=ENDLESS, max_tokens=10)).json()["choices"][0]["text"]
    assert text == "".join(map(chr, expected))


def test_answers_do_not_depend_on_who_else_asks(server: Server, client: httpx.Client) -> None:
    bodies = [prompt(prompt=f"question {i}", max_tokens=24) for i in range(8)]
    alone = [client.post("/v1/completions", json=body).json()["choices"][0]["text"] for body in bodies]
    with concurrent.futures.ThreadPoolExecutor(8) as pool, client_of(server) as shared:
        together = list(pool.map(lambda b: shared.post("/v1/completions", json=b).json()["choices"][0]["text"], bodies))
    assert together == alone
    assert len(set(alone)) > 1


def test_a_seed_repeats_a_sampled_answer_and_no_seed_does_not(client: httpx.Client) -> None:
    def text(**more: object) -> str:
        body = prompt(temperature=1.5, max_tokens=24, **more)
        return client.post("/v1/completions", json=body).json()["choices"][0]["text"]

    assert text(seed=5) == text(seed=5)
    assert text(seed=5) != text(seed=6)
    assert text() != text()


def test_a_stop_string_ends_the_answer_before_it(client: httpx.Client) -> None:
    whole = client.post("/v1/completions", json=prompt(prompt=ENDLESS, max_tokens=20)).json()["choices"][0]["text"]
    stop = whole[8:11]
    choice = client.post("/v1/completions", json=prompt(prompt=ENDLESS, max_tokens=20, stop=stop)).json()["choices"][0]
    assert choice["text"] == whole[: whole.index(stop)]
    assert choice["finish_reason"] == "stop"


def test_a_stream_says_what_the_whole_answer_says(client: httpx.Client) -> None:
    whole = client.post("/v1/chat/completions", json=chat(max_tokens=16)).json()
    body = chat(max_tokens=16, stream=True, stream_options={"include_usage": True})
    response = client.post("/v1/chat/completions", json=body)
    assert response.headers["content-type"] == "text/event-stream"
    data = events(response)
    assert data.pop() == "[DONE]"
    *chunks, usage = [json.loads(item) for item in data]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert text == whole["choices"][0]["message"]["content"]
    assert [c["choices"][0]["finish_reason"] for c in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert (usage["choices"], usage["usage"]) == ([], whole["usage"])


def test_a_stream_comes_piece_by_piece(client: httpx.Client) -> None:
    with client.stream("POST", "/v1/completions", json=prompt(prompt="a", max_tokens=200, stream=True)) as response:
        lines = (line for line in response.iter_lines() if line)
        first = json.loads(next(lines).removeprefix("data: "))
        assert first["choices"][0]["finish_reason"] is None
        assert client.get("/metrics").text.count("vllm:num_requests_running") == 3


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("POST", "/v1/chat/completions", b"{", 400),
        ("POST", "/v1/chat/completions", b"[]", 400),
        ("POST", "/v1/chat/completions", b'{"model": "other", "messages": [{"role": "user", "content": ""}]}', 404),
        ("POST", "/v1/embeddings", b"{}", 404),
        ("GET", "/v1/chat/completions", b"", 405),
        ("GET", "/nothing", b"", 404),
    ],
)
def test_bad_input_gets_openai_s_error_object(
    client: httpx.Client, method: str, path: str, content: bytes, status: int
) -> None:
    response = client.request(method, path, content=content)
    assert response.status_code == status
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    assert client.post("/v1/completions", json=prompt(max_tokens=1)).status_code == 200


def test_what_follows_a_refused_body_is_not_read_as_a_request(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=30) as raw:
        raw.sendall(
            b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\nGET /health HTTP/1.1\r\nHost: y\r\n\r\n"
        )
        reply = b""
        while data := raw.recv(4096):
            reply += data
    assert reply.count(b"HTTP/1.1 ") == 1
    assert reply.startswith(b"HTTP/1.1 404 ")


def test_a_connection_is_kept_for_the_next_request(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    for _ in range(3):
        connection.request("POST", "/v1/completions", json.dumps(prompt(max_tokens=2)))
        local = connection.sock.getsockname() if connection.sock else None
        assert connection.getresponse().read()
        assert connection.sock is not None
        assert connection.sock.getsockname() == local
    connection.close()


def test_a_body_in_chunks_is_read(client: httpx.Client) -> None:
    data = json.dumps(prompt(max_tokens=2)).encode()
    assert client.post("/v1/completions", content=iter([data[:10], data[10:]])).status_code == 200


def test_models_names_what_is_served_and_what_runs(client: httpx.Client, model_directory: Path) -> None:
    model = client.get("/v1/models").json()["data"][0]
    assert (model["id"], model["root"]) == (SERVED, weights.read_manifest(model_directory).name)


def test_metrics_count_what_was_done(model_directory: Path) -> None:
    with serving(model_directory) as server, client_of(server) as client:
        before = samples(client)
        usage = client.post("/v1/completions", json=prompt(max_tokens=5)).json()["usage"]
        after = samples(client)
    label = f'{{model_name="{SERVED}"}}'
    grown = {name: after[name] - before[name] for name in after}
    assert grown[f"vllm:prompt_tokens_total{label}"] == usage["prompt_tokens"]
    assert grown[f"vllm:generation_tokens_total{label}"] == 5
    assert grown[f"vllm:time_to_first_token_seconds_count{label}"] == 1
    assert grown[f"vllm:e2e_request_latency_seconds_count{label}"] == 1
    assert after[f"vllm:num_requests_running{label}"] == 0
    assert after["process_resident_memory_bytes"] > 1 << 20


def samples(client: httpx.Client) -> dict[str, float]:
    lines = [line.rpartition(" ") for line in client.get("/metrics").text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def until(what: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for a state that announces itself by no event."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come in time"
        time.sleep(0.005)


def hold_engine(server: Server) -> Callable[[], None]:
    """Stop the engine between two steps, so that a test sees a full house; returns what lets it go on."""
    engine, gate = server.service.engine, threading.Event()
    step = engine.step

    def held(sequence: object) -> object:
        gate.wait(60)
        return step(sequence)  # pyright: ignore[reportArgumentType]

    engine.step = held  # pyright: ignore[reportAttributeAccessIssue]
    return gate.set


def test_a_full_house_answers_429_and_goes_on(model_directory: Path) -> None:
    with (
        serving(model_directory, max_running=1, max_waiting=1) as server,
        client_of(server) as client,
        concurrent.futures.ThreadPoolExecutor(2) as pool,
    ):
        release = hold_engine(server)
        taken = [pool.submit(client.post, "/v1/completions", json=prompt(max_tokens=2)) for _ in range(2)]
        engine = server.service.engine
        until(lambda: (len(engine.running), len(engine.waiting)) == (1, 1))
        refused = client.post("/v1/completions", json=prompt(max_tokens=2))
        release()
        assert (refused.status_code, refused.json()["error"]["type"]) == (429, "rate_limit_error")
        assert refused.headers["retry-after"] == "1"
        assert [future.result(60).status_code for future in taken] == [200, 200]


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_its_place(model_directory: Path, stream: bool) -> None:
    with serving(model_directory, max_running=1, max_waiting=0) as server:
        release = hold_engine(server)
        raw = socket.create_connection(("127.0.0.1", server.server_port), timeout=30)
        body = json.dumps(prompt(max_tokens=500, stream=stream)).encode()
        raw.sendall(b"POST /v1/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        engine = server.service.engine
        until(lambda: len(engine.running) == 1)
        lost = engine.running[0]
        raw.close()
        # The engine stands still until the loss was seen: a short generation cannot outrun it.
        until(lost.cancelled.is_set)
        release()
        until(lambda: not engine.running)
        with client_of(server) as client:
            assert client.post("/v1/completions", json=prompt(max_tokens=2)).status_code == 200
            aborted = f'vllm:request_success_total{{model_name="{SERVED}",finished_reason="abort"}}'
            assert samples(client)[aborted] == 1


def test_a_prompt_that_is_too_long_is_refused_or_cut_to_its_end(model_directory: Path, client: httpx.Client) -> None:
    end = "z" * 480
    asked = {"model": SERVED, "max_tokens": 32, "temperature": 0}
    refused = client.post("/v1/completions", json={**asked, "prompt": "a" * 600 + end})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "context_length_exceeded")
    with serving(model_directory, truncate=True) as server, client_of(server) as cutting:
        answers = [
            cutting.post("/v1/completions", json={**asked, "prompt": start + end}).json() for start in ("a" * 600, "b")
        ]
    assert answers[0]["usage"]["prompt_tokens"] == 480
    assert answers[0]["choices"] == answers[1]["choices"], "both see the same end"


def test_health_is_good_only_after_the_weights_were_checked_and_a_generation_ran(model_directory: Path) -> None:
    with serving(model_directory, opened=False) as server, client_of(server) as client:
        assert client.get("/health").status_code == 503
        assert client.post("/v1/completions", json=prompt()).json()["error"]["type"] == "service_unavailable_error"
        server.service.open(model_directory)
        assert client.get("/health").status_code == 200
        generated = f'vllm:generation_tokens_total{{model_name="{SERVED}"}}'
        assert samples(client)[generated] >= 1, "the warm-up is a real generation"


def test_an_engine_that_breaks_fails_its_requests_and_health(model_directory: Path) -> None:
    with serving(model_directory) as server, client_of(server) as client:
        engine = server.service.engine

        def broken(_: object) -> object:
            raise FloatingPointError("as told by the test")

        engine.step = broken  # pyright: ignore[reportAttributeAccessIssue]
        assert client.post("/v1/completions", json=prompt()).status_code == 503
        assert client.get("/health").status_code == 503
        with pytest.raises(Unavailable):
            engine.warm_up()


@pytest.fixture
def process(model_directory: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The engine as a process of its own, ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv = [sys.executable, "-m", "fullbore_runtime.server", f"--model-dir={model_directory}", f"--port={port}"]
    argv += [f"--served-model-name={SERVED}", "--max-model-len=512", "--default-max-tokens=8", "--max-num-seqs=2"]
    argv += ["--max-waiting=2", "--host=127.0.0.1", "--lame-duck=20", "--drain=60"]
    env = {**os.environ, "PYTHONPATH": str(PACKAGE), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert json.loads(child.stdout.readline())["message"] == "ready"
            yield child, port
        finally:
            child.kill()


def test_sigterm_drains(process: tuple[subprocess.Popen[str], int]) -> None:
    """Readiness goes first, what runs is finished, new requests are served until the second signal, then it ends."""
    child, port = process
    outcome: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
    body = prompt(prompt=ENDLESS, max_tokens=400, stream=True)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:  # noqa: SIM117
        with client.stream("POST", "/v1/completions", json=body) as running:
            lines = (line for line in running.iter_lines() if line)
            next(lines)
            child.send_signal(signal.SIGTERM)
            until(lambda: client.get("/health").status_code == 503)
            late = client.post("/v1/completions", json=prompt(max_tokens=2))
            assert (late.status_code, late.headers["connection"]) == (200, "close")
            child.send_signal(signal.SIGTERM)
            rest = list(lines)
            outcome.put((running.status_code, rest[-1]))
    assert outcome.get(timeout=1) == (200, "data: [DONE]")
    assert child.wait(30) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False)


TWICE = """
import os, signal, threading
other = threading.Thread(target=threading.Event().wait, daemon=True)
other.start()
from fullbore_runtime.server import end_signals
signals = end_signals()
# As a thread of a library is found by the kernel while the main one does something else.
signal.pthread_kill(other.ident, signal.SIGTERM)
assert signals.recv(1)
os.kill(os.getpid(), signal.SIGTERM)
assert signals.recv(1)
print("both")
"""


def test_signals_to_end_are_counted_whichever_thread_gets_them() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TWICE], env=os.environ | {"PYTHONPATH": str(PACKAGE)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "both\n"), done.stderr
