"""Strict inputs: each wrong one is refused by path, and what is right goes through unchanged."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbore.provider.base import UNKNOWN, ProviderError, Secret
from fullbore_sandbox.plugins.kubernetes import checks

DEPLOYMENT = "kubernetes:apps/v1:Deployment"
QUEUE = "kubernetes:scheduling.volcano.sh/v1beta1:Queue"


def deployment(**pod: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "c", "image": "i"}], **pod}
    template = {"metadata": {"labels": {"app": "a"}}, "spec": spec}
    return {"spec": {"selector": {"matchLabels": {"app": "a"}}, "template": template}}


def faults(token: str, inputs: dict[str, Any]) -> dict[str, str]:
    return {fault.path: fault.reason for fault in checks.input_faults(token, inputs)}


POD = "spec.template.spec"


@pytest.mark.parametrize(
    ("inputs", "path", "reason"),
    [
        (
            {**deployment(), "specs": {}},
            "specs",
            "unknown property, allowed: apiVersion, kind, metadata, spec; did you",
        ),
        ({}, "spec", "missing, but required"),
        ({"spec": 3}, "spec", "got an integer, allowed: an object"),
        ({**deployment(), "kind": "Pod"}, "kind", "got 'Pod', allowed: 'Deployment'"),
        (deployment(containers=[{"image": "i"}]), f"{POD}.containers[0].name", "missing, but required"),
        (deployment(containers=[{"name": "c", "imag": "i"}]), f"{POD}.containers[0].imag", "did you mean image"),
        (deployment(containers={}), f"{POD}.containers", "got an object, allowed: a list"),
        (deployment(hostNetwork="yes"), f"{POD}.hostNetwork", "got a string, allowed: a boolean"),
        (deployment(hostNetwork=1), f"{POD}.hostNetwork", "got an integer, allowed: a boolean"),
        (deployment(priority=1.5), f"{POD}.priority", "got a number, allowed: an integer"),
        (deployment(priority=True), f"{POD}.priority", "got a boolean, allowed: an integer"),
        (deployment(nodeSelector={"a.b/c": 1}), f'{POD}.nodeSelector["a.b/c"]', "got an integer, allowed: a string"),
        (
            deployment(containers=[{"name": "c", "resources": {"limits": {"nvidia.com/gpu": 8}}}]),
            f'{POD}.containers[0].resources.limits["nvidia.com/gpu"]',
            "got an integer, allowed: a string",
        ),
        (
            deployment(containers=[{"name": "c", "readinessProbe": {"httpGet": {"path": "/", "port": []}}}]),
            f"{POD}.containers[0].readinessProbe.httpGet.port",
            "got a list, allowed: an integer or string",
        ),
    ],
)
def test_a_wrong_input_is_named(inputs: dict[str, Any], path: str, reason: str) -> None:
    found = faults(DEPLOYMENT, inputs)

    assert reason in found.pop(path)
    assert not found


def test_all_faults_are_told_at_once() -> None:
    found = faults(DEPLOYMENT, {**deployment(hostNetwork="yes", containers=[{}]), "x": 1})

    assert set(found) == {f"{POD}.hostNetwork", f"{POD}.containers[0].name", "x"}


def test_secrets_and_unknowns_are_looked_through() -> None:
    inputs = deployment(containers=Secret([{"name": UNKNOWN, "imag": "i"}]), hostname=UNKNOWN)

    assert list(faults(DEPLOYMENT, inputs)) == [f"{POD}.containers[0].imag"]


def test_a_wrong_secret_value_is_not_shown() -> None:
    found = faults("kubernetes:core/v1:Secret", {"stringData": Secret({"password": 12345678})})

    assert found == {"stringData.password": "got an integer, allowed: a string"}


def test_numbers_or_names_are_right_where_the_api_takes_both() -> None:
    for port in (8000, "http"):
        probe = {"httpGet": {"path": "/health", "port": port}}
        assert not faults(DEPLOYMENT, deployment(containers=[{"name": "c", "readinessProbe": probe}]))


def test_a_schema_of_a_custom_resource_is_checked_at_any_depth() -> None:
    def crd(schema: dict[str, Any]) -> dict[str, Any]:
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        names = {"kind": "A", "plural": "as"}
        return {"spec": {"group": "x.io", "names": names, "scope": "Namespaced", "versions": [version]}}

    token = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"
    assert not faults(token, crd({"type": "object", "properties": {"a": {"items": {"type": "string"}}}}))
    assert not faults(token, crd({"additionalProperties": True}))
    [path] = faults(token, crd({"properties": {"a": {"additionalProperties": {"typ": "string"}}}}))
    assert path.endswith("openAPIV3Schema.properties.a.additionalProperties.typ")


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("kubernetes:apps/v1:Deploymint", r"no such type in pulumi_kubernetes .*, allowed: .*Deployment"),
        ("kubernetes:apps/v7:Deployment", r"allowed: none in apps/v7"),
        ("kubernetes:nosuch/v1:Thing", r"no such type"),
        ("kubernetes:apps/v1:DeploymentList", r"no such type"),
        ("kubernetes:apps/v1:DeploymentPatch", r"no such type"),
        ("kubernetes:helm.sh/v3:Release", r"does not cover Helm charts"),
    ],
)
def test_an_unknown_type_is_refused(token: str, message: str) -> None:
    with pytest.raises(ProviderError, match=message):
        checks.input_faults(token, {})


def test_a_custom_resource_is_checked_as_far_as_the_sdk_goes() -> None:
    right = {"apiVersion": "scheduling.volcano.sh/v1beta1", "kind": "Queue", "spec": {"any": ["thing"]}}

    assert not faults(QUEUE, {**right, "metadata": {"name": "q"}})
    assert faults(QUEUE, {**right, "kind": "Job"}) == {"kind": "got 'Job', allowed: 'Queue'"}
    assert list(faults(QUEUE, {**right, "metadata": {"nam": "q"}})) == ["metadata.nam"]


class TestNames:
    def test_a_missing_name_is_made_up_once(self) -> None:
        first = checks.completed("kubernetes:core/v1:ConfigMap", "Settings", {}, {}, "ns")
        again = checks.completed("kubernetes:core/v1:ConfigMap", "Settings", {"data": {"a": "b"}}, first, "ns")
        fresh = checks.completed("kubernetes:core/v1:ConfigMap", "Settings", {}, {}, "ns")

        name = first["metadata"]["name"]
        assert name.startswith("settings-")
        assert len(name) == len("settings-") + checks.SUFFIX
        assert again["metadata"] == first["metadata"]
        assert checks.is_autonamed(first)
        assert fresh["metadata"]["name"] != name

    def test_a_given_name_is_kept(self) -> None:
        inputs = checks.completed(DEPLOYMENT, "d", {"metadata": {"name": "n"}}, {}, None)

        assert inputs == {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "n"}}
        assert not checks.is_autonamed(inputs)

    def test_the_namespace_is_filled_in_but_never_replaced(self) -> None:
        def complete(metadata: Any) -> Any:
            return checks.completed(DEPLOYMENT, "d", {"metadata": metadata}, {}, "ns")["metadata"]

        assert complete({"name": "n"}) == {"name": "n", "namespace": "ns"}
        assert complete({"name": "n", "namespace": "mine"})["namespace"] == "mine"
        assert complete({"name": "n", "namespace": UNKNOWN})["namespace"] is UNKNOWN
        assert complete(UNKNOWN) is UNKNOWN
        assert complete(Secret({"name": "n"})) == Secret({"name": "n", "namespace": "ns"})

    def test_the_data_of_a_secret_is_secret_and_that_of_others_is_not(self) -> None:
        given = {"data": {"a": "cGFzcw==", "b": UNKNOWN}, "stringData": Secret({"c": "pass"})}

        secret = checks.completed("kubernetes:core/v1:Secret", "s", given, {}, "ns")
        settings = checks.completed("kubernetes:core/v1:ConfigMap", "s", {"data": {"a": "b"}}, {}, "ns")

        assert secret["data"] == {"a": Secret("cGFzcw=="), "b": Secret(UNKNOWN)}
        assert secret["stringData"] == Secret({"c": "pass"})
        assert settings["data"] == {"a": "b"}


def test_provider_configuration_is_strict_too() -> None:
    def config(**given: Any) -> dict[str, str]:
        return {fault.path: fault.reason for fault in checks.config_faults(given)}

    assert not config(kubeconfig="x", namespace="n", enableServerSideApply=True, enableConfigMapMutable=True)
    assert list(config(kubeconfg="x")) == ["kubeconfg"]
    assert config(enableServerSideApply=False)["enableServerSideApply"].startswith("got false, allowed: true")
    assert "not covered" in config(renderYamlToDirectory="out")["renderYamlToDirectory"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just(UNKNOWN),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(st.sampled_from(["metadata", "spec"]), json_values)
def test_no_input_makes_the_check_itself_fail(name: str, value: Any) -> None:
    for fault in checks.input_faults(DEPLOYMENT, {name: value}):
        assert fault.path
        assert fault.reason
