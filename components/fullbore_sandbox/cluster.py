"""Both Kubernetes control planes of the sandbox: real processes on loopback, simulated nodes, and the pod runner.

`site` is the cluster of the bare-metal site, with Volcano; `cloud` stands for EKS and has none.
"""

from __future__ import annotations

import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fullbore.config.models import Environment
from fullbore_sandbox import toolchain
from fullbore_sandbox.clusterfiles import SUFFIXES, bootstrap, certificates
from fullbore_sandbox.clusterfiles.nodes import Object, cloud_nodes, site_nodes
from fullbore_sandbox.clusterfiles.processes import CLOUD, PROCESSES, SITE, VOLCANO_RESOURCES, Plane
from fullbore_sandbox.kubelet.api import Api
from fullbore_sandbox.probe import direct
from fullbore_sandbox.process import Daemon
from fullbore_sandbox.state import SandboxError, State

MEMBERS = {"site": SITE, "cloud": CLOUD}
RUNNER = "kubelet"


def start(state: State, environment: Environment) -> dict[str, dict[str, str]]:
    """Start what does not run and wait until it is ready; `clusters` of endpoints.json.

    A second call changes nothing. Raises SandboxError with the log's last lines where a process does not come up.
    """
    if environment.sandbox is None:
        raise SandboxError("sandbox: missing in the environment; the sandbox starts only for one that declares it")
    nodes = {"site": site_nodes(environment), "cloud": cloud_nodes(environment)}
    with ThreadPoolExecutor(max_workers=len(nodes)) as pool:
        list(pool.map(lambda name: _start_plane(state, plane(state, name), nodes[name]), nodes))
    runner(state).start()
    return {
        name: {"kubeconfig": str(plane(state, name).kubeconfig), "host_suffix": suffix}
        for name, suffix in SUFFIXES.items()
    }


def stop(state: State) -> None:
    """Stop the pod runner, then both control planes, each before what it stands on. Containers stay."""
    runner(state).stop()
    for name, members in MEMBERS.items():
        for member in reversed(members):
            _daemon(state, plane(state, name), member).stop()


def plane(state: State, name: str) -> Plane:
    """The control plane `name`: its certificates and kubeconfig are made where they are missing."""
    folder = state.data(name)
    folder.chmod(0o700)
    made = certificates.ensure(folder / "pki", name)
    server = f"https://127.0.0.1:{state.port(f'{name}-kube-apiserver')}"
    kubeconfig = folder / "kubeconfig"
    if not kubeconfig.exists() or server not in kubeconfig.read_text():
        certificates.kubeconfig(kubeconfig, name, server, made)
    return Plane(
        name=name,
        folder=folder,
        kubeconfig=kubeconfig,
        certificates=made,
        port=lambda process: state.port(f"{name}-{process}"),
    )


def runner(state: State) -> Daemon:
    """The pod runner of both clusters."""
    components = Path(__file__).parents[1]
    ready = state.data(RUNNER) / "ready"
    return Daemon(
        state,
        RUNNER,
        [sys.executable, "-m", "fullbore_sandbox.kubelet", "--root", str(state.root)],
        # One arena: threads of this process allocate little, and glibc would give each its own 64 MiB.
        env={"PYTHONPATH": str(components), "MALLOC_ARENA_MAX": "1"},
        ready=lambda: ready.exists() and ready.read_text() == str(daemon_pid(state)),
    )


def daemon_pid(state: State) -> int | None:
    return Daemon(state, RUNNER, []).pid


def _start_plane(state: State, plane: Plane, nodes: list[Object]) -> None:
    for name in ("etcd", "kube-apiserver"):
        _daemon(state, plane, name).start()
    api = Api(plane.kubeconfig)
    with ThreadPoolExecutor(max_workers=4) as pool:
        rest = [n for n in MEMBERS[plane.name] if n not in ("etcd", "kube-apiserver") and not n.startswith("vc-")]
        started = [pool.submit(_daemon(state, plane, name).start) for name in rest]
        bootstrap.apply_nodes(api, nodes)
        if plane.name == "site":
            bootstrap.apply_resources(api, _resource_files())
            started += [pool.submit(_daemon(state, plane, n).start) for n in SITE if n.startswith("vc-")]
        for future in started:
            future.result()
    names = {n["metadata"]["name"] for n in nodes}
    bootstrap.wait_for(f"nodes of {plane.name}", lambda: bootstrap.nodes_ready(api, names))
    if plane.name == "site":
        bootstrap.wait_for("volcano's queue 'default'", lambda: bootstrap.queue_open(api))


def _resource_files() -> list[Path]:
    folder = toolchain.path("volcano-crd")
    return [folder / f"{name}.yaml" for name in VOLCANO_RESOURCES]


def _daemon(state: State, plane: Plane, name: str) -> Daemon:
    process = PROCESSES[name]
    return Daemon(
        state,
        f"{plane.name}-{name}",
        [str(toolchain.path(process.binary)), *process.arguments(plane)],
        env=process.environment(),
        ready=_asked(plane, name, process.health) if process.health else None,
    )


def _asked(plane: Plane, name: str, health: str) -> Callable[[], bool]:
    """Asks the process's health path, with the client certificate where it speaks TLS."""
    scheme, _, path = health.partition(":")
    url = f"{scheme}://127.0.0.1:{plane.port(name)}{path}"
    context: ssl.SSLContext | None = None
    if scheme == "https":
        context = ssl.create_default_context(cafile=str(plane.certificates.authority.certificate))
        client = plane.certificates.client
        context.load_cert_chain(client.certificate, client.key)

    def ask() -> bool:
        try:
            with direct(context).open(url, timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    return ask
