"""An engine behind the gRPC front end, through its own OpenAI-compatible HTTP server on loopback."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

from fullbore_runtime import health
from fullbore_runtime.errors import Overloaded, RequestError, Unavailable
from fullbore_runtime.rpc.server import OnEnd
from fullbore_runtime.rpc.tensors import Asked, Part

HOST = "127.0.0.1"
LOOK_S = 1.0
"""Seconds between two looks at the engine's health, and longest wait for its answer."""
MESSAGE_CHARS = 2000


class Upstream:
    """A backend (rpc/server.py) of the engine that listens on `port`.

    Its phase is what /health says. An engine that has been ready and is not any more drains or is broken; HTTP does not
    tell which, and so it counts as draining: whether to restart it is for a probe of the engine itself.
    """

    def __init__(self, port: int, model: str, *, pool: str = "", pod: str = "") -> None:
        self.port = port
        self.model = model
        self.pool = pool
        self.pod = pod
        self.changed = threading.Condition()
        self.phase: health.Phase = "starting"

    def look(self) -> None:
        """Read the engine's health once."""
        good = self.healthy()
        phase = "ready" if good else "starting" if self.phase == "starting" else "draining"
        with self.changed:
            if phase != self.phase:
                self.phase = phase
                self.changed.notify_all()

    def healthy(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=LOOK_S)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def request(self) -> AbstractContextManager[None]:
        """The engine counts its requests itself."""
        return nullcontext()

    def generate(self, asked: Asked, on_end: OnEnd) -> Iterator[Part]:
        """Always a stream, so that a caller who goes is noticed by the engine: its connection is closed."""
        body = {**asked.body, "stream": True, "stream_options": {"include_usage": True}}
        path = "/v1/chat/completions" if asked.chat else "/v1/completions"
        connection = http.client.HTTPConnection(HOST, self.port)
        try:
            connection.connect()
            sock = connection.sock
            if not on_end(lambda: hang_up(sock)):
                raise Unavailable("the caller is gone")
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            if response.status != 200:
                raise refusal(response.status, response.read())
            yield from parts(response)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unavailable(f"the engine does not answer as it should: {error}") from error
        finally:
            connection.close()


def hang_up(sock: socket.socket) -> None:
    """Close a connection under whoever reads it; from any thread."""
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def parts(lines: Iterator[bytes] | http.client.HTTPResponse) -> Iterator[Part]:
    """Parts of an answer in server-sent events. Raises Unavailable where it is cut."""
    finish, usage = None, {"prompt_tokens": 0, "completion_tokens": 0}
    for line in lines:
        data = line.strip().removeprefix(b"data:").strip() if line.startswith(b"data:") else b""
        if data == b"[DONE]":
            if finish is None:
                break
            yield Part("", finish, usage["prompt_tokens"], usage["completion_tokens"])
            return
        if data:
            event: Any = json.loads(data)
            if "error" in event:
                raise Unavailable(message(event))
            usage = event.get("usage") or usage
            for choice in event["choices"]:
                finish = choice.get("finish_reason") or finish
                if text := choice.get("text") or choice.get("delta", {}).get("content"):
                    yield Part(text)
    raise Unavailable("the engine ended in the middle of the answer")


def refusal(status: int, body: bytes) -> Exception:
    """What the engine said in HTTP's words."""
    try:
        said = message(json.loads(body))
    except ValueError:
        said = body.decode(errors="replace")
    said = said[:MESSAGE_CHARS]
    if status == 429:
        return Overloaded(said)
    return RequestError(None, said, status=status) if status < 500 else Unavailable(said)


def message(value: Any) -> str:
    """The text of an error, in the forms of OpenAI, vLLM and SGLang."""
    error = value.get("error", value) if isinstance(value, dict) else value
    return str(error.get("message", error) if isinstance(error, dict) else error)
