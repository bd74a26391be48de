"""A cluster and an engine in memory: what the reconciler writes is kept, and what runs is a table."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from fullbore_sandbox.kubelet.addresses import Addresses
from fullbore_sandbox.kubelet.api import ApiError
from fullbore_sandbox.kubelet.containers import Image, Network, Observed, Owner
from fullbore_sandbox.kubelet.context import Context, Stores
from fullbore_sandbox.kubelet.images import Unpullable
from fullbore_sandbox.kubelet.pods import Pods
from fullbore_sandbox.kubelet.probes import Kind
from fullbore_sandbox.kubelet.queue import WorkQueue
from fullbore_sandbox.kubelet.spec import ContainerSpec
from fullbore_sandbox.state import SandboxError

RECORDED = Path(__file__).parent / "recorded"
Object = dict[str, Any]


def recorded_pod(**spec: Any) -> Object:
    pod = yaml.safe_load((RECORDED / "pod.yaml").read_text())
    pod["spec"] |= spec
    return pod


def config_map(name: str, **data: str) -> Object:
    return {"metadata": {"name": name, "namespace": "demo", "uid": name, "resourceVersion": "1"}, "data": data}


def secret(name: str, **data: str) -> Object:
    return config_map(name, **{k: base64.b64encode(v.encode()).decode() for k, v in data.items()})


def service(name: str, selector: dict[str, str], **spec: Any) -> Object:
    metadata = {"name": name, "namespace": "demo", "uid": name, "resourceVersion": "1"}
    return {"metadata": metadata, "spec": {"selector": selector, **spec}}


class Shelf:
    """A collection, as an informer would keep it."""

    def __init__(self, *objects: Object) -> None:
        self.objects = {(o["metadata"]["namespace"], o["metadata"]["name"]): o for o in objects}

    def get(self, namespace: str, name: str) -> Object | None:
        return self.objects.get((namespace, name))

    def all(self) -> list[Object]:
        return list(self.objects.values())

    def remember(self, obj: Object) -> None:
        self.put(obj)

    def put(self, obj: Object) -> None:
        self.objects[obj["metadata"]["namespace"], obj["metadata"]["name"]] = obj


class FakeServer:
    """Merges patches into the shelf's pods, as the API server does, and keeps events and deletions."""

    def __init__(self, pods: Shelf) -> None:
        self.pods = pods
        self.events: list[tuple[str, str]] = []
        self.statuses: list[Object] = []
        self.patches: list[tuple[str, Object]] = []
        self.deleted: list[tuple[str, Object | None]] = []

    def create(self, path: str, body: Object) -> Object:
        self.events.append((body["reason"], body["message"]))
        return body

    def merge(self, path: str, body: Object) -> Object:
        self.patches.append((path, body))
        if "/pods/" not in path:
            return body
        pod = self.pods.get("demo", path.split("/")[-2])
        if pod is None or pod["metadata"]["uid"] != body["metadata"]["uid"]:
            raise ApiError(409, "Conflict", "uid")
        pod = copy.deepcopy(pod)
        pod["status"] = {k: v for k, v in {**pod["status"], **body["status"]}.items() if v is not None}
        pod["metadata"]["resourceVersion"] = str(int(pod["metadata"]["resourceVersion"]) + 1)
        self.statuses.append(pod["status"])
        return pod

    def delete(self, path: str, body: Object | None = None) -> None:
        self.deleted.append((path, body))


class FakeEngine:
    """Containers that run until a test ends them."""

    def __init__(self) -> None:
        self.images: dict[str, Image] = {}
        self.broken: str = ""
        self.ran: list[tuple[ContainerSpec, Network, Owner]] = []
        self.running: dict[str, Observed] = {}
        self.removed: list[str] = []
        self.signals: list[tuple[str, str]] = []
        self.renamed: list[Network] = []
        self.exits: dict[str, Callable[[], None]] = {}
        self.logs = ""

    def image(self, reference: str, always_pull: bool) -> Image:
        if reference not in self.images:
            raise Unpullable("ErrImagePull", f"{reference}: connection refused")
        return self.images[reference]

    def run(self, owner: Owner, spec: ContainerSpec, binds: list[tuple[Path, str, bool]], network: Network) -> str:
        if self.broken:
            raise SandboxError(self.broken)
        self.ran.append((spec, network, owner))
        identity = f"c{len(self.ran)}"
        self.running[identity] = observed(identity, spec.name, owner, network)
        return identity

    def inspect(self, container: str) -> Observed | None:
        return self.running.get(container)

    def ended(self, container: str) -> Observed | None:
        return self.running.get(container)

    def kill(self, container: str, signal: str) -> None:
        self.signals.append((container, signal))

    def remove(self, container: str) -> None:
        self.removed.append(container)
        self.running.pop(container, None)

    def execute(self, container: str, argv: list[str], timeout_s: float) -> tuple[int, str]:
        return 0, ""

    def tail(self, container: str, lines: int) -> str:
        return self.logs

    def rename(self, container: str, network: Network) -> None:
        self.renamed.append(network)

    def list(self) -> list[Observed]:
        return list(self.running.values())

    def on_exit(self, observed: Observed, call: Callable[[], None]) -> None:
        self.exits[observed.id] = call

    def end(self, container: str, code: int) -> None:
        """The container's process ends by itself."""
        known = self.running[container]
        self.running[container] = Observed(**{**vars(known), "running": False, "pid": 0, "exit_code": code})
        self.exits.pop(container)()


def observed(identity: str, name: str, owner: Owner, network: Network) -> Observed:
    return Observed(
        id=identity,
        name=name,
        cluster=owner.cluster,
        uid=owner.uid,
        kind=owner.kind,
        running=True,
        pid=1,
        exit_code=0,
        oom_killed=False,
        never_started=False,
        started_at="2026-11-21T23:48:05Z",
        finished_at="2026-11-21T23:48:09Z",
        address=network.address,
        aliases=network.aliases,
    )


class FakeProber:
    """Probes that answer when a test says so."""

    def __init__(self) -> None:
        self.told: dict[str, Callable[[Kind, bool, str], None]] = {}

    def add(self, container: Object, target: Any, ready: bool, told: Callable[[Kind, bool, str], None]) -> None:
        self.told[target.container] = told

    def remove(self, container: str) -> None:
        self.told.pop(container, None)


class World:
    """One pod, its cluster and its engine, with a clock that a test turns."""

    def __init__(self, folder: Path, pod: Object) -> None:
        self.time = 1000.0
        self.pod_name = pod["metadata"]["name"]
        self.bound, self.services = Shelf(pod), Shelf()
        self.maps, self.secrets = Shelf(config_map("settings", mode="fast")), Shelf(secret("token", value="s3cret"))
        self.server, self.engine, self.prober = FakeServer(self.bound), FakeEngine(), FakeProber()
        self.queue = WorkQueue(lambda: self.time)
        self.addresses = Addresses("10.200.7.0/24")
        for container in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]:
            self.engine.images[container["image"]] = Image(
                id="abc", digest=container["image"], user="", stop_signal="SIGTERM"
            )
        self.folder = folder
        self.pods = self.runner()
        self.pods.pod_changed(pod)
        self.settle()

    def runner(self) -> Pods:
        stores = Stores(pods=self.bound, services=self.services, configmaps=self.maps, secrets=self.secrets)
        context = Context(
            cluster="site",
            suffix="site.internal",
            folder=self.folder,
            server=self.server,
            stores=stores,
            engine=self.engine,
            prober=self.prober,
            addresses=self.addresses,
            queue=self.queue,
            clock=lambda: self.time,
            now=lambda: f"T{self.time:.0f}",
        )
        return Pods(context)

    def settle(self) -> None:
        """Do all that is due now: until a marker comes out of the queue twice with nothing between."""
        marker, idle = "site - -", 0
        while idle < 2:
            self.queue.add(marker)
            key = self.queue.take()
            assert key
            idle = idle + 1 if key == marker else 0
            if key != marker:
                self.pods.sync(*key.split(" ")[1:])
            self.queue.done(key)

    def later(self, seconds: float) -> None:
        self.time += seconds
        self.settle()

    @property
    def pod(self) -> Object:
        pod = self.bound.get("demo", self.pod_name)
        assert pod
        return pod

    @property
    def status(self) -> Object:
        return self.pod["status"]

    def condition(self, kind: str) -> Object:
        return next(c for c in self.status["conditions"] if c["type"] == kind)

    def probe(self, container: str, kind: Kind, good: bool, why: str = "") -> None:
        self.prober.told[container](kind, good, why)
        self.settle()

    def end(self, container: str, code: int) -> None:
        self.engine.end(container, code)
        self.settle()

    def change(self, shelf: Shelf, obj: Object) -> None:
        shelf.put(obj)
        changed = self.pods.service_changed if shelf is self.services else self.pods.configuration_changed
        changed(obj)
        self.settle()

    def delete_pod(self, stamp: str) -> None:
        pod = copy.deepcopy(self.pod)
        pod["metadata"]["deletionTimestamp"] = stamp
        self.bound.put(pod)
        self.pods.pod_changed(pod)
        self.settle()
