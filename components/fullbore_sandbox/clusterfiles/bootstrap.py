"""What a cluster of the sandbox holds before anything is deployed: Volcano's custom resources and the nodes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

from fullbore_sandbox.clusterfiles.nodes import OWNED, Object
from fullbore_sandbox.kubelet.api import MERGE, Api, ApiError, Unreachable, collection
from fullbore_sandbox.state import SandboxError

RESOURCES = collection("apiextensions.k8s.io/v1", "customresourcedefinitions")
NODES = collection("v1", "nodes")
QUEUES = collection("scheduling.volcano.sh/v1beta1", "queues")
DIGEST = "fullbore/sha256"
DEADLINE_S = 60.0
POLL_S = 0.1


def apply_resources(api: Api, files: Iterable[Path]) -> None:
    """Apply custom resource definitions; one whose file was applied before is left alone (each takes the API 0.2 s)."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(lambda file: _apply_resource(api, file), files))


def _apply_resource(api: Api, file: Path) -> None:
    text = file.read_text()
    digest = sha256(text.encode()).hexdigest()
    group, _, plural = file.stem.partition("_")
    path = f"{RESOURCES}/{plural}.{group}"
    try:
        if api.get(path)["metadata"].get("annotations", {}).get(DIGEST) == digest:
            return
    except ApiError as error:
        if error.status != 404:
            raise
    api.apply(path, text)
    api.merge(path, {"metadata": {"annotations": {DIGEST: digest}}})


def apply_nodes(api: Api, nodes: list[Object]) -> None:
    """Make the nodes what they should be, and remove nodes that were made here and are no longer asked for."""
    present = {n["metadata"]["name"]: n for n in api.get(NODES, labelSelector=OWNED)["items"]}
    for node in nodes:
        name = node["metadata"]["name"]
        if name not in present:
            api.create(NODES, node)
        elif _differs(node, present[name]):
            api.apply(f"{NODES}/{name}", {"metadata": node["metadata"]}, MERGE)
            api.apply(f"{NODES}/{name}/status", {"status": node["status"]}, MERGE)
    for name in present.keys() - {n["metadata"]["name"] for n in nodes}:
        api.delete(f"{NODES}/{name}")


def _differs(wanted: Object, present: Object) -> bool:
    labels, status = present["metadata"].get("labels", {}), present["status"]
    return any(labels.get(k) != v for k, v in wanted["metadata"]["labels"].items()) or any(
        status.get(field) != value for field, value in wanted["status"].items()
    )


def nodes_ready(api: Api, names: set[str]) -> bool:
    """True when every one of these nodes is Ready and free of the taint that a new node has."""
    items = {n["metadata"]["name"]: n for n in api.get(NODES, labelSelector=OWNED)["items"]}
    return names <= items.keys() and all(_ready(items[name]) for name in names)


def is_ready(node: Object) -> bool:
    """By the node's own word; a new one has a taint for a while after."""
    conditions = {c["type"]: c["status"] for c in node["status"].get("conditions", [])}
    return conditions.get("Ready") == "True"


def _ready(node: Object) -> bool:
    taints = {t["key"] for t in node["spec"].get("taints", [])}
    return is_ready(node) and "node.kubernetes.io/not-ready" not in taints


def queue_open(api: Api, name: str = "default") -> bool:
    """True when Volcano's controllers opened the queue, which Volcano's scheduler makes."""
    try:
        return api.get(f"{QUEUES}/{name}").get("status", {}).get("state") == "Open"
    except ApiError as error:
        if error.status != 404:
            raise
        return False


def wait_for(what: str, done: Callable[[], bool]) -> None:
    """Ask until `done`; there is no single event for a set of nodes or a queue that does not exist yet."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            if done():
                return
        except Unreachable as error:
            if time.monotonic() > deadline:
                raise SandboxError(f"{what}: {error}") from error
        if time.monotonic() > deadline:
            raise SandboxError(f"{what}: not ready after {DEADLINE_S:.0f} s")
        time.sleep(POLL_S)
