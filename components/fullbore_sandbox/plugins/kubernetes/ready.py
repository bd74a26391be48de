"""Is an object what was asked for yet: one pure function a kind, after what the official provider waits for.

Each takes a live object and says `Verdict`. A kind without a row is ready as soon as the server has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fullbore_sandbox.plugins.kubernetes.kinds import group_of

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """`done`: ready. `failed`: it will not become ready by waiting. `message`: what is missing, for a person."""

    done: bool
    message: str = ""
    failed: bool = False


READY = Verdict(True)


def judge(live: Object) -> Verdict:
    """The verdict on a live object of any kind."""
    if (live.get("metadata") or {}).get("deletionTimestamp"):
        return Verdict(False, "it is being deleted", failed=True)
    check = _CHECKS.get((group_of(live["apiVersion"]), live["kind"]))
    verdict = check(live) if check else READY
    return READY if verdict.done else verdict


def condition(live: Object, kind: str) -> Mapping[str, Any]:
    """A condition of the status by type; empty where it is not there."""
    conditions = (live.get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each.get("type") == kind), {})


def _deployment(live: Object) -> Verdict:
    spec, status = live["spec"], live.get("status") or {}
    if not _observed(live):
        return Verdict(False, "waiting for the deployment controller")
    if spec.get("paused"):
        return READY
    progressing = condition(live, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return Verdict(False, str(progressing.get("message", "no progress within its deadline")).lower(), failed=True)
    want = spec.get("replicas", 1)
    counts = {name: status.get(f"{name}Replicas", 0) for name in ("updated", "available")}
    surplus = status.get("replicas", 0) - want
    lacking = [f"{count} of {want} replicas {name}" for name, count in counts.items() if count < want]
    lacking += [f"{surplus} replicas more than that still there"] if surplus > 0 else []
    failure = condition(live, "ReplicaFailure")
    lacking += [str(failure.get("message"))] if failure.get("status") == "True" else []
    return Verdict(not lacking, ", ".join(lacking))


def _stateful_set(live: Object) -> Verdict:
    spec, status = live["spec"], live.get("status") or {}
    if not _observed(live):
        return Verdict(False, "waiting for the statefulset controller")
    want, have = spec.get("replicas", 1), status.get("readyReplicas", 0)
    if have < want:
        return Verdict(False, f"{have} of {want} replicas ready")
    strategy = spec.get("updateStrategy") or {}
    partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
    updated = status.get("updatedReplicas", 0)
    if strategy.get("type", "RollingUpdate") == "RollingUpdate" and updated < want - partition:
        return Verdict(False, f"{updated} of {want - partition} replicas updated")
    return READY


def _daemon_set(live: Object) -> Verdict:
    status = live.get("status") or {}
    if not _observed(live):
        return Verdict(False, "waiting for the daemonset controller")
    want = status.get("desiredNumberScheduled", 0)
    for name, field in (("updated", "updatedNumberScheduled"), ("available", "numberAvailable")):
        if status.get(field, 0) < want:
            return Verdict(False, f"{status.get(field, 0)} of {want} pods {name}")
    return READY


def _pod(live: Object) -> Verdict:
    phase = (live.get("status") or {}).get("phase", "Pending")
    if phase == "Failed":
        return Verdict(False, (live["status"].get("message") or "the pod failed").lower(), failed=True)
    ready = condition(live, "Ready").get("status") == "True"
    return Verdict(ready or phase == "Succeeded", f"the pod is {phase.lower()} and not ready")


def _job(live: Object) -> Verdict:
    failed = condition(live, "Failed")
    if failed.get("status") == "True":
        return Verdict(False, f"the job failed: {failed.get('reason')}: {failed.get('message')}", failed=True)
    status = live.get("status") or {}
    done = condition(live, "Complete").get("status") == "True"
    want = live["spec"].get("completions", 1)
    return Verdict(done, f"{status.get('succeeded', 0)} of {want} completions, {status.get('active', 0)} pods active")


def _service(live: Object) -> Verdict:
    if live["spec"].get("type") != "LoadBalancer":
        return READY
    ingress = ((live.get("status") or {}).get("loadBalancer") or {}).get("ingress")
    return Verdict(bool(ingress), "no load balancer has taken it: status.loadBalancer.ingress is empty")


def _namespace(live: Object) -> Verdict:
    phase = (live.get("status") or {}).get("phase")
    return Verdict(phase == "Active", f"its phase is {phase or 'not set'}")


def _crd(live: Object) -> Verdict:
    refused = condition(live, "NamesAccepted")
    if refused.get("status") == "False":
        return Verdict(False, f"its names are refused: {refused.get('message')}", failed=True)
    return Verdict(condition(live, "Established").get("status") == "True", "it is not established yet")


def _observed(live: Object) -> bool:
    return (live.get("status") or {}).get("observedGeneration", 0) >= live["metadata"].get("generation", 0)


_CHECKS: Mapping[tuple[str, str], Callable[[Object], Verdict]] = {
    ("apps", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("", "Pod"): _pod,
    ("", "Service"): _service,
    ("", "Namespace"): _namespace,
    ("batch", "Job"): _job,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _crd,
}
