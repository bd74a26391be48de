"""Lines to the engine, which shows them beside the resource that they are about."""

from __future__ import annotations

import sys
import threading
from typing import Final

import grpc

from fullbore.provider._proto import engine_pb2, engine_pb2_grpc
from fullbore.provider.base import Severity

MAX_MESSAGE_BYTES: Final = 400 * 1024 * 1024
"""As the SDKs have it."""

OPTIONS: Final = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES), ("grpc.max_send_message_length", -1)]

_SEVERITY: Final = {
    "debug": engine_pb2.LogSeverity.DEBUG,
    "info": engine_pb2.LogSeverity.INFO,
    "warning": engine_pb2.LogSeverity.WARNING,
    "error": engine_pb2.LogSeverity.ERROR,
}


class EngineLog:
    """Lines to the engine. Its address comes as an argument, or later through Attach or Handshake."""

    def __init__(self, address: str = "") -> None:
        self._address = address
        self._stub: engine_pb2_grpc.EngineStub | None = None
        self._lock = threading.Lock()

    def attach(self, address: str) -> None:
        with self._lock:
            if address and address != self._address:
                self._address, self._stub = address, None

    def write(self, urn: str, severity: Severity, message: str, ephemeral: bool) -> None:
        stub = self._connected()
        if stub is None:
            print(f"{severity}: {message}", file=sys.stderr)
            return
        try:
            stub.Log(  # pyright: ignore[reportUnknownMemberType] - the generated type is half open
                engine_pb2.LogRequest(severity=_SEVERITY[severity], message=message, urn=urn, ephemeral=ephemeral)
            )
        except grpc.RpcError as error:
            # An engine that went away must not fail the operation that was reporting to it.
            print(f"{severity}: {message} (the engine took no log line: {type(error).__name__})", file=sys.stderr)

    def _connected(self) -> engine_pb2_grpc.EngineStub | None:
        with self._lock:
            if self._stub is None and self._address:
                channel = grpc.insecure_channel(self._address, options=OPTIONS)
                self._stub = engine_pb2_grpc.EngineStub(channel)
            return self._stub
