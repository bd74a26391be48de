"""Why a workload does not become ready, from its pods and their events, in few lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fullbore_sandbox.plugins.kubernetes.api import ApiError, Client, Unreachable
from fullbore_sandbox.plugins.kubernetes.ready import condition

Object = Mapping[str, Any]

MAX_LINES = 8
"""Reasons shown; the rest is counted."""
_HARMLESS = frozenset({"ContainerCreating", "PodInitializing"})


def explain(client: Client, live: Object) -> list[str]:
    """Lines such as `pods serving-a, serving-b: unschedulable: 0/2 nodes are available`; or none."""
    namespace = live["metadata"].get("namespace")
    if not namespace:
        return []
    try:
        pods = _pods(client, live, namespace)
        events = client.list(f"/api/v1/namespaces/{namespace}/events", fieldSelector="type=Warning")["items"]
    except (ApiError, Unreachable) as error:
        return [f"why is not known: {error}"]
    return summarise(live, pods, events)


def summarise(live: Object, pods: Iterable[Object], events: Iterable[Object]) -> list[str]:
    """The lines for a workload, its pods and the Warning events of its namespace. Pods with one reason share a line."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    pods = list(pods)
    for pod in pods:
        for reason in pod_reasons(pod):
            by_reason[reason].append(pod["metadata"]["name"])
    name = live["metadata"]["name"]
    explained = {pod for names in by_reason.values() for pod in names}
    placed = {pod["metadata"]["name"] for pod in pods if pod["spec"].get("nodeName")}
    for involved, reason, message in _latest(events):
        ours = involved == name or involved.startswith(f"{name}-")
        # What kept a pod from being placed is history once it is.
        if ours and involved not in explained and not (reason == "FailedScheduling" and involved in placed):
            by_reason[f"event: {message}"].append(involved)
    lines = [_line(names, reason) for reason, names in by_reason.items()]
    more = len(lines) - MAX_LINES
    return [*lines[:MAX_LINES], f"and {more} more reasons"] if more > 0 else lines


def pod_reasons(pod: Object) -> Iterator[str]:
    """What keeps one pod from being ready, most telling first."""
    status = pod.get("status") or {}
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        yield f"{str(scheduled.get('reason', 'not scheduled')).lower()}: {scheduled.get('message', '')}".rstrip(": ")
        return
    if status.get("phase") == "Failed":
        yield f"failed: {status.get('reason', '')}: {status.get('message', '')}".rstrip(": ")
    told = False
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        for reason in _container_reasons(container):
            told = True
            yield f"container {container['name']}: {reason}"
    ready = condition(pod, "Ready")
    if not told and ready.get("status") == "False":
        yield f"not ready: {ready.get('message') or ready.get('reason') or 'its readiness probe has not passed'}"


def _container_reasons(container: Object) -> Iterator[str]:
    state, last = container.get("state") or {}, container.get("lastState") or {}
    waiting = state.get("waiting") or {}
    if waiting.get("reason") and waiting["reason"] not in _HARMLESS:
        yield f"{waiting['reason']}: {waiting.get('message', '')}".rstrip(": ")
    ended = state.get("terminated") or last.get("terminated") or {}
    if ended.get("exitCode"):
        text = f"{ended.get('reason', '')} {ended.get('message', '')}".strip()
        yield f"exited with {ended['exitCode']}: {text}".rstrip(": ")
    if not container.get("ready") and "running" in state:
        yield f"runs but is not ready (restarts: {container.get('restartCount', 0)})"


def _pods(client: Client, live: Object, namespace: str) -> list[Object]:
    if live["kind"] == "Pod":
        return [live]
    labels = ((live.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    if not labels:
        return []
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return client.list(f"/api/v1/namespaces/{namespace}/pods", labelSelector=selector)["items"]


def _latest(events: Iterable[Object]) -> Iterator[tuple[str, str, str]]:
    """(object, reason, message) of each different message, newest first."""
    seen: set[tuple[str, str, str]] = set()
    for event in sorted(events, key=_when, reverse=True):
        involved = (event.get("involvedObject") or {}).get("name", "")
        found = (involved, str(event.get("reason", "")), str(event.get("message", "")).strip())
        if found not in seen:
            seen.add(found)
            yield found


def _when(event: Object) -> str:
    return event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or ""


def _line(names: list[str], reason: str) -> str:
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{shown}: {reason}"
