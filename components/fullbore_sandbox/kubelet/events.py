"""Events about pods and services, so that whoever waits for one can tell why it does not come up."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from typing import Protocol

from fullbore_sandbox.kubelet.api import ApiError, Object, Unreachable, collection

log = logging.getLogger(__name__)
SOURCE = "fullbore-pod-runner"
KEPT = 500
"""Events remembered, so that the same one is counted up instead of written again."""


class Writer(Protocol):
    """The part of `Api` that writes events."""

    def create(self, path: str, body: Object) -> Object: ...
    def merge(self, path: str, body: Object) -> Object: ...


class Recorder:
    """Writes events; one that repeats is counted. An event that cannot be written is only logged."""

    def __init__(self, api: Writer, now: Callable[[], str]) -> None:
        self._api, self._now = api, now
        self._seen: dict[tuple[str, str, str], tuple[str, int]] = {}

    def event(self, about: Object, kind: str, reason: str, message: str) -> None:
        """`kind` is Normal or Warning; `about` the object with its kind, namespace, name and uid."""
        metadata = about["metadata"]
        path = collection("v1", "events", metadata["namespace"])
        same = (metadata["uid"], reason, message)
        name, count = self._seen.pop(same, ("", 0))
        try:
            if name:
                self._api.merge(f"{path}/{name}", {"count": count + 1, "lastTimestamp": self._now()})
            else:
                name = f"{metadata['name'][:200]}.{uuid.uuid4().hex[:16]}"
                self._api.create(path, self._made(about, name, kind, reason, message))
        except (ApiError, Unreachable) as error:
            log.info("event %s %s: %s", metadata["name"], reason, error)
            return
        self._seen[same] = (name, count + 1)
        if len(self._seen) > KEPT:
            del self._seen[next(iter(self._seen))]

    def _made(self, about: Object, name: str, kind: str, reason: str, message: str) -> Object:
        metadata, now = about["metadata"], self._now()
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": metadata["namespace"]},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": about.get("kind", "Pod"),
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
            "type": kind,
            "reason": reason,
            "message": message[:1024],
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": SOURCE},
            "reportingComponent": SOURCE,
        }
