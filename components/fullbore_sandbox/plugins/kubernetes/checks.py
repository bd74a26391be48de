"""Inputs as they are registered: checked against the SDK, and completed with the name and the namespace."""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterator
from typing import Any

from fullbore.provider.base import UNKNOWN, Failure, Map, ProviderError, Secret
from fullbore.provider.values import from_json_strings, plain
from fullbore_sandbox.plugins.kubernetes import sdk, strict
from fullbore_sandbox.plugins.kubernetes.kinds import CLUSTER_SCOPED, api_version_of, group_of, sealed

AUTONAMED = "pulumi.com/autonamed"
"""Annotation of the official provider on an object whose name it made up."""
SUFFIX = 7
"""Random characters of a made-up name (pulumi/pulumi-kubernetes, provider/pkg/metadata/naming.go)."""

_NOT_COVERED = {
    "helm.sh": "Helm charts and releases",
    "kustomize": "kustomize directories",
    "yaml": "YAML files",
}
_METADATA = sdk.Object("meta/v1", "ObjectMetaArgs")
_PROVIDER = sdk.Object("", "provider:ProviderArgs")
_NOT_COVERED_CONFIG = ("alwaysRender", "helmReleaseSettings", "kubeClientSettings", "renderYamlToDirectory")


def parsed_config(config: Map) -> Map:
    """The configuration with what the SDKs send as JSON text parsed; a kubeconfig may be JSON and stays text."""
    known = sdk.properties(_PROVIDER)
    texts = {name for name, each in known.items() if each.type == sdk.Scalar("string")}
    return {**from_json_strings(config), **{name: value for name, value in config.items() if name in texts}}


def config_faults(config: Map) -> Iterator[Failure]:
    """What is wrong with a provider's own configuration."""
    for path, reason in strict.faults(config, _PROVIDER):
        yield Failure(path, reason)
    for name in _NOT_COVERED_CONFIG:
        if config.get(name):
            yield Failure(name, "not covered by the sandbox's stand-in; use the official Kubernetes plugin")
    if config.get("enableServerSideApply") is False:
        yield Failure("enableServerSideApply", "got false, allowed: true; the stand-in only applies on the server")


def input_faults(token: str, inputs: Map) -> list[Failure]:
    """What is wrong with a resource's inputs. Raises ProviderError for a type that nothing can be said about."""
    api, kind = token.split(":")[1:]
    return [Failure(*fault) for fault in _faults(api, kind, inputs)]


def _faults(api: str, kind: str, inputs: Map) -> Iterator[strict.Fault]:
    group = api.rpartition("/")[0]
    if group in _NOT_COVERED:
        raise ProviderError(f"kubernetes:{api}:{kind}: the stand-in does not cover {_NOT_COVERED[group]}")
    known = sdk.resource(api, kind)
    if known and not kind.endswith(("List", "Patch")):
        yield from strict.faults(inputs, known)
    elif sdk.is_built_in(api):
        raise ProviderError(_unknown_kind(api, kind))
    else:
        yield from _custom_faults(api, kind, inputs)


def _custom_faults(api: str, kind: str, inputs: Map) -> Iterator[strict.Fault]:
    """A custom resource's own fields are checked by the server, which has its schema."""
    for name, wanted in (("apiVersion", api), ("kind", kind)):
        got = plain(inputs.get(name))
        if got != wanted and got is not UNKNOWN:
            yield name, f"got {strict.shown(got)}, allowed: {wanted!r}"
    yield from strict.faults(inputs.get("metadata") or {}, _METADATA, "metadata")


def _unknown_kind(api: str, kind: str) -> str:
    group, _, version = api.rpartition("/")
    served = sdk.kinds(f"{group.split('.')[0]}/{version}")
    allowed = sorted(name for name, of in served.items() if of == api and not name.endswith(("List", "Patch")))
    listed = ", ".join(allowed) if allowed else f"none in {api}"
    return f"kubernetes:{api}:{kind}: no such type in pulumi_kubernetes {sdk.version()}, allowed: {listed}"


def is_namespaced(api_version: str, kind: str) -> bool | None:
    """From the table for built-in kinds; None for a custom resource, which only the server knows."""
    if not sdk.is_built_in(api_version if "/" in api_version else f"core/{api_version}"):
        return None
    return (group_of(api_version), kind) not in CLUSTER_SCOPED


def completed(token: str, name: str, news: Map, olds: Map, namespace: str | None) -> Map:
    """The inputs with apiVersion, kind, a name and (`namespace`: the default, None for no namespace) a namespace."""
    api_version, kind = api_version_of(token)
    given = news.get("metadata") or {}
    inputs = sealed({**news, "apiVersion": api_version, "kind": kind})
    metadata = given.value if isinstance(given, Secret) else given
    if metadata is UNKNOWN:
        return inputs
    metadata = _named(metadata, name, plain(olds.get("metadata") or {}))
    if namespace and metadata.get("namespace") is None:
        metadata = {**metadata, "namespace": namespace}
    return {**inputs, "metadata": Secret(metadata) if isinstance(given, Secret) else metadata}


def is_autonamed(inputs: Map) -> bool:
    return ((plain(inputs).get("metadata") or {}).get("annotations") or {}).get(AUTONAMED) == "true"


def _named(metadata: Map, resource: str, old: Any) -> Map:
    """A name that was made up once is kept; a new one is `RESOURCE-xxxxxxx`."""
    if metadata.get("name") is not None:
        return metadata
    was_made_up = isinstance(old, dict) and (old.get("annotations") or {}).get(AUTONAMED) == "true"
    name = old["name"] if was_made_up else f"{resource.lower()}-{_random()}"
    return {**metadata, "name": name, "annotations": {**(metadata.get("annotations") or {}), AUTONAMED: "true"}}


def _random() -> str:
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(SUFFIX))
