"""The container engine behind the pod runner: the one seam between deciding and doing."""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from fullbore_sandbox import podman as cli
from fullbore_sandbox.kubelet import images
from fullbore_sandbox.kubelet.arguments import container_name, env_lines, hardware_address, run_arguments
from fullbore_sandbox.kubelet.containers import POD_UID, Image, Network, Observed, Owner, observed
from fullbore_sandbox.kubelet.exits import Exits
from fullbore_sandbox.kubelet.spec import ContainerSpec
from fullbore_sandbox.state import SandboxError, State

PARALLEL = 3
"""Engine commands at once: each takes a core for 0.1 s, and more only queue for the engine's locks."""


class Engine(Protocol):
    """What the pod runner needs of containers. Every method raises SandboxError where the engine refuses."""

    def image(self, reference: str, always_pull: bool) -> Image: ...
    def run(self, owner: Owner, spec: ContainerSpec, binds: list[tuple[Path, str, bool]], network: Network) -> str: ...
    def inspect(self, container: str) -> Observed | None: ...
    def ended(self, container: str) -> Observed | None: ...
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

    def ended(self, container: str) -> Observed | None:
        """Like `inspect`, of a container whose process ended: the engine may learn of it a moment later than we do."""
        found = self.inspect(container)
        if found and found.running:
            cli.podman(self._state, "wait", container, timeout_s=10)
            found = self.inspect(container)
        return found

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
        address = ["--ip", network.address]
        if cli.is_podman():
            address += ["--mac-address", hardware_address(network.address)]
        self._call("network", "connect", *names, *address, self._state.network, container)

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
