"""Diffs by path, replacement, and drift."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest

from fullbore.provider.base import UNKNOWN, Secret
from fullbore_sandbox.plugins.kubernetes import changes, drift
from fullbore_sandbox.plugins.kubernetes.kinds import replaced_by
from fullbore_sandbox.plugins.kubernetes.target import redact


@pytest.mark.parametrize(
    ("old", "new", "want"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": 2}, {"a": "update"}),
        ({"a": 1}, {}, {"a": "delete"}),
        ({}, {"a": {"b": 1}}, {"a": "add"}),
        ({"a": None}, {}, {}),
        ({"a": 1}, {"a": True}, {"a": "update"}),
        ({"a": "1"}, {"a": 1}, {"a": "update"}),
        ({"a": Secret("x")}, {"a": "x"}, {}),
        ({"a": Secret("x")}, {"a": Secret("y")}, {"a": "update"}),
        ({"a": "x"}, {"a": UNKNOWN}, {"a": "update"}),
        ({"a": [{"b": 1}, 2]}, {"a": [{"b": 3}]}, {"a[0].b": "update", "a[1]": "delete"}),
        ({"a": {"x.y/z": "1"}}, {"a": {"x.y/z": "2"}}, {'a["x.y/z"]': "update"}),
    ],
)
def test_differences(old: dict[str, Any], new: dict[str, Any], want: dict[str, str]) -> None:
    assert changes.differences(old, new) == want


@pytest.mark.parametrize(
    ("group", "kind", "path", "replaced"),
    [
        ("apps", "Deployment", "spec.replicas", False),
        ("apps", "Deployment", "spec.selector.matchLabels.app", True),
        ("apps", "Deployment", "spec.selectors", False),
        ("apps", "Deployment", "metadata.name", True),
        ("apps", "Deployment", "metadata", True),
        ("apps", "Deployment", "metadata.labels.a", False),
        ("batch", "Job", "spec.template.spec.containers[0].image", True),
        ("", "Service", "spec.clusterIP", True),
        ("", "ConfigMap", "data.a", True),
        ("scheduling.k8s.io", "PriorityClass", "value", True),
    ],
)
def test_what_replaces(group: str, kind: str, path: str, replaced: bool) -> None:
    marked = changes.with_replacement({path: "update"}, replaced_by(group, kind, {}))

    assert changes.replaces(marked) is replaced
    assert marked == {path: "update-replace" if replaced else "update"}


def test_mutable_config_maps_are_updated_where_the_provider_says_so() -> None:
    config = {"enableConfigMapMutable": True, "enableSecretMutable": True}

    assert "data" not in replaced_by("", "ConfigMap", config)
    assert "data" not in replaced_by("", "Secret", config)
    assert "type" in replaced_by("", "Secret", config)


INPUTS = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "d", "namespace": "n", "labels": {"a": "1"}},
    "spec": {
        "replicas": 2,
        "paused": False,
        "template": {
            "spec": {
                "containers": [{"name": "c", "image": "i", "resources": {"limits": {"memory": "1024Mi"}}}],
                "tolerations": [{"key": "gpu"}],
                "volumes": [{"name": "tmp", "emptyDir": {}}],
            }
        },
    },
}


def server_side(inputs: dict[str, Any]) -> dict[str, Any]:
    """What the server makes of INPUTS: values rewritten, defaults added, empty ones dropped."""
    made = copy.deepcopy(inputs)
    made["metadata"]["uid"] = "u"
    del made["spec"]["paused"]
    container = made["spec"]["template"]["spec"]["containers"][0]
    container["resources"]["limits"]["memory"] = "1Gi"
    container["imagePullPolicy"] = "Always"
    return made


class TestDrift:
    def follow(self, change: Any) -> dict[str, str]:
        """The differences that a refresh would find after `change` was made to the live object."""
        live = server_side(INPUTS)
        change(live)
        return changes.differences(INPUTS, drift.live_inputs(INPUTS, live, lambda: server_side(INPUTS)))

    def test_defaults_and_rewritten_values_are_none(self) -> None:
        assert self.follow(lambda live: None) == {}

    def test_a_changed_value_is_named(self) -> None:
        assert self.follow(lambda live: live["spec"].update(replicas=5)) == {"spec.replicas": "update"}

    def test_a_removed_label_is_named(self) -> None:
        assert self.follow(lambda live: live["metadata"].pop("labels")) == {"metadata.labels": "delete"}

    def test_what_others_add_is_theirs(self) -> None:
        assert self.follow(lambda live: live["metadata"]["labels"].update(b="2")) == {}

    def test_a_value_rewritten_by_the_server_and_then_changed_is_found(self) -> None:
        def change(live: dict[str, Any]) -> None:
            live["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] = "2Gi"

        path = "spec.template.spec.containers[0].resources.limits.memory"
        assert self.follow(change) == {path: "update"}

    def test_an_item_that_nobody_asked_for_is_found(self) -> None:
        def change(live: dict[str, Any]) -> None:
            live["spec"]["template"]["spec"]["tolerations"].append({"key": "spot"})

        assert self.follow(change) == {"spec.template.spec.tolerations[1]": "add"}

    def test_an_item_that_the_server_would_have_anyway_is_not_ours(self) -> None:
        def with_sidecar() -> dict[str, Any]:
            made = server_side(INPUTS)
            made["spec"]["template"]["spec"]["containers"].insert(0, {"name": "sidecar", "image": "s"})
            return made

        assert drift.live_inputs(INPUTS, with_sidecar(), with_sidecar) == INPUTS

    def test_items_are_paired_by_name(self) -> None:
        def change(live: dict[str, Any]) -> None:
            spec = live["spec"]["template"]["spec"]
            spec["containers"].insert(0, {"name": "other", "image": "o"})
            spec["containers"][1]["image"] = "changed"

        found = self.follow(change)
        assert found["spec.template.spec.containers[0].image"] == "update"
        assert found["spec.template.spec.containers[1]"] == "add"

    def test_without_a_dry_run_every_difference_counts(self) -> None:
        found = drift.live_inputs(INPUTS, server_side(INPUTS), lambda: None)

        assert changes.differences(INPUTS, found) == {
            "spec.template.spec.containers[0].resources.limits.memory": "update"
        }

    def test_an_equal_object_needs_no_dry_run(self) -> None:
        def never() -> None:
            raise AssertionError("asked the server for nothing")

        live = {**copy.deepcopy(INPUTS), "status": {}}
        assert drift.live_inputs(INPUTS, live, never) == INPUTS

    def test_a_secret_stays_one_and_string_data_is_followed(self) -> None:
        def encoded(text: str) -> str:
            return base64.b64encode(text.encode()).decode()

        inputs = {"apiVersion": "v1", "kind": "Secret", "stringData": {"p": Secret("old"), "q": "same"}}
        live = {"apiVersion": "v1", "kind": "Secret", "data": {"p": encoded("new"), "q": encoded("same")}}
        want = {**live, "data": {**live["data"], "p": encoded("old")}}

        followed = drift.live_inputs(inputs, live, lambda: want)

        assert followed["stringData"] == {"p": Secret("new"), "q": Secret("same")}

    def test_a_secret_that_the_program_gave_in_clear_is_read_as_one(self) -> None:
        inputs = {"apiVersion": "v1", "kind": "Secret", "stringData": {"p": "old"}}
        live = {"apiVersion": "v1", "kind": "Secret", "data": {"p": base64.b64encode(b"new").decode()}}
        same = {**live, "data": {"p": base64.b64encode(b"old").decode()}}

        assert drift.live_inputs(inputs, live, lambda: same)["stringData"] == {"p": Secret("new")}
        assert drift.live_inputs(inputs, same, lambda: same)["stringData"] == {"p": Secret("old")}


def test_the_data_of_an_imported_secret_is_secret() -> None:
    live = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"p": "bmV3"}, "type": "Opaque"}

    found = drift.imported_inputs(live)

    assert (found["data"], found["type"]) == ({"p": Secret("bmV3")}, "Opaque")


def test_imported_inputs_hold_what_a_person_could_have_written() -> None:
    live = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "c",
            "uid": "u",
            "resourceVersion": "1",
            "creationTimestamp": "t",
            "managedFields": [],
            "annotations": {"deployment.kubernetes.io/revision": "1"},
        },
        "data": {"a": "b"},
        "status": {},
    }

    assert drift.imported_inputs(live) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c"},
        "data": {"a": "b"},
    }


def test_secrets_are_taken_out_of_messages_in_every_form() -> None:
    inputs = {"kind": "Secret", "data": {"a": "cGFzc3dvcmQ="}, "stringData": Secret({"b": "hunter22"})}
    text = f"invalid value hunter22, {base64.b64encode(b'hunter22').decode()}, cGFzc3dvcmQ= in Secret"

    assert redact(text, inputs) == "invalid value [secret], [secret], [secret] in Secret"
