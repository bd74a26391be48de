"""Images that cannot be pulled from where the sandbox runs, and what stands in for them.

A stand-in is the sandbox's base image with this machine's own build of the same program at the path, with the entry
point, user and data folder of the official image. Everything else about the pod stays as it is written.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """One official image: where its program comes from here, and how the image starts it."""

    binary: Callable[[], str | None]
    path: str
    default_args: tuple[str, ...]
    user: str
    folder: str = ""
    """Working directory and volume of the image, owned by its user."""
    shared: tuple[str, ...] = ()
    """Folders that this machine's build of the program reads, where they exist; the official build has them inside."""
    bare_name: str = ""
    """A first argument that the image's entry point takes for the program itself."""
    source: str

    def entrypoint(self, command: tuple[str, ...], args: tuple[str, ...]) -> tuple[str, ...]:
        """The full command line, as the official image makes it of a pod's `command` and `args`."""
        if command:
            return (*command, *args)
        given = args or self.default_args
        if self.bare_name and given and given[0] == self.bare_name:
            given = given[1:]
        return (self.path, *given)


@dataclass(frozen=True)
class Unpullable(Exception):
    """No image for this reference: the reason a pod shows, and what to do."""

    reason: str
    message: str


def _envoy() -> str | None:
    spec = find_spec("envoy")
    folder = next(iter(spec.submodule_search_locations or []), None) if spec else None
    return str(Path(folder) / "_bin" / "envoy") if folder else None


STAND_INS: Mapping[str, StandIn] = {
    "docker.io/envoyproxy/envoy": StandIn(
        binary=_envoy,
        path="/usr/local/bin/envoy",
        default_args=("-c", "/etc/envoy/envoy.yaml"),
        user="101:101",
        bare_name="envoy",
        source="envoyproxy/envoy ci/Dockerfile-envoy and ci/docker-entrypoint.sh",
    ),
    "docker.io/prom/prometheus": StandIn(
        binary=lambda: shutil.which("prometheus"),
        path="/bin/prometheus",
        default_args=("--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"),
        user="65534:65534",
        folder="/prometheus",
        shared=("/usr/share/prometheus",),
        source="prometheus/prometheus Dockerfile",
    ),
    "docker.io/prom/alertmanager": StandIn(
        binary=lambda: shutil.which("prometheus-alertmanager") or shutil.which("alertmanager"),
        path="/bin/alertmanager",
        default_args=("--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"),
        user="65534:65534",
        folder="/alertmanager",
        shared=("/usr/share/prometheus",),
        source="prometheus/alertmanager Dockerfile",
    ),
}


def repository(image: str) -> str:
    """The repository of a reference with its registry written out: no tag, no digest.

    `envoyproxy/envoy:v1` is `docker.io/envoyproxy/envoy`; `busybox` is `docker.io/library/busybox`.
    """
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    name = f"{head}{slash}{last.partition(':')[0]}"
    first, slash, _ = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"


def stand_in(image: str) -> StandIn | None:
    return STAND_INS.get(repository(image))


def loopback(image: str) -> bool:
    """True for a registry on this machine, which speaks plain HTTP."""
    return repository(image).partition("/")[0].partition(":")[0] in ("127.0.0.1", "localhost")


def base_image(endpoints: Path) -> str:
    """The base image of the stand-ins. Raises Unpullable while the sandbox has not said which it is."""
    try:
        found = json.loads(endpoints.read_text()).get("base_image")
    except FileNotFoundError:
        found = None
    if not found:
        raise Unpullable("ErrImagePull", "the sandbox has no base image yet; run scripts/up")
    return found


def binary_of(image: str, row: StandIn) -> str:
    """This machine's program for a stand-in. Raises Unpullable where it is not installed."""
    found = row.binary()
    if not found or not Path(found).exists():
        raise Unpullable("ErrImagePull", f"{image}: its program is not installed on this machine; run scripts/setup")
    return found
