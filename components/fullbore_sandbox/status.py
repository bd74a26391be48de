"""A short table of what a sandbox runs, where, and what to try next."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from fullbore.config.models import Environment
from fullbore_sandbox import cloud
from fullbore_sandbox.clusterfiles.bootstrap import is_ready
from fullbore_sandbox.kubelet.api import Api, ApiError, Unreachable, collection
from fullbore_sandbox.probe import TIMEOUT_S, http_status
from fullbore_sandbox.sandbox import endpoints_file
from fullbore_sandbox.state import SandboxError, State

POOLS = {"serving": "site", "standby": "cloud"}
"""The cluster that each pool of replicas is in."""

HEALTH = {"gateway": "/health", "prometheus": "/-/ready", "alertmanager": "/-/ready"}
"""Path that says whether a service of the stack is ready."""

Found = tuple[bool | None, str]
"""Whether a part is well, and what was found; None where it is not and that is for the stack to judge."""
Row = tuple[str, str, Callable[[], Found]]
"""Part, what a person needs to reach it, and how to find out whether it is there."""
COLOURS = {True: "green", None: "yellow", False: "red"}


def show(state: State, environment: Environment) -> int:
    """Print the table; 0 where every part is well, else 1. Raises SandboxError where nothing was started.

    A host that does not answer is shown, but how many may be lost is `max_failures` of the environment: by that the
    stack judges it. It waits for replicas too.
    """
    file = endpoints_file(state)
    if not file.exists():
        raise SandboxError(f"sandbox {state.id}: not started; run scripts/up")
    endpoints = json.loads(file.read_text())
    table = Table(title=f"Fullbore {environment.name}, sandbox {state.id}", title_justify="left")
    for heading in ("part", "where", "state"):
        table.add_column(heading, no_wrap=heading != "where", overflow="fold")
    rows = [(part, where, *ask()) for part, where, ask in _rows(endpoints, environment, state)]
    for part, where, well, found in rows:
        table.add_row(part, where, f"[{COLOURS[well]}]{found}[/]")
    console = Console()
    if not console.is_terminal:  # nobody reads a log at a width, and a folded command cannot be copied
        console.width = max(
            console.width, Measurement.get(console, console.options.update(max_width=1000), table).maximum
        )
    console.print(table)
    console.print("Try next:")
    for line in _next(endpoints, environment):
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    return 1 if any(well is False for _, _, well, _ in rows) else 0


def _rows(endpoints: dict[str, Any], environment: Environment, state: State) -> Iterator[Row]:
    for name, path in HEALTH.items():
        url = f"http://{endpoints[name]['address']}:{endpoints[name]['port']}"
        yield name, url, partial(_got, url + path)
    for name, host in endpoints["hosts"].items():
        yield (
            f"host {name}",
            _login(endpoints["ssh"], name, host, state),
            partial(_greeted, host["address"], host["port"]),
        )
    clusters = {name: Path(cluster["kubeconfig"]) for name, cluster in endpoints["clusters"].items()}
    for name, kubeconfig in clusters.items():
        yield f"cluster {name}", _short(kubeconfig, state), partial(_nodes, kubeconfig)
    for pool, cluster in POOLS.items():
        if environment.cluster and getattr(environment, pool) and cluster in clusters:
            path = f"{collection('apps/v1', 'deployments', environment.cluster.namespace)}/{pool}"
            yield pool, f"cluster {cluster}", partial(_replicas, clusters[cluster], path)
    aws = endpoints["aws"]["endpoint_url"]
    yield "AWS (emulated)", aws, partial(_got, aws + cloud.HEALTH)
    yield "image registry", endpoints["registry"], partial(_got, f"http://{endpoints['registry']}/v2/")


def _got(url: str) -> Found:
    """By a GET: ready where it is answered with 200."""
    status = http_status(url)
    if status is None:
        return False, "silent"
    return (True, "ready") if status == 200 else (False, f"HTTP {status}")


def _nodes(kubeconfig: Path) -> Found:
    """By what the control plane says of its nodes."""
    try:
        nodes = Api(kubeconfig).get(collection("v1", "nodes"))["items"]
    except (ApiError, Unreachable) as error:
        return False, error.reason if isinstance(error, ApiError) else "silent"
    ready = sum(is_ready(node) for node in nodes)
    return (True if ready == len(nodes) else None), f"{ready} of {len(nodes)} nodes ready"


def _replicas(kubeconfig: Path, deployment: str) -> Found:
    """By what the control plane says of the pods of a deployment."""
    try:
        found = Api(kubeconfig).get(deployment)
    except (ApiError, Unreachable) as error:
        return None, error.reason if isinstance(error, ApiError) else "silent"
    wanted, ready = found["spec"]["replicas"], found["status"].get("readyReplicas", 0)
    return (True if ready >= wanted else None), f"{ready} of {wanted} replicas ready"


def _login(ssh: dict[str, Any], name: str, host: dict[str, Any], state: State) -> str:
    """The command for a person; the host's key is taken from the host's folder, and the user's own files stay."""
    known = _short(state.dir / "hosts" / name / "known_hosts", state)
    key = _short(ssh["private_key_file"], state)
    return f"ssh -i {key} -o UserKnownHostsFile={known} {ssh['user']}@{host['address']}"


def _short(path: Path | str, state: State) -> str:
    """From the repository's root, where the commands of `scripts/` are typed too."""
    return os.path.relpath(path, state.root)


def _greeted(address: str, port: int) -> Found:
    """By the server's greeting: the kernel accepts connections for a host that hangs."""
    try:
        with socket.create_connection((address, port), timeout=TIMEOUT_S) as connection:
            return (True, "SSH answers") if connection.recv(4) == b"SSH-" else (None, "no SSH")
    except OSError:
        return None, "silent"


def _next(endpoints: dict[str, Any], environment: Environment) -> Iterator[str]:
    if environment.serving:
        gateway = f"http://{endpoints['gateway']['address']}:{endpoints['gateway']['port']}"
        body = {"model": environment.serving.model, "messages": [{"role": "user", "content": "hello"}]}
        # Directly, also where package registries are reached through a proxy.
        url = f"{gateway}/v1/chat/completions"
        yield f"curl --noproxy '*' {url} -H 'content-type: application/json' -d '{json.dumps(body)}'"
    yield f"scripts/pulumi preview --refresh --diff -s {environment.name}"
    yield "scripts/down" if environment.name == "local" else f"scripts/down {environment.name}"
