"""The life of a plugin process: serve until the engine is done, or gone."""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent import futures
from types import FrameType
from typing import Final

import grpc

from fullbore.provider._engine_log import OPTIONS, EngineLog
from fullbore.provider._proto import provider_pb2_grpc
from fullbore.provider._service import Service
from fullbore.provider.base import Provider

MAX_CALLS: Final = 64
"""Calls handled at once; the engine's own parallelism is far lower."""

DRAIN_S: Final = 30.0
"""How long running calls may take to stop after the engine died or told the plugin to end."""


def start(provider: Provider, engine_address: str = "") -> tuple[grpc.Server, int]:
    """A running server on a free loopback port: (server, port)."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=MAX_CALLS), options=OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Service(provider, EngineLog(engine_address)), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def serve(provider: Provider, argv: Sequence[str]) -> None:
    """Run as a plugin: see `fullbore.provider.base.serve`."""
    over = threading.Event()

    def finish(number: int, frame: FrameType | None) -> None:
        over.set()

    signal.signal(signal.SIGINT, finish)
    signal.signal(signal.SIGTERM, finish)
    addresses = [arg for arg in argv if not arg.startswith("-")]
    server, port = start(provider, addresses[0] if addresses else "")
    _when_reader_is_gone(sys.stdout.fileno(), over.set)
    print(port, flush=True)
    over.wait()
    provider.cancel()
    server.stop(DRAIN_S).wait()


def _when_reader_is_gone(descriptor: int, then: Callable[[], None]) -> None:
    """Calls `then` once nobody reads the pipe any more: the engine was killed and could not say good-bye.

    Without it a plugin would outlive a killed engine for ever. Where the descriptor is no pipe, nobody is watched.
    """
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        return

    def watch() -> None:
        poll = select.poll()
        poll.register(descriptor, 0)  # errors and hang-ups are always reported
        poll.poll()
        then()

    threading.Thread(target=watch, daemon=True, name="engine-watch").start()
