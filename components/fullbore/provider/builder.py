"""Building and pushing a container image with what the machine has: buildah, podman, or docker with BuildKit.

Times inside the image are fixed, so that the same context gives the same digest.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fullbore.provider.base import ProviderError
from fullbore.provider.environment import CONTAINER_ENGINE, kept
from fullbore.provider.mounts import mounted, unmount_below
from fullbore.provider.tree import stage

EPOCH: Final = "0"
"""SOURCE_DATE_EPOCH of every build: what is in an image does not depend on when it was built."""
TAIL: Final = 12
"""Lines of a failed build that its error shows."""


@dataclass(frozen=True, kw_only=True)
class Build:
    """One image to build and push."""

    context: Path
    containerfile: str
    arguments: Mapping[str, str]
    """Build arguments; they reach the builder through its environment, so that none shows up in a process list."""
    target: str
    """REGISTRY/REPOSITORY:TAG"""
    insecure: bool


Commands = Callable[[Build, Path, Path], list[list[str]]]
"""(build, staged context, private folder) -> commands to run in turn; they leave the digest where `_digest` looks."""


def _arguments(build: Build) -> list[str]:
    return [part for name in sorted(build.arguments) for part in ("--build-arg", name)]


def _storage(folder: Path) -> list[str]:
    """A store of this build's own: nothing of it stays on the machine, and nothing of the user's is touched."""
    # An overlay cannot lie on another one, as where this runs in a container.
    driver = ["--storage-driver", "vfs"] if _file_system(folder) == "overlay" else []
    return ["--root", str(folder / "root"), "--runroot", str(folder / "run"), *driver]


def _file_system(folder: Path) -> str:
    """The type of the file system that `folder` lies on, e.g. ext4."""
    return max((len(at), kind) for at, kind in mounted() if folder.resolve().is_relative_to(at))[1]


def _buildah(build: Build, context: Path, folder: Path) -> list[list[str]]:
    tls = f"--tls-verify={'false' if build.insecure else 'true'}"
    buildah = ["buildah", *_storage(folder)]
    file = str(context / build.containerfile)
    made = [*buildah, "bud", "--isolation", "chroot", "--timestamp", EPOCH, "--format", "oci", tls]
    return [
        [*made, *_arguments(build), "--file", file, "--tag", build.target, str(context)],
        [*buildah, "push", tls, "--digestfile", str(folder / "digest"), build.target, f"docker://{build.target}"],
    ]


def _podman(build: Build, context: Path, folder: Path) -> list[list[str]]:
    commands = _buildah(build, context, folder)
    podman = ["podman", *_storage(folder)]
    return [
        [*podman, "build", *commands[0][commands[0].index("bud") + 1 :]],
        [*podman, "push", *commands[1][commands[1].index("push") + 1 :]],
    ]


def _docker(build: Build, context: Path, folder: Path) -> list[list[str]]:
    output = f"type=image,name={build.target},push=true,rewrite-timestamp=true,oci-mediatypes=true"
    output += f",registry.insecure={'true' if build.insecure else 'false'}"
    made = ["docker", "buildx", "build", "--progress=plain", "--provenance=false", "--output", output]
    made += ["--metadata-file", str(folder / "metadata.json"), "--build-arg", "SOURCE_DATE_EPOCH"]
    return [[*made, *_arguments(build), "--file", str(context / build.containerfile), str(context)]]


BUILDERS: Final[Mapping[str, Commands]] = {"buildah": _buildah, "podman": _podman, "docker": _docker}
"""By program, best first."""


def choose() -> str:
    """The first builder on PATH. Raises ProviderError where there is none."""
    for program in BUILDERS:
        if shutil.which(program):
            return program
    raise ProviderError(f"no image builder is on PATH; install one of {', '.join(BUILDERS)}, or pin a digest")


@dataclass
class Builder:
    """Runs builds, and stops them. `folder` is where their private folders are made."""

    folder: str | None = None
    _running: set[subprocess.Popen[str]] = field(default_factory=set[subprocess.Popen[str]])
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: bool = False

    def build(self, build: Build, on_line: Callable[[str], None]) -> str:
        """Builds and pushes; the digest of the manifest. Raises ProviderError with the builder's last lines."""
        program = choose()
        with tempfile.TemporaryDirectory(prefix="fullbore-build-", dir=self.folder, ignore_cleanup_errors=True) as name:
            folder, context = Path(name), Path(name, "context")
            stage(build.context, context)
            _temporary(folder).mkdir()
            try:
                for command in BUILDERS[program](build, context, folder):
                    self._run(command, build, folder, on_line)
                return _digest(folder)
            finally:
                _empty_store(program, folder)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for child in self._running:
                os.killpg(child.pid, signal.SIGTERM)

    def _run(self, command: Sequence[str], build: Build, folder: Path, on_line: Callable[[str], None]) -> None:
        tail: deque[str] = deque(maxlen=TAIL)
        with self._started(command, build, folder) as child:
            for line in child.stdout or ():
                text = _hidden(line.rstrip(), build)
                if text:
                    tail.append(text)
                    on_line(text)
        if child.returncode == 0:
            return
        if self._stopped:
            raise ProviderError(f"{build.target}: the build was cancelled; run the update again")
        raise ProviderError(f"{build.target}: {command[0]} failed (exit {child.returncode}):\n" + "\n".join(tail))

    @contextmanager
    def _started(self, command: Sequence[str], build: Build, folder: Path) -> Generator[subprocess.Popen[str]]:
        with self._lock:
            if self._stopped:
                raise ProviderError(f"{build.target}: the build was cancelled; run the update again")
            child = subprocess.Popen(
                command,
                env={
                    **kept(CONTAINER_ENGINE),
                    **build.arguments,
                    "SOURCE_DATE_EPOCH": EPOCH,
                    "TMPDIR": str(_temporary(folder)),
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,  # stopped as a whole: a build's step is a child of the builder
            )
            self._running.add(child)
        try:
            with child:
                yield child
        finally:
            with self._lock:
                self._running.discard(child)


def _temporary(folder: Path) -> Path:
    """Where the builder keeps what it forgets when it is stopped."""
    return folder / "tmp"


def _hidden(line: str, build: Build) -> str:
    """A line of output without the build arguments' values that are named like secrets."""
    for name, value in build.arguments.items():
        if len(value) >= 6 and any(word in name.lower() for word in ("secret", "token", "password")):
            line = line.replace(value, "[secret]")
    return line


def _digest(folder: Path) -> str:
    """What the builder said it pushed."""
    if (folder / "digest").exists():
        return (folder / "digest").read_text().strip()
    return str(json.loads((folder / "metadata.json").read_text())["containerimage.digest"])


def _empty_store(program: str, folder: Path) -> None:
    """Lets the builder unmount what it has mounted in its store, which then goes with the folder."""
    if program == "docker" or not (folder / "root").exists():
        return
    for words in (["rm", "--all"], ["rmi", "--all", "--force"]):
        command = [program, *_storage(folder), *words]
        subprocess.run(command, env=kept(CONTAINER_ENGINE), capture_output=True, check=False)
    # A builder that was stopped while it tried out whether an overlay can be mounted has forgotten its trial.
    unmount_below(folder)
