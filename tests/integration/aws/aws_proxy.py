"""A proxy in front of the emulator that misbehaves as it is told: it throttles, refuses, or loses an answer."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


def refusal(code: str, message: str) -> bytes:
    """An error as EC2 says it."""
    error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return f"<Response><Errors>{error}</Errors></Response>".encode()


THROTTLED = (503, refusal("RequestLimitExceeded", "slow down"))
QUOTA = (400, refusal("VpcLimitExceeded", "The maximum number of VPCs has been reached."))


@dataclass
class Faults:
    """What happens to requests whose body `wanted` accepts: `answers` in place of the emulator's, then lost answers."""

    wanted: Callable[[bytes], bool] = lambda body: False
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    lost: int = 0
    seen: int = 0

    def set(self, action: str, answers: Sequence[tuple[int, bytes]] = (), lost: int = 0) -> None:
        self.wanted = lambda body: f"Action={action}".encode() in body
        self.answers, self.lost, self.seen = list(answers), lost, 0


@contextmanager
def proxy(target: str, faults: Faults) -> Iterator[str]:
    """The URL of a proxy to `target`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            mine = faults.wanted(body)
            faults.seen += mine
            if mine and faults.answers:
                self.answer(*faults.answers.pop(0))
                return
            status, answer = self.forward(body)
            if mine and faults.lost:
                faults.lost -= 1
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.answer(status, answer)

        def forward(self, body: bytes) -> tuple[int, bytes]:
            onward = http.client.HTTPConnection(urlsplit(target).netloc, timeout=30)
            headers = {k: v for k, v in self.headers.items() if k.lower() != "connection"}
            onward.request("POST", self.path, body, headers)
            response = onward.getresponse()
            answer = response.read()
            onward.close()
            return response.status, answer

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
