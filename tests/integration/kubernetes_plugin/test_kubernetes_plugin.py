"""The Kubernetes stand-in against a real API server, through its real gRPC service."""

from __future__ import annotations

import base64
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from google.protobuf import empty_pb2
from kubernetes_plane import Engine, Plane, Refused, plane

from fullbore.provider._proto import provider_pb2
from fullbore.provider.values import UNKNOWN, Secret, plain
from fullbore_sandbox.plugins.kubernetes import checks, sdk
from fullbore_sandbox.plugins.kubernetes.api import Client
from fullbore_sandbox.plugins.kubernetes.kinds import CLUSTER_SCOPED, group_of

CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
NAMESPACE = "kubernetes:core/v1:Namespace"
SECRET = "kubernetes:core/v1:Secret"
WIDGET = "kubernetes:fullbore.test/v1:Widget"
MERGE = "application/merge-patch+json"

Values = dict[str, Any]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with plane(tmp_path_factory.mktemp("plane")) as running:
        yield running


@pytest.fixture(scope="module")
def client(cluster: Plane) -> Client:
    return cluster.client


@pytest.fixture
def namespace(client: Client) -> str:
    name = f"t-{secrets.token_hex(4)}"
    client.apply(
        f"/api/v1/namespaces/{name}", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, "t"
    )
    return name


@pytest.fixture
def engine(cluster: Plane) -> Iterator[Engine]:
    with Engine(str(cluster.kubeconfig), timeout_s=30) as running:
        yield running


@pytest.fixture
def preview(cluster: Plane) -> Iterator[Engine]:
    with Engine(str(cluster.kubeconfig), preview=True) as running:
        yield running


def config_map(engine: Engine, namespace: str, **data: Any) -> Values:
    inputs, failures = engine.check(CONFIG_MAP, {"metadata": {"name": "c", "namespace": namespace}, "data": data})
    assert not failures
    return inputs


def live(client: Client, namespace: str, name: str = "c", plural: str = "configmaps") -> Any:
    return client.get(f"/api/v1/namespaces/{namespace}/{plural}/{name}")


def patch(client: Client, path: str, body: Values) -> Values:
    return client.request("PATCH", path, None, body, MERGE)


def test_life_of_a_config_map(engine: Engine, client: Client, namespace: str) -> None:
    inputs = config_map(engine, namespace, a="1", b="2")

    id_, outputs = engine.create(CONFIG_MAP, inputs)
    assert id_ == f"{namespace}/c"
    assert live(client, namespace)["data"] == {"a": "1", "b": "2"}
    assert outputs["metadata"]["uid"] == live(client, namespace)["metadata"]["uid"]

    news = config_map(engine, namespace, a="3")
    diff = engine.diff(CONFIG_MAP, id_, outputs, inputs, news)
    assert {path: each.kind for path, each in diff.detailedDiff.items()} == {
        "data.a": provider_pb2.PropertyDiff.UPDATE_REPLACE,
        "data.b": provider_pb2.PropertyDiff.DELETE_REPLACE,
    }
    assert diff.deleteBeforeReplace

    outputs = engine.update(CONFIG_MAP, id_, outputs, inputs, news)
    assert live(client, namespace)["data"] == outputs["data"] == {"a": "3"}

    assert engine.read(CONFIG_MAP, id_, news, outputs) == (id_, news, outputs)
    engine.delete(CONFIG_MAP, id_, outputs, news)
    assert live(client, namespace) is None
    assert engine.read(CONFIG_MAP, id_, news, outputs)[0] == ""
    engine.delete(CONFIG_MAP, id_, outputs, news)  # what is gone is deleted


def test_drift_is_found_by_name_and_repaired(engine: Engine, client: Client, namespace: str) -> None:
    inputs = config_map(engine, namespace, a="1", b="2")
    id_, outputs = engine.create(CONFIG_MAP, inputs)
    patch(client, f"/api/v1/namespaces/{namespace}/configmaps/c", {"data": {"a": "by hand", "b": None, "c": "theirs"}})

    _, found, read = engine.read(CONFIG_MAP, id_, inputs, outputs)
    assert found["data"] == {"a": "by hand"}
    assert read["data"] == {"a": "by hand", "c": "theirs"}
    diff = engine.diff(CONFIG_MAP, id_, read, found, inputs)
    assert set(diff.detailedDiff) == {"data.a", "data.b"}

    engine.update(CONFIG_MAP, id_, read, found, inputs)
    assert live(client, namespace)["data"] == {"a": "1", "b": "2", "c": "theirs"}


def test_what_another_manager_owns_is_not_touched(engine: Engine, client: Client, namespace: str) -> None:
    inputs = config_map(engine, namespace, a="1")
    id_, outputs = engine.create(CONFIG_MAP, inputs)
    path = f"/api/v1/namespaces/{namespace}/configmaps/c"
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "labels": {"team": "x"}}}
    client.apply(path, other, "someone-else")

    engine.update(CONFIG_MAP, id_, outputs, inputs, config_map(engine, namespace, a="2"))

    assert live(client, namespace)["metadata"]["labels"] == {"team": "x"}


def test_a_create_that_was_killed_is_taken_up_again(engine: Engine, client: Client, namespace: str) -> None:
    inputs = config_map(engine, namespace, a="1")
    engine.create(CONFIG_MAP, inputs)
    uid = live(client, namespace)["metadata"]["uid"]

    _, outputs = engine.create(CONFIG_MAP, inputs)

    assert outputs["metadata"]["uid"] == uid


def test_what_is_not_ours_is_refused(engine: Engine, client: Client, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps/c"
    client.apply(
        path, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"b": "2"}}, "kubectl"
    )
    inputs = config_map(engine, namespace, a="1")

    with pytest.raises(Refused, match=rf"ConfigMap {namespace}/c exists already and is managed by kubectl; .*import"):
        engine.create(CONFIG_MAP, inputs)
    with pytest.raises(Refused, match="exists already"):
        engine.create(CONFIG_MAP, inputs, name="another-resource")
    with Engine(engine.kubeconfig, config={"upsertExistingObjects": "true"}) as upserting:
        upserting.create(CONFIG_MAP, inputs)
    assert live(client, namespace)["data"] == {"a": "1", "b": "2"}


def test_two_resources_cannot_share_one_object(engine: Engine, namespace: str) -> None:
    inputs = config_map(engine, namespace, a="1")
    engine.create(CONFIG_MAP, inputs, name="first")

    with pytest.raises(Refused, match="is managed by pulumi-fullbore-"):
        engine.create(CONFIG_MAP, inputs, name="second")


def test_import_by_id_and_its_first_diff(engine: Engine, client: Client, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/services/s"
    spec = {"selector": {"app": "a"}, "ports": [{"port": 80}]}
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": spec}
    client.apply(path, body, "kubectl")
    token = "kubernetes:core/v1:Service"

    id_, inputs, outputs = engine.read(token, f"{namespace}/s", {}, {})

    assert id_ == f"{namespace}/s"
    assert inputs["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    assert "uid" not in inputs["metadata"]
    news, _ = engine.check(token, {"metadata": {"name": "s", "namespace": namespace}, "spec": spec})
    same = engine.diff(token, id_, outputs, inputs, news)
    assert same.changes == provider_pb2.DiffResponse.DIFF_NONE
    assert engine.read(token, f"{namespace}/none", {}, {})[0] == ""


def test_a_secret_is_nowhere_in_clear(engine: Engine, client: Client, namespace: str) -> None:
    news = {"metadata": {"name": "s", "namespace": namespace}, "stringData": {"password": Secret("hunter22")}}
    inputs, _ = engine.check(SECRET, news)
    assert inputs["stringData"] == {"password": Secret("hunter22")}

    id_, outputs = engine.create(SECRET, inputs)
    encoded = base64.b64encode(b"hunter22").decode()
    assert live(client, namespace, "s", "secrets")["data"] == {"password": encoded}
    assert outputs["data"] == Secret({"password": encoded})

    _, found, read = engine.read(SECRET, id_, inputs, outputs)
    assert found == inputs
    assert read["data"] == outputs["data"]
    patch(client, f"/api/v1/namespaces/{namespace}/secrets/s", {"data": {"password": "c3RvbGVu"}})
    _, found, _ = engine.read(SECRET, id_, inputs, outputs)
    assert found["stringData"] == {"password": Secret("stolen")}


def test_a_secret_input_stays_secret_in_other_kinds(engine: Engine, namespace: str) -> None:
    _, outputs = engine.create(CONFIG_MAP, config_map(engine, namespace, a=Secret("hunter22"), b="open"))

    assert outputs["data"] == {"a": Secret("hunter22"), "b": "open"}


def test_a_refusal_names_the_field_and_hides_the_secret(engine: Engine, namespace: str) -> None:
    inputs, _ = engine.check(SECRET, {"metadata": {"name": "s", "namespace": namespace, "labels": {"a": "no spaces!"}}})
    with pytest.raises(Refused, match=r"^Secret .*/s: metadata.labels: Invalid value") as refused:
        engine.create(SECRET, inputs)
    assert "\n" not in str(refused.value)
    inputs, _ = engine.check(
        SECRET, {"metadata": {"name": "s", "namespace": namespace}, "data": {"a": Secret("not b64")}}
    )
    with pytest.raises(Refused) as refused:
        engine.create(SECRET, inputs)
    assert "not b64" not in str(refused.value)


class TestPreview:
    def test_a_dry_run_changes_nothing_and_validates(self, preview: Engine, client: Client, namespace: str) -> None:
        id_, outputs = preview.create(CONFIG_MAP, config_map(preview, namespace, a="1"))

        assert id_ == ""
        assert outputs["data"] == {"a": "1"}
        assert outputs["metadata"]["uid"] is UNKNOWN
        assert outputs["status"] is UNKNOWN
        assert live(client, namespace) is None
        bad = config_map(preview, namespace, a="1")
        bad["metadata"]["labels"] = {"a": "no spaces!"}
        with pytest.raises(Refused, match=r"metadata\.labels"):
            preview.create(CONFIG_MAP, bad)

    def test_defaults_of_the_server_are_shown(self, preview: Engine, namespace: str) -> None:
        news = {"metadata": {"name": "s", "namespace": namespace}, "spec": {"ports": [{"port": 80}]}}
        inputs, _ = preview.check("kubernetes:core/v1:Service", news)

        _, outputs = preview.create("kubernetes:core/v1:Service", inputs)

        assert outputs["spec"]["ports"][0]["protocol"] == "TCP"

    def test_a_namespace_that_comes_in_the_same_update(self, preview: Engine) -> None:
        _, outputs = preview.create(CONFIG_MAP, config_map(preview, "not-there-yet", a="1"))

        assert outputs["data"] == {"a": "1"}

    def test_a_kind_whose_definition_comes_in_the_same_update(self, preview: Engine) -> None:
        news = {"apiVersion": "later.test/v1", "kind": "Later", "metadata": {"name": "l"}, "spec": {"a": 1}}
        inputs, failures = preview.check("kubernetes:later.test/v1:Later", news)
        assert not failures

        _, outputs = preview.create("kubernetes:later.test/v1:Later", inputs)

        assert outputs["spec"] == {"a": 1}
        assert outputs["status"] is UNKNOWN

    def test_unknown_values_are_not_sent(self, preview: Engine, namespace: str) -> None:
        inputs = config_map(preview, namespace, a=UNKNOWN, b=Secret(UNKNOWN))

        _, outputs = preview.create(CONFIG_MAP, inputs)

        assert outputs["data"]["a"] is UNKNOWN
        assert plain(outputs["data"]["b"]) is UNKNOWN

    def test_an_update(self, engine: Engine, preview: Engine, client: Client, namespace: str) -> None:
        inputs = config_map(engine, namespace, a="1")
        id_, outputs = engine.create(CONFIG_MAP, inputs)

        foreseen = preview.update(CONFIG_MAP, id_, outputs, inputs, config_map(engine, namespace, a="2"))

        assert foreseen["data"] == {"a": "2"}
        assert foreseen["metadata"]["uid"] == outputs["metadata"]["uid"]
        assert live(client, namespace)["data"] == {"a": "1"}


def widget_definition() -> Values:
    properties = {"size": {"type": "integer"}}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "Widget", "plural": "widgets", "singular": "widget"}
    spec = {"group": "fullbore.test", "scope": "Namespaced", "names": names, "versions": [version]}
    return {"metadata": {"name": "widgets.fullbore.test"}, "spec": spec}


def test_a_custom_resource_right_after_its_definition(engine: Engine, client: Client, namespace: str) -> None:
    token = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"
    inputs, failures = engine.check(token, widget_definition())
    assert not failures
    _, outputs = engine.create(token, inputs)
    assert {"type": "Established", "status": "True"}.items() <= _condition(outputs, "Established").items()

    def widget(**spec: Any) -> Values:
        metadata = {"name": "w", "namespace": namespace}
        news = {"apiVersion": "fullbore.test/v1", "kind": "Widget", "metadata": metadata, "spec": spec}
        return engine.check(WIDGET, news)[0]

    engine.create(WIDGET, widget(size=3))
    kind = client.kind("fullbore.test/v1", "Widget")
    assert kind is not None
    assert client.get(kind.path(namespace, "w"))["spec"] == {"size": 3}  # pyright: ignore[reportOptionalSubscript]
    with pytest.raises(Refused, match=r"spec\.sise|\.spec\.sise"):
        engine.create(WIDGET, widget(sise=3))
    with pytest.raises(Refused, match=r"spec\.size"):
        engine.create(WIDGET, widget(size="big"))


def test_a_kind_that_the_server_has_not_is_named(cluster: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fullbore_sandbox.plugins.kubernetes.target.DISCOVERY_S", 0.0)
    inputs = {"apiVersion": "none.test/v1", "kind": "None", "metadata": {"name": "n"}}

    with Engine(str(cluster.kubeconfig)) as engine, pytest.raises(Refused, match=r"has no kind None in none\.test/v1"):
        engine.create("kubernetes:none.test/v1:None", inputs)


def deployment(engine: Engine, namespace: str, replicas: int = 2, **spec: Any) -> Values:
    labels = {"app": "d"}
    pod = {"containers": [{"name": "c", "image": "registry.internal/none", "resources": {"limits": {"cpu": "1000m"}}}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    news = {
        "metadata": {"name": "d", "namespace": namespace},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template, **spec},
    }
    inputs, failures = engine.check(DEPLOYMENT, news)
    assert not failures
    return inputs


class Kubelet:
    """Makes each pod of a namespace Ready as soon as the watch shows it: no node is needed for that."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.client, self.pods = client, f"/api/v1/namespaces/{namespace}/pods"
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()

    def _run(self) -> None:
        ready = {"phase": "Running", "conditions": [_true("Ready"), _true("ContainersReady")]}
        while not self.done.wait(0.1):
            for pod in self.client.list(self.pods)["items"]:
                if pod["status"].get("phase") != "Running":
                    patch(self.client, f"{self.pods}/{pod['metadata']['name']}/status", {"status": ready})


def _true(condition: str) -> Values:
    return {"type": condition, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}


def _condition(outputs: Values, kind: str) -> Values:
    return next(each for each in outputs["status"]["conditions"] if each["type"] == kind)


def test_a_deployment_is_waited_for(engine: Engine, client: Client, namespace: str) -> None:
    inputs = deployment(engine, namespace)
    with Kubelet(client, namespace):
        id_, outputs = engine.create(DEPLOYMENT, inputs)
        assert outputs["status"]["availableReplicas"] == 2
        assert _condition(outputs, "Available")["status"] == "True"

        assert engine.read(DEPLOYMENT, id_, inputs, outputs) == (id_, inputs, outputs)
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/d"
        patch(client, path, {"spec": {"replicas": 5}})
        _, found, read = engine.read(DEPLOYMENT, id_, inputs, outputs)
        assert list(engine.diff(DEPLOYMENT, id_, read, found, inputs).detailedDiff) == ["spec.replicas"]
        assert found["spec"]["replicas"] == 5

        outputs = engine.update(DEPLOYMENT, id_, read, found, inputs)
    assert client.get(path)["spec"]["replicas"] == 2  # pyright: ignore[reportOptionalSubscript]
    assert outputs["status"]["replicas"] == 2


def test_a_deployment_that_does_not_come_is_kept_with_its_reasons(
    cluster: Plane, client: Client, namespace: str
) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "0"}}}
    path = f"/api/v1/namespaces/{namespace}/resourcequotas/q"
    client.apply(path, quota, "t")
    while not (client.get(path) or {}).get("status", {}).get("hard"):  # the quota is enforced from then on
        time.sleep(0.05)
    with Engine(str(cluster.kubeconfig), timeout_s=6) as engine:
        inputs = deployment(engine, namespace)
        with pytest.raises(Refused) as refused:
            engine.create(DEPLOYMENT, inputs)
    partial = refused.value.partial
    assert partial is not None
    assert partial.id == f"{namespace}/d"
    assert "not so after 6 s: 0 of 2 replicas" in partial.reasons[0]
    assert any("exceeded quota" in reason for reason in partial.reasons)


def test_a_rollout_past_its_deadline_does_not_use_up_the_timeout(engine: Engine, namespace: str) -> None:
    with pytest.raises(Refused) as refused:
        engine.create(DEPLOYMENT, deployment(engine, namespace, progressDeadlineSeconds=1))

    assert "timed out progressing" in str(refused.value)


def test_an_object_can_be_left_unawaited(engine: Engine, namespace: str) -> None:
    inputs = deployment(engine, namespace)
    inputs["metadata"]["annotations"] = {"pulumi.com/skipAwait": "true"}

    id_, _ = engine.create(DEPLOYMENT, inputs)

    assert id_ == f"{namespace}/d"


def test_a_changed_selector_replaces_and_an_update_is_refused(engine: Engine, namespace: str) -> None:
    inputs = deployment(engine, namespace, replicas=0)
    id_, outputs = engine.create(DEPLOYMENT, inputs)
    news = deployment(engine, namespace, replicas=0)
    for labels in (news["spec"]["selector"]["matchLabels"], news["spec"]["template"]["metadata"]["labels"]):
        labels["app"] = "e"

    diff = engine.diff(DEPLOYMENT, id_, outputs, inputs, news)
    assert diff.replaces == ["spec"]
    with pytest.raises(Refused, match=r"spec.selector: .*immutable; give it the option replace_on_changes"):
        engine.update(DEPLOYMENT, id_, outputs, inputs, news)


def test_a_namespace_is_gone_when_its_delete_returns(engine: Engine, client: Client) -> None:
    inputs, _ = engine.check(NAMESPACE, {"metadata": {"name": "to-go"}})
    id_, outputs = engine.create(NAMESPACE, inputs)
    engine.create(CONFIG_MAP, config_map(engine, "to-go", a="1"))

    engine.delete(NAMESPACE, id_, outputs, inputs)

    assert client.get("/api/v1/namespaces/to-go") is None


def test_a_delete_that_is_held_up_says_by_what(cluster: Plane, client: Client, namespace: str) -> None:
    with Engine(str(cluster.kubeconfig), timeout_s=30) as engine:
        inputs = config_map(engine, namespace, a="1")
        inputs["metadata"]["finalizers"] = ["fullbore.test/hold"]
        id_, outputs = engine.create(CONFIG_MAP, inputs)
        request = provider_pb2.DeleteRequest(urn="u", type=CONFIG_MAP, name="x", id=id_, timeout=1)
        with pytest.raises(Refused, match=r"ConfigMap c: not so after 1 s: finalizers .*fullbore.test/hold"):
            engine.call("Delete", request)
        patch(client, f"/api/v1/namespaces/{namespace}/configmaps/c", {"metadata": {"finalizers": None}})
        engine.delete(CONFIG_MAP, id_, outputs, {})


def test_cancel_ends_a_wait(cluster: Plane, client: Client, namespace: str) -> None:
    with Engine(str(cluster.kubeconfig), timeout_s=60) as engine, ThreadPoolExecutor(1) as pool:

        def cancel_when_it_is_there() -> None:
            while client.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/d") is None:
                time.sleep(0.02)
            engine.stub.Cancel(empty_pb2.Empty())

        cancel = pool.submit(cancel_when_it_is_there)
        with pytest.raises(Refused, match=r"cancelled: (0 of 2 replicas|waiting for the deployment controller)"):
            engine.create(DEPLOYMENT, deployment(engine, namespace))
        cancel.result()


def test_no_server_is_one_line(cluster: Plane, tmp_path: Any, namespace: str) -> None:
    text = cluster.kubeconfig.read_text()
    port = cluster.client.connection.server.rpartition(":")[2]
    (tmp_path / "config").write_text(text.replace(f":{port}", ":1"))

    with Engine(str(tmp_path / "config")) as engine:
        inputs = config_map(engine, namespace, a="1")
        with pytest.raises(Refused) as refused:
            engine.create(CONFIG_MAP, inputs)
    assert str(refused.value).startswith("the API server https://127.0.0.1:1 cannot be reached (connection refused)")


def test_the_table_of_scopes_is_the_servers(client: Client) -> None:
    groups = client.request("GET", "/apis")["groups"]
    versions = ["v1", *(group["preferredVersion"]["groupVersion"] for group in groups)]
    compared = 0
    for api_version in versions:
        api = api_version if "/" in api_version else f"core/{api_version}"
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        for each in client.request("GET", root)["resources"]:
            if "/" in each["name"] or sdk.resource(api, each["kind"]) is None:
                continue
            compared += 1
            in_table = (group_of(api_version), each["kind"]) in CLUSTER_SCOPED
            assert in_table is not each["namespaced"], f"{api_version} {each['kind']}"
            assert checks.is_namespaced(api_version, each["kind"]) is each["namespaced"]
    assert compared > 40
