"""What `RuntimeImage`, `Gateway` and `Monitoring` register, with mocks and a fresh event loop for each test."""

from __future__ import annotations

import dataclasses
from base64 import b64decode
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest
import yaml
from mocked_engine import run_mocked
from pulumi.runtime import mocks, rpc

from fullbore.cluster import Cluster
from fullbore.gateway import Gateway
from fullbore.monitoring import Monitoring
from fullbore.plan.model import (
    ClusterPlan,
    GatewayPlan,
    ImagePlan,
    LagPlan,
    MonitoringPlan,
    ReaderPlan,
    ServingPlan,
    StandbyPlan,
)
from fullbore.provider.values import SIGNATURE
from fullbore.replication import LagReader
from fullbore.runtime_image import RuntimeImage
from fullbore.serving import Serving
from fullbore.standby import Standby
from fullbore_lag import read_document

IMAGE = ImagePlan(
    registry="127.0.0.1:5000",
    repository="fullbore/runtime",
    profile="cpu",
    base="base@sha256:" + "b" * 64,
    digest=None,
    insecure=True,
)
CLUSTER = ClusterPlan(
    name="site", kubeconfig="k", namespace="models", priority_classes={"p": 1}, queue="q", queue_weight=1
)
SERVING = ServingPlan(
    name="serving", model="m", replicas=2, gpus=1, port=8000, document={"version": 1}, progress_s=3600
)
STANDBY = StandbyPlan(
    cluster=dataclasses.replace(CLUSTER, name="cloud", queue=""),
    serving=dataclasses.replace(SERVING, name="standby"),
    rpo_s=60,
    rto_s=60,
)
GATEWAY = GatewayPlan(address="127.0.0.1", port=8443, timeout_s=60, host_suffix="site.test")
MONITORING = MonitoringPlan(
    retention_days=3,
    scrape_interval_s=2,
    agent_down_for_s=4,
    webhook_url=None,
    targets=(),
    prometheus_port=19090,
    alertmanager_port=19093,
    host_suffix="site.test",
)
Made = dict[str, Mapping[str, Any]]


class Mocks(mocks.Mocks):
    """Records inputs by Pulumi name; load balancers get a host name."""

    def __init__(self, hostname: str) -> None:
        self.made: Made = {}
        self.hostname = hostname

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.made[args.name] = args.inputs
        balanced = args.inputs.get("spec", {}).get("type") == "LoadBalancer"
        status = {"status": {"loadBalancer": {"ingress": [{"hostname": self.hostname}]}}} if balanced else {}
        return f"{args.name}-id", {**args.inputs, **status}

    def call(self, args: mocks.MockCallArgs) -> Any:
        raise AssertionError(f"{args.token}: no component calls a function")


def made(program: Callable[[], Any], hostname: str = "lb.test") -> Made:
    """Run a program; returns the inputs of everything that it registered, by name."""
    recorder = Mocks(hostname)
    run_mocked(recorder, program)
    return recorder.made


def gateway(with_standby: bool = True) -> Callable[[], None]:
    def program() -> None:
        cluster = Cluster("cluster", CLUSTER)
        serving = Serving("serving", SERVING, cluster=cluster, image="i")
        standby = Standby("standby", STANDBY, image="i") if with_standby else None
        entry = Gateway("gateway", GATEWAY, cluster=cluster, serving=serving, standby=standby)
        assert entry.url == "http://127.0.0.1:8443"
        Monitoring("monitoring", MONITORING, cluster=cluster, serving=serving, gateway=entry)

    return program


def pods(made: Made, name: str) -> Mapping[str, Any]:
    return made[name]["spec"]["template"]


def test_the_gateway_holds_both_pools() -> None:
    config = yaml.safe_load(made(gateway())["gateway-config"]["data"]["envoy.yaml"])
    model = config["static_resources"]["clusters"][0]["load_assignment"]["endpoints"]
    hosts = [pool["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]["address"] for pool in model]
    assert hosts == ["serving.models.site.test", "lb.test"]
    assert [pool["priority"] for pool in model] == [0, 1]


def test_without_a_standby_there_is_one_pool() -> None:
    config = yaml.safe_load(made(gateway(with_standby=False))["gateway-config"]["data"]["envoy.yaml"])
    assert len(config["static_resources"]["clusters"][0]["load_assignment"]["endpoints"]) == 1


def test_another_configuration_is_another_pod_and_the_same_one_is_not() -> None:
    hashes = [
        pods(made(gateway(), hostname), "gateway-deployment")["metadata"]["annotations"]["fullbore/config-sha256"]
        for hostname in ("lb.test", "lb.test", "other.test")
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_each_program_is_on_the_port_that_the_plan_says() -> None:
    registered = made(gateway())
    ports = {
        name: pods(registered, f"{name}-deployment")["spec"]["containers"][0]["ports"][0]["hostPort"]
        for name in ("gateway", "monitoring-prometheus", "monitoring-alertmanager")
    }
    assert ports == {"gateway": 8443, "monitoring-prometheus": 19090, "monitoring-alertmanager": 19093}


@pytest.mark.parametrize("name", ["gateway", "monitoring-prometheus", "monitoring-alertmanager"])
def test_no_program_runs_as_root_or_floats_in_version(name: str) -> None:
    spec = pods(made(gateway()), f"{name}-deployment")["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["image"].startswith("docker.io/")
    assert container["image"].rpartition(":v")[2][0].isdigit()


def test_prometheus_scrapes_what_is_deployed() -> None:
    registered = made(gateway())
    config = yaml.safe_load(registered["monitoring-prometheus-config"]["data"]["prometheus.yml"])
    names = {job["job_name"]: job["dns_sd_configs"][0]["names"] for job in config["scrape_configs"][3:]}
    assert names == {"serving": ["serving.models.site.test"], "gateway": ["gateway.models.site.test"]}
    assert config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] == [
        "alertmanager.models.site.test:9093"
    ]


READER = ReaderPlan(oidc_provider="oidc.test/one", namespace="models", service_account="replication-lag")
LAG = LagPlan(environment="e", method="datasync", region="eu-central-1", task="its name", rpo_s=3600)
LAG_IMAGE = "mirror.example/lag@sha256:" + "1" * 64


def measured() -> Made:
    plan = dataclasses.replace(MONITORING, lag=LAG, lag_image=LAG_IMAGE)

    def program() -> None:
        cluster = Cluster("cluster", CLUSTER)
        role: Any = SimpleNamespace(role=SimpleNamespace(arn=pulumi.Output.from_input("arn:role")), grants=())
        reader = LagReader(plan=READER, role=role, task_arn=pulumi.Output.from_input("arn:task"))
        Monitoring("monitoring", plan, cluster=cluster, lag=reader)

    return made(program)


def test_the_lag_is_measured_beside_prometheus_which_scrapes_it() -> None:
    registered = measured()
    config = yaml.safe_load(registered["monitoring-prometheus-config"]["data"]["prometheus.yml"])
    job = config["scrape_configs"][-1]
    assert (job["job_name"], job["dns_sd_configs"][0]["names"]) == ("replication", ["replication-lag.models.site.test"])
    rules = yaml.safe_load(registered["monitoring-prometheus-config"]["data"]["rules.yml"])["groups"][0]["rules"]
    assert {"FullboreReplicationLag", "FullboreReplicationUnmeasured"} <= {rule["alert"] for rule in rules}
    document = read_document(registered["monitoring-lag-config"]["data"]["lag.json"])
    assert (document.task, document.region, document.rpo_s) == ("arn:task", "eu-central-1", 3600)
    (port,) = registered["monitoring-lag-service"]["spec"]["ports"]
    assert port["port"] == job["dns_sd_configs"][0]["port"]


def test_its_pod_takes_its_role_by_a_token_that_is_for_nothing_else() -> None:
    registered = measured()
    spec = pods(registered, "monitoring-lag-deployment")["spec"]
    (container,) = spec["containers"]
    env = {each["name"]: each["value"] for each in container["env"]}
    (token,) = [each["projected"]["sources"] for each in spec["volumes"] if each["name"] == "token"]
    (mount,) = [each for each in container["volumeMounts"] if each["name"] == "token"]
    projected = token[0]["serviceAccountToken"]
    assert env["AWS_ROLE_ARN"] == "arn:role"
    assert env["AWS_WEB_IDENTITY_TOKEN_FILE"] == f"{mount['mountPath']}/{projected['path']}"
    assert (projected["audience"], mount["readOnly"]) == ("sts.amazonaws.com", True)
    account = registered["monitoring-lag-account"]
    assert spec["serviceAccountName"] == account["metadata"]["name"] == READER.service_account
    assert account["automountServiceAccountToken"] is spec["automountServiceAccountToken"] is False
    assert container["image"] == LAG_IMAGE
    assert spec["securityContext"]["runAsNonRoot"] is True


def test_a_program_without_a_role_has_no_token() -> None:
    spec = pods(measured(), "monitoring-prometheus-deployment")["spec"]
    assert [each["name"] for each in spec["volumes"]] == ["config", "data"]
    assert "env" not in spec["containers"][0]


def test_the_address_that_alerts_go_to_is_in_a_secret_and_nowhere_else() -> None:
    address = "https://hooks.example/T0/B0/token"
    plan = dataclasses.replace(MONITORING, webhook_url=address)
    registered = made(lambda: Monitoring("monitoring", plan, cluster=Cluster("cluster", CLUSTER)) and None)
    data = registered["monitoring-alertmanager-config"]["data"]
    assert data[SIGNATURE] == rpc._special_secret_sig  # pyright: ignore[reportPrivateUsage] - kept secret in state too
    assert address in b64decode(data["value"]["alertmanager.yml"]).decode()
    volumes = pods(registered, "monitoring-alertmanager-deployment")["spec"]["volumes"]
    assert volumes[0] == {"name": "config", "secret": {"secretName": "alertmanager"}}
    assert address not in str(registered)


def test_an_environment_s_own_images_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def image(name: str) -> str:
        return f"mirror.example/{name}@sha256:{'0' * 64}"

    monkeypatch.setattr(f"{__name__}.GATEWAY", dataclasses.replace(GATEWAY, image=image("gateway")))
    given = {f"{name}_image": image(name) for name in ("prometheus", "alertmanager")}
    monkeypatch.setattr(f"{__name__}.MONITORING", dataclasses.replace(MONITORING, **given))
    registered = made(gateway())
    for name in ("gateway", "monitoring-prometheus", "monitoring-alertmanager"):
        (container,) = pods(registered, f"{name}-deployment")["spec"]["containers"]
        assert container["image"] == image(name.removeprefix("monitoring-"))


def test_an_image_is_built_from_the_runtime_s_folder() -> None:
    image = made(lambda: RuntimeImage("runtime", IMAGE))["runtime-image"]
    assert (image["context"], image["buildArgs"], image["insecure"]) == ("images/runtime", {"BASE": IMAGE.base}, True)
    assert "digest" not in image


def test_a_digest_that_ci_built_is_used_and_nothing_is_built() -> None:
    pinned = dataclasses.replace(IMAGE, profile="cuda", digest="sha256:" + "c" * 64)
    image = made(lambda: RuntimeImage("runtime", pinned))["runtime-image"]
    assert image["digest"] == pinned.digest
    assert "context" not in image
    assert not image.get("buildArgs")


def test_a_profile_that_cannot_be_built_is_refused() -> None:
    with pytest.raises(ValueError, match=r"image\.profile: cuda cannot be built here, only cpu; set image\.digest"):
        RuntimeImage("runtime", dataclasses.replace(IMAGE, profile="cuda"))
