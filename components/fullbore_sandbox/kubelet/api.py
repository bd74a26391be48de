"""A small client of the Kubernetes API: requests and watches of plain JSON objects.

urllib3 and dictionaries take 14 MB; the official client with its models takes 35 MB and a second of start-up, and this
process reads about five fields of an object.
"""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
import yaml

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON = "application/json"
MANAGER = "fullbore-sandbox"
WATCH_S = 600
"""Seconds after which the server ends a watch, so that one that hangs unseen is replaced."""

Object = dict[str, Any]


class ApiError(Exception):
    """The server's refusal: HTTP status, machine-readable reason and message."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{reason or status}: {message}")
        self.status = status
        self.reason = reason


class Unreachable(Exception):
    """The server gave no answer."""


def collection(group_version: str, plural: str, namespace: str | None = None) -> str:
    """The path of a collection, e.g. collection("v1", "pods", "default")."""
    root = f"/api/{group_version}" if "/" not in group_version else f"/apis/{group_version}"
    return f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"


class Api:
    """One cluster, as its kubeconfig says."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._base = str(cluster["server"]).rstrip("/")
        self._pool = urllib3.PoolManager(
            maxsize=8, retries=False, timeout=urllib3.Timeout(connect=5, read=30), ssl_context=_context(cluster, user)
        )

    def get(self, path: str, **query: str) -> Object:
        return self.request("GET", path, query=query)

    def apply(self, path: str, body: Object | str, content_type: str = APPLY) -> Object:
        """Server-side apply of a JSON object, or of a YAML text as it is."""
        query = {"fieldManager": MANAGER, "force": "true"} if content_type == APPLY else {"fieldManager": MANAGER}
        return self.request("PATCH", path, body, content_type, query)

    def merge(self, path: str, body: Object) -> Object:
        return self.apply(path, body, MERGE)

    def create(self, path: str, body: Object) -> Object:
        return self.request("POST", path, body, JSON, {"fieldManager": MANAGER})

    def delete(self, path: str, body: Object | None = None) -> None:
        self.request("DELETE", path, body)

    def request(
        self,
        method: str,
        path: str,
        body: Object | str | None = None,
        content_type: str = JSON,
        query: dict[str, str] | None = None,
    ) -> Object:
        """Raises ApiError where the server refuses and Unreachable where there is no answer."""
        data = body if body is None or isinstance(body, str) else json.dumps(body)
        try:
            response = self._pool.request(
                method,
                self._url(path, query or {}),
                body=data,
                headers={"Content-Type": content_type, "Accept": "application/json"},
            )
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(str(error)) from error
        return _answer(response.status, response.data)

    def watch(self, path: str, version: str, **query: str) -> Iterator[Object]:
        """Events of a collection since `version`, until the server ends the watch. Raises as `request`."""
        query = {**query, "watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true"}
        url = self._url(path, {**query, "timeoutSeconds": str(WATCH_S)})
        try:
            response = self._pool.request(
                "GET", url, preload_content=False, timeout=urllib3.Timeout(connect=5, read=WATCH_S + 30)
            )
            with closing(response):
                if response.status != 200:
                    _answer(response.status, response.read())
                yield from _events(response)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unreachable(str(error)) from error

    def _url(self, path: str, query: dict[str, str]) -> str:
        return f"{self._base}{path}" + (f"?{urlencode(query)}" if query else "")


def _events(response: urllib3.BaseHTTPResponse) -> Iterator[Object]:
    rest = b""
    for chunk in response.stream(65536, decode_content=True):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            event = json.loads(line)
            if event["type"] == "ERROR":
                status = event["object"]
                raise ApiError(status.get("code", 500), status.get("reason", ""), status.get("message", ""))
            yield event


def _answer(status: int, data: bytes) -> Object:
    try:
        answer = json.loads(data) if data else {}
    except ValueError:
        answer = {"message": data.decode(errors="replace").strip()}
    if status >= 400:
        raise ApiError(status, answer.get("reason", ""), answer.get("message", f"HTTP {status}"))
    return answer if isinstance(answer, dict) else {}


def _context(cluster: Object, user: Object) -> ssl.SSLContext:
    """TLS with the cluster's authority and the user's certificate, both inline in the kubeconfig."""
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    # The ssl module loads a client certificate from a file only; this one is private and gone at the end of the block.
    with tempfile.NamedTemporaryFile() as pair:
        pair.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
        pair.flush()
        context.load_cert_chain(pair.name)
    return context
