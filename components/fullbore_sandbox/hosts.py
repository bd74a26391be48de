"""Bare-metal hosts of the sandbox: systemd containers with SSH, each in front of its described hardware."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fullbore.config.models import Environment, HostGroup
from fullbore_sandbox import hardware
from fullbore_sandbox.podman import cgroups_unified, containers, is_podman, label, podman
from fullbore_sandbox.rootfs import SYSROOT
from fullbore_sandbox.state import State, locked, write_atomically

BOOT_S = 90.0
"""Seconds that a host may take until it answers over SSH."""
POLL_S = 0.2
INIT = "/sbin/fullbore-sandbox-init"


@dataclass(frozen=True, kw_only=True)
class SandboxHost:
    """One host: what `hosts` of endpoints.json says about it, and where its files lie."""

    name: str
    group: HostGroup
    address: str
    folder: Path
    container: str

    @property
    def host_key(self) -> str:
        """The public host key, type and key alone."""
        return " ".join((self.folder / "ssh_host_ed25519_key.pub").read_text().split()[:2])


def start(
    state: State, environment: Environment, image: str, warn: Callable[[str], None]
) -> dict[str, dict[str, str | int]]:
    """Start every host of the environment and wait until SSH answers; `hosts` of endpoints.json.

    A host that runs is left as it is, one that died is started with the files it had, one that the environment no
    longer has is removed. One that does not answer is told to `warn` and left: the stack names it and goes on without
    it, as far as it may. Raises SandboxError.
    """
    user_key(state)
    hosts = list(described(state, environment))
    running = containers(state)
    _remove_others(state, {h.container for h in hosts}, running)
    with ThreadPoolExecutor(4) as pool:
        for silent in pool.map(lambda host: _start(state, host, image, running.get(host.container)), hosts):
            if silent:
                warn(silent)
    return {h.name: {"address": h.address, "port": 22, "host_key": h.host_key} for h in hosts}


def _remove_others(state: State, wanted: Collection[str], running: Iterable[str]) -> None:
    prefix = f"{state.network}-host-"
    for container in {name for name in running if name.startswith(prefix)} - set(wanted):
        podman(state, "rm", "--force", "--volumes", container)
        shutil.rmtree(state.dir / "hosts" / container.removeprefix(prefix), ignore_errors=True)


def described(state: State, environment: Environment) -> Iterator[SandboxHost]:
    """The environment's hosts; their keys and described hardware are made where they are missing."""
    groups = environment.site.groups if environment.site else {}
    for group in groups.values():
        for name in group.hosts:
            folder = state.dir / "hosts" / name
            folder.mkdir(parents=True, exist_ok=True)
            _key(folder / "ssh_host_ed25519_key", name)
            _describe(folder, group, name)
            yield SandboxHost(
                name=name,
                group=group,
                address=state.address(name),
                folder=folder,
                container=f"{state.network}-host-{name}",
            )


def user_key(state: State) -> Path:
    """The private key that the sandbox logs in to its hosts with; made once."""
    path = state.dir / "ssh" / "id_ed25519"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _key(path, state.network)
    return path


def _key(path: Path, comment: str) -> None:
    with locked(path.with_suffix(".lock")):
        if not path.with_suffix(".pub").exists():
            path.unlink(missing_ok=True)
            argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
            subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True)


def _describe(folder: Path, group: HostGroup, name: str) -> None:
    """Write the hardware double, once: what the roles change in it is the machine's state from then on."""
    described = hardware.VERSION + group.model_dump_json(exclude={"hosts"})
    written = folder / "hardware.json"
    if written.exists() and written.read_text() == described:
        return
    root = folder / "sysroot"
    if root.exists():
        # The folder is mounted: its content is replaced, it stays.
        for entry in root.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    root.mkdir(exist_ok=True)
    hardware.write(root, group, name)
    write_atomically(written, described)


def _start(state: State, host: SandboxHost, image: str, was: str | None) -> str | None:
    """Start the host that was as `was` says; why it does not answer, None where it does."""
    if was == "paused":
        return f"{host.name}: paused, and left so"
    if was in ("created", "initialized"):  # a start that failed: nothing ran in it, and what it was given may be wrong
        podman(state, "rm", "--force", host.container)
        was = None
    if was is None:
        podman(state, "run", "--detach", *_arguments(state, host), image, INIT)
    elif was != "running":
        podman(state, "start", host.container)
    return _wait_for_ssh(state, host)


def _arguments(state: State, host: SandboxHost) -> list[str]:
    mounts = {
        host.folder / "sysroot": f"{SYSROOT}:rw",
        host.folder / "ssh_host_ed25519_key": "/etc/ssh/ssh_host_ed25519_key:ro",
        host.folder / "ssh_host_ed25519_key.pub": "/etc/ssh/ssh_host_ed25519_key.pub:ro",
        user_key(state).with_suffix(".pub"): "/etc/fullbore-sandbox/authorized_keys:ro",
    }
    # SYS_ADMIN is for INIT alone, which drops it (rootfs.ENTRY says why). NET_ADMIN is what fabric roles need in their
    # own network namespace. Nothing else is added, and /proc/sys outside net/ stays read-only.
    arguments = ["--name", host.container, "--hostname", host.name, "--label", label(state)]
    arguments += ["--network", state.network, "--ip", host.address, "--cap-add=SYS_ADMIN", "--cap-add=NET_ADMIN"]
    arguments += ["--env", f"container_uuid={_uuid(state, host.name)}"]
    arguments += [f"--volume={source}:{target}" for source, target in mounts.items()]
    return arguments + (["--systemd=always", "--stop-timeout=5"] if is_podman() else [*_DOCKER, *_docker_cgroups()])


_DOCKER = [
    "--tmpfs=/run",
    "--tmpfs=/run/lock",
    "--tmpfs=/tmp",
    "--env=container=docker",
    "--stop-signal=SIGRTMIN+3",
    "--security-opt=apparmor=unconfined",
]
"""What `podman run --systemd=always` does of its own accord."""


def _docker_cgroups() -> list[str]:
    """systemd needs a hierarchy that it can write to; docker mounts each read-only."""
    if cgroups_unified():
        return ["--cgroupns=host", "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw"]
    return ["--cgroupns=private", "--volume=/sys/fs/cgroup/systemd:/sys/fs/cgroup/systemd:rw"]


def _uuid(state: State, name: str) -> str:
    """The machine id: systemd takes it from here where /etc/machine-id is empty, so it survives a restart."""
    digest = hashlib.sha256(json.dumps([state.id, name]).encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"


def _wait_for_ssh(state: State, host: SandboxHost) -> str | None:
    """Why it does not answer, None where it does."""
    deadline = time.monotonic() + BOOT_S
    while True:
        done = subprocess.run(ssh(state, host, "true"), capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return None
        if containers(state).get(host.container) in ("exited", "stopped", "dead"):
            log = podman(state, "logs", "--tail", "15", host.container)
            return f"{host.name}: the host stopped while it booted\n{log}"
        if time.monotonic() > deadline:
            return f"{host.name}: no SSH after {BOOT_S:.0f} s: {done.stderr.strip()}"
        time.sleep(POLL_S)


def ssh(state: State, host: SandboxHost, *command: str) -> list[str]:
    """The command that runs `command` on the host over SSH; a host with another key is refused."""
    known = host.folder / "known_hosts"
    line = f"{host.address} {host.host_key}\n"
    if not known.exists() or known.read_text() != line:
        write_atomically(known, line)
    options = {
        "UserKnownHostsFile": known,
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "IdentitiesOnly": "yes",
        "BatchMode": "yes",
        "ConnectTimeout": "2",
    }
    flags = [f"-o{name}={value}" for name, value in options.items()]
    return ["ssh", "-F", "none", "-i", str(user_key(state)), *flags, f"root@{host.address}", *command]
