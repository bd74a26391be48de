"""Facts that hosts reported: whether their signature holds, how old they are, and how they differ from what is wanted.

A host signs `facts_text` with its own SSH host key, so that facts kept in state, or published in a file, can be
trusted without a route to the host.
"""

from __future__ import annotations

import functools
import json
import subprocess
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

from fullbore.provider.values import UNKNOWN, Map, Secret, join_path, plain

NAMESPACE: Final = "fullbore-facts"
"""What the signature is for, so that one made for another purpose does not pass."""

FACT_KEYS: Final = {"settings": "settings", "reported_at": "reportedAt", "signature": "signature"}
"""What is kept of the facts module's result, and its name in a property map."""


def from_module(result: Mapping[str, Any]) -> Map:
    """The facts of one host as a property map: {settings: {id: value}, reportedAt, signature}."""
    return {name: result.get(key) or "" for key, name in FACT_KEYS.items()}


def facts_text(host: str, settings: Mapping[str, str], reported_at: str) -> str:
    """What a host signs (see the module fullbore_facts): canonical JSON of its name, its settings and the time."""
    body = {"host": host, "reported_at": reported_at, "settings": dict(settings)}
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def trusted(host: str, host_key: str, facts: Mapping[str, Any]) -> bool:
    """True where the facts carry a signature by this host key ('ssh-ed25519 AAAA...')."""
    seen: Map = plain(facts)
    if not seen.get("signature") or not isinstance(seen.get("settings"), dict):
        return False
    text = facts_text(host, cast("dict[str, str]", seen["settings"]), str(seen.get("reportedAt", "")))
    return _verify(host_key, str(seen["signature"]), text)


@functools.lru_cache(maxsize=1024)
def _verify(host_key: str, signature: str, text: str) -> bool:
    """`ssh-keygen -Y verify`, once for each set of facts: the engine asks for every diff twice."""
    with tempfile.TemporaryDirectory(prefix="fullbore-") as folder:
        signers, signed = Path(folder, "signers"), Path(folder, "signature")
        signers.write_text(f"host {host_key}\n")
        signed.write_text(signature)
        done = subprocess.run(
            ["ssh-keygen", "-Y", "verify", "-f", signers, "-I", "host", "-n", NAMESPACE, "-s", signed],
            input=text.encode(),
            capture_output=True,
            check=False,
        )
    return done.returncode == 0


def age_s(reported_at: str, now: datetime | None = None) -> float | None:
    """Seconds since an ISO 8601 time; negative where it lies ahead, None where it is no time."""
    try:
        then = datetime.fromisoformat(reported_at)
    except ValueError:
        return None
    return ((now or datetime.now(UTC)) - then.astimezone(UTC)).total_seconds()


def age(seconds: float | None) -> str:
    """An age in words: "40 s ago", "3 h ago", "at an unknown time"."""
    if seconds is None:
        return "at an unknown time"
    if seconds < 0:
        return "in the future, by their own clocks"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{int(seconds)} s ago"


NOT_APPLICABLE: Final = {"governor.all": "not applicable: no cpufreq"}
"""{setting: what a host reports that has nothing to set it on}; it counts as met. As `holds` of the agent has it."""


def setting_changes(host: str, have: Mapping[str, Any], want: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """{property path: (kind, line)} for each setting of a host that is not what is wanted.

    A setting that the host did not report is shown as unknown, never as unchanged; secret values are hidden.
    """
    changes: dict[str, tuple[str, str]] = {}
    for id, wanted in sorted(want.items()):
        now = have.get(id)
        met = (str(plain(wanted)), NOT_APPLICABLE.get(id))
        if now is not None and wanted is not UNKNOWN and str(plain(now)) in met:
            continue
        hidden = isinstance(wanted, Secret) or isinstance(now, Secret)
        shown = _shown(now, hidden), _shown(wanted, hidden)
        kind = "add" if now is None else "update"
        changes[join_path("hosts", host, "settings", id)] = (kind, f"{host}: {id}: {shown[0]} -> {shown[1]}")
    return changes


def _shown(value: Any, hidden: bool) -> str:
    if value is None or value is UNKNOWN:
        return "unknown"
    return "[secret]" if hidden else str(value)
