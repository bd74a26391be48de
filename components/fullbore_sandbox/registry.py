"""An OCI registry on loopback, and putting root filesystems into it as images of one layer."""

from __future__ import annotations

import hashlib
import json
import platform
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode, urljoin

from fullbore_sandbox.probe import direct, http_status
from fullbore_sandbox.process import Daemon
from fullbore_sandbox.state import State, write_atomically

LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
EPOCH = "2025-01-01T00:00:00Z"
"""The creation time of every image made here, so that the same files give the same digest again."""


ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def address(state: State) -> str:
    """host:port of the sandbox's registry."""
    return f"127.0.0.1:{state.port('registry')}"


def daemon(state: State) -> Daemon:
    """Debian's docker-registry with its own data folder and port."""
    config = state.data("registry") / "config.yml"
    text = json.dumps(
        {
            "version": "0.1",
            "log": {"accesslog": {"disabled": True}, "level": "warn"},
            "storage": {"filesystem": {"rootdirectory": str(config.parent / "blobs")}, "delete": {"enabled": True}},
            "http": {"addr": address(state)},
        },
        indent=1,
    )
    if not config.exists() or config.read_text() != text:
        write_atomically(config, text)
    argv = ["docker-registry", "serve", str(config)]

    def ready() -> bool:
        return http_status(f"http://{address(state)}/v2/") == 200

    return Daemon(state, "registry", argv, env={"OTEL_TRACES_EXPORTER": "none"}, ready=ready)


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image of one layer, an uncompressed tar file. Every image of the same layer and config has the same digest."""

    repository: str
    layer: Path
    layer_digest: str
    config: Mapping[str, Any]

    @property
    def configuration(self) -> bytes:
        described = {
            "created": EPOCH,
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": dict(self.config),
            "rootfs": {"type": "layers", "diff_ids": [self.layer_digest]},
            "history": [{"created": EPOCH, "created_by": "fullbore_sandbox.rootfs"}],
        }
        return json.dumps(described, sort_keys=True).encode()

    @property
    def manifest(self) -> bytes:
        configuration = self.configuration
        size = self.layer.stat().st_size
        described = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": _digest(configuration), "size": len(configuration)},
            "layers": [{"mediaType": LAYER, "digest": self.layer_digest, "size": size}],
        }
        return json.dumps(described, sort_keys=True).encode()


def push(state: State, image: Image) -> str:
    """Push the image; its reference by digest. What the registry holds already is not sent again."""
    base = f"http://{address(state)}/v2/{image.repository}"
    manifest = image.manifest
    digest = _digest(manifest)
    if not _holds(f"{base}/manifests/{digest}", {"Accept": MANIFEST}):
        _send_blob(base, image.layer_digest, image.layer)
        _send_blob(base, _digest(image.configuration), image.configuration)
        _call("PUT", f"{base}/manifests/{digest}", manifest, {"Content-Type": MANIFEST})
    return f"{address(state)}/{image.repository}@{digest}"


def _holds(url: str, headers: Mapping[str, str] | None = None) -> bool:
    try:
        _call("HEAD", url, headers=headers)
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return False
    return True


def _send_blob(base: str, digest: str, content: bytes | Path) -> None:
    if _holds(f"{base}/blobs/{digest}"):
        return
    location = urljoin(base, _call("POST", f"{base}/blobs/uploads/"))
    target = f"{location}{'&' if '?' in location else '?'}{urlencode({'digest': digest})}"
    headers = {"Content-Type": "application/octet-stream"}
    if isinstance(content, bytes):
        _call("PUT", target, content, headers)
        return
    with content.open("rb") as file:
        _call("PUT", target, file, {**headers, "Content-Length": str(content.stat().st_size)})


def _call(
    method: str, url: str, body: bytes | IO[bytes] | None = None, headers: Mapping[str, str] | None = None
) -> str:
    """The Location header of the answer. Raises HTTPError where the registry refuses."""
    request = urllib.request.Request(url, data=body, method=method, headers=dict(headers or {}))
    with direct().open(request, timeout=300) as answer:
        return answer.headers.get("Location", "")


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
