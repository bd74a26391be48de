"""An OCI registry on loopback, and putting root filesystems into it as images of one layer."""

from __future__ import annotations

import hashlib
import json
import platform
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode, urljoin

from fullbore_sandbox.process import Daemon
from fullbore_sandbox.state import State, write_atomically

LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
EPOCH = "2025-01-01T00:00:00Z"
"""The creation time of every image made here, so that the same files give the same digest in every sandbox."""


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
    return Daemon(state, "registry", argv, env={"OTEL_TRACES_EXPORTER": "none"}, ready=lambda: _answers(state))


def push(state: State, repository: str, layer: Path, config: Mapping[str, Any]) -> str:
    """Push an image made of the tar file `layer`; its reference by digest. What is there already is not sent again."""
    base = f"http://{address(state)}/v2/{repository}"
    diff_id = _sha256(layer)
    described = {
        "created": EPOCH,
        "architecture": _architecture(),
        "os": "linux",
        "config": dict(config),
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": EPOCH, "created_by": "fullbore_sandbox.rootfs"}],
    }
    configuration = json.dumps(described, sort_keys=True).encode()
    config_digest = _digest(configuration)
    _send_blob(base, diff_id, layer)
    _send_blob(base, config_digest, configuration)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": config_digest, "size": len(configuration)},
        "layers": [{"mediaType": LAYER, "digest": diff_id, "size": layer.stat().st_size}],
    }
    body = json.dumps(manifest, sort_keys=True).encode()
    digest = _digest(body)
    _call("PUT", f"{base}/manifests/{digest}", body, {"Content-Type": MANIFEST})
    return f"{address(state)}/{repository}@{digest}"


def _answers(state: State) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address(state)}/v2/", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def _send_blob(base: str, digest: str, content: bytes | Path) -> None:
    try:
        _call("HEAD", f"{base}/blobs/{digest}")
        return
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
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
    with urllib.request.urlopen(request, timeout=300) as answer:
        return answer.headers.get("Location", "")


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
