"""A small model's sizes, and a server of it on a free loopback port."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from fullbore_runtime.api import Limits
from fullbore_runtime.manifest import Shape
from fullbore_runtime.server import Server
from fullbore_runtime.service import Service

SMALL = Shape(width=32, layers=3, heads=4, kv_heads=2, hidden=48, positions=512)
SERVED = "small-model"


@contextmanager
def serving(
    model_directory: Path,
    *,
    max_running: int = 4,
    max_waiting: int = 16,
    opened: bool = True,
    truncate: bool = False,
) -> Iterator[Server]:
    """A server on a free loopback port."""
    limits = Limits(SERVED, max_model_len=SMALL.positions, default_max_tokens=16, truncate=truncate)
    service = Service(limits, max_running=max_running, max_waiting=max_waiting, pool="serving", pod="pod-1")
    server = Server(("127.0.0.1", 0), service)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        if opened:
            service.open(model_directory)
        yield server
    finally:
        server.shutdown()
        server.server_close()
        assert service.finish(30)
        thread.join(10)


def client_of(server: Server) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}", timeout=60, trust_env=False)
