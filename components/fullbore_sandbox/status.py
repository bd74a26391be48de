"""A short table of what a sandbox runs, where, and what to try next."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from rich.console import Console
from rich.table import Table

from fullbore.config.models import Environment
from fullbore_sandbox.sandbox import endpoints_file
from fullbore_sandbox.state import SandboxError, State


def show(state: State, environment: Environment) -> int:
    """Print the table; 0 where every part answers, else 1. Raises SandboxError where nothing was started."""
    file = endpoints_file(state)
    if not file.exists():
        raise SandboxError(f"sandbox {state.id}: not started; run scripts/up")
    endpoints = json.loads(file.read_text())
    table = Table(title=f"Fullbore {environment.name}, sandbox {state.id}", title_justify="left")
    for heading in ("part", "where", "state"):
        table.add_column(heading, no_wrap=heading != "where", overflow="fold")
    rows = [(part, where, _answers(address, port)) for part, where, address, port in _rows(endpoints)]
    for part, where, answers in rows:
        table.add_row(part, where, "[green]answers[/]" if answers else "[red]silent[/]")
    console = Console()
    console.print(table)
    console.print("Try next:")
    for line in _next(endpoints, environment):
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    return 0 if all(answers for *_, answers in rows) else 1


def _rows(endpoints: dict[str, Any]) -> Iterator[tuple[str, str, str, int]]:
    """Part, what a person needs to reach it, and the address and port that say whether it is there."""
    for name in ("gateway", "prometheus", "alertmanager"):
        at = endpoints[name]
        yield name, f"http://{at['address']}:{at['port']}", at["address"], at["port"]
    for name, host in endpoints["hosts"].items():
        command = f"ssh -i {endpoints['ssh']['private_key_file']} {endpoints['ssh']['user']}@{host['address']}"
        yield f"host {name}", command, host["address"], host["port"]
    for name, cluster in endpoints["clusters"].items():
        yield f"cluster {name}", cluster["kubeconfig"], *_server(cluster["kubeconfig"])
    cloud = urlsplit(endpoints["aws"]["endpoint_url"])
    yield "AWS (emulated)", endpoints["aws"]["endpoint_url"], cloud.hostname or "", cloud.port or 0
    address, _, port = endpoints["registry"].partition(":")
    yield "image registry", endpoints["registry"], address, int(port)


def _server(kubeconfig: str) -> tuple[str, int]:
    server = urlsplit(yaml.safe_load(Path(kubeconfig).read_text())["clusters"][0]["cluster"]["server"])
    return server.hostname or "", server.port or 443


def _answers(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=2):
            return True
    except OSError:
        return False


def _next(endpoints: dict[str, Any], environment: Environment) -> Iterator[str]:
    if environment.serving:
        gateway = f"http://{endpoints['gateway']['address']}:{endpoints['gateway']['port']}"
        body = {"model": environment.serving.model, "messages": [{"role": "user", "content": "hello"}]}
        yield f"curl {gateway}/v1/chat/completions -H 'content-type: application/json' -d '{json.dumps(body)}'"
    yield f"scripts/pulumi preview --refresh -s {environment.name}"
    yield "scripts/down"
