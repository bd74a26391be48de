"""The command: one measurement, or a page that Prometheus scrapes."""

from __future__ import annotations

import functools
import logging
import threading
from pathlib import Path
from typing import Annotated, Any

import boto3
import typer
from prometheus_client import CollectorRegistry, generate_latest, start_http_server

from fullbore.config import ConfigError, find_file, load_endpoints, load_file, repository_root
from fullbore.lag.exporter import LagCollector
from fullbore.plan import make_plan
from fullbore.plan.model import LagPlan

PORT = 9751


@functools.cache
def connect(service: str, region: str) -> Any:
    return boto3.client(service, region_name=region)  # pyright: ignore[reportUnknownMemberType, reportCallIssue, reportArgumentType]


def _plan(env: str) -> LagPlan | None:
    """Of the environment, and in a sandbox of what it chose. Raises ConfigError."""
    root = repository_root(Path.cwd())
    environment = load_file(find_file(env, root))
    chosen = root / ".fullbore" / "sandbox" / "endpoints.json"
    return make_plan(environment, load_endpoints(chosen) if environment.sandbox else None).lag


def run(
    env: Annotated[str, typer.Argument(help="environment or file")],
    once: Annotated[bool, typer.Option("--once", help="measure, print and end: 2 where it cannot be told")] = False,
    address: Annotated[str, typer.Option(help="address to listen on")] = "0.0.0.0",
    port: Annotated[int, typer.Option(help="port to listen on")] = PORT,
) -> None:
    """Serve the measured lag of an environment's replication."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        plan = _plan(env)
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from error
    if plan is None:
        raise typer.BadParameter("the environment has no replication; declare one, or run this for another")
    collector = LagCollector(plan, connect)
    registry = CollectorRegistry()
    registry.register(collector)
    collector.update()
    if once:
        typer.echo(generate_latest(registry).decode(), nl=False)
        raise typer.Exit(0 if collector.measured else 2)
    start_http_server(port, address, registry)
    collector.keep_measuring(threading.Event())


if __name__ == "__main__":
    typer.run(run)
