"""The sandbox's stand-in for the official Kubernetes provider: server-side apply against a loopback API server."""

from __future__ import annotations

import hashlib
import os
import threading
from typing import Any

from fullbore.provider.base import (
    Check,
    Created,
    Diff,
    Map,
    PartialFailure,
    Provider,
    ProviderError,
    Read,
    Request,
)
from fullbore.provider.values import has_unknown, plain
from fullbore_sandbox.plugins.kubernetes import changes, checks, kubeconfig, sdk
from fullbore_sandbox.plugins.kubernetes.api import Client, Unreachable
from fullbore_sandbox.plugins.kubernetes.drift import imported_inputs, live_inputs
from fullbore_sandbox.plugins.kubernetes.kinds import api_version_of, group_of, replaced_by
from fullbore_sandbox.plugins.kubernetes.target import MANAGER, Target, foreseen, outputs_of
from fullbore_sandbox.plugins.kubernetes.wait import until_gone, until_ready

TIMEOUT_S = 600.0
"""How long a create, an update or a delete is waited for, as the official provider does (customTimeouts changes it)."""
SKIP_AWAIT = "pulumi.com/skipAwait"
PROPAGATION = "pulumi.com/deletionPropagationPolicy"
_SERVER = ("kubeconfig", "context", "cluster")


class Kubernetes(Provider):
    name = "kubernetes"

    def __init__(self) -> None:
        super().__init__()
        self.version = sdk.version()
        self.plan_only = os.environ.get("FULLBORE_PLAN_ONLY") == "1"
        self.config: Map = {}
        self.client: Client | None = None
        self._announced = threading.Lock()

    # Configuration

    def check_config(self, olds: Map, news: Map) -> Check:
        config = checks.parsed_config(news)
        given = {key: value for key, value in config.items() if key not in ("version", "pluginDownloadURL")}
        return Check(news, list(checks.config_faults(given)))

    def diff_config(self, olds: Map, news: Map) -> Diff:
        found = changes.differences(olds, news)
        return Diff(
            changes.with_replacement(found, _SERVER if self._other_cluster(olds, news) else ()), input_diff=True
        )

    def _other_cluster(self, olds: Map, news: Map) -> bool:
        """True where the objects of the old configuration are not those of the new one."""
        old, new = plain(olds), plain(news)
        if "clusterIdentifier" in old or "clusterIdentifier" in new:
            return old.get("clusterIdentifier") != new.get("clusterIdentifier")
        if self.plan_only or has_unknown(new):
            return False
        return kubeconfig.server_of(*map(old.get, _SERVER)) != kubeconfig.server_of(*map(new.get, _SERVER))

    def configure(self, config: Map) -> None:
        self.config = plain(checks.parsed_config(config))
        if not self.plan_only:
            self.client = Client(kubeconfig.load(*map(self.config.get, _SERVER)))

    # Without contact to a server, but for the scope of a custom resource

    def check(self, r: Request) -> Check:
        self._announce(r)
        failures = checks.input_faults(r.type, r.news)
        if failures:
            return Check(r.news, failures)
        return Check(checks.completed(r.type, r.name, r.news, r.olds, self._namespace(r.type)))

    def _namespace(self, token: str) -> str | None:
        """Where an object without a namespace goes; None for a kind without, and where that cannot be known yet."""
        api_version, kind = api_version_of(token)
        namespaced = checks.is_namespaced(api_version, kind)
        if namespaced is None and self.client:
            served = self.client.kind(api_version, kind)
            namespaced = served is not None and served.namespaced
        default = self.client.connection.namespace if self.client else "default"
        return (self.config.get("namespace") or default) if namespaced else None

    def diff(self, r: Request) -> Diff:
        api_version, kind = api_version_of(r.type)
        found = changes.differences(r.old_inputs, r.news)
        if MANAGER not in r.olds:
            # Imported and never applied: what the program does not mention belongs to others and stays.
            found = {path: change for path, change in found.items() if change != "delete"}
        found = changes.with_replacement(found, replaced_by(group_of(api_version), kind, self.config))
        # A name that is given can be had again only once the old object is gone.
        before = changes.replaces(found) and not checks.is_autonamed(r.news) and not _moves(found)
        return Diff(found, delete_before_replace=before, input_diff=True)

    # With a server

    def create(self, r: Request) -> Created:
        if r.preview:
            return Created("", self._preview(r, r.news, _manager(r)))
        target = self._target(r, r.news)
        self._require_free(target, _manager(r), r)
        return Created(target.id, self._apply(target, r, _manager(r)))

    def update(self, r: Request) -> Map:
        manager = r.olds.get(MANAGER) or _manager(r)
        if r.preview:
            return self._preview(r, r.news, manager, r.olds)
        return self._apply(self._target(r, r.news), r, manager)

    def read(self, r: Request) -> Read | None:
        inputs = r.inputs
        target = self._target(r, inputs or _named_by(r.id, r.type, self._namespace(r.type)))
        try:
            live = target.get()
        except Unreachable:
            if self.config.get("deleteUnreachable"):
                return None
            raise
        if live is None:
            return None
        manager = r.olds.get(MANAGER)
        found = live_inputs(inputs, live, lambda: target.would_be(manager)) if inputs else imported_inputs(live)
        return Read(target.id, found, outputs_of(live, found, manager))

    def delete(self, r: Request) -> None:
        target = self._target(r, r.old_inputs or _named_by(r.id, r.type, self._namespace(r.type)))
        try:
            self._delete(target, r)
        except Unreachable:
            if not self.config.get("deleteUnreachable"):
                raise
            r.log("warning", f"{target}: no API server answers; forgotten without deleting (deleteUnreachable)")

    def _delete(self, target: Target, r: Request) -> None:
        live = target.get() if target.served else None
        if live is None:
            return
        policy = target.annotation(PROPAGATION) or "Foreground"
        target.delete(live, {"background": "Background", "orphan": "Orphan"}.get(policy.lower(), "Foreground"))
        if target.annotation(SKIP_AWAIT) != "true":
            until_gone(target.client, target.collection, live, r.timeout_s or TIMEOUT_S, self.cancelled, _teller(r))

    def _apply(self, target: Target, r: Request, manager: str) -> Map:
        live = target.apply(manager)
        if target.annotation(SKIP_AWAIT) == "true":
            return outputs_of(live, r.news, manager)
        waited = until_ready(
            target.client, target.collection, live, r.timeout_s or TIMEOUT_S, self.cancelled, _teller(r)
        )
        outputs = outputs_of(waited.live, r.news, manager)
        if waited.reasons:
            raise PartialFailure(target.id, outputs, r.news, [f"{target}: {reason}" for reason in waited.reasons])
        return outputs

    def _preview(self, r: Request, news: Map, manager: str, olds: Map | None = None) -> Map:
        """What the server would make of it; the inputs alone where it cannot be asked yet."""
        if self.plan_only or self.client is None or has_unknown(news):
            return foreseen(news, olds)
        target = Target.of(self.client, r.type, news)
        result = target.dry_run(manager) if target.served else None
        return foreseen(news, olds, result)

    def _require_free(self, target: Target, manager: str, r: Request) -> None:
        """Refuse to take over what is not ours. An object that this very resource applied before is adopted.

        That is the case after a run that was killed between the apply and its record: the field manager of a resource
        is named after its URN, and the server keeps it with the object.
        """
        live = target.get()
        if live is None:
            return
        if live["metadata"].get("deletionTimestamp"):
            until_gone(target.client, target.collection, live, r.timeout_s or TIMEOUT_S, self.cancelled, _teller(r))
            return
        managers = [each["manager"] for each in live["metadata"].get("managedFields") or []]
        if manager in managers or self.config.get("upsertExistingObjects"):
            return
        raise ProviderError(
            f"{target} exists already and is managed by {', '.join(sorted(set(managers))) or 'nobody known'}; "
            f"take it over with `pulumi import {r.type} {r.name} {target.id}`, "
            "set upsertExistingObjects, or choose another name"
        )

    def _target(self, r: Request, inputs: Map) -> Target:
        self._announce(r)
        if self.plan_only:
            raise ProviderError(
                f"{r.type} {r.name}: FULLBORE_PLAN_ONLY is set, so nothing is contacted; unset it to do this for real"
            )
        if self.client is None:
            raise ProviderError(f"{r.type} {r.name}: the provider is not configured; give it a kubeconfig")
        return Target.of(self.client, r.type, inputs)

    def _announce(self, r: Request) -> None:
        """Say once in a run that this is not the official provider."""
        if self._announced.acquire(blocking=False):
            where = "nothing is contacted" if self.client is None else self.client.connection.server
            r.write_log("", "info", f"SIMULATED: Kubernetes through the sandbox's stand-in plugin ({where})", False)


def _manager(r: Request) -> str:
    """The field manager of a resource: the same for one URN in every run, another for any other."""
    return f"pulumi-fullbore-{hashlib.sha256(r.urn.encode()).hexdigest()[:8]}"


def _named_by(id_: str, token: str, namespace: str | None) -> Map:
    """Inputs that name the object of an id, `NAMESPACE/NAME` or `NAME`."""
    api_version, kind = api_version_of(token)
    head, _, name = id_.rpartition("/")
    metadata = {"name": name, **({"namespace": head or namespace} if head or namespace else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _moves(found: Map) -> bool:
    return any(path in found for path in ("metadata.name", "metadata.namespace"))


def _teller(r: Request) -> Any:
    return lambda line: r.log("info", line, True)
