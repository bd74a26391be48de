"""Running podman, or docker where there is no podman, for one sandbox."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from ipaddress import IPv4Network
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from fullbore.provider.environment import CONTAINER_ENGINE, kept
from fullbore_sandbox.process import wait_gone, with_variable
from fullbore_sandbox.state import SandboxError, State, locked, routed_networks, write_atomically

CAP_SYS_RESOURCE = 24
BUSY_S = 30.0
"""Seconds that a removal is tried again; nothing tells when it would work."""
TRANSIENT = ("busy", "did not die within timeout", "has associated containers")
"""What podman says of a removal that works a moment later."""
HELPERS_S = 20.0
"""Seconds that podman's own processes get to end after their containers are gone."""
NAME_SERVER = "aardvark-dns"
HELPERS = {"conmon", "podman", NAME_SERVER}


@cache
def binary() -> str:
    """The container engine: podman, or docker where its daemon answers. Raises SandboxError where there is neither."""
    found = shutil.which("podman") or _docker()
    if found is None:
        raise SandboxError("podman: neither podman nor a docker daemon is here; run scripts/setup")
    return found


def _docker() -> str | None:
    found = shutil.which("docker")
    if found is None or subprocess.run([found, "info"], capture_output=True, check=False).returncode:
        return None
    return found


def is_podman() -> bool:
    return Path(binary()).name == "podman"


def label(state: State) -> str:
    """The label that everything of this sandbox carries."""
    return f"fullbore.sandbox={state.id}"


def environment(state: State) -> dict[str, str]:
    """The environment to run podman in: settings for this machine and the sandbox's registry, and nothing secret of the
    caller's, for its name server goes on running."""
    return {**kept(CONTAINER_ENGINE), **settings(state)}


def settings(state: State) -> dict[str, str]:
    """The variables that make podman and buildah work here, each naming a file that is written where it differs."""
    if not is_podman():
        return {}
    files = {
        "CONTAINERS_CONF": ("containers.conf", containers_conf()),
        "CONTAINERS_REGISTRIES_CONF": ("registries.conf", registries_conf(state)),
    }
    variables: dict[str, str] = {}
    for variable, (name, text) in files.items():
        path = state.dir / name
        if text and (not path.exists() or path.read_text() != text):
            write_atomically(path, text)
        if text:
            variables[variable] = str(path)
    return variables


def registries_conf(state: State) -> str:
    """The sandbox's registry speaks plain HTTP; every other registry is asked as this machine is configured to."""
    name = "registries.conf"
    found = [p for p in (Path.home() / ".config/containers" / name, Path("/etc/containers") / name) if p.exists()]
    text = found[0].read_text() if found else ""
    return f'{text}\n[[registry]]\nlocation = "127.0.0.1:{state.port("registry")}"\ninsecure = true\n'


def podman(state: State, *args: str | Path, stdin: str | None = None, timeout_s: float = 300) -> str:
    """Run `podman ARGS` and return its stdout. Raises SandboxError with what podman said."""
    argv = [binary(), *map(str, args)]
    try:
        done = subprocess.run(
            argv, env=environment(state), input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise SandboxError(f"{' '.join(argv[:3])}: no answer after {timeout_s:.0f} s") from error
    if done.returncode:
        raise SandboxError(f"{' '.join(argv[:3])}: {done.stderr.strip() or f'exit status {done.returncode}'}")
    return done.stdout


def containers_conf() -> str:
    """What this machine needs besides podman's defaults; empty where that is nothing.

    Without CAP_SYS_RESOURCE a container may not raise a hard limit, and podman's defaults try to. On a hybrid or v1
    cgroup hierarchy crun refuses to start and runc works. Without systemd there is no journal and no cgroup manager.
    """
    containers, engine = [], []
    if not _has_capability(CAP_SYS_RESOURCE):
        limits = ", ".join(f'"{name}={_below_hard_limit(number)}"' for name, number in _LIMITS.items())
        containers.append(f"default_ulimits = [{limits}]")
    if not cgroups_unified():
        engine.append('runtime = "runc"')
    if not Path("/run/systemd/system").exists():
        engine += ['cgroup_manager = "cgroupfs"', 'events_logger = "file"']
    tables = {"containers": containers, "engine": engine}
    return "".join(f"[{name}]\n" + "\n".join(lines) + "\n" for name, lines in tables.items() if lines)


_LIMITS = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}


def _below_hard_limit(number: int) -> str:
    hard = resource.getrlimit(number)[1]
    # podman lowers its own hard limits first: open files to 2^20, processes to the kernel's largest pid.
    most = 1 << 20 if number == resource.RLIMIT_NOFILE else int(Path("/proc/sys/kernel/pid_max").read_text())
    most = most if hard == resource.RLIM_INFINITY else min(hard, most)
    return f"{min(1024, most)}:{most}"


def _has_capability(number: int) -> bool:
    status = Path("/proc/self/status").read_text()
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) >> number & 1)


def cgroups_unified() -> bool:
    """True on a machine with cgroup v2 alone."""
    # /proc/filesystems does not say what is mounted; this file exists in the root of a unified hierarchy only.
    return Path("/sys/fs/cgroup/cgroup.controllers").exists()


def networks_in_use() -> list[IPv4Network]:
    """Networks that are routed here or belong to a container network, running or not."""
    if not (shutil.which("podman") or _docker()):
        return routed_networks()
    listed = subprocess.run([binary(), "network", "ls", "--quiet"], capture_output=True, text=True, check=False)
    names = listed.stdout.split()
    told = subprocess.run([binary(), "network", "inspect", *names], capture_output=True, text=True, check=False)
    subnets = [s for n in json.loads(told.stdout or "[]") for s in _subnets(n)]
    return routed_networks() + [IPv4Network(s) for s in subnets if ":" not in s]


def _subnets(network: dict[str, Any]) -> list[str]:
    docker = (network.get("IPAM") or {}).get("Config") or []
    return [s["subnet"] for s in network.get("subnets") or []] + [c["Subnet"] for c in docker if "Subnet" in c]


def ensure_network(state: State) -> None:
    """Make the sandbox's network unless it is there. Pods get the upper half of it, hosts have the lower."""
    with locked(state.record("network").with_suffix(".lock")):
        listed = podman(state, "network", "ls", "--filter", f"label={label(state)}", "--format", "{{.Name}}")
        if state.network in listed.split():
            return
        subnet = IPv4Network(state.subnet)
        upper = list(subnet.subnets(prefixlen_diff=1))[1]
        podman(
            state, "network", "create", "--label", label(state),
            # Docker would take the first address of the pods' range.
            "--subnet", str(subnet), "--ip-range", str(upper), "--gateway", str(subnet[1]), state.network,
        )  # fmt: skip


def containers(state: State) -> dict[str, str]:
    """The sandbox's containers: name -> state (`running`, `exited`, ...)."""
    listed = podman(state, "ps", "--all", "--filter", f"label={label(state)}", "--format", "{{.Names}}\t{{.State}}")
    return {name: status.lower() for name, status in (line.split("\t") for line in listed.splitlines())}


def remove_all(state: State) -> list[str]:
    """Remove every container of the sandbox and its network; the names of what was removed."""
    names = list(containers(state))
    patience = ["--time", "2", "--ignore"] if is_podman() else []
    if names:
        _patiently(lambda: podman(state, "rm", "--force", *patience, "--volumes", *names))
    networks = podman(state, "network", "ls", "--filter", f"label={label(state)}", "--format", "{{.Name}}").split()
    for name in networks:
        _patiently(lambda name=name: podman(state, "network", "rm", name))
    images = _remove_images(state)
    _wait_for_helpers(state)
    return names + networks + images


def _wait_for_helpers(state: State) -> None:
    """Wait, at most HELPERS_S, for what podman started beside the sandbox's containers: their monitors and the commands
    that clean up after them run on for a moment. The name server serves every network of the machine: it stays where
    other containers run."""
    given = [f"{name}={value}" for name, value in settings(state).items()]
    if not given:
        return
    stays = NAME_SERVER if podman(state, "ps", "--quiet").split() else ""
    deadline = monotonic() + HELPERS_S
    for pid, _ in with_variable(*given):
        with suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().strip() in HELPERS - {stays}:
                wait_gone(pid, max(0.0, deadline - monotonic()))


def _remove_images(state: State) -> list[str]:
    """Remove the images that carry the sandbox's label: its root filesystems, and what was built upon them.

    The label is what keeps two sandboxes apart: images of the same content would be one image here, and removing it
    by force removes the containers of both.
    """
    found = podman(state, "images", "--all", "--quiet", "--no-trunc", "--filter", f"label={label(state)}").split()
    images = list(dict.fromkeys(found))
    if images:
        _patiently(lambda: podman(state, "rmi", "--force", *images))
    return images


def _patiently(remove: Callable[[], str]) -> None:
    """Try again for a while: a container that another sandbox is starting holds every mount for a moment, and on a
    loaded machine a container's process takes longer to die than podman waits."""
    deadline = monotonic() + BUSY_S
    while True:
        try:
            remove()
        except SandboxError as error:
            if monotonic() > deadline or not any(word in str(error) for word in TRANSIENT):
                raise
            sleep(0.5)
        else:
            return
