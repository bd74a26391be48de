"""What the parts of the reconciler share: one cluster, its engine, and the few things done with both."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from fullbore_sandbox.kubelet import spec, status
from fullbore_sandbox.kubelet.addresses import Addresses
from fullbore_sandbox.kubelet.api import ApiError, collection
from fullbore_sandbox.kubelet.containers import Owner
from fullbore_sandbox.kubelet.engine import Engine
from fullbore_sandbox.kubelet.events import Recorder
from fullbore_sandbox.kubelet.machine import PodRun, Slot
from fullbore_sandbox.kubelet.probes import Target, Told
from fullbore_sandbox.kubelet.queue import WorkQueue
from fullbore_sandbox.kubelet.spec import Object, uid


class Store(Protocol):
    """One collection as the informer keeps it."""

    def get(self, namespace: str, name: str) -> Object | None: ...
    def all(self) -> list[Object]: ...
    def remember(self, obj: Object) -> None: ...


class Server(Protocol):
    """The part of `Api` that the reconciler writes to."""

    def create(self, path: str, body: Object) -> Object: ...
    def merge(self, path: str, body: Object) -> Object: ...
    def delete(self, path: str, body: Object | None = None) -> None: ...


class Probing(Protocol):
    """The part of `Prober` that starts and ends probes."""

    def add(self, container: Object, target: Target, ready: bool, told: Told) -> None: ...
    def remove(self, container: str) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Stores:
    """What is known of one cluster."""

    pods: Store
    services: Store
    configmaps: Store
    secrets: Store


def utc_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, kw_only=True)
class Context:
    """One cluster and what runs its pods."""

    cluster: str
    suffix: str
    folder: Path
    server: Server
    stores: Stores
    engine: Engine
    prober: Probing
    addresses: Addresses
    queue: WorkQueue
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], str] = utc_now
    events: Recorder = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "events", Recorder(self.server, self.now))

    def enqueue(self, pod_uid: str, at: float | None = None) -> None:
        """Look at a pod as soon as possible, or at a time of the clock."""
        self.queue.add(f"{self.cluster} pod {pod_uid}", at)

    def publish(self, pod: Object, run: PodRun, phase: str | None = None, more: Object | None = None) -> None:
        """Write the pod's status where it differs from what the server has."""
        current = self.stores.pods.get(pod["metadata"]["namespace"], pod["metadata"]["name"]) or pod
        new = status.pod_status(current, run, self.now(), phase) | (more or {})
        if uid(current) != run.uid or not status.changed(current.get("status", {}), new):
            return
        path = f"{collection('v1', 'pods', pod['metadata']['namespace'])}/{pod['metadata']['name']}/status"
        try:
            self.stores.pods.remember(self.server.merge(path, status.patch(current, new)))
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    def lookup(self, pod: Object) -> spec.Lookup:
        """ConfigMaps and Secrets of the pod's namespace."""
        namespace = pod["metadata"]["namespace"]
        stores = {"configmaps": self.stores.configmaps, "secrets": self.stores.secrets}
        return lambda kind, name: stores[kind].get(namespace, name)

    def volumes(self, run: PodRun) -> Path:
        """The folder of a pod's volumes."""
        return self.folder / run.uid

    def owner(self, pod: Object, slot: Slot) -> Owner:
        metadata = pod["metadata"]
        return Owner(
            cluster=self.cluster,
            namespace=metadata["namespace"],
            pod=metadata["name"],
            uid=metadata["uid"],
            kind="init" if slot.init else "main",
        )


def name_of(pod: Object) -> str:
    """NAMESPACE/NAME, for the log."""
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
