"""The command: one measurement, or a page that Prometheus scrapes."""

from __future__ import annotations

import argparse
import functools
import logging
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import boto3
from prometheus_client import CollectorRegistry, generate_latest, start_http_server

from fullbore_lag.document import DocumentError, read_document
from fullbore_lag.exporter import EVERY_S, LagCollector

PORT = 9751


@functools.cache
def connect(service: str, region: str) -> Any:
    return boto3.client(service, region_name=region)  # pyright: ignore[reportUnknownMemberType, reportCallIssue, reportArgumentType]


def arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fullbore_lag", description="Serve the measured lag of replication.")
    parser.add_argument("document", type=Path, help="`lag` of the plan, as JSON")
    parser.add_argument("--once", action="store_true", help="measure, print and end: 2 where it cannot be told")
    parser.add_argument("--address", default="0.0.0.0", help="address to listen on")
    parser.add_argument("--port", type=int, default=PORT, help="port to listen on; 0 for a free one")
    parser.add_argument("--every", type=float, default=EVERY_S, help="seconds between two measurements")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    asked = arguments(given)
    try:
        document = read_document(asked.document.read_text(encoding="utf-8"))
    except (OSError, DocumentError) as error:
        print(f"{asked.document}: {error}", file=sys.stderr)
        return 1
    collector = LagCollector(document, connect, every_s=asked.every)
    registry = CollectorRegistry()
    registry.register(collector)
    if asked.once:
        collector.update()
        print(generate_latest(registry).decode(), end="")
        return 0 if collector.measured else 2
    serve(collector, registry, asked.address, asked.port)
    return 0


def serve(collector: LagCollector, registry: CollectorRegistry, address: str, port: int) -> None:
    """Until SIGTERM, which the first process of a container would not be ended by without this."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    server, thread = start_http_server(port, address, registry)
    logging.info("serving the lag of %s on port %d", collector.document.environment, server.server_port)
    collector.keep_measuring(stop)
    server.shutdown()
    thread.join()


if __name__ == "__main__":
    sys.exit(main())
