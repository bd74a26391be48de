"""Where the parts of a sandbox are: what its machinery wrote, read leniently (a newer writer may say more)."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from fullbore.config.errors import ConfigError
from fullbore.problems import Problem

VERSION = 1


class _Lenient(BaseModel):
    """Base: unknown keys are ignored, values never change."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class SshEndpoint(_Lenient):
    user: str = "root"
    private_key_file: str


class HostEndpoint(_Lenient):
    address: str
    port: int = 22
    host_key: str


class AwsEndpoint(_Lenient):
    endpoint_url: str


class ClusterEndpoint(_Lenient):
    kubeconfig: str
    host_suffix: str


class ServiceEndpoint(_Lenient):
    address: str
    port: int


class Endpoints(_Lenient):
    """`.fullbore/sandbox/endpoints.json`. A part that the sandbox does not run is absent."""

    version: int
    id: str
    ssh: SshEndpoint | None = None
    hosts: dict[str, HostEndpoint] = {}
    aws: AwsEndpoint | None = None
    registry: str | None = None
    base_image: str | None = None
    clusters: dict[str, ClusterEndpoint] = {}
    gateway: ServiceEndpoint | None = None
    prometheus: ServiceEndpoint | None = None
    alertmanager: ServiceEndpoint | None = None


def load_endpoints(path: Path) -> Endpoints | None:
    """The sandbox's endpoints; None where no sandbox has written them. Raises ConfigError where they are unreadable."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        endpoints = Endpoints.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError([_unreadable(path, f"{where}: {first['msg'].lower()}".lstrip(": "))]) from error
    if endpoints.version != VERSION:
        raise ConfigError([_unreadable(path, f"version {endpoints.version}, allowed {VERSION}")])
    return endpoints


def _unreadable(path: Path, reason: str) -> Problem:
    message = f"{reason}; run scripts/up to write it again"
    return Problem(path=str(path), severity="error", rule="sandbox-endpoints", message=message)
