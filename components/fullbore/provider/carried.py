"""What of an earlier acceptance still holds, so that a machine that comes new, or failed, loads only itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from fullbore.evidence.model import Verdict
from fullbore.evidence.signed import in_force, verdicts_of
from fullbore.provider.evidenceinputs import measured
from fullbore.provider.values import Map


@dataclass(frozen=True, kw_only=True)
class Carried:
    """Hosts that an earlier result still accepts, and what it says of them; `expires` is when it ends."""

    hosts: frozenset[str] = frozenset()
    verdicts: tuple[Verdict, ...] = ()
    tools: Mapping[str, str] | None = None
    expires: datetime | None = None


NOTHING: Final = Carried()


def carried(text: str, old: Map, new: Map, now: datetime) -> Carried:
    """Of the signed result `text`, made with the inputs `old`, what holds for the inputs `new`."""
    body = in_force(text, public_key=new["publicKey"], group=new["group"], lock=new["lock"], now=now)
    if body is None:
        return NOTHING
    by_host = _by_host(verdicts_of(body), old["hosts"], new["group"])
    if any(verdict.state == "failed" for verdict in by_host.pop("", [])):
        return NOTHING
    hosts = frozenset(
        host
        for host, verdicts in by_host.items()
        if host in new["hosts"]
        and measured(old, host) == measured(new, host)
        and all(verdict.state != "failed" for verdict in verdicts)
    )
    kept = tuple(verdict for host in sorted(hosts) for verdict in by_host[host])
    expires = datetime.fromisoformat(body["expiresAt"])
    return Carried(hosts=hosts, verdicts=kept, tools=cast("dict[str, Any]", body["tools"]), expires=expires)


def joined(earlier: Carried, verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    """What still holds and what was found now; what was judged again counts as it is now."""
    again = {(verdict.path, verdict.what) for verdict in verdicts}
    return (*(verdict for verdict in earlier.verdicts if (verdict.path, verdict.what) not in again), *verdicts)


def failed_by_host(verdicts: Collection[Verdict], hosts: Collection[str], group: str) -> dict[str, list[Verdict]]:
    """{host: what of it failed}"""
    return _by_host([verdict for verdict in verdicts if verdict.state == "failed"], hosts, group)


def _by_host(verdicts: Collection[Verdict], hosts: Collection[str], group: str) -> dict[str, list[Verdict]]:
    """{host: verdicts}; those of the group as a whole are under an empty name. Paths are HOST[.PART] and, of cables,
    GROUP.HOST.PORT."""
    found: dict[str, list[Verdict]] = {"": []}
    for verdict in verdicts:
        first, _, rest = verdict.path.partition(".")
        second = rest.partition(".")[0]
        owner = second if first == group and second in hosts else first if first in hosts else ""
        found.setdefault(owner, []).append(verdict)
    return found
