"""The objects of one collection, kept up to date by a watch, as client-go's informers do."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from fullbore_sandbox.kubelet.api import ApiError, Object, Unreachable

log = logging.getLogger(__name__)
BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
Changed = Callable[[Object], None]
"""Called with an object that appeared, changed or went, after the store has it."""


class Watchable(Protocol):
    """The part of `Api` that an informer uses."""

    def get(self, path: str, **query: str) -> Object: ...
    def watch(self, path: str, version: str, **query: str) -> Iterator[Object]: ...


class Informer:
    """Lists once, then follows the watch; after a lost connection it goes on from the last version it saw."""

    def __init__(self, api: Watchable, path: str, changed: Changed, stopped: threading.Event) -> None:
        self._api, self._path, self._changed, self._stopped = api, path, changed, stopped
        self._objects: dict[tuple[str, str], Object] = {}
        self._lock = threading.Lock()
        self.synced = threading.Event()
        self._thread = threading.Thread(target=self._run, name=path.rpartition("/")[2], daemon=True)

    def start(self) -> None:
        self._thread.start()

    def get(self, namespace: str, name: str) -> Object | None:
        with self._lock:
            return self._objects.get((namespace, name))

    def all(self) -> list[Object]:
        with self._lock:
            return list(self._objects.values())

    def remember(self, obj: Object) -> None:
        """Take what the server answered to a write, so that the next look does not see an older object."""
        with self._lock:
            known = self._objects.get(key(obj))
            if known and known["metadata"]["uid"] == obj["metadata"]["uid"] and _version(obj) > _version(known):
                self._objects[key(obj)] = obj

    def _run(self) -> None:
        version, failures = "", 0
        while not self._stopped.is_set():
            try:
                version = version or self._list()
                version = self._follow(version)
                failures = 0
            except ApiError as error:
                # The version is too old to go on from, or the server starts: list again.
                log.debug("%s: %s", self._path, error)
                version = ""
                failures += error.status != 410
            except Unreachable as error:
                failures += 1
                if failures == 1:
                    log.info("%s: %s", self._path, error)
            if failures:
                self._stopped.wait(BACKOFF_S[min(failures, len(BACKOFF_S)) - 1])

    def _list(self) -> str:
        """Replace the store by what there is now, and tell about everything that differs."""
        answer = self._api.get(self._path)
        items = {key(o): o for o in answer.get("items") or []}
        with self._lock:
            gone = [o for k, o in self._objects.items() if k not in items]
            self._objects = items
        for obj in [*gone, *items.values()]:
            self._changed(obj)
        self.synced.set()
        return answer["metadata"]["resourceVersion"]

    def _follow(self, version: str) -> str:
        for event in self._api.watch(self._path, version):
            obj = event["object"]
            version = obj["metadata"]["resourceVersion"]
            if event["type"] != "BOOKMARK":
                self._take(event["type"], obj)
                self._changed(obj)
            if self._stopped.is_set():
                break
        return version

    def _take(self, kind: str, obj: Object) -> None:
        with self._lock:
            known = self._objects.get(key(obj))
            if kind == "DELETED":
                self._objects.pop(key(obj), None)
            elif known is None or _version(obj) >= _version(known):
                self._objects[key(obj)] = obj


def key(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _version(obj: Object) -> int:
    """etcd's revision: a number that only grows within one cluster."""
    return int(obj["metadata"]["resourceVersion"])
