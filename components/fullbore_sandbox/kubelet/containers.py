"""Containers as the pod runner knows them: whose they are, how they are attached, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

CLUSTER, POD_UID, CONTAINER, KIND = "fullbore.cluster", "fullbore.pod-uid", "fullbore.container", "fullbore.kind"
"""Labels of a container that say whose it is."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image on this machine. `digest` names it by repository and digest where it has one, else by its id."""

    id: str
    digest: str
    user: str
    stop_signal: str


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Whose container it is; `kind` is init or main."""

    cluster: str
    namespace: str
    pod: str
    uid: str
    kind: str = "main"


@dataclass(frozen=True, kw_only=True)
class Network:
    """How a container is attached: with an address and names of its own, or inside another container's network."""

    address: str = ""
    aliases: tuple[str, ...] = ()
    join: str = ""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """A container as the engine knows it."""

    id: str
    name: str
    cluster: str
    uid: str
    kind: str
    running: bool
    pid: int
    exit_code: int
    oom_killed: bool
    never_started: bool
    started_at: str
    finished_at: str
    address: str
    aliases: tuple[str, ...]


def observed(inspected: dict[str, Any], network: str) -> Observed:
    """What `podman container inspect` (or docker's) says, as far as it matters here."""
    state, labels = inspected["State"], inspected["Config"].get("Labels") or {}
    attached = (inspected.get("NetworkSettings", {}).get("Networks") or {}).get(network, {})
    return Observed(
        id=inspected["Id"],
        name=labels.get(CONTAINER, ""),
        cluster=labels.get(CLUSTER, ""),
        uid=labels.get(POD_UID, ""),
        kind=labels.get(KIND, "main"),
        running=bool(state["Running"]),
        pid=state.get("Pid", 0),
        exit_code=state.get("ExitCode", 0),
        oom_killed=bool(state.get("OOMKilled")),
        never_started=state.get("StartedAt", "").startswith("0001-"),
        started_at=_seconds(state.get("StartedAt", "")),
        finished_at=_seconds(state.get("FinishedAt", "")),
        address=attached.get("IPAddress", ""),
        aliases=tuple(sorted(a for a in attached.get("Aliases") or [] if "." in a)),
    )


def _seconds(stamp: str) -> str:
    """A time as Kubernetes writes it: UTC, whole seconds; now where there is none."""
    if not stamp or stamp.startswith("0001-"):
        return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    head, _, rest = stamp.partition(".")
    zone = rest.lstrip("0123456789") if rest else ""
    return datetime.fromisoformat(f"{head}{zone}").astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
