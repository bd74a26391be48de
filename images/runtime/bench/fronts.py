"""The CPU server's front ends and its pipeline: what a request costs besides the model, and whether it holds others up.

    python images/runtime/bench/fronts.py [--out FILE]

Needs grpcio, and no GPU. Starts the server with the model that the image holds, and the front end that runs beside GPU
engines before the same server. Three measurements, each beside what it is compared with, rounds taken in turn:

    latency   milliseconds of a request for one token: HTTP, gRPC in the server, gRPC through the process beside it
    pipeline  microseconds of the engine's thread for a token, the text's part in it, and of a handler for a prompt
    gaps      milliseconds between two pieces of a stream: alone, and while two clients send prompts of 1 MB to be
              tokenised and refused
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import grpc

from fullbore_runtime import weights
from fullbore_runtime.api import Limits, completion_call
from fullbore_runtime.engine import StopScanner
from fullbore_runtime.errors import RequestError
from fullbore_runtime.manifest import read_manifest
from fullbore_runtime.model import Model, sample
from fullbore_runtime.rpc import protocol
from fullbore_runtime.tokenizer import decode, plain

ROOT = Path(__file__).resolve().parents[1]
MODEL = "measured"
ROUNDS, REQUESTS, STREAMS, SENDERS = 3, 20, 1, 2
HUGE = "x" * 1_000_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the JSON here, too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        weights.make(directory, seed=7)
        found = {"machine": machine(), "pipeline_us": pipeline(directory), **asked(directory)}
    text = json.dumps(found, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n", encoding="utf-8")
    return 0


def machine() -> dict[str, object]:
    return {"cpus": os.cpu_count(), "load": round(os.getloadavg()[0], 1), "python": platform.python_version()}


def pipeline(directory: Path) -> dict[str, float]:
    """Medians, in one thread and nothing beside it."""
    manifest = read_manifest(directory)
    model = Model(manifest.shape, weights.load(directory, manifest))
    cache = model.cache(manifest.shape.positions)
    limits = Limits(MODEL, manifest.shape.positions, 16)
    logits = model.forward(plain("x" * 100).last(101), cache)
    scanner = StopScanner(("never",))

    def step() -> None:
        cache.length = 101
        sample(model.forward([65], cache), 0.0, 1.0, None)  # pyright: ignore[reportArgumentType]

    def refused() -> None:
        try:
            completion_call({"model": MODEL, "prompt": HUGE}, limits)
        except RequestError:
            return
        raise AssertionError("a prompt of 1 MB was taken")

    return {
        "step_of_one_token": median_us(step),
        "sampling_in_it": median_us(lambda: sample(logits, 0.0, 1.0, None)),  # pyright: ignore[reportArgumentType]
        "text_of_one_token": median_us(lambda: scanner.push(decode(65))),
        "request_of_100_tokens": median_us(lambda: completion_call({"model": MODEL, "prompt": "x" * 100}, limits)),
        "request_of_1_MB_until_it_is_refused": median_us(refused, 20),
    }


def median_us(what: Callable[[], object], times: int = 500) -> float:
    return round(statistics.median(seconds(what) for _ in range(times)) * 1e6, 1)


def seconds(what: Callable[[], object]) -> float:
    start = time.perf_counter()
    what()
    return time.perf_counter() - start


def asked(directory: Path) -> dict[str, object]:
    """Figures of the running server."""
    port, rpc_port, beside_port = ports()
    server = ["fullbore_runtime.server", f"--model-dir={directory}", f"--port={port}", f"--grpc-port={rpc_port}"]
    server += [f"--served-model-name={MODEL}", "--max-model-len=512", "--default-max-tokens=1", "--max-num-seqs=8"]
    beside = ["fullbore_runtime.rpc.beside", f"--port={beside_port}", f"--engine-port={port}", f"--model={MODEL}"]
    with (
        child([*server, "--max-waiting=8", "--host=127.0.0.1"]),
        child([*beside, "--most=16", "--host=127.0.0.1"]),
        grpc.insecure_channel(f"127.0.0.1:{rpc_port}") as own,
        grpc.insecure_channel(f"127.0.0.1:{beside_port}") as other,
    ):
        for channel in (own, other):
            wait(channel)
        return {"latency_ms": latency(port, {"gRPC": own, "gRPC beside": other}), "gaps_ms": gaps(port)}


def ports() -> tuple[int, ...]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    found = tuple(each.getsockname()[1] for each in held)
    for each in held:
        each.close()
    return found


@contextmanager
def child(argv: Sequence[str]) -> Iterator[None]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen([sys.executable, "-m", *argv], env=env, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def wait(channel: grpc.Channel) -> None:
    request = protocol.message("grpc.health.v1.HealthCheckRequest")()
    statuses = protocol.calls(channel, protocol.HEALTH)["Watch"](request, wait_for_ready=True, timeout=60)
    assert any(answer.status == 1 for answer in statuses)
    statuses.cancel()


def latency(port: int, channels: dict[str, grpc.Channel]) -> dict[str, dict[str, float]]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    asks = {"HTTP": lambda: post(connection, {"prompt": "hello", "max_tokens": 1})}
    request = protocol.message("inference.ModelInferRequest")(model_name=MODEL)
    request.inputs.add(name="text_input", datatype="BYTES", shape=[1]).contents.bytes_contents.append(b"hello")
    request.parameters["max_tokens"].int64_param = 1
    for name, channel in channels.items():
        infer = protocol.calls(channel, protocol.INFERENCE)["ModelInfer"]
        asks[name] = lambda infer=infer: infer(request, timeout=60)
    taken: dict[str, list[float]] = {name: [] for name in asks}
    for _ in range(ROUNDS):
        for name, ask in asks.items():
            taken[name] += [seconds(ask) * 1e3 for _ in range(REQUESTS)]
    return {name: summary(times) for name, times in taken.items()}


def post(connection: http.client.HTTPConnection, fields: dict[str, Any]) -> int:
    connection.request("POST", "/v1/completions", json.dumps({"model": MODEL, "temperature": 0, **fields}))
    response = connection.getresponse()
    response.read()
    return response.status


def gaps(port: int) -> dict[str, dict[str, float]]:
    taken: dict[str, list[float]] = {"alone": [], "while prompts of 1 MB are refused": []}
    for _ in range(ROUNDS):
        taken["alone"] += stream(port)
        with sending(port):
            taken["while prompts of 1 MB are refused"] += stream(port)
    return {name: summary(times) for name, times in taken.items()}


def stream(port: int) -> list[float]:
    """Milliseconds between pieces of answers, one after the other."""
    found: list[float] = []
    for _ in range(STREAMS):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        body = {"model": MODEL, "prompt": "endless", "max_tokens": 300, "temperature": 0, "stream": True}
        connection.request("POST", "/v1/completions", json.dumps(body))
        at = [time.perf_counter() for line in connection.getresponse() if line.startswith(b"data: {")]
        found += [(later - earlier) * 1e3 for earlier, later in itertools.pairwise(at)]
        connection.close()
    return found


@contextmanager
def sending(port: int) -> Iterator[None]:
    """Clients in a process of their own, so that what they cost is not taken for the server's."""
    script = (
        "import http.client, json, sys\n"
        f"body = json.dumps({{'model': {MODEL!r}, 'prompt': 'x' * {len(HUGE)}}})\n"
        "while True:\n"
        f"    connection = http.client.HTTPConnection('127.0.0.1', {port})\n"
        "    connection.request('POST', '/v1/completions', body)\n"
        "    assert connection.getresponse().status == 400\n"
        "    connection.close()\n"
        "    print(flush=True)\n"
    )
    senders = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) for _ in range(SENDERS)]
    drains = [threading.Thread(target=sender.communicate, daemon=True) for sender in senders]
    try:
        for sender, drain in zip(senders, drains, strict=True):
            assert sender.stdout is not None
            sender.stdout.readline()
            drain.start()
        yield
    finally:
        for sender, drain in zip(senders, drains, strict=True):
            sender.terminate()
            drain.join()


def summary(times: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return {"p50": round(cuts[49], 2), "p99": round(cuts[98], 2), "most": round(max(times), 2), "count": len(times)}


if __name__ == "__main__":
    sys.exit(main())
