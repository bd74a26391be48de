"""Services as the sandbox has them: names on the container network. Pure.

There is no kube-proxy here. Each Service acts as a headless one: `SERVICE.NAMESPACE.SUFFIX` resolves to the addresses
of all running pods that it selects, ready or not (whoever connects checks health, as Envoy does), and the port is the
container's.
"""

from __future__ import annotations

from collections.abc import Iterable

from fullbore_sandbox.kubelet.spec import Object


def hostname(service: Object, suffix: str) -> str:
    return f"{service['metadata']['name']}.{service['metadata']['namespace']}.{suffix}"


def selects(service: Object, pod: Object) -> bool:
    """True where the Service has a selector and the pod has all of its labels."""
    selector = service["spec"].get("selector") or {}
    labels = pod["metadata"].get("labels", {})
    same = service["metadata"]["namespace"] == pod["metadata"]["namespace"]
    return bool(selector) and same and all(labels.get(key) == value for key, value in selector.items())


def aliases(pod: Object, services: Iterable[Object], suffix: str) -> tuple[str, ...]:
    """The names that must resolve to this pod, sorted."""
    return tuple(sorted(hostname(s, suffix) for s in services if selects(s, pod)))


def load_balancer(service: Object, suffix: str) -> Object | None:
    """The status patch that a Service of type LoadBalancer still needs; None where it needs none."""
    if service["spec"].get("type") != "LoadBalancer" or service["metadata"].get("deletionTimestamp"):
        return None
    present = service.get("status", {}).get("loadBalancer", {}).get("ingress", [])
    if [i.get("hostname") for i in present] == [hostname(service, suffix)]:
        return None
    return {"status": {"loadBalancer": {"ingress": [{"hostname": hostname(service, suffix)}]}}}


def moved_ports(service: Object) -> list[str]:
    """Ports whose number differs from the container's: they would not work without a proxy."""
    if not service["spec"].get("selector"):
        return []
    return [
        f"{p['port']} -> {p['targetPort']}"
        for p in service["spec"].get("ports", [])
        if isinstance(p.get("targetPort"), int) and p["targetPort"] != p["port"]
    ]
