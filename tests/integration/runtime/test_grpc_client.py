"""The gRPC front end of the CPU server as the launcher starts it, asked by grpcio's own client."""

from __future__ import annotations

import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from fullbore_runtime import weights
from fullbore_runtime.manifest import Shape
from fullbore_runtime.rpc import protocol

MODEL = "served-by-fullbore"
CLIENTS = 50
SMALL = Shape(width=32, layers=3, heads=4, kv_heads=2, hidden=48, positions=512)
ROOT = Path(__file__).parents[3]
SECONDS = 60
Call = Callable[..., Any]
Request = protocol.message("inference.ModelInferRequest")
HealthRequest = protocol.message("grpc.health.v1.HealthCheckRequest")
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3


@dataclass
class Pod:
    """A server and a channel to it."""

    child: subprocess.Popen[bytes]
    port: int
    http: str
    channel: grpc.Channel

    @property
    def inference(self) -> Mapping[str, Call]:
        return protocol.calls(self.channel, protocol.INFERENCE)

    @property
    def health(self) -> Mapping[str, Call]:
        return protocol.calls(self.channel, protocol.HEALTH)

    def wait_until_serving(self) -> None:
        statuses = self.health["Watch"](HealthRequest(), wait_for_ready=True, timeout=SECONDS)
        assert any(answer.status == SERVING for answer in statuses)
        statuses.cancel()

    def metric(self, name: str) -> float:
        lines = httpx.get(f"{self.http}/metrics", trust_env=False).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


@pytest.fixture(scope="module")
def model_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model")
    weights.make(directory, seed=7, shape=SMALL)
    return directory


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


@contextmanager
def served(model_directory: Path, folder: Path, concurrency: int, *words: str) -> Iterator[Pod]:
    """facts -> tune -> launch in a process of its own, as in a pod, once it is ready; or, with words, the server that
    launch would start, with those words besides."""
    port, grpc_port = free_ports()
    plan = {"version": 1, "kind": "serving", "model": MODEL, "profile": "cpu", "port": port, "grpc_port": grpc_port}
    (folder / "plan.json").write_text(json.dumps({**plan, "concurrency": concurrency}))
    started = [sys.executable, "-m", "fullbore_runtime", f"--plan={folder / 'plan.json'}"]
    server = [sys.executable, "-m", "fullbore_runtime.server", f"--model-dir={model_directory}"]
    server += [f"--port={port}", f"--grpc-port={grpc_port}", f"--served-model-name={MODEL}", "--default-max-tokens=8"]
    server += ["--max-model-len=512", f"--max-num-seqs={concurrency}", "--max-waiting=2", *words]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "images" / "runtime"), "PYTHONUNBUFFERED": "1"}
    env |= {"FULLBORE_MODEL_DIRECTORY": str(model_directory), "FULLBORE_POOL": "serving", "POD_NAME": "pod-1"}
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(server if words else started, env=env, stdout=log, stderr=log) as child,
        grpc.insecure_channel(f"127.0.0.1:{grpc_port}", options=[("grpc.enable_http_proxy", 0)]) as channel,
    ):
        try:
            pod = Pod(child, grpc_port, f"http://127.0.0.1:{port}", channel)
            pod.wait_until_serving()
            yield pod
        finally:
            child.terminate()
            # The second signal cuts the time in which the gateway would notice.
            child.terminate()
            assert child.wait(60) == 0, (folder / "log").read_text()


@contextmanager
def before(engine: Pod) -> Iterator[Pod]:
    """The front end in a process of its own before the engine's HTTP, as beside a GPU engine."""
    port, _ = free_ports()
    argv = [sys.executable, "-m", "fullbore_runtime.rpc.beside", f"--port={port}", f"--model={MODEL}", "--most=80"]
    argv += [f"--engine-port={engine.http.rpartition(':')[2]}", "--pool=serving", "--pod=pod-1"]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "images" / "runtime")}
    with (
        subprocess.Popen(argv, env=env) as child,
        grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel,
    ):
        try:
            pod = Pod(child, port, engine.http, channel)
            pod.wait_until_serving()
            yield pod
        finally:
            child.terminate()
            assert child.wait(60) == 0


@pytest.fixture(scope="module")
def engine(model_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    with served(model_directory, tmp_path_factory.mktemp("pod"), 16) as found:
        yield found


@pytest.fixture(scope="module", params=["in the server", "beside it"])
def pod(engine: Pod, request: pytest.FixtureRequest) -> Iterator[Pod]:
    with nullcontext(engine) if request.param == "in the server" else before(engine) as found:
        yield found


def until(what: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come in time"
        time.sleep(0.02)


def ask(text: str | None = "hello", *, stream: bool | None = None, **more: Any) -> Any:
    """A request; what is in `more` goes into sampling_parameters."""
    request = Request(model_name=MODEL, id="r-1")
    sampling = json.dumps({"temperature": 0, "max_tokens": 16, **more})
    for name, value in (("text_input", text), ("sampling_parameters", sampling)):
        if value is not None:
            tensor = request.inputs.add(name=name, datatype="BYTES", shape=[1])
            tensor.contents.bytes_contents.append(value.encode())
    if stream is not None:
        request.inputs.add(name="stream", datatype="BOOL", shape=[1]).contents.bool_contents.append(stream)
    return request


def outputs(answer: Any) -> dict[str, Any]:
    return {
        tensor.name: (*tensor.contents.bytes_contents, *tensor.contents.uint_contents)[0] for tensor in answer.outputs
    }


def over_http(pod: Pod, text: str, **more: Any) -> Any:
    body = {"model": MODEL, "prompt": text, "temperature": 0, "max_tokens": 16, **more}
    return httpx.post(f"{pod.http}/v1/completions", json=body, trust_env=False, timeout=SECONDS).json()


def failed(call: Callable[[], Any]) -> grpc.Call:
    """The status of a call that must not succeed."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error: Any = caught.value
    return error


def test_a_call_says_the_same_as_http(pod: Pod) -> None:
    answer = pod.inference["ModelInfer"](ask(), timeout=SECONDS)
    same = over_http(pod, "hello")
    assert outputs(answer) == {
        "text_output": same["choices"][0]["text"].encode(),
        "finish_reason": same["choices"][0]["finish_reason"].encode(),
        "num_input_tokens": same["usage"]["prompt_tokens"],
        "num_output_tokens": same["usage"]["completion_tokens"],
    }
    assert (answer.model_name, answer.model_version, answer.id) == (MODEL, "1", "r-1")


def test_a_chat_says_the_same_as_http(pod: Pod) -> None:
    turns = [{"role": "user", "content": "hello"}]
    request = ask(None)
    request.inputs.add(name="messages", datatype="BYTES", shape=[1]).contents.bytes_contents.append(
        json.dumps(turns).encode()
    )
    body = {"model": MODEL, "messages": turns, "temperature": 0, "max_tokens": 16}
    same = httpx.post(f"{pod.http}/v1/chat/completions", json=body, trust_env=False, timeout=SECONDS).json()
    answer = outputs(pod.inference["ModelInfer"](request, timeout=SECONDS))
    assert answer["text_output"].decode() == same["choices"][0]["message"]["content"]
    assert answer["num_input_tokens"] == same["usage"]["prompt_tokens"]


def test_raw_contents_and_parameters_are_read_and_outputs_chosen(pod: Pod) -> None:
    request = Request(model_name=MODEL, raw_input_contents=[b"\x05\0\0\0hello"])
    request.inputs.add(name="text_input", datatype="BYTES", shape=[1, 1])
    request.parameters["max_tokens"].int64_param = 3
    request.parameters["temperature"].double_param = 0
    request.outputs.add(name="num_output_tokens")
    assert outputs(pod.inference["ModelInfer"](request, timeout=SECONDS)) == {"num_output_tokens": 3}


def test_a_stream_answers_its_requests_in_turn(pod: Pod) -> None:
    asked = [ask("hello", stream=True), ask("other"), ask("hello", temperature=9)]
    answers = list(pod.inference["ModelStreamInfer"](iter(asked), timeout=SECONDS))
    assert "temperature" in answers.pop().error_message
    assert not any(answer.error_message for answer in answers)
    parts = [answer.infer_response for answer in answers]
    ends = [index for index, part in enumerate(parts) if part.parameters["triton_final_response"].bool_param]
    assert len(ends) == 2
    assert ends[0] > 1, "the first answer came in pieces"
    assert ends[1] == ends[0] + 1 == len(parts) - 1, "the second came whole"
    whole = over_http(pod, "hello")
    assert (
        b"".join(outputs(part)["text_output"] for part in parts[: ends[0] + 1]).decode() == whole["choices"][0]["text"]
    )
    assert outputs(parts[ends[0]])["num_output_tokens"] == whole["usage"]["completion_tokens"]


def aborted(pod: Pod) -> float:
    return pod.metric(f'vllm:request_success_total{{model_name="{MODEL}",finished_reason="abort"')


def idle(pod: Pod) -> bool:
    return pod.metric("vllm:num_requests_running") == 0 == pod.metric("vllm:num_requests_waiting")


def test_cancelling_a_stream_ends_the_generation(pod: Pod) -> None:
    before = aborted(pod)
    # On a busy machine an answer may end by itself before its caller is heard.
    for _ in range(10):
        stream = pod.inference["ModelStreamInfer"](iter([ask("endless", stream=True, max_tokens=480)]), timeout=SECONDS)
        next(stream)
        stream.cancel()
        until(lambda: idle(pod))
        if aborted(pod) > before:
            return
    pytest.fail("ten answers were all generated to their end")


def test_a_deadline_ends_the_generation(pod: Pod) -> None:
    infer: Any = pod.inference["ModelInfer"]
    before = aborted(pod)
    # Too short a deadline passes before the server has begun.
    for deadline in (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2):
        many = [infer.future(ask("endless", max_tokens=480), timeout=deadline) for _ in range(32)]
        codes = {call.code() for call in many}
        until(lambda: idle(pod))
        if aborted(pod) > before:
            assert grpc.StatusCode.DEADLINE_EXCEEDED in codes
            return
    pytest.fail("no answer was ended before it was whole")


WRONG: dict[str, tuple[Callable[[Any], object], grpc.StatusCode, str]] = {
    "another model": (lambda r: setattr(r, "model_name", "other"), grpc.StatusCode.NOT_FOUND, "model"),
    "another version": (lambda r: setattr(r, "model_version", "2"), grpc.StatusCode.NOT_FOUND, "model_version"),
    "no input": (lambda r: r.ClearField("inputs"), grpc.StatusCode.INVALID_ARGUMENT, "inputs"),
    "an unknown input": (lambda r: r.inputs.add(name="image"), grpc.StatusCode.INVALID_ARGUMENT, "inputs[2]"),
    "an input twice": (lambda r: r.inputs.append(r.inputs[0]), grpc.StatusCode.INVALID_ARGUMENT, "twice"),
    "another type": (lambda r: setattr(r.inputs[0], "datatype", "FP32"), grpc.StatusCode.INVALID_ARGUMENT, "BYTES"),
    "another shape": (lambda r: r.inputs[0].shape.append(2), grpc.StatusCode.INVALID_ARGUMENT, "shape [1]"),
    "no element": (lambda r: r.inputs[0].ClearField("contents"), grpc.StatusCode.INVALID_ARGUMENT, "one element"),
    "no UTF-8": (
        lambda r: r.inputs[0].contents.bytes_contents.__setitem__(0, b"\xff"),
        grpc.StatusCode.INVALID_ARGUMENT,
        "UTF-8",
    ),
    "raw contents of fewer": (lambda r: r.raw_input_contents.append(b"x"), grpc.StatusCode.INVALID_ARGUMENT, "entries"),
    "no JSON": (
        lambda r: r.inputs[1].contents.bytes_contents.__setitem__(0, b"{"),
        grpc.StatusCode.INVALID_ARGUMENT,
        "JSON",
    ),
    "another field twice": (
        lambda r: setattr(r.parameters["temperature"], "double_param", 1),
        grpc.StatusCode.INVALID_ARGUMENT,
        "twice",
    ),
    "a model among the parameters": (
        lambda r: setattr(r.parameters["model"], "string_param", MODEL),
        grpc.StatusCode.INVALID_ARGUMENT,
        "model",
    ),
    "too hot": (
        lambda r: setattr(r.parameters["top_p"], "double_param", 9),
        grpc.StatusCode.INVALID_ARGUMENT,
        "top_p",
    ),
    "an unknown output": (lambda r: r.outputs.add(name="logits"), grpc.StatusCode.INVALID_ARGUMENT, "outputs[0]"),
    "more than a message may hold": (
        lambda r: setattr(r, "id", "x" * (1 << 20)),
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "larger than max",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_malformed_requests_get_a_status_and_a_reason(pod: Pod, case: str) -> None:
    spoil, code, said = WRONG[case]
    request = ask()
    spoil(request)
    error = failed(lambda: pod.inference["ModelInfer"](request, timeout=SECONDS))
    assert error.code() is code
    assert said in (error.details() or "")


def test_bytes_that_are_no_message_and_methods_that_are_none_are_refused(pod: Pod) -> None:
    raw = pod.channel.unary_unary(f"/{protocol.INFERENCE}/ModelInfer")
    # grpcio gives INTERNAL for what does not parse.
    assert failed(lambda: raw(b"\xff\xff", timeout=SECONDS)).code() is grpc.StatusCode.INTERNAL
    none = pod.channel.unary_unary(f"/{protocol.INFERENCE}/ModelLoad")
    assert failed(lambda: none(b"", timeout=SECONDS)).code() is grpc.StatusCode.UNIMPLEMENTED


def test_what_is_served_can_be_asked(pod: Pod) -> None:
    def call(name: str, /, **fields: Any) -> Any:
        kind = protocol.methods(protocol.INFERENCE)[name].input_type.lstrip(".")
        return pod.inference[name](protocol.message(kind)(**fields), timeout=SECONDS)

    assert call("ServerLive").live
    assert call("ServerReady").ready
    assert call("ModelReady", name=MODEL).ready
    assert not call("ModelReady", name="other").ready
    assert call("ServerMetadata").name == "fullbore-runtime"
    described = call("ModelMetadata", name=MODEL)
    assert {tensor.name for tensor in described.inputs} >= {"text_input", "messages", "stream"}
    assert failed(lambda: call("ModelMetadata", name="other")).code() is grpc.StatusCode.NOT_FOUND


def test_health_knows_the_probes_of_kubernetes_and_nothing_else(pod: Pod) -> None:
    for name in ("", protocol.INFERENCE, "liveness", "readiness", "startup"):
        assert pod.health["Check"](HealthRequest(service=name), timeout=SECONDS).status == SERVING
    error = failed(lambda: pod.health["Check"](HealthRequest(service="other"), timeout=SECONDS))
    assert error.code() is grpc.StatusCode.NOT_FOUND
    watched = pod.health["Watch"](HealthRequest(service="other"), timeout=SECONDS)
    assert next(watched).status == SERVICE_UNKNOWN
    watched.cancel()


def test_answers_name_the_pod_and_are_packed_for_who_asks(pod: Pod) -> None:
    with counted(pod.port) as (port, received), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        infer: Any = protocol.calls(channel, protocol.INFERENCE)["ModelInfer"]
        request = ask("a", max_tokens=400, stop=[], seed=1, temperature=0)
        infer(request, timeout=SECONDS)
        sizes: list[int] = []
        for accept in ("identity", "gzip"):
            start = received()
            answer, call = infer.with_call(request, timeout=SECONDS, metadata=[("x-fullbore-accept-encoding", accept)])
            sizes.append(received() - start)
    assert sizes[1] < sizes[0], f"{sizes} bytes for {len(outputs(answer)['text_output'])} of text"
    named = dict(call.initial_metadata())
    assert (named["x-fullbore-pool"], named["x-fullbore-pod"]) == ("serving", "pod-1")


@contextmanager
def counted(to: int) -> Iterator[tuple[int, Callable[[], int]]]:
    """A port that forwards one connection, and how many bytes have come back through it."""
    total = [0]
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def carry(source: socket.socket, sink: socket.socket, count: bool) -> None:
            # Whichever side closes first takes the other's last bytes away.
            with suppress(OSError):
                while data := source.recv(65536):
                    total[0] += len(data) * count
                    sink.sendall(data)
                sink.shutdown(socket.SHUT_WR)

        def forward() -> None:
            near, _ = listener.accept()
            with near, socket.create_connection(("127.0.0.1", to)) as far:
                there = threading.Thread(target=carry, args=(near, far, False))
                there.start()
                carry(far, near, True)
                there.join()

        thread = threading.Thread(target=forward)
        thread.start()
        yield listener.getsockname()[1], lambda: total[0]
    thread.join(SECONDS)
    assert not thread.is_alive()


def test_50_clients_at_once_all_get_the_answer_that_one_alone_gets(pod: Pod) -> None:
    alone = [over_http(pod, f"question {number}")["choices"][0]["text"] for number in range(10)]

    def one(number: int) -> str:
        """Every other client streams; each has a connection of its own."""
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
        with grpc.insecure_channel(f"127.0.0.1:{pod.port}", options=options) as channel:
            calls = protocol.calls(channel, protocol.INFERENCE)
            request = ask(f"question {number % 10}", stream=bool(number % 2) or None)
            if not number % 2:
                return outputs(calls["ModelInfer"](request, timeout=SECONDS))["text_output"].decode()
            answers = calls["ModelStreamInfer"](iter([request]), timeout=SECONDS)
            return b"".join(outputs(answer.infer_response)["text_output"] for answer in answers).decode()

    with ThreadPoolExecutor(CLIENTS) as clients:
        assert list(clients.map(one, range(CLIENTS))) == [alone[number % 10] for number in range(CLIENTS)]
    assert len(set(alone)) > 1
    until(lambda: idle(pod))


def test_a_small_pod_refuses_what_is_too_much_as_http_does(model_directory: Path, tmp_path: Path) -> None:
    with served(model_directory, tmp_path, 1) as pod:
        infer: Any = pod.inference["ModelInfer"]
        calls = [infer.future(ask("endless", max_tokens=480), timeout=SECONDS) for _ in range(40)]
        codes = {call.code() for call in calls}
        assert codes == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
        refused = next(call for call in calls if call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED)
        assert "try again" in refused.details()
        assert dict(refused.trailing_metadata())["grpc-retry-pushback-ms"] == "1000"


def test_health_goes_first_when_the_pod_drains_and_what_runs_is_finished(model_directory: Path, tmp_path: Path) -> None:
    with served(model_directory, tmp_path, 2, "--lame-duck=60", "--drain=120") as pod:
        seen: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        watched = pod.health["Watch"](HealthRequest(), timeout=SECONDS)
        live = pod.health["Watch"](HealthRequest(service="liveness"), timeout=SECONDS)

        def watch() -> None:
            for answer in watched:
                seen.put(answer.status)
            seen.put(None)

        thread = threading.Thread(target=watch)
        thread.start()
        assert seen.get(timeout=SECONDS) == SERVING
        stream = pod.inference["ModelStreamInfer"](iter([ask("endless", stream=True, max_tokens=400)]), timeout=SECONDS)
        first = next(stream)
        pod.child.terminate()
        assert seen.get(timeout=SECONDS) == NOT_SERVING
        assert httpx.get(f"{pod.http}/health", trust_env=False).status_code == 503
        assert httpx.get(f"{pod.http}/health/live", trust_env=False).status_code == 200
        # New calls are still taken until everyone has seen that.
        assert outputs(pod.inference["ModelInfer"](ask(max_tokens=2), timeout=SECONDS))["num_output_tokens"] == 2
        pod.child.terminate()
        rest = [first, *stream]
        assert rest[-1].infer_response.parameters["triton_final_response"].bool_param
        assert seen.get(timeout=SECONDS) is None, "the watch ends with the server, in good order"
        assert [answer.status for answer in live] == [SERVING], "who drains is alive"
        thread.join(SECONDS)
        assert pod.child.wait(SECONDS) == 0


def test_a_front_end_beside_an_engine_follows_its_health(model_directory: Path, tmp_path: Path) -> None:
    with served(model_directory, tmp_path, 1, "--lame-duck=60", "--drain=120") as engine, before(engine) as pod:
        watched = pod.health["Watch"](HealthRequest(), timeout=SECONDS)
        assert next(watched).status == SERVING
        engine.child.terminate()
        assert next(watched).status == NOT_SERVING
        engine.child.terminate()
        assert engine.child.wait(SECONDS) == 0
        error = failed(lambda: pod.inference["ModelInfer"](ask(), timeout=SECONDS))
        assert error.code() is grpc.StatusCode.UNAVAILABLE
