"""The container engine behind the pod runner: the one seam between deciding and doing."""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from fullbore_sandbox import podman as cli
from fullbore_sandbox.kubelet import images
from fullbore_sandbox.kubelet.spec import LOOPBACK, ConfigError, ContainerSpec
from fullbore_sandbox.state import SandboxError, State

CLUSTER, POD_UID, CONTAINER, KIND = "fullbore.cluster", "fullbore.pod-uid", "fullbore.container", "fullbore.kind"
LOG_BYTES = "10mb"
PARALLEL = 3
"""Engine commands at once: each takes a core for 0.1 s, and more only queue for the engine's locks."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image on this machine. `digest` names it by repository and digest where it has one, else by its id."""

    id: str
    digest: str
    user: str
    stop_signal: str


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Whose container it is; `kind` is init or main."""

    cluster: str
    namespace: str
    pod: str
    uid: str
    kind: str = "main"


@dataclass(frozen=True, kw_only=True)
class Network:
    """How a container is attached: with an address and names of its own, or inside another container's network."""

    address: str = ""
    aliases: tuple[str, ...] = ()
    join: str = ""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """A container as the engine knows it."""

    id: str
    name: str
    cluster: str
    uid: str
    kind: str
    running: bool
    pid: int
    exit_code: int
    oom_killed: bool
    never_started: bool
    started_at: str
    finished_at: str
    address: str
    aliases: tuple[str, ...]


class Engine(Protocol):
    """What the pod runner needs of containers. Every method raises SandboxError where the engine refuses."""

    def image(self, reference: str, always_pull: bool) -> Image: ...
    def run(self, owner: Owner, spec: ContainerSpec, binds: list[tuple[Path, str, bool]], network: Network) -> str: ...
    def inspect(self, container: str) -> Observed | None: ...
    def kill(self, container: str, signal: str) -> None: ...
    def remove(self, container: str) -> None: ...
    def execute(self, container: str, argv: list[str], timeout_s: float) -> tuple[int, str]: ...
    def tail(self, container: str, lines: int) -> str: ...
    def rename(self, container: str, network: Network) -> None: ...
    def list(self) -> list[Observed]: ...
    def on_exit(self, observed: Observed, call: Callable[[], None]) -> None: ...


class Podman:
    """The engine of the sandbox: podman, or docker where there is none."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._slots = threading.BoundedSemaphore(PARALLEL)
        self._pulling: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._exits = Exits()

    def _call(self, *args: str | Path, timeout_s: float = 120) -> str:
        with self._slots:
            return cli.podman(self._state, *args, timeout_s=timeout_s)

    def image(self, reference: str, always_pull: bool) -> Image:
        """The image, pulled where it is missing. Raises images.Unpullable with the engine's words."""
        row = images.stand_in(reference)
        actual = images.base_image(self._state.dir / "endpoints.json") if row else reference
        with self._pulling[actual]:
            found = None if always_pull else self._image(actual)
            if found is None:
                self._pull(actual)
                found = self._image(actual)
        if found is None:
            raise images.Unpullable("ErrImagePull", f"{actual}: pulled, but the engine does not know it")
        repositories = found.get("RepoDigests") or []
        own = [d for d in repositories if d.partition("@")[0] == images.repository(actual)]
        return Image(
            id=found["Id"],
            digest=next(iter(own or repositories), f"sha256:{found['Id'].removeprefix('sha256:')}"),
            user=row.user if row else found.get("Config", {}).get("User", ""),
            stop_signal=found.get("Config", {}).get("StopSignal") or "SIGTERM",
        )

    def _image(self, reference: str) -> dict[str, Any] | None:
        try:
            return json.loads(self._call("image", "inspect", reference))[0]
        except SandboxError:
            return None

    def _pull(self, reference: str) -> None:
        plain = ["--tls-verify=false"] if cli.is_podman() and images.loopback(reference) else []
        try:
            # Not one of the slots: it waits for a registry more than it works.
            cli.podman(self._state, "pull", "--quiet", *plain, reference, timeout_s=600)
        except SandboxError as error:
            # Of several attempts the last line says it all.
            raise images.Unpullable("ErrImagePull", str(error).splitlines()[-1]) from error

    def run(self, owner: Owner, spec: ContainerSpec, binds: list[tuple[Path, str, bool]], network: Network) -> str:
        """Start a container and return its id; a container of that name that does not run is replaced."""
        name = container_name(self._state.id, owner, spec.name)
        self.remove(name)
        row = images.stand_in(spec.image)
        reference = images.base_image(self._state.dir / "endpoints.json") if row else spec.image
        if row:
            shared = [(Path(folder), folder, True) for folder in row.shared if Path(folder).exists()]
            binds = [*binds, *shared, (Path(images.binary_of(spec.image, row)), row.path, True)]
        with tempfile.NamedTemporaryFile("w", dir=self._state.data("kubelet")) as env_file:
            env_file.write(env_lines(spec))
            env_file.flush()
            arguments = run_arguments(self._state, owner, spec, binds, network, reference, row, Path(env_file.name))
            try:
                return self._call("run", "--detach", "--name", name, *arguments).split()[-1]
            except SandboxError:
                self.remove(name)
                raise

    def inspect(self, container: str) -> Observed | None:
        try:
            return observed(json.loads(self._call("container", "inspect", container))[0], self._state.network)
        except SandboxError:
            return None

    def kill(self, container: str, signal: str) -> None:
        self._call("kill", "--signal", signal, container)

    def remove(self, container: str) -> None:
        try:
            self._call("rm", "--force", "--volumes", *(["--time", "0"] if cli.is_podman() else []), container)
        except SandboxError as error:
            if "no such container" not in str(error).lower():
                raise

    def execute(self, container: str, argv: list[str], timeout_s: float) -> tuple[int, str]:
        """Run a command in a container: exit status (-1 after `timeout_s`) and the end of what it wrote."""
        command = [cli.binary(), "exec", container, *argv]
        try:
            done = subprocess.run(
                command,
                env=cli.environment(self._state),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return -1, f"no answer after {timeout_s:g} s"
        return done.returncode, done.stdout.decode(errors="replace").strip()[-500:]

    def tail(self, container: str, lines: int) -> str:
        """The last lines that a container wrote, stdout and stderr; empty where the engine has none."""
        command = [cli.binary(), "logs", "--tail", str(lines), container]
        with self._slots:
            done = subprocess.run(
                command,
                env=cli.environment(self._state),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=30,
                check=False,
            )
        return "" if done.returncode else done.stdout.decode(errors="replace").strip()[-2048:]

    def rename(self, container: str, network: Network) -> None:
        """Give a running container other names on the network; it keeps its address and published ports.

        Names can be set only when a container joins a network, so it leaves and joins again: about 0.3 s during which
        it cannot be reached and after which its open connections are gone.
        """
        self._call("network", "disconnect", self._state.network, container)
        names = [option for alias in network.aliases for option in ("--alias", alias)]
        self._call("network", "connect", *names, "--ip", network.address, self._state.network, container)

    def list(self) -> list[Observed]:
        """Every container of this sandbox's pods."""
        mine = ["--filter", f"label={cli.label(self._state)}", "--filter", f"label={POD_UID}"]
        ids = self._call("ps", "--all", "--quiet", "--no-trunc", *mine).split()
        if not ids:
            return []
        return [observed(o, self._state.network) for o in json.loads(self._call("container", "inspect", *ids))]

    def on_exit(self, observed: Observed, call: Callable[[], None]) -> None:
        """Call once when the container's process ends, at once where it has ended."""
        self._exits.watch(observed.pid, call)


def container_name(sandbox: str, owner: Owner, container: str) -> str:
    return f"fullbore-{sandbox}-{owner.cluster}-{owner.namespace}-{owner.pod}-{container}"


def run_arguments(
    state: State,
    owner: Owner,
    spec: ContainerSpec,
    binds: list[tuple[Path, str, bool]],
    network: Network,
    reference: str,
    row: images.StandIn | None,
    env_file: Path,
) -> list[str]:
    """The arguments of `podman run` after the name. The image's own command is used where the pod gives none.

    Variables go through a private file: they may be secret, and anyone can read a process's arguments.
    """
    labels = {
        **dict([cli.label(state).split("=", 1)]),
        CLUSTER: owner.cluster,
        POD_UID: owner.uid,
        CONTAINER: spec.name,
        KIND: owner.kind,
    }
    options = [f"--label={key}={value}" for key, value in labels.items()]
    options += _network(state, owner, network)
    options += [f"--publish={LOOPBACK}:{p.host_port}:{p.container_port}/{p.protocol}" for p in spec.ports]
    options += [f"--volume={source}:{path}{':ro' if read_only else ''}" for source, path, read_only in binds]
    options.append(f"--env-file={env_file}")
    options += _security(spec, row)
    options += ["--log-opt", f"max-size={LOG_BYTES}"]
    working_dir = spec.working_dir or (row.folder if row else "")
    if working_dir:
        options.append(f"--workdir={working_dir}")
    if row and row.folder and row.folder not in {path for _, path, _ in binds}:
        options.append(f"--tmpfs={row.folder}:mode=1777")
    command = row.entrypoint(spec.command, spec.args) if row else (*spec.command, *spec.args)
    if spec.command or row:
        return [*options, f"--entrypoint={command[0]}", reference, *command[1:]]
    return [*options, reference, *command]


def env_lines(spec: ContainerSpec) -> str:
    """The container's variables as lines of an env file. Raises ConfigError for a value of several lines."""
    broken = [name for name, value in spec.env if "\n" in value]
    if broken:
        raise ConfigError(f"env {broken[0]}: a value of several lines; mount it as a file")
    return "".join(f"{name}={value}\n" for name, value in spec.env)


def _network(state: State, owner: Owner, network: Network) -> list[str]:
    if network.join:
        return [f"--network=container:{network.join}"]
    names = [f"--network-alias={alias}" for alias in network.aliases]
    address = [f"--ip={network.address}"] if network.address else []
    return [f"--network={state.network}", *address, *names, f"--hostname={owner.pod[:63]}"]


def _security(spec: ContainerSpec, row: images.StandIn | None) -> list[str]:
    user = spec.user or (row.user if row else "")
    options = [f"--user={user}"] if user else []
    options += [f"--group-add={group}" for group in spec.groups]
    options += [f"--cap-add={c}" for c in spec.cap_add] + [f"--cap-drop={c}" for c in spec.cap_drop]
    if spec.no_new_privileges:
        options.append("--security-opt=no-new-privileges")
    if spec.read_only_root:
        # podman would mount writable /tmp and /run, which a pod has only where it declares them.
        options += ["--read-only", *(["--read-only-tmpfs=false"] if cli.is_podman() else [])]
    return options


def observed(inspected: dict[str, Any], network: str) -> Observed:
    """What `podman container inspect` (or docker's) says, as far as it matters here."""
    state, labels = inspected["State"], inspected["Config"].get("Labels") or {}
    attached = (inspected.get("NetworkSettings", {}).get("Networks") or {}).get(network, {})
    return Observed(
        id=inspected["Id"],
        name=labels.get(CONTAINER, ""),
        cluster=labels.get(CLUSTER, ""),
        uid=labels.get(POD_UID, ""),
        kind=labels.get(KIND, "main"),
        running=bool(state["Running"]),
        pid=state.get("Pid", 0),
        exit_code=state.get("ExitCode", 0),
        oom_killed=bool(state.get("OOMKilled")),
        never_started=state.get("StartedAt", "").startswith("0001-"),
        started_at=_seconds(state.get("StartedAt", "")),
        finished_at=_seconds(state.get("FinishedAt", "")),
        address=attached.get("IPAddress", ""),
        aliases=tuple(sorted(a for a in attached.get("Aliases") or [] if "." in a)),
    )


def _seconds(stamp: str) -> str:
    """A time as Kubernetes writes it: UTC, whole seconds; now where there is none."""
    if not stamp or stamp.startswith("0001-"):
        return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    head, _, rest = stamp.partition(".")
    zone = rest.lstrip("0123456789") if rest else ""
    return datetime.fromisoformat(f"{head}{zone}").astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Exits:
    """Tells when processes end, without asking again and again: the kernel makes a pidfd readable then."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._calls: dict[int, Callable[[], None]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def watch(self, pid: int, call: Callable[[], None]) -> None:
        """Call `call` once, when the process ends; at once where it has ended."""
        try:
            descriptor = os.pidfd_open(pid) if pid else -1
        except ProcessLookupError:
            descriptor = -1
        if descriptor < 0:
            call()
            return
        with self._lock:
            self._calls[descriptor] = call
            self._poll.register(descriptor, select.EPOLLIN | select.EPOLLONESHOT)
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="exits", daemon=True)
                self._thread.start()

    def _loop(self) -> None:
        while True:
            for descriptor, _ in self._poll.poll():
                with self._lock:
                    call = self._calls.pop(descriptor)
                    os.close(descriptor)
                call()
