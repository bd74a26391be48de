"""What `Cluster`, `Serving` and `Standby` register, with Pulumi's mocks and a fresh event loop for each test."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from mocked_engine import run_mocked
from pulumi.runtime import mocks

from fullbore.cluster import Cluster
from fullbore.plan.model import ClusterPlan, ServingPlan, StandbyPlan
from fullbore.serving import Serving
from fullbore.standby import Standby

IMAGE = "registry.internal/fullbore/runtime@sha256:" + "a" * 64
SITE = ClusterPlan(
    name="site",
    kubeconfig="/etc/site.kubeconfig",
    namespace="models",
    priority_classes={"fullbore-serving": 100_000, "fullbore-batch": 1_000},
    queue="serving",
    queue_weight=4,
)
CLOUD = dataclasses.replace(SITE, name="cloud", kubeconfig="/etc/cloud.kubeconfig", queue="", queue_weight=0)
POOL = ServingPlan(
    name="serving",
    model="deepseek-r1",
    replicas=2,
    gpus=8,
    port=8000,
    document={"version": 1, "kind": "serving", "model": "deepseek-r1", "concurrency": 8},
    progress_s=3600,
)
SPARE = dataclasses.replace(POOL, name="standby", replicas=1)

STATUS: dict[str, dict[str, Any]] = {
    "standby-lb": {"loadBalancer": {"ingress": [{"hostname": "lb.example.internal"}]}},
}
"""Status of a service by name; others get none."""


class Mocks(mocks.Mocks):
    """Records each registration; a resource's outputs are its inputs and the status of the table."""

    def __init__(self) -> None:
        self.made: list[mocks.MockResourceArgs] = []
        self.status = STATUS

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.made.append(args)
        name = (args.inputs.get("metadata") or {}).get("name", "")
        status = {"status": self.status[name]} if name in self.status else {}
        return f"{args.name}-id", {**args.inputs, **status}

    def call(self, args: mocks.MockCallArgs) -> Any:
        raise AssertionError(f"{args.token}: no component calls a function")

    def inputs(self, token: str, name: str | None = None) -> dict[str, Any]:
        """The inputs of the only resource of a type, or of the one with this object name."""
        found = [
            each.inputs
            for each in self.made
            if each.typ == token and name in (None, each.inputs.get("metadata", {}).get("name"))
        ]
        assert len(found) == 1, f"{len(found)} of {token} {name}"
        return found[0]

    def types(self) -> set[str]:
        return {each.typ for each in self.made}


Deploy = Callable[[Callable[[], Any]], Mocks]


@pytest.fixture
def recorded() -> Mocks:
    return Mocks()


@pytest.fixture
def deploy(recorded: Mocks) -> Deploy:
    """Runs a program to its end, with everything that it registers."""

    def run(program: Callable[[], Any]) -> Mocks:
        run_mocked(recorded, program, project="fullbore", stack="test")
        return recorded

    return run


def serving(scheduler: Any = "volcano", cluster: ClusterPlan = SITE, plan: ServingPlan = POOL) -> Callable[[], Serving]:
    return lambda: Serving("serving", plan, cluster=Cluster("cluster", cluster), image=IMAGE, scheduler=scheduler)


DEPLOYMENT = "kubernetes:apps/v1:Deployment"
QUEUE = "kubernetes:scheduling.volcano.sh/v1beta1:Queue"


class TestCluster:
    def test_namespace_priorities_and_queue(self, deploy: Deploy) -> None:
        made = deploy(lambda: Cluster("cluster", SITE))

        assert made.inputs("kubernetes:core/v1:Namespace")["metadata"]["name"] == "models"
        assert made.inputs("kubernetes:scheduling.k8s.io/v1:PriorityClass", "fullbore-serving")["value"] == 100_000
        assert made.inputs("kubernetes:scheduling.k8s.io/v1:PriorityClass", "fullbore-batch")["value"] == 1_000
        assert made.inputs(QUEUE)["spec"] == {"weight": 4, "reclaimable": True}

    def test_the_kubeconfig_of_the_plan_is_used_by_every_child(self, deploy: Deploy) -> None:
        made = deploy(lambda: Cluster("cluster", SITE))

        assert made.inputs("pulumi:providers:kubernetes")["kubeconfig"] == "/etc/site.kubeconfig"
        assert all(
            "cluster-provider" in (each.provider or "") for each in made.made if each.typ.startswith("kubernetes:")
        )

    def test_without_volcano_there_is_no_queue(self, deploy: Deploy) -> None:
        assert QUEUE not in deploy(lambda: Cluster("cluster", CLOUD)).types()

    def test_serving_gets_the_highest_priority(self, deploy: Deploy) -> None:
        found: list[str] = []
        deploy(lambda: found.append(Cluster("cluster", SITE).first_priority))

        assert found == ["fullbore-serving"]


class TestServing:
    def pod(self, made: Mocks) -> dict[str, Any]:
        return made.inputs(DEPLOYMENT)["spec"]["template"]

    def test_pods_ask_for_their_gpus_and_their_image_by_digest(self, deploy: Deploy) -> None:
        made = deploy(serving())
        [container] = self.pod(made)["spec"]["containers"]

        assert made.inputs(DEPLOYMENT)["spec"]["replicas"] == 2
        assert container["image"] == IMAGE
        assert container["resources"] == {"limits": {"nvidia.com/gpu": "8"}, "requests": {"nvidia.com/gpu": "8"}}
        assert container["readinessProbe"]["httpGet"] == {"path": "/health", "port": 8000}

    def test_pods_that_get_cpus_to_themselves_ask_for_them_and_for_memory_alike(self, deploy: Deploy) -> None:
        made = deploy(serving(plan=dataclasses.replace(POOL, cpus=104, memory_gib=512)))
        [container] = self.pod(made)["spec"]["containers"]

        asked = {"cpu": "104", "memory": "512Gi", "nvidia.com/gpu": "8"}
        assert container["resources"] == {"limits": asked, "requests": asked}

    def test_volcano_finds_its_queue_on_the_pod(self, deploy: Deploy) -> None:
        pod = self.pod(deploy(serving()))

        assert pod["spec"]["schedulerName"] == "volcano"
        assert pod["spec"]["priorityClassName"] == "fullbore-serving"
        assert pod["metadata"]["annotations"]["scheduling.volcano.sh/queue-name"] == "serving"

    def test_the_default_scheduler_is_told_of_no_queue(self, deploy: Deploy) -> None:
        pod = self.pod(deploy(serving("default-scheduler")))

        assert pod["spec"]["schedulerName"] == "default-scheduler"
        assert list(pod["metadata"]["annotations"]) == ["fullbore/plan-sha256"]

    def test_the_document_is_mounted_where_the_launcher_reads_it(self, deploy: Deploy) -> None:
        made = deploy(serving())
        [container] = self.pod(made)["spec"]["containers"]
        document = json.loads(made.inputs("kubernetes:core/v1:ConfigMap")["data"]["plan.json"])

        assert POOL.document.items() <= document.items()
        assert {"name": "plan", "mountPath": "/etc/fullbore", "readOnly": True} in container["volumeMounts"]
        assert {"name": "plan", "configMap": {"name": "serving"}} in self.pod(made)["spec"]["volumes"]

    def test_pods_are_not_root_and_cannot_become_it(self, deploy: Deploy) -> None:
        spec = self.pod(deploy(serving()))["spec"]

        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"] is False
        assert spec["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert spec["automountServiceAccountToken"] is False

    def test_replicas_spread_and_tolerate_gpu_nodes(self, deploy: Deploy) -> None:
        spec = self.pod(deploy(serving()))["spec"]
        [preferred] = spec["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]

        assert preferred["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"
        assert spec["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]

    def test_replicas_tolerate_what_nodes_are_planned_to_be_tainted_with(self, deploy: Deploy) -> None:
        taints = {"nvidia.com/gpu": "present:NoSchedule", "lab": "a:NoExecute", "idle": ":NoSchedule"}
        [_, *planned] = self.pod(deploy(serving(plan=dataclasses.replace(POOL, taints=taints))))["spec"]["tolerations"]
        others = [("idle", "", "NoSchedule"), ("lab", "a", "NoExecute")]
        assert planned == [
            {"key": key, "operator": "Equal", "value": value, "effect": effect} for key, value, effect in others
        ]

    def test_a_rollout_may_take_as_long_as_its_replicas_may_take_to_load(
        self, deploy: Deploy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: dict[str, Any] = {}
        register: Any = mocks.MockMonitor.RegisterResource

        def note(monitor: Any, request: Any) -> Any:
            asked[request.type] = request.customTimeouts
            return register(monitor, request)

        monkeypatch.setattr(mocks.MockMonitor, "RegisterResource", note)
        deploy(serving())

        assert (asked[DEPLOYMENT].create, asked[DEPLOYMENT].update) == ("3600s", "7200s")

    def test_the_service_is_headless_and_selects_the_pods(self, deploy: Deploy) -> None:
        made = deploy(serving())
        service = made.inputs("kubernetes:core/v1:Service")["spec"]
        budget = made.inputs("kubernetes:policy/v1:PodDisruptionBudget")["spec"]

        assert service["clusterIP"] == "None"
        assert service["selector"].items() <= self.pod(made)["metadata"]["labels"].items()
        assert budget["selector"]["matchLabels"] == service["selector"]
        assert budget["maxUnavailable"] == 1

    def test_host_is_what_the_clusters_suffix_follows(self, deploy: Deploy) -> None:
        hosts: list[str] = []
        deploy(lambda: serving()().host.apply(hosts.append))

        assert hosts == ["serving.models"]


def digest_of(recording: Mocks) -> str:
    return recording.inputs(DEPLOYMENT)["spec"]["template"]["metadata"]["annotations"]["fullbore/plan-sha256"]


@pytest.mark.parametrize(("concurrency", "rolls"), [(8, False), (9, True)])
def test_a_changed_document_rolls_the_pods(concurrency: int, rolls: bool) -> None:
    digests: list[str] = []
    for document in (POOL.document, {**POOL.document, "concurrency": concurrency}):
        recording = Mocks()
        program = serving(plan=dataclasses.replace(POOL, document=document))
        run_mocked(recording, program, project="fullbore", stack="test")
        digests.append(digest_of(recording))

    assert (digests[0] != digests[1]) is rolls


class TestStandby:
    plan = StandbyPlan(cluster=CLOUD, serving=SPARE, rpo_s=3600, rto_s=300)

    def test_it_is_a_pool_of_its_own_in_the_clouds_cluster(self, deploy: Deploy) -> None:
        made = deploy(lambda: Standby("standby", self.plan, image=IMAGE))
        spec = made.inputs(DEPLOYMENT)["spec"]

        assert made.inputs("pulumi:providers:kubernetes")["kubeconfig"] == "/etc/cloud.kubeconfig"
        assert spec["replicas"] == 1
        assert spec["template"]["spec"]["schedulerName"] == "default-scheduler"
        assert QUEUE not in made.types()

    def test_its_hostname_is_the_load_balancers(self, deploy: Deploy) -> None:
        hosts: list[str] = []
        made = deploy(lambda: Standby("standby", self.plan, image=IMAGE).hostname.apply(hosts.append))
        balancer = made.inputs("kubernetes:core/v1:Service", "standby-lb")["spec"]

        assert hosts == ["lb.example.internal"]
        assert balancer["type"] == "LoadBalancer"
        assert balancer["selector"] == made.inputs("kubernetes:core/v1:Service", "standby")["spec"]["selector"]

    @pytest.mark.parametrize(
        ("status", "host"),
        [
            ({"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}, "192.0.2.7"),
            ({"loadBalancer": {}}, ""),
            ({}, ""),
        ],
    )
    def test_a_cloud_without_names(self, deploy: Deploy, recorded: Mocks, status: dict[str, Any], host: str) -> None:
        recorded.status = {"standby-lb": status}
        hosts: list[str] = []
        deploy(lambda: Standby("standby", self.plan, image=IMAGE).hostname.apply(hosts.append))

        assert hosts == [host]


def test_a_name_that_would_be_too_long_is_refused(deploy: Deploy) -> None:
    with pytest.raises(ValueError, match="a name may have 63"):
        deploy(lambda: Cluster("c" * 60, SITE))
