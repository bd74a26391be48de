"""The status of a pod as kubelet would report it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fullbore_sandbox.kubelet.machine import Ended, PodRun, Slot, State, restarts
from fullbore_sandbox.kubelet.spec import LOOPBACK, Object, containers, init_containers

OURS = ("PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready", "PodScheduled")
FIELDS = (
    "phase", "podIP", "podIPs", "hostIP", "hostIPs", "startTime", "conditions",
    "containerStatuses", "initContainerStatuses", "reason", "message",
)  # fmt: skip


def pod_status(pod: Object, run: PodRun, now: str, phase: str | None = None) -> Object:
    """The whole status; `phase` where the pod is finished. Times of conditions that did not change are kept."""
    old = pod.get("status", {})
    policy = pod["spec"].get("restartPolicy", "Always")
    phase = phase or _phase(run)
    status: Object = {
        "phase": phase,
        "hostIP": LOOPBACK,
        "hostIPs": [{"ip": LOOPBACK}],
        "startTime": old.get("startTime") or now,
        "conditions": conditions(pod, run, phase, now),
        "containerStatuses": [_container(c, run.slot(c["name"]), policy) for c in containers(pod)],
    }
    if init_containers(pod):
        status["initContainerStatuses"] = [_container(c, run.slot(c["name"]), policy) for c in init_containers(pod)]
    if run.address:
        status |= {"podIP": run.address, "podIPs": [{"ip": run.address}]}
    return status


def changed(old: Object, new: Object) -> bool:
    """True where one of the fields that this runner owns differs."""
    return any(old.get(name) != new.get(name) for name in FIELDS if name in old or name in new)


def patch(pod: Object, new: Object) -> Object:
    """The merge patch that makes the status `new`; the uid keeps it off a pod of the same name made since."""
    gone = {name: None for name in FIELDS if name in pod.get("status", {}) and name not in new}
    return {"metadata": {"uid": pod["metadata"]["uid"]}, "status": {**new, **gone}}


def conditions(pod: Object, run: PodRun, phase: str, now: str) -> list[Object]:
    """kubelet's conditions; those of others (Volcano's, readiness gates) stay as they are."""
    initialized = all(_passed(s) for s in run.init())
    waiting = [s.name for s in run.main() if not (s.state is State.RUNNING and s.ready)]
    finished = phase in ("Succeeded", "Failed")
    why = (
        ("PodCompleted", "")
        if finished
        else ("ContainersNotReady", f"containers with unready status: {_list(waiting)}")
    )
    gates = [g["conditionType"] for g in pod["spec"].get("readinessGates", [])]
    present = {c["type"]: c for c in pod.get("status", {}).get("conditions", [])}
    closed = [g for g in gates if present.get(g, {}).get("status") != "True"]
    not_initialized = ("ContainersNotInitialized", "containers with incomplete status: " + _list(_unfinished(run)))
    ready = not waiting and initialized and not finished
    wanted: dict[str, tuple[bool, tuple[str, str]]] = {
        "PodReadyToStartContainers": (bool(run.address), ("", "")),
        "Initialized": (initialized, not_initialized),
        "ContainersReady": (ready, why),
        "Ready": (ready and not closed, why if not ready else ("ReadinessGatesNotReady", _list(closed))),
        "PodScheduled": (True, ("", "")),
    }
    others = [c for kind, c in present.items() if kind not in OURS]
    generation = pod["metadata"].get("generation")
    return [_condition(k, wanted[k][0], wanted[k][1], present.get(k), now, generation) for k in OURS] + others


def _condition(
    kind: str, holds: bool, why: tuple[str, str], old: Object | None, now: str, generation: int | None
) -> Object:
    state = "True" if holds else "False"
    since = old["lastTransitionTime"] if old and old.get("status") == state and old.get("lastTransitionTime") else now
    made: Object = {"type": kind, "status": state, "lastProbeTime": None, "lastTransitionTime": since}
    if generation is not None:
        made["observedGeneration"] = generation
    if not holds and why[0]:
        made |= {"reason": why[0]} | ({"message": why[1]} if why[1] else {})
    return made


def _list(names: Iterable[str]) -> str:
    return f"[{' '.join(names)}]"


def _unfinished(run: PodRun) -> list[str]:
    return [s.name for s in run.init() if not _passed(s)]


def _passed(slot: Slot) -> bool:
    if slot.sidecar:
        return slot.state is State.RUNNING and slot.started
    return slot.state is State.EXITED and slot.ended is not None and slot.ended.exit_code == 0


def _phase(run: PodRun) -> str:
    """Running once every init container passed and a main container has been started."""
    started = any(s.state is not State.NEW for s in run.main())
    return "Running" if started else "Pending"


def _container(container: Object, slot: Slot, policy: str) -> Object:
    runs = slot.state is State.RUNNING
    status: Object = {
        "name": slot.name,
        "image": container["image"],
        "imageID": slot.image_id,
        "ready": _passed(slot) if slot.init and not slot.sidecar else runs and slot.ready,
        "started": runs and slot.started,
        "restartCount": slot.restarts,
        "state": _state(slot, policy),
    }
    if slot.id:
        status["containerID"] = f"podman://{slot.id}"
    if slot.ended and (runs or "waiting" in status["state"]):
        status["lastState"] = {"terminated": _terminated(slot.ended)}
    return status


def _state(slot: Slot, policy: Any) -> Object:
    if slot.state is State.RUNNING:
        return {"running": {"startedAt": slot.started_at}}
    reason, message = slot.waiting
    if reason:
        return {"waiting": {"reason": reason, "message": message}}
    if slot.state is State.NEW:
        return {"waiting": {"reason": "PodInitializing" if not slot.init else "ContainerCreating"}}
    assert slot.ended
    again = slot.sidecar or (
        slot.ended.exit_code != 0 and policy != "Never" if slot.init else restarts(policy, slot.ended.exit_code)
    )
    if again and slot.failures > 1:
        message = f"back-off restarting failed container {slot.name}: {slot.ended.message}".removesuffix(": ")
        return {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
    return {"terminated": _terminated(slot.ended)}


def _terminated(ended: Ended) -> Object:
    made: Object = {
        "exitCode": ended.exit_code,
        "reason": ended.reason,
        "startedAt": ended.started_at,
        "finishedAt": ended.finished_at,
        "containerID": f"podman://{ended.id}",
    }
    return made | ({"message": ended.message} if ended.message else {})
