"""What a pod asks for, as values that a container engine understands. Pure: objects in, frozen values out."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Object = dict[str, Any]
Kind = Literal["configmaps", "secrets"]
Lookup = Callable[[Kind, str], Object | None]
"""A ConfigMap or a Secret of the pod's namespace, None where it does not exist."""

REFERENCE = re.compile(r"\$(\$|\(([-._a-zA-Z0-9]+)\))")
LOOPBACK = "127.0.0.1"


class ConfigError(Exception):
    """A container that cannot be made yet, as kubelet's CreateContainerConfigError; it may become possible later."""


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A volume of the pod in a container."""

    volume: str
    path: str
    sub_path: str = ""
    read_only: bool = False


@dataclass(frozen=True, kw_only=True)
class Port:
    """A container port that the machine publishes on loopback."""

    host_port: int
    container_port: int
    protocol: str = "tcp"


@dataclass(frozen=True, kw_only=True)
class ContainerSpec:
    """One container as it is to run. Empty `command` or `args` mean the image's own."""

    name: str
    image: str
    always_pull: bool
    command: tuple[str, ...]
    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    working_dir: str
    user: str
    run_as_non_root: bool
    groups: tuple[int, ...]
    read_only_root: bool
    no_new_privileges: bool
    cap_add: tuple[str, ...]
    cap_drop: tuple[str, ...]
    mounts: tuple[Mount, ...]
    ports: tuple[Port, ...]


def uid(pod: Object) -> str:
    return pod["metadata"]["uid"]


def containers(pod: Object) -> list[Object]:
    return pod["spec"]["containers"]


def init_containers(pod: Object) -> list[Object]:
    return pod["spec"].get("initContainers", [])


def desired(pod: Object, container: Object, lookup: Lookup, pod_ip: str) -> ContainerSpec:
    """The container `container` of `pod`. Raises ConfigError where a ConfigMap, Secret or key is missing."""
    env = environment(pod, container, lookup, pod_ip)
    security = {**pod["spec"].get("securityContext", {}), **container.get("securityContext", {})}
    capabilities = security.get("capabilities", {})
    return ContainerSpec(
        name=container["name"],
        image=container["image"],
        always_pull=_always_pull(container),
        command=tuple(expand(a, env) for a in container.get("command", [])),
        args=tuple(expand(a, env) for a in container.get("args", [])),
        env=tuple(env.items()),
        working_dir=container.get("workingDir", ""),
        user=_user(security),
        run_as_non_root=security.get("runAsNonRoot", False),
        groups=_groups(pod["spec"].get("securityContext", {})),
        read_only_root=security.get("readOnlyRootFilesystem", False),
        no_new_privileges=not security.get("allowPrivilegeEscalation", True),
        cap_add=tuple(capabilities.get("add", [])),
        cap_drop=tuple(capabilities.get("drop", [])),
        mounts=tuple(_mount(m) for m in container.get("volumeMounts", [])),
        ports=tuple(_port(p) for p in container.get("ports", []) if p.get("hostPort")),
    )


def environment(pod: Object, container: Object, lookup: Lookup, pod_ip: str) -> dict[str, str]:
    """The variables of a container in the order given; later values see earlier ones through $(NAME)."""
    env: dict[str, str] = {}
    for source in container.get("envFrom", []):
        env.update(_all_keys(source, lookup))
    for variable in container.get("env", []):
        value = _value(pod, variable, lookup, pod_ip, env)
        if value is not None:
            env[variable["name"]] = value
    return env


def expand(text: str, env: Mapping[str, str]) -> str:
    """Kubernetes' $(NAME): unknown names stay as they are, $$ is a dollar."""

    def replaced(match: re.Match[str]) -> str:
        if match.group(1) == "$":
            return "$"
        return env.get(match.group(2), match.group(0))

    return REFERENCE.sub(replaced, text)


def field(pod: Object, path: str, pod_ip: str) -> str:
    """The value of a fieldRef. Raises ConfigError for a field that kubelet does not offer either."""
    metadata, spec = pod["metadata"], pod["spec"]
    plain = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        "status.podIP": pod_ip,
        "status.podIPs": pod_ip,
        "status.hostIP": LOOPBACK,
        "status.hostIPs": LOOPBACK,
    }
    if path in plain:
        return plain[path]
    match = re.fullmatch(r"metadata\.(labels|annotations)(?:\['(.+)'\])?", path)
    if not match:
        raise ConfigError(f"fieldRef {path}: not a field that a container can see; use metadata.name or another")
    values = metadata.get(match.group(1), {})
    if match.group(2):
        return values.get(match.group(2), "")
    return "\n".join(f'{key}="{value}"' for key, value in sorted(values.items()))


def refusals(pod: Object) -> list[str]:
    """What this runner does not do and will not do silently, each with the field's path."""
    spec = pod["spec"]
    found = [f"spec.{f}: true, which the pod runner does not do" for f in _HOST_FIELDS if spec.get(f)]
    for volume in spec.get("volumes", []):
        kind = next((k for k in volume if k != "name"), "emptyDir")
        if kind not in VOLUMES:
            found.append(f"spec.volumes[{volume['name']}]: {kind}, allowed are {', '.join(VOLUMES)}")
        for source in volume.get("projected", {}).get("sources", []):
            found += [
                f"spec.volumes[{volume['name']}].projected: {k}, allowed are {', '.join(PROJECTED)}"
                for k in source
                if k not in PROJECTED
            ]
    for container in [*init_containers(pod), *containers(pod)]:
        found += _container_refusals(container)
    return found


VOLUMES = ("configMap", "secret", "emptyDir", "downwardAPI", "projected")
PROJECTED = ("configMap", "secret", "downwardAPI")
_HOST_FIELDS = ("hostNetwork", "hostPID", "hostIPC")


def _container_refusals(container: Object) -> list[str]:
    name = container["name"]
    found: list[str] = []
    if container.get("securityContext", {}).get("privileged"):
        found.append(f"spec.containers[{name}].securityContext.privileged: true, which the pod runner does not do")
    if container.get("lifecycle", {}).get("postStart"):
        found.append(f"spec.containers[{name}].lifecycle.postStart: not run here; use an init container")
    if container.get("volumeDevices"):
        found.append(f"spec.containers[{name}].volumeDevices: there are no block devices here")
    probes = [p for p in ("readinessProbe", "livenessProbe", "startupProbe") if "grpc" in container.get(p, {})]
    return found + [f"spec.containers[{name}].{p}.grpc: allowed are httpGet, tcpSocket, exec" for p in probes]


def _always_pull(container: Object) -> bool:
    return container.get("imagePullPolicy") == "Always"


def _user(security: Object) -> str:
    user, group = security.get("runAsUser"), security.get("runAsGroup")
    if user is None:
        return "" if group is None else f"0:{group}"
    return str(user) if group is None else f"{user}:{group}"


def _groups(security: Object) -> tuple[int, ...]:
    own = [security["fsGroup"]] if "fsGroup" in security else []
    return (*own, *security.get("supplementalGroups", []))


def _mount(mount: Object) -> Mount:
    return Mount(
        volume=mount["name"],
        path=mount["mountPath"],
        sub_path=mount.get("subPath", ""),
        read_only=mount.get("readOnly", False),
    )


def _port(port: Object) -> Port:
    return Port(
        host_port=port["hostPort"],
        container_port=port["containerPort"],
        protocol=port.get("protocol", "TCP").lower(),
    )


def _all_keys(source: Object, lookup: Lookup) -> dict[str, str]:
    kind: Kind = "configmaps" if "configMapRef" in source else "secrets"
    reference = source.get("configMapRef") or source["secretRef"]
    found = lookup(kind, reference["name"])
    if found is None:
        if reference.get("optional"):
            return {}
        raise ConfigError(f'{_SINGULAR[kind]} "{reference["name"]}" not found')
    return {source.get("prefix", "") + key: value.decode() for key, value in data(kind, found).items()}


def _value(pod: Object, variable: Object, lookup: Lookup, pod_ip: str, env: Mapping[str, str]) -> str | None:
    origin = variable.get("valueFrom")
    if not origin:
        return expand(variable.get("value", ""), env)
    if "fieldRef" in origin:
        return field(pod, origin["fieldRef"]["fieldPath"], pod_ip)
    if "configMapKeyRef" in origin:
        return _key("configmaps", origin["configMapKeyRef"], lookup)
    if "secretKeyRef" in origin:
        return _key("secrets", origin["secretKeyRef"], lookup)
    raise ConfigError(
        f"env {variable['name']}: {', '.join(origin)}; allowed are fieldRef, configMapKeyRef, secretKeyRef"
    )


_SINGULAR: Mapping[Kind, str] = {"configmaps": "configmap", "secrets": "secret"}


def _key(kind: Kind, reference: Object, lookup: Lookup) -> str | None:
    found = lookup(kind, reference["name"])
    value = data(kind, found).get(reference["key"]) if found else None
    if value is not None:
        return value.decode()
    if reference.get("optional"):
        return None
    what = f'{_SINGULAR[kind]} "{reference["name"]}" not found' if found is None else ""
    raise ConfigError(what or f'couldn\'t find key {reference["key"]} in {_SINGULAR[kind]} "{reference["name"]}"')


def data(kind: Kind, found: Object) -> dict[str, bytes]:
    """The keys of a ConfigMap or Secret as bytes."""
    plain = found.get("data") or {}
    if kind == "secrets":
        return {key: b64decode(value) for key, value in plain.items()}
    binary = {key: b64decode(value) for key, value in (found.get("binaryData") or {}).items()}
    return {key: value.encode() for key, value in plain.items()} | binary
