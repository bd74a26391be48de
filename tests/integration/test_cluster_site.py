"""Both control planes and the pod runner, for real: pods become containers, and containers' fates reach the cluster."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tarfile
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fullbore.config.models import Environment
from fullbore_sandbox import cluster, podman
from fullbore_sandbox.kubelet.api import Api, ApiError, collection
from fullbore_sandbox.process import stop_all
from fullbore_sandbox.state import State
from waiting import wait_for

Object = dict[str, Any]
BUSYBOX = Path("/bin/busybox")
NAMESPACE = "demo"
PODS = collection("v1", "pods", NAMESPACE)
DEPLOYMENT = collection("apps/v1", "deployments", NAMESPACE) + "/serving"
ENVIRONMENT = Environment.model_validate(
    {
        "name": "local",
        "sandbox": {"gpu_nodes": 2, "standby_nodes": 1},
        "site": {
            "name": "lab",
            "cidr": "10.200.0.0/16",
            "fabric": "roce",
            "groups": {
                "gpu": {
                    "kind": "gpu",
                    "rack": "r01",
                    "accelerator": "h100",
                    "gpus_per_host": 8,
                    "hosts": {"gpu-01": {"serial": "a"}, "gpu-02": {"serial": "b"}},
                }
            },
        },
        "cloud": {"region": "eu-central-1", "cidr": "10.64.0.0/16", "zones": ["a", "b"]},
    }
)
SERVER = """trap "exit 0" TERM
cp /etc/settings/page /tmp/index.html
httpd -p 8000 -h /tmp
while :; do sleep 60 & wait $!; done"""


@dataclass(frozen=True)
class Sandbox:
    """One sandbox with both clusters and an image that holds busybox."""

    state: State
    image: str

    def api(self, name: str = "site") -> Api:
        return Api(self.state.data(name) / "kubeconfig")

    def containers(self) -> set[str]:
        """Identities of the containers that run."""
        label = f"label={podman.label(self.state)}"
        return set(podman.podman(self.state, "ps", "--quiet", "--no-trunc", "--filter", label).split())

    def pods(self) -> list[Object]:
        return self.api().get(PODS)["items"]

    def ready(self) -> list[Object]:
        return [p for p in self.pods() if not p["metadata"].get("deletionTimestamp") and _is_ready(p)]


def _is_ready(pod: Object) -> bool:
    return {"type": "Ready", "status": "True"}.items() <= {
        k: v for c in pod["status"].get("conditions", []) if c["type"] == "Ready" for k, v in c.items()
    }.items()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="fullbore-cluster-")))
    state = State.load_or_create(folder)
    image = f"localhost/fullbore-{state.id}/busybox:1"
    try:
        podman.ensure_network(state)
        podman.podman(state, "import", _rootfs(folder / "busybox.tar"), image)
        cluster.start(state, ENVIRONMENT)
        yield Sandbox(state, image)
    finally:
        cluster.stop(state)
        stop_all(state)
        podman.remove_all(state)
        podman.podman(state, "image", "rm", "--force", image)
        shutil.rmtree(folder)


def _rootfs(path: Path) -> Path:
    with tarfile.open(path, "w") as tar:
        tar.add(BUSYBOX, "bin/busybox")
        for name in ("bin/sh", "bin/httpd", "bin/sleep", "bin/cp", "bin/cat", "bin/nslookup"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for name in ("tmp", "etc"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(entry)
    return path


def deployment(image: str, replicas: int) -> Object:
    container = {
        "name": "server",
        "image": image,
        "command": ["/bin/sh", "-c", SERVER],
        "ports": [{"name": "http", "containerPort": 8000}],
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
        "volumeMounts": [{"name": "settings", "mountPath": "/etc/settings"}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "serving", "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "serving"}},
            "template": {
                "metadata": {
                    "labels": {"app": "serving"},
                    "annotations": {"scheduling.volcano.sh/queue-name": "serving"},
                },
                "spec": {
                    "schedulerName": "volcano",
                    "priorityClassName": "serving",
                    "terminationGracePeriodSeconds": 5,
                    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
                    "containers": [container],
                    "volumes": [{"name": "settings", "configMap": {"name": "settings"}}],
                },
            },
        },
    }


def apply_all(sandbox: Sandbox) -> None:
    api = sandbox.api()
    for path, body in (
        ("/api/v1/namespaces/demo", {"apiVersion": "v1", "kind": "Namespace"}),
        (
            collection("scheduling.k8s.io/v1", "priorityclasses") + "/serving",
            {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 1000},
        ),
        (
            collection("scheduling.volcano.sh/v1beta1", "queues") + "/serving",
            {"apiVersion": "scheduling.volcano.sh/v1beta1", "kind": "Queue", "spec": {"weight": 8}},
        ),
        (
            collection("v1", "configmaps", NAMESPACE) + "/settings",
            {"apiVersion": "v1", "kind": "ConfigMap", "data": {"page": "hello"}},
        ),
    ):
        api.apply(path, {**body, "metadata": {"name": path.rpartition("/")[2]}})
    api.apply(DEPLOYMENT, deployment(sandbox.image, 2))


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def pid(state: State, name: str) -> int:
    return json.loads(state.record(name).read_text())["pid"]


def test_a_deployment_lives_through_volcano_kills_restarts_and_deletion(sandbox: Sandbox) -> None:
    api, state = sandbox.api(), sandbox.state
    apply_all(sandbox)

    pods = wait_for("two pods Ready", lambda: sandbox.ready() if len(sandbox.ready()) == 2 else [])
    assert {p["spec"]["nodeName"] for p in pods} <= {"gpu-01", "gpu-02"}
    assert all("scheduling.k8s.io/group-name" in p["metadata"]["annotations"] for p in pods), "Volcano made no gang"
    assert {p["spec"]["priority"] for p in pods} == {1000}
    assert [get(f"http://{p['status']['podIP']}:8000/").strip() for p in pods] == ["hello", "hello"]
    assert len(sandbox.containers()) == 2

    # A Service made after the pods: its name resolves to both.
    service = {"selector": {"app": "serving"}, "type": "LoadBalancer", "ports": [{"port": 8000}]}
    path = collection("v1", "services", NAMESPACE) + "/serving"
    api.apply(path, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "serving"}, "spec": service})
    name = wait_for("a load balancer", lambda: api.get(path)["status"].get("loadBalancer", {}).get("ingress"))
    assert name == [{"hostname": "serving.demo.site.internal"}]
    addresses = {p["status"]["podIP"] for p in pods}
    wait_for("both addresses behind the name", lambda: addresses <= set(_resolved(sandbox, name[0]["hostname"])))

    # More replicas.
    api.merge(DEPLOYMENT, {"spec": {"replicas": 3}})
    wait_for("three pods Ready", lambda: len(sandbox.ready()) == 3)
    assert len(sandbox.containers()) == 3

    # A container that dies takes its pod out of service, and is started again at the same address.
    victim = sandbox.ready()[0]
    identity = victim["status"]["containerStatuses"][0]["containerID"].removeprefix("podman://")
    podman.podman(state, "kill", identity)
    again = wait_for("the killed pod Ready again", lambda: _restarted(sandbox, victim["metadata"]["uid"], identity))
    assert again["status"]["containerStatuses"][0]["restartCount"] == 1
    assert again["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 137
    assert again["status"]["podIP"] == victim["status"]["podIP"]
    ready = next(c for c in again["status"]["conditions"] if c["type"] == "Ready")
    assert ready["lastTransitionTime"] >= again["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]

    # The runner dies; the next one takes the containers over.
    before = sandbox.containers()
    os.kill(pid(state, "kubelet"), signal.SIGKILL)
    cluster.start(state, ENVIRONMENT)
    assert sandbox.containers() == before
    assert len(sandbox.ready()) == 3

    # The state of the cluster survives its processes.
    for killed in ("site-kube-apiserver", "site-etcd"):
        os.kill(pid(state, killed), signal.SIGKILL)
    cluster.start(state, ENVIRONMENT)
    assert len(sandbox.ready()) == 3
    assert sandbox.containers() == before

    # Nothing is left of what is deleted.
    api.delete(DEPLOYMENT, {"propagationPolicy": "Background"})
    wait_for("no pods", lambda: not sandbox.pods())
    assert sandbox.containers() == set()
    assert list((state.data("kubelet") / "pods" / "site").iterdir()) == []


def _resolved(sandbox: Sandbox, name: str) -> list[str]:
    # It leaves the network for a moment to get its new name; there is nothing to ask then.
    ask = f"nslookup -type=a {name} || true"
    told = podman.podman(sandbox.state, "exec", next(iter(sandbox.containers())), "/bin/sh", "-c", ask)
    return [line.split()[-1] for line in told.splitlines() if line.startswith("Address:")]


def _restarted(sandbox: Sandbox, uid: str, old: str) -> Object | None:
    pod = next(p for p in sandbox.pods() if p["metadata"]["uid"] == uid)
    return pod if _is_ready(pod) and old not in pod["status"]["containerStatuses"][0]["containerID"] else None


def test_a_second_start_changes_nothing(sandbox: Sandbox) -> None:
    names = [record.stem for record in (sandbox.state.dir / "run").glob("*.json")]
    before = {name: pid(sandbox.state, name) for name in names}
    nodes = sandbox.api("cloud").get("/api/v1/nodes")["items"]
    cluster.start(sandbox.state, ENVIRONMENT)
    assert {name: pid(sandbox.state, name) for name in names} == before
    assert {n["metadata"]["uid"] for n in sandbox.api("cloud").get("/api/v1/nodes")["items"]} == {
        n["metadata"]["uid"] for n in nodes
    }


def test_an_image_that_is_not_there_is_named_in_the_pods_status_and_events(sandbox: Sandbox) -> None:
    api = sandbox.api("cloud")
    container = {"name": "a", "image": f"127.0.0.1:{sandbox.state.port('nothing')}/none:1"}
    toleration = {"key": "nvidia.com/gpu", "operator": "Exists"}
    spec = {"containers": [container], "tolerations": [toleration], "terminationGracePeriodSeconds": 1}
    path = collection("v1", "pods", "default")
    api.apply(f"{path}/none", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "none"}, "spec": spec})
    status = wait_for("a status", lambda: api.get(f"{path}/none")["status"].get("containerStatuses"))
    assert status[0]["state"]["waiting"]["reason"] == "ErrImagePull"
    assert "connection refused" in status[0]["state"]["waiting"]["message"]
    events = api.get(collection("v1", "events", "default"))["items"]
    assert [e for e in events if e["reason"] == "Failed" and "ErrImagePull" in e["message"]]
    api.delete(f"{path}/none")
    wait_for("the pod gone", lambda: _gone(api, f"{path}/none"))


def _gone(api: Api, path: str) -> bool:
    try:
        api.get(path)
    except ApiError as error:
        return error.status == 404
    return False
