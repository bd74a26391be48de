"""The engine's process: HTTP/1.1 with keep-alive, OpenAI's paths, /health and /metrics."""

from __future__ import annotations

import argparse
import json
import select
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from fullbore_runtime import api, compression, health
from fullbore_runtime.body import read_body
from fullbore_runtime.document import CONTEXT_POLICIES
from fullbore_runtime.engine import Sequence
from fullbore_runtime.errors import Overloaded, RequestError, RuntimeRefusal, Unavailable
from fullbore_runtime.service import Service

if TYPE_CHECKING:
    from fullbore_runtime.rpc.server import Front

REFUSED = 2
END_SIGNALS = (signal.SIGTERM, signal.SIGINT)
THREAD_STACK_BYTES = 512 << 10
CUT_S = 2


class Server(ThreadingHTTPServer):
    """A thread for each connection."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], service: Service) -> None:
        self.service = service
        super().__init__(address, Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no error of ours; anything else is said in one line."""
        error = sys.exc_info()[1]
        if not isinstance(error, (ConnectionError, TimeoutError)):
            print(f"{client_address}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "fullbore-runtime"
    sys_version = ""
    timeout = 75
    """Longer than the gateway keeps an idle connection, so that it is never ours that closes under a request."""
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]

    @property
    def service(self) -> Service:
        return self.server.service

    def do_GET(self) -> None:
        self.answer(GET)

    def do_POST(self) -> None:
        self.answer(POST)

    def answer(self, routes: Mapping[str, Callable[[Handler], None]]) -> None:
        """Run the route of the path; every refusal becomes OpenAI's error object."""
        self.begun = False
        self.packer = compression.Packer() if compression.wanted(self.headers.get("Accept-Encoding", "")) else None
        path = self.path.partition("?")[0]
        with self.service.request():
            try:
                route = routes.get(path)
                if route is None:
                    raise no_route(path)
                route(self)
            except RequestError as error:
                self.refuse(error.status, api.error_body(error))
            except Overloaded as error:
                self.refuse(429, api.error_body(str(error), "rate_limit_error"), {"Retry-After": "1"})
            except Unavailable as error:
                self.refuse(503, api.error_body(str(error), "service_unavailable_error"), {"Retry-After": "1"})
            # Before the request counts as finished: the process may end as soon as none is left.
            self.wfile.flush()

    def refuse(self, status: int, body: Mapping[str, object], headers: Mapping[str, str] | None = None) -> None:
        """An error. Where the answer has begun it can only be cut, so that nobody takes it for whole."""
        # What is left of the request's body would be read as the next request.
        self.close_connection = True
        if self.begun:
            self.event(body)
            return
        self.send_json(status, body, headers)

    def probe(self, name: str) -> None:
        if not health.good(name, self.service.phase):
            raise Unavailable(f"not {name}: {self.service.phase}")
        self.send(200, "text/plain", b"")

    def metrics(self) -> None:
        self.send(200, "text/plain; version=0.0.4", self.service.metrics.text().encode())

    def models(self) -> None:
        _ = self.service.engine
        limits = self.service.limits
        model = {"id": limits.served_model, "object": "model", "created": int(self.service.metrics.started)}
        more = {"owned_by": "fullbore", "root": self.service.root_model, "max_model_len": limits.max_model_len}
        self.send_json(200, {"object": "list", "data": [{**model, **more}]})

    def chat(self) -> None:
        self.generate(api.chat_call, chat=True)

    def completions(self) -> None:
        self.generate(api.completion_call, chat=False)

    def generate(self, parse: Callable[[Mapping[str, object], api.Limits], api.Call], *, chat: bool) -> None:
        call = parse(api.parse_body(read_body(self.rfile, self.headers)), self.service.limits)
        prefix = "chatcmpl" if chat else "cmpl"
        answer = api.Answer(f"{prefix}-{uuid.uuid4().hex}", self.service.limits.served_model, int(time.time()), chat)
        with self.service.generation(call.job) as sequence:
            (self.send_stream if call.stream else self.send_whole)(sequence, answer, call)

    def send_whole(self, sequence: Sequence, answer: api.Answer, call: api.Call) -> None:
        pieces = list(sequence.read(self.client_gone))
        counts = api.usage(len(call.job.prompt), pieces[-1].tokens)
        text = "".join(piece.text for piece in pieces)
        self.send_json(200, answer.whole(text, pieces[-1].finish or "stop", counts))

    def send_stream(self, sequence: Sequence, answer: api.Answer, call: api.Call) -> None:
        """Server-sent events. The head waits for the first piece, so that a failure before it has a status."""
        generated = 0
        for piece in sequence.read(self.client_gone):
            if not self.begun:
                self.begin_events(answer)
            generated = piece.tokens
            self.event(answer.text_chunk(piece.text, piece.finish))
        if call.include_usage:
            self.event(answer.usage_chunk(api.usage(len(call.job.prompt), generated)))
        self.write_chunk(b"data: [DONE]\n\n")
        if self.packer:
            self.write_plain_chunk(self.packer.end())
        self.wfile.write(b"0\r\n\r\n")

    def begin_events(self, answer: api.Answer) -> None:
        self.begun = True
        head = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "Transfer-Encoding": "chunked"}
        self.send_head(200, {**head, **self.encoding()})
        if opening := answer.opening():
            self.event(opening)

    def event(self, body: Mapping[str, object]) -> None:
        self.write_chunk(b"data: " + to_json(body) + b"\n\n")

    def write_chunk(self, data: bytes) -> None:
        self.write_plain_chunk(self.packer.pack(data) if self.packer else data)

    def write_plain_chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def send_json(self, status: int, body: Mapping[str, object], headers: Mapping[str, str] | None = None) -> None:
        self.send(status, "application/json", to_json(body), headers)

    def send(self, status: int, kind: str, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        encoding: Mapping[str, str] = {"Vary": "Accept-Encoding"}
        if self.packer and len(data) >= compression.LEAST_BYTES:
            data, encoding = self.packer.end(data), self.encoding()
        length = {"Content-Type": kind, "Content-Length": str(len(data))}
        self.send_head(status, {**length, **encoding, **(headers or {})})
        self.wfile.write(data)

    def encoding(self) -> dict[str, str]:
        """Headers of an answer that is packed where the client takes it so."""
        return {"Vary": "Accept-Encoding", **({"Content-Encoding": "gzip"} if self.packer else {})}

    def send_head(self, status: int, headers: Mapping[str, str]) -> None:
        """Status and headers; every answer names the pool and the pod that gave it."""
        self.send_response(status)
        named = {"x-fullbore-pool": self.service.pool, "x-fullbore-pod": self.service.pod}
        named["x-request-id"] = printable(self.headers.get("x-request-id", ""))
        if self.close_connection or self.service.state == "draining":
            named["Connection"] = "close"
        for name, value in {**headers, **named}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()

    def client_gone(self) -> bool:
        """Whether the client has closed its side: readable, and nothing to read."""
        if not select.select([self.connection], [], [], 0)[0]:
            return False
        try:
            return self.connection.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            return True

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """One line of JSON for each request; the probes' and the scrapes' are left out."""
        if self.path.startswith("/health") or self.path == "/metrics":
            return
        line = {"method": self.command, "path": self.path, "status": int(str(getattr(code, "value", code)))}
        print(json.dumps({**line, "request_id": self.headers.get("x-request-id", "")}), flush=True)

    def log_message(self, format: str, *args: object) -> None:
        print(json.dumps({"message": format % args}), file=sys.stderr, flush=True)


GET: Mapping[str, Callable[[Handler], None]] = {
    "/health": partial(Handler.probe, name="ready"),
    **{f"/health/{name}": partial(Handler.probe, name=name) for name in health.GOOD},
    "/metrics": Handler.metrics,
    "/v1/models": Handler.models,
}
POST: Mapping[str, Callable[[Handler], None]] = {
    "/v1/chat/completions": Handler.chat,
    "/v1/completions": Handler.completions,
}


def no_route(path: str) -> RequestError:
    if path in GET or path in POST:
        return RequestError(None, f"{path}: is {'GET' if path in GET else 'POST'} only", status=405)
    return RequestError(None, f"{path}: no such path; there are {', '.join((*GET, *POST))}", status=404)


def to_json(body: Mapping[str, object]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def printable(value: str) -> str:
    """A header's value that can be sent back."""
    return value if len(value) <= 128 and value.isascii() and value.isprintable() else ""


def end_signals() -> socket.socket:
    """A socket that a byte comes from for each signal to end.

    Blocking the signals and waiting for them would not do: threads that a library started while it was imported have
    them unblocked, and the kernel hands a signal to any such thread while this one does something else.
    """
    signals, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    signal.set_wakeup_fd(wakeup.detach())
    for number in END_SIGNALS:
        signal.signal(number, lambda *_: None)
    return signals


def rpc_front(service: Service, address: str) -> Front:
    """The gRPC server before the same service; gRPC is imported where there is one. Raises RuntimeRefusal."""
    from fullbore_runtime.rpc.local import Local
    from fullbore_runtime.rpc.server import Front

    return Front(Local(service), address, most=service.max_running + service.max_waiting)


def serve(
    server: Server, model_directory: Path, *, lame_duck_s: float, drain_s: float, rpc_address: str | None = None
) -> int:
    """Run until SIGTERM, then drain; the exit status."""
    service, signals = server.service, end_signals()
    accept = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="accept", daemon=True)
    accept.start()
    try:
        front = rpc_front(service, rpc_address) if rpc_address else None
        if front:
            front.start()
        service.open(model_directory)
    except RuntimeRefusal as refusal:
        print(f"refusing to start: {refusal}", file=sys.stderr)
        return REFUSED
    print(
        json.dumps({"message": "ready", "model": service.limits.served_model, "root": service.root_model}), flush=True
    )
    signals.recv(1)
    service.start_drain()
    # A second signal ends the wait: then nobody expects more requests.
    signals.settimeout(lame_duck_s)
    with suppress(TimeoutError, BlockingIOError):
        signals.recv(1)
    server.shutdown()
    server.server_close()
    left_s = drain_s - lame_duck_s
    ended = front.stop(left_s) if front else None
    drained = service.finish(left_s)
    if ended:
        # The last answers leave after the last request was counted; calls that are over time are being cut.
        ended.wait(CUT_S)
    print(json.dumps({"message": "drained" if drained else "requests were cut", "left": service.in_flight}), flush=True)
    return 0 if drained else 1


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="fullbore_runtime.server", description="started by python3 -m fullbore_runtime"
    )
    parser.add_argument("--model-dir", type=Path, required=True)
    parser.add_argument("--served-model-name", required=True)
    parser.add_argument("--max-model-len", type=int, required=True)
    parser.add_argument("--default-max-tokens", type=int, required=True)
    parser.add_argument("--context-policy", choices=CONTEXT_POLICIES, default="refuse")
    parser.add_argument("--max-num-seqs", type=int, required=True)
    parser.add_argument("--max-waiting", type=int, required=True)
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--grpc-port", type=int)
    parser.add_argument("--lame-duck", type=float, default=0)
    parser.add_argument("--drain", type=float, default=25)
    parser.add_argument("--pool", default="")
    parser.add_argument("--pod", default="")
    args = parser.parse_args()
    threading.stack_size(THREAD_STACK_BYTES)
    truncate = args.context_policy == "truncate"
    limits = api.Limits(args.served_model_name, args.max_model_len, args.default_max_tokens, truncate)
    service = Service(limits, max_running=args.max_num_seqs, max_waiting=args.max_waiting, pool=args.pool, pod=args.pod)
    server = Server((args.host, args.port), service)
    rpc_address = f"{args.host}:{args.grpc_port}" if args.grpc_port else None
    return serve(server, args.model_dir, lame_duck_s=args.lame_duck, drain_s=args.drain, rpc_address=rpc_address)


if __name__ == "__main__":
    sys.exit(main())
