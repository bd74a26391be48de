"""The few calls of the OCI distribution API that an image resource needs.

Source: opencontainers/distribution-spec, spec.md; the token exchange is that of distribution/distribution,
docs/spec/auth/token.md.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any, Final, cast

from fullbore.provider.base import ProviderError

TIMEOUT_S: Final = 20.0
MANIFESTS: Final = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)


@dataclass(frozen=True)
class Registry:
    """A registry; `insecure` speaks plain HTTP."""

    name: str
    insecure: bool

    def digest(self, repository: str, reference: str) -> str | None:
        """The digest that a tag or digest resolves to; None where the registry has no such manifest."""
        status, headers = self._call("HEAD", repository, reference)
        if status == 404:
            return None
        if status != 200:
            raise self._refused("look up", repository, reference, status)
        digest = headers.get("Docker-Content-Digest") or reference
        if not digest.startswith("sha256:"):
            raise ProviderError(
                f"{self.name}: says no digest of {repository}:{reference}; it must send Docker-Content-Digest"
            )
        return digest

    def delete(self, repository: str, digest: str) -> bool:
        """Removes a manifest. False where the registry does not allow it (405); True also where it was gone."""
        status, _ = self._call("DELETE", repository, digest)
        if status == 405:
            return False
        if status not in (200, 202, 404):
            raise self._refused("delete", repository, digest, status)
        return True

    def _refused(self, what: str, repository: str, reference: str, status: int) -> ProviderError:
        hint = "; log in to it with buildah login" if status in (401, 403) else ""
        return ProviderError(f"{self.name}: could not {what} {repository}@{reference}: status {status}{hint}")

    def _call(self, method: str, repository: str, reference: str) -> tuple[int, Message]:
        scheme = "http" if self.insecure else "https"
        url = f"{scheme}://{self.name}/v2/{repository}/manifests/{urllib.parse.quote(reference, safe=':')}"
        status, headers = self._send(method, url, None)
        if status != 401:
            return status, headers
        authorization = self._authorize(headers.get("WWW-Authenticate", ""))
        return self._send(method, url, authorization) if authorization else (status, headers)

    def _send(self, method: str, url: str, authorization: str | None) -> tuple[int, Message]:
        request = urllib.request.Request(url, method=method, headers={"Accept": MANIFESTS})
        if authorization:  # for this address, not for one that it redirects to
            request.add_unredirected_header("Authorization", authorization)
        try:
            with self._opener().open(request, timeout=TIMEOUT_S) as response:
                return response.status, response.headers
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise ProviderError(f"{self.name}: the registry does not answer: {reason}; is it running?") from error

    def _opener(self) -> urllib.request.OpenerDirector:
        # An insecure registry is on this machine, where no proxy leads.
        handlers = [urllib.request.ProxyHandler({})] if self.insecure else []
        return urllib.request.build_opener(*handlers)

    def _authorize(self, challenge: str) -> str | None:
        """The Authorization header that answers a challenge; None where there is nothing to answer with."""
        credentials = stored_credentials(self.name)
        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "basic":
            return f"Basic {credentials}" if credentials else None
        if kind.lower() != "bearer":
            return None
        fields: dict[str, str] = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        query = urllib.parse.urlencode({key: fields[key] for key in ("service", "scope") if key in fields})
        realm = fields.get("realm", "")
        allowed = ("https", "http") if self.insecure else ("https",)
        if urllib.parse.urlsplit(realm).scheme not in allowed:
            raise ProviderError(
                f"{self.name}: wants a token from {realm!r}, but allowed is only {' or '.join(allowed)}"
            )
        request = urllib.request.Request(f"{realm}?{query}")
        if credentials:
            request.add_unredirected_header("Authorization", f"Basic {credentials}")
        try:
            with self._opener().open(request, timeout=TIMEOUT_S) as response:
                answer: dict[str, Any] = json.load(response)
        except (OSError, http.client.HTTPException, ValueError):
            return None
        token = answer.get("token") or answer.get("access_token")
        return f"Bearer {token}" if token else None


def stored_credentials(registry: str) -> str | None:
    """`user:password` in base64, from where `buildah login`, `podman login` or `docker login` put it."""
    run = os.environ.get("XDG_RUNTIME_DIR")
    candidates = [
        os.environ.get("REGISTRY_AUTH_FILE"),
        f"{run}/containers/auth.json" if run else None,
        str(Path.home() / ".config" / "containers" / "auth.json"),
        str(Path.home() / ".docker" / "config.json"),
    ]
    for name in filter(None, candidates):
        try:
            auths: Any = json.loads(Path(name).read_text()).get("auths", {})
        except (OSError, ValueError, AttributeError):
            continue
        found = cast("dict[str, Any]", auths).get(registry, {}).get("auth")
        if found and base64.b64decode(found, validate=False):
            return str(found)
    return None
