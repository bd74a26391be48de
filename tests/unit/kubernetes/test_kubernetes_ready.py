"""Readiness and its reasons, from objects recorded from a real API server (objects/), and from small ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fullbore_sandbox.plugins.kubernetes import reasons
from fullbore_sandbox.plugins.kubernetes.ready import READY, Verdict, judge

OBJECTS = Path(__file__).parent / "objects"


def recorded(name: str) -> Any:
    return json.loads((OBJECTS / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("deployment-created", Verdict(False, "waiting for the deployment controller")),
        ("deployment-waiting", Verdict(False, "0 of 2 replicas available")),
        ("deployment-ready", READY),
        ("service-ready", READY),
        ("service-pending", Verdict(False, "no load balancer has taken it: status.loadBalancer.ingress is empty")),
    ],
)
def test_recorded_objects(name: str, verdict: Verdict) -> None:
    found = judge(recorded(name))

    assert found.done is verdict.done
    assert found.message == verdict.message
    assert not found.failed


def test_a_rollout_past_its_deadline_has_failed() -> None:
    found = judge(recorded("deployment-stuck"))

    assert found.failed
    assert found.message.endswith("has timed out progressing.")


def test_a_refused_replica_is_told_with_the_quota() -> None:
    found = judge(recorded("deployment-quota"))

    assert not found.done
    assert "exceeded quota" in found.message


def test_an_object_that_is_being_deleted_never_becomes_ready() -> None:
    live = recorded("deployment-ready")
    live["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    assert judge(live).failed


def of(kind: str, api: str = "v1", **rest: Any) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": "x", "generation": 1}, **rest}


def conditions(**by_type: str) -> dict[str, Any]:
    return {"conditions": [{"type": each, "status": status} for each, status in by_type.items()]}


@pytest.mark.parametrize(
    ("live", "done", "failed"),
    [
        (of("ConfigMap"), True, False),
        (of("Namespace", status={"phase": "Active"}), True, False),
        (of("Namespace", status={"phase": "Terminating"}), False, False),
        (of("Service", spec={"type": "ClusterIP"}), True, False),
        (of("Pod", status={"phase": "Pending"}), False, False),
        (of("Pod", status={"phase": "Succeeded"}), True, False),
        (of("Pod", status={"phase": "Running", **conditions(Ready="True")}), True, False),
        (of("Pod", status={"phase": "Failed", "message": "Evicted"}), False, True),
        (of("Job", "batch/v1", spec={}, status=conditions(Complete="True")), True, False),
        (of("Job", "batch/v1", spec={}, status=conditions(Failed="True")), False, True),
        (of("Job", "batch/v1", spec={}), False, False),
        (of("Job", "batch.volcano.sh/v1alpha1", spec={}), True, False),
        (of("CustomResourceDefinition", "apiextensions.k8s.io/v1", status=conditions(Established="True")), True, False),
        (
            of("CustomResourceDefinition", "apiextensions.k8s.io/v1", status=conditions(NamesAccepted="False")),
            False,
            True,
        ),
        (of("StatefulSet", "apps/v1", spec={"replicas": 1}, status={"observedGeneration": 0}), False, False),
        (
            of(
                "StatefulSet",
                "apps/v1",
                spec={"replicas": 1},
                status={"observedGeneration": 1, "readyReplicas": 1, "updatedReplicas": 1},
            ),
            True,
            False,
        ),
        (
            of("StatefulSet", "apps/v1", spec={"replicas": 1}, status={"observedGeneration": 1, "readyReplicas": 1}),
            False,
            False,
        ),
        (
            of("DaemonSet", "apps/v1", status={"observedGeneration": 1, "desiredNumberScheduled": 2}),
            False,
            False,
        ),
        (of("DaemonSet", "apps/v1", status={"observedGeneration": 1}), True, False),
    ],
)
def test_other_kinds(live: dict[str, Any], done: bool, failed: bool) -> None:
    found = judge(live)

    assert (found.done, found.failed) == (done, failed)
    assert found.done or found.message


def test_replicas_of_before_are_waited_for() -> None:
    live = recorded("deployment-ready")
    live["status"]["replicas"] = 3

    assert judge(live).message == "1 replicas more than that still there"


def test_pods_that_share_a_reason_share_a_line() -> None:
    pods, events = recorded("pods-unschedulable"), recorded("events-unschedulable")
    warnings = [event for event in events if event["type"] == "Warning"]
    names = [pod["metadata"]["name"] for pod in pods]

    [line] = reasons.summarise(recorded("deployment-waiting"), pods, warnings)

    assert line == f"{names[0]}, {names[1]}: unschedulable: no nodes available to schedule pods"


def test_an_event_of_the_past_is_not_told_of_a_placed_pod() -> None:
    pods, events = recorded("pods-unschedulable"), recorded("events-unschedulable")
    for pod in pods:
        pod["spec"]["nodeName"] = "n1"
        pod["status"] = {"phase": "Running", **conditions(PodScheduled="True", Ready="True")}

    assert reasons.summarise(recorded("deployment-waiting"), pods, events[:1]) == []


def pod(name: str, container: dict[str, Any]) -> dict[str, Any]:
    status = {"phase": "Pending", "containerStatuses": [{"name": "runtime", **container}]}
    return {"metadata": {"name": name}, "spec": {"nodeName": "n"}, "status": status}


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        (
            {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}},
            "container runtime: ImagePullBackOff: not found",
        ),
        (
            {
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": 2, "reason": "Error", "message": "no weights"}},
            },
            "container runtime: exited with 2: Error no weights",
        ),
        (
            {"state": {"running": {}}, "ready": False, "restartCount": 3},
            "container runtime: runs but is not ready (restarts: 3)",
        ),
    ],
)
def test_reasons_of_a_container(container: dict[str, Any], reason: str) -> None:
    assert reason in list(reasons.pod_reasons(pod("p", container)))


def test_a_container_that_only_starts_is_no_reason() -> None:
    starting = pod("p", {"state": {"waiting": {"reason": "ContainerCreating"}}})

    assert list(reasons.pod_reasons(starting)) == []


def test_many_reasons_are_counted() -> None:
    pods = [pod(f"p{i}", {"state": {"waiting": {"reason": f"R{i}"}}}) for i in range(reasons.MAX_LINES + 2)]

    lines = reasons.summarise({"metadata": {"name": "d"}}, pods, [])

    assert len(lines) == reasons.MAX_LINES + 1
    assert lines[-1] == "and 2 more reasons"
