"""The volume, its claim and the pods that production asks for, on a real API server with the controller that binds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes_plane import Engine, Plane, plane
from mocked_engine import run_mocked
from pulumi.runtime import mocks

from fullbore.config import load_file
from fullbore.plan import make_plan
from fullbore.stack import HybridStack

Values = dict[str, Any]
PROD = Path(__file__).parents[3] / "stacks" / "Pulumi.prod.yaml"
VOLUME, CLAIM = "kubernetes:core/v1:PersistentVolume", "kubernetes:core/v1:PersistentVolumeClaim"
DEPLOYMENT, NAMESPACE = "kubernetes:apps/v1:Deployment", "kubernetes:core/v1:Namespace"
BOUND_S = 120
OUTPUTS: dict[str, Values] = {
    "aws:ec2/launchTemplate:LaunchTemplate": {"latestVersion": 1},
    "aws:fsx/lustreFileSystem:LustreFileSystem": {"dnsName": "fs-0a1b.fsx.example", "mountName": "abcdefgh"},
    "fullbore:image:Image": {"ref": "registry.example/fullbore/runtime@sha256:" + "0" * 64},
    "fullbore:metal:Evidence": {"evidence": "{}", "problems": [], "accepted": True, "expires": "2026-12-22T12:00:00"},
    "fullbore:metal:HostGroup": {"failed": {}, "facts": {}},
}
"""What the components read of resources that are not made here."""


class Recorder(mocks.Mocks):
    """Keeps what would be put into clusters, by Pulumi name."""

    def __init__(self) -> None:
        self.made: dict[str, Values] = {}

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, Values]:
        if args.typ in (VOLUME, CLAIM, DEPLOYMENT):
            self.made[f"{args.typ.rpartition(':')[2]} {args.name}"] = args.inputs
        return f"{args.name}-id", {"arn": f"arn:{args.name}", **args.inputs, **OUTPUTS.get(args.typ, {})}

    def call(self, args: mocks.MockCallArgs) -> Any:
        return {"accountId": "123456789012", "arn": "arn:root", "userId": "u"}


@pytest.fixture(scope="module")
def asked() -> dict[str, Values]:
    recorder, plan = Recorder(), make_plan(load_file(PROD))
    run_mocked(recorder, lambda: HybridStack(plan.environment, plan).outputs, stack=plan.environment)
    return recorder.made


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with plane(tmp_path_factory.mktemp("mounts")) as running:
        yield running


def create(engine: Engine, token: str, inputs: Values) -> Values:
    checked, failures = engine.check(token, inputs)
    assert not failures
    return engine.create(token, checked)[1]


def test_the_claim_is_bound_to_its_volume_and_pods_that_mount_it_are_taken(
    cluster: Plane, asked: dict[str, Values]
) -> None:
    volume, claim = asked["PersistentVolume standby-weights"], asked["PersistentVolumeClaim standby-weights"]
    namespace = claim["metadata"]["namespace"]
    with Engine(str(cluster.kubeconfig), timeout_s=30) as engine:
        create(engine, NAMESPACE, {"metadata": {"name": namespace}})
        create(engine, VOLUME, volume)
        create(engine, CLAIM, claim)
    path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim['metadata']['name']}"
    assert bound(cluster, path) == {
        "phase": "Bound",
        "accessModes": ["ReadWriteMany"],
        "capacity": {"storage": "2400Gi"},
    }
    with Engine(str(cluster.kubeconfig), preview=True) as preview:
        for name in ("standby-serving-deployment", "monitoring-lag-deployment"):
            create(preview, DEPLOYMENT, asked[f"Deployment {name}"])


def bound(cluster: Plane, path: str) -> Values:
    """The claim's status, once it has a volume."""
    end = time.monotonic() + BOUND_S
    while True:
        found: Any = cluster.client.get(path)
        if found["status"]["phase"] == "Bound" or time.monotonic() > end:
            return found["status"]
        time.sleep(0.2)
