"""A kubeconfig, as a path or as text, read into what a connection needs; only loopback servers are accepted."""

from __future__ import annotations

import base64
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from fullbore.provider.base import ProviderError


@dataclass(frozen=True, kw_only=True)
class Connection:
    """One cluster and one user of it. Bytes are PEM."""

    server: str
    namespace: str
    ca: bytes | None = None
    token: str | None = field(default=None, repr=False)
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)


def load(source: str | None, context: str | None = None, cluster: str | None = None) -> Connection:
    """The connection of a context. `source` is a path or the text itself; None means `$KUBECONFIG`.

    Raises ProviderError where it cannot be read, names what is not there, or points beyond this machine.
    """
    base, document = _document(source)
    name = context or document.get("current-context") or ""
    chosen = _named(document, "contexts", "context", name) if name or not cluster else {}
    found = _named(document, "clusters", "cluster", cluster or chosen.get("cluster", ""))
    user = _named(document, "users", "user", chosen["user"]) if chosen.get("user") else {}
    for plugin in ("exec", "auth-provider"):
        if plugin in user:
            raise ProviderError(f"kubeconfig: user {chosen['user']} uses {plugin}, which the stand-in does not run")
    server = str(found.get("server", "")).rstrip("/")
    _require_loopback(server)
    return Connection(
        server=server,
        namespace=chosen.get("namespace") or "default",
        ca=_material(found, "certificate-authority", base),
        token=_token(user, base),
        certificate=_material(user, "client-certificate", base),
        key=_material(user, "client-key", base),
    )


def server_of(source: str | None, context: str | None = None, cluster: str | None = None) -> str | None:
    """The server that a kubeconfig points at; None where it cannot be told."""
    try:
        return load(source, context, cluster).server
    except ProviderError:
        return None


def _document(source: str | None) -> tuple[Path, dict[str, Any]]:
    """The folder that relative paths start from, and the parsed text."""
    text = source or os.environ.get("KUBECONFIG") or ""
    if not text:
        raise ProviderError("kubeconfig: not set; give the provider a kubeconfig (a path or its text)")
    base = Path.cwd()
    if "\n" not in text and not text.lstrip().startswith("{"):
        path = Path(text).expanduser()
        base = path.resolve().parent
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            raise ProviderError(f"kubeconfig: cannot read {path}: {reason.lower()}") from error
    try:
        document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ProviderError("kubeconfig: not YAML; give a path or the text of a kubeconfig") from error
    if not isinstance(document, dict):
        raise ProviderError("kubeconfig: not a mapping; give a path or the text of a kubeconfig")
    return base, document


def _named(document: Mapping[str, Any], section: str, part: str, name: str) -> dict[str, Any]:
    entries = {entry.get("name"): entry.get(part) or {} for entry in document.get(section) or []}
    if name not in entries:
        allowed = ", ".join(map(str, entries)) or "none"
        raise ProviderError(f"kubeconfig: {section}: no {name or 'name given'!r}, allowed: {allowed}")
    return entries[name]


def _require_loopback(server: str) -> None:
    host = urlsplit(server).hostname or ""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if not loopback:
        raise ProviderError(
            f"kubeconfig: server {server or 'not set'} is not loopback, and this is the sandbox's stand-in; "
            "use the official Kubernetes plugin (FULLBORE_PLUGINS=official)"
        )


def _material(entry: Mapping[str, Any], key: str, base: Path) -> bytes | None:
    if entry.get(f"{key}-data"):
        try:
            return base64.b64decode(entry[f"{key}-data"], validate=True)
        except ValueError as error:
            raise ProviderError(f"kubeconfig: {key}-data is not base64") from error
    return _file(base / entry[key], key) if entry.get(key) else None


def _token(user: Mapping[str, Any], base: Path) -> str | None:
    if user.get("tokenFile"):
        return _file(base / user["tokenFile"], "tokenFile").decode().strip()
    return user.get("token")


def _file(path: Path, key: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ProviderError(f"kubeconfig: {key}: cannot read {path}: {(error.strerror or '').lower()}") from error
