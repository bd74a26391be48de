"""One object on one server: where it is, what is sent for it, and what is kept of the answers."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from typing import Any

from fullbore.provider.base import UNKNOWN, Map, ProviderError, Secret
from fullbore.provider.values import keep_secrets, map_leaves, plain
from fullbore_sandbox.plugins.kubernetes.api import ApiError, Client, Kind, Object
from fullbore_sandbox.plugins.kubernetes.kinds import SECRET_DATA, api_version_of

MANAGER = "__fieldManager"
"""Output that names the field manager of the object, as the official provider has it."""

DISCOVERY_S = 10.0
"""How long the server may take to serve a kind whose definition it has just established."""

_VOLATILE = ("managedFields", "resourceVersion", "generation")
_CONDITION_TIMES = ("lastHeartbeatTime", "lastProbeTime", "lastTransitionTime", "lastUpdateTime", "observedGeneration")
_SHOWN_FROM = 4
"""Secrets shorter than this are not looked for in messages: `1` or `on` would hide half of the text."""


@dataclass(frozen=True)
class Target:
    """`inputs` may hold secrets, but no unknown values."""

    client: Client
    inputs: Map
    body: Object
    kind: Kind | None

    @classmethod
    def of(cls, client: Client, token: str, inputs: Map) -> Target:
        body = _without_nulls(plain(inputs))
        return cls(client, inputs, body, client.kind(*api_version_of(token)))

    def __str__(self) -> str:
        return f"{self.body['kind']} {self.id}"

    @property
    def id(self) -> str:
        metadata = self.body["metadata"]
        inside = metadata.get("namespace") if self.kind is None or self.kind.namespaced else None
        return f"{inside}/{metadata['name']}" if inside else metadata["name"]

    @property
    def served(self) -> bool:
        """Whether the server has this kind; a CustomResourceDefinition may come later in the same update."""
        return self.kind is not None

    @property
    def collection(self) -> str:
        return self._kind().collection(self.body["metadata"].get("namespace"))

    @property
    def path(self) -> str:
        return self._kind().path(self.body["metadata"].get("namespace"), self.body["metadata"]["name"])

    def annotation(self, name: str) -> str | None:
        return (self.body["metadata"].get("annotations") or {}).get(name)

    def get(self) -> Object | None:
        return self.client.get(self.path)

    def apply(self, manager: str) -> Object:
        """Server-side apply. Raises ProviderError with the server's reasons, secrets taken out."""
        try:
            return self.client.apply(self.path, self.body, manager)
        except ApiError as error:
            raise ProviderError(self._told(error)) from error

    def dry_run(self, manager: str) -> Object | None:
        """The object that an apply would make; None where its namespace is not there yet."""
        try:
            return self.client.apply(self.path, self.body, manager, dry_run=True)
        except ApiError as error:
            if error.status == 404 and error.of_kind == "namespaces":
                return None
            raise ProviderError(self._told(error)) from error

    def would_be(self, manager: str | None) -> Object | None:
        """The object that the inputs make; None where they never were applied, or the server refuses them now."""
        try:
            return self.client.apply(self.path, self.body, manager, dry_run=True) if manager else None
        except ApiError:
            return None

    def delete(self, live: Object, propagation: str) -> None:
        self.client.delete(self.path, live["metadata"]["uid"], propagation)

    def _kind(self) -> Kind:
        """How the server serves the kind. There is no event for a kind that begins to be served."""
        deadline = time.monotonic() + DISCOVERY_S
        found = self.kind
        while found is None:
            if time.monotonic() > deadline:
                raise ProviderError(
                    f"{self}: the API server has no kind {self.body['kind']} in {self.body['apiVersion']}; "
                    "install its CustomResourceDefinition first"
                )
            time.sleep(0.2)
            found = self.client.kind(self.body["apiVersion"], self.body["kind"])
        object.__setattr__(self, "kind", found)
        return found

    def _told(self, error: ApiError) -> str:
        """One line: the object, then each field and its fault."""
        causes = "; ".join(f"{field}: {message}" if field else message for field, message in error.causes)
        text = f"{self}: {causes or error}"
        immutable = "immutable" in text and "; give it the option replace_on_changes, or another name"
        return redact(text, self.inputs) + (immutable or "")


def outputs_of(live: Object, inputs: Map, manager: str | None) -> Map:
    """What is kept of a live object: all but what changes without anybody changing it; secrets stay secret."""
    outputs = _stable(live)
    outputs = keep_secrets(outputs, inputs)
    if live.get("kind") == "Secret" and live["apiVersion"] == "v1":
        outputs |= {key: Secret(plain(outputs[key])) for key in SECRET_DATA if key in outputs}
    return {**outputs, MANAGER: manager} if manager else outputs


def foreseen(news: Map, olds: Map | None, result: Object | None = None) -> Map:
    """Outputs in a preview: the dry run's result or the inputs; a new object's status and identity are unknown."""
    outputs = outputs_of(result, news, None) if result else dict(news)
    if olds:
        return {**({"status": olds["status"]} if "status" in olds else {}), **outputs}
    metadata = outputs.get("metadata")
    if isinstance(metadata, dict):
        outputs["metadata"] = {**metadata, "uid": UNKNOWN, "creationTimestamp": UNKNOWN}
    return {**outputs, "status": UNKNOWN}


def redact(text: str, inputs: Map) -> str:
    """The text with `[secret]` for every secret of the inputs, also where the server shows it in base64."""
    for value in _secrets(inputs):
        for form in (value, base64.b64encode(value.encode()).decode()):
            text = text.replace(form, "[secret]")
    return text


def _secrets(inputs: Map) -> list[str]:
    found: list[str] = []

    def collect(leaf: Any) -> Any:
        if isinstance(leaf, Secret):
            map_leaves(plain(leaf), lambda inner: found.append(str(inner)))
        return leaf

    map_leaves(inputs, collect)
    if inputs.get("kind") == "Secret":
        data = [plain(inputs.get(key)) or {} for key in SECRET_DATA]
        map_leaves(data, lambda leaf: found.append(str(leaf)))
    return sorted({value for value in found if len(value) >= _SHOWN_FROM}, key=len, reverse=True)


def _stable(live: Object) -> Object:
    """The object without versions and times, so that a refresh of an unchanged object shows nothing."""
    metadata = {key: value for key, value in live["metadata"].items() if key not in _VOLATILE}
    status = {key: value for key, value in (live.get("status") or {}).items() if key != "observedGeneration"}
    if isinstance(status.get("conditions"), list):
        timeless = ({k: v for k, v in each.items() if k not in _CONDITION_TIMES} for each in status["conditions"])
        status["conditions"] = sorted(timeless, key=lambda each: str(each.get("type")))
    return {**live, "metadata": metadata, **({"status": status} if "status" in live else {})}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value if item is not None]
    return value
