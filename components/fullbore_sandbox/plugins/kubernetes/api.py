"""The few REST calls of the Kubernetes API that the plugin makes, over one urllib3 pool.

The official `kubernetes` client takes most of a second to import on a small machine, in every `pulumi` command;
urllib3, which it is built on, takes a tenth of that. Server-side apply, discovery and a watch are five requests.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, MaxRetryError
from urllib3.util import Retry, Timeout

from fullbore.provider.base import ProviderError
from fullbore_sandbox.plugins.kubernetes.kubeconfig import Connection

Object = dict[str, Any]

WATCH_S = 2
"""The server ends a watch after this long, so that a cancelled wait is noticed while nothing happens."""
REQUEST_TIMEOUT = Timeout(connect=5, read=60)
_RETRY = Retry(
    total=4,
    connect=2,
    read=1,
    backoff_factor=0.2,
    status_forcelist=(429, 503),
    # None: every method. A server-side apply or a delete of one uid can be repeated.
    allowed_methods=None,
    raise_on_status=False,
)


class Unreachable(ProviderError):
    """No API server answers."""


class ApiError(ProviderError):
    """The API server refused a request. `causes` are (field, message)."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(str(body.get("message") or f"the API server answered {status}"))
        details = body.get("details") or {}
        self.status = status
        self.reason = str(body.get("reason", ""))
        self.of_kind = str(details.get("kind", ""))
        self.causes = [(c.get("field", ""), c.get("message", "")) for c in details.get("causes") or []]


@dataclass(frozen=True)
class Kind:
    """One kind as the server serves it."""

    api_version: str
    plural: str
    namespaced: bool

    def collection(self, namespace: str | None) -> str:
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        inside = f"/namespaces/{quote(namespace)}" if self.namespaced and namespace else ""
        return f"{root}{inside}/{self.plural}"

    def path(self, namespace: str | None, name: str) -> str:
        return f"{self.collection(namespace)}/{quote(name, safe='')}"


@dataclass
class Client:
    connection: Connection
    _kinds: dict[str, dict[str, Kind]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        secure = urlsplit(self.connection.server).scheme == "https"
        tls = _ssl_context(self.connection) if secure else None
        self._pool = urllib3.PoolManager(maxsize=32, timeout=REQUEST_TIMEOUT, retries=_RETRY, ssl_context=tls)
        token = self.connection.token
        self._headers = {"Accept": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}

    def kind(self, api_version: str, kind: str) -> Kind | None:
        """How the server serves a kind; None where it does not. What is missing is asked again the next time."""
        served = self._kinds.get(api_version, {})
        if kind not in served:
            served = self._kinds[api_version] = self._discover(api_version)
        return served.get(kind)

    def get(self, path: str) -> Object | None:
        """An object, or None where there is none."""
        try:
            return self.request("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(self, path: str, **selectors: str) -> Object:
        return self.request("GET", path, selectors)

    def apply(self, path: str, body: Object, manager: str, dry_run: bool = False) -> Object:
        """Server-side apply: `manager` owns every field of `body` afterwards, and only those."""
        query = {"fieldManager": manager, "force": "true", "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        # The server takes YAML here; JSON is YAML.
        return self.request("PATCH", path, query, body, "application/apply-patch+yaml")

    def delete(self, path: str, uid: str, propagation: str) -> None:
        """Ask for the end of one object; a namesake that came later is left alone. Returns at once."""
        options = {"propagationPolicy": propagation, "preconditions": {"uid": uid}}
        with contextlib.suppress(_Gone):
            self.request("DELETE", path, None, {"kind": "DeleteOptions", "apiVersion": "v1", **options})

    def watch(self, collection: str, name: str, version: str, seconds: float) -> Iterator[Object]:
        """Events of one object after a resource version, until the server ends the watch."""
        limit = max(1, min(WATCH_S, int(seconds)))
        query = {
            "watch": "1",
            "fieldSelector": f"metadata.name={name}",
            "resourceVersion": version,
            "timeoutSeconds": str(limit),
        }
        timeout = Timeout(connect=5, read=limit + 10)
        response = self._send("GET", collection, query, None, "", preload_content=False, timeout=timeout)
        try:
            if response.status >= 400:
                raise _error(response.status, response.read())
            yield from _lines(response)
        except HTTPError as error:
            raise self._unreachable(error) from error
        finally:
            response.close()

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> Object:
        """One request; raises ApiError where it is refused and Unreachable where nothing answers."""
        response = self._send(method, path, query, body, content_type)
        if response.status >= 400:
            raise _error(response.status, response.data)
        return json.loads(response.data)

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Object | None,
        content_type: str,
        **options: Any,
    ) -> urllib3.BaseHTTPResponse:
        url = f"{self.connection.server}{path}{'?' + urlencode(query) if query else ''}"
        headers = {**self._headers, "Content-Type": content_type} if body is not None else self._headers
        data = json.dumps(body).encode() if body is not None else None
        try:
            return self._pool.request(method, url, body=data, headers=headers, **options)
        except HTTPError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: HTTPError) -> Unreachable:
        cause = error.reason if isinstance(error, MaxRetryError) and error.reason else error
        text = re.sub(r"\[errno \d+\] ", "", str(cause).rpartition(": ")[2].lower()) or type(cause).__name__
        return Unreachable(
            f"the API server {self.connection.server} cannot be reached ({text}); "
            "check that the cluster runs and that the kubeconfig is its own"
        )

    def _discover(self, api_version: str) -> dict[str, Kind]:
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        found = self.get(root) or {"resources": []}
        return {
            each["kind"]: Kind(api_version, each["name"], each["namespaced"])
            for each in found["resources"]
            if "/" not in each["name"]
        }


class _Gone(ApiError):
    """404, or 409 for another uid: the object that was meant is no more."""


def states(client: Client, collection: str, name: str, deadline: float, cancelled: Event) -> Iterator[Object | None]:
    """An object (None: there is none) now, at each change, and at least every few seconds, until a deadline.

    `deadline` is a `time.monotonic()`. Ends at the deadline or when cancelled. An event lost to a compacted history
    (410) costs a new list, nothing else.
    """
    while not cancelled.is_set():
        found = client.list(collection, fieldSelector=f"metadata.name={name}")
        current = found["items"][0] if found["items"] else None
        yield _typed(current, found)
        left = deadline - time.monotonic()
        if left <= 0:
            return
        with contextlib.suppress(_HistoryGone):
            for event in client.watch(collection, name, found["metadata"]["resourceVersion"], left):
                yield None if event["type"] == "DELETED" else event["object"]


class _HistoryGone(Exception):
    """The watch asked for events that the server has forgotten."""


def _typed(item: Object | None, listed: Object) -> Object | None:
    """A list's items lack their own kind."""
    if item is None:
        return None
    return {"apiVersion": listed["apiVersion"], "kind": str(listed["kind"]).removesuffix("List"), **item}


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[Object]:
    buffer = b""
    # read1 gives what has arrived; read(n) would wait until n bytes have.
    while chunk := response.read1(65536):
        *lines, buffer = (buffer + chunk).split(b"\n")
        for line in filter(None, lines):
            event = json.loads(line)
            if event["type"] == "ERROR":
                raise _HistoryGone
            yield event


def _error(status: int, data: bytes) -> ApiError:
    try:
        body = json.loads(data)
    except ValueError:
        body = {"message": data.decode(errors="replace").strip()}
    gone = status == 404 or (status == 409 and "uid" in str(body.get("message", "")).lower())
    return (_Gone if gone else ApiError)(status, body)


def _ssl_context(connection: Connection) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=connection.ca.decode() if connection.ca else None)
    if connection.certificate and connection.key:
        # The ssl module loads a key from a file only; this one is in memory and has no name.
        descriptor = os.memfd_create("client-certificate")
        try:
            os.write(descriptor, connection.certificate + b"\n" + connection.key)
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
    return context
