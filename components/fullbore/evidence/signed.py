"""A result that can be kept: verdicts, the lock that they were made with, and an expiry, under an Ed25519 signature.

The clock is the caller's, and so are the keys: OpenSSH's own forms, as hosts and operators have them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from fullbore.evidence.model import Verdict

FORMAT: Final = 1
_CONTEXT: Final = b"fullbore-evidence\0"
"""Goes before the signed text, so that a signature made for another purpose does not pass."""
_FAILED: Final = 3
"""Failed verdicts that a problem names."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is signed. Times are with a time zone; `tools` is {tool: version} of what measured."""

    group: str
    lock: Mapping[str, str]
    tools: Mapping[str, str]
    made_at: datetime
    expires_at: datetime
    verdicts: Sequence[Verdict]


def lock_digest(lock: Mapping[str, str]) -> str:
    """sha256 of the lock's canonical JSON."""
    return f"sha256:{hashlib.sha256(_canonical(dict(lock))).hexdigest()}"


def sign(evidence: Evidence, private_key: bytes) -> str:
    """The evidence as JSON with a signature; `private_key` is an OpenSSH Ed25519 key. ValueError for another kind."""
    key = load_ssh_private_key(private_key, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("evidence is signed with an Ed25519 key (ssh-keygen -t ed25519)")
    body = {
        "format": FORMAT,
        "group": evidence.group,
        "lock": dict(evidence.lock),
        "lockDigest": lock_digest(evidence.lock),
        "tools": dict(evidence.tools),
        "madeAt": evidence.made_at.astimezone(UTC).isoformat(),
        "expiresAt": evidence.expires_at.astimezone(UTC).isoformat(),
        **_recorded(evidence.verdicts),
    }
    signature = base64.b64encode(key.sign(_CONTEXT + _canonical(body))).decode()
    return json.dumps({**body, "signature": signature}, sort_keys=True, indent=1, ensure_ascii=False)


def _recorded(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Verdicts with their sources listed once, and what to do only where a check failed: racks have thousands."""
    sources = sorted({verdict.source for verdict in verdicts})
    rows = [{**asdict(verdict), "source": sources.index(verdict.source)} for verdict in verdicts]
    kept = [{key: value for key, value in row.items() if key != "fix" or row["state"] == "failed"} for row in rows]
    return {"sources": sources, "verdicts": kept}


def verdicts_of(body: Mapping[str, Any]) -> list[Verdict]:
    """The verdicts of a signed body, whole again."""
    sources = cast("list[str]", body["sources"])
    rows = cast("list[dict[str, Any]]", body["verdicts"])
    return [Verdict(**cast("Any", {"fix": "", **row, "source": sources[row["source"]]})) for row in rows]


def problems(text: str, *, public_key: str, group: str, lock: Mapping[str, str], now: datetime) -> tuple[str, ...]:
    """Why evidence does not let a group serve; empty where it does. Only what is signed is looked at further."""
    body = _verified(text, public_key)
    if isinstance(body, str):
        return (body,)
    found = list(_stale(body, group, now))
    found += _drift(cast("dict[str, str]", body["lock"]), lock)
    verdicts = verdicts_of(body)
    failed = [verdict for verdict in verdicts if verdict.state == "failed"]
    if not verdicts:
        found.append("the evidence holds no verdict; run the acceptance")
    if failed:
        named = "; ".join(str(verdict) for verdict in failed[:_FAILED])
        found.append(f"{len(failed)} of {len(verdicts)} checks failed: {named}")
    return tuple(found)


def in_force(
    text: str, *, public_key: str, group: str, lock: Mapping[str, str], now: datetime
) -> dict[str, Any] | None:
    """The signed body, whatever its verdicts say; None where its signature, its time, its group or its lock is off."""
    body = _verified(text, public_key)
    if isinstance(body, str) or _stale(body, group, now) or _drift(cast("dict[str, str]", body["lock"]), lock):
        return None
    return body


def _canonical(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _verified(text: str, public_key: str) -> dict[str, Any] | str:
    """The signed body, or why it cannot be trusted."""
    try:
        body: Any = json.loads(text)
        signature = base64.b64decode(body.pop("signature"), validate=True)
        key = load_ssh_public_key(public_key.encode())
        if not isinstance(key, Ed25519PublicKey):
            return "the key that evidence is checked with is not an Ed25519 key"
        key.verify(signature, _CONTEXT + _canonical(body))
    except (ValueError, KeyError, AttributeError, TypeError, binascii.Error, UnsupportedAlgorithm) as error:
        return f"the evidence cannot be read: {error}; run the acceptance again"
    except InvalidSignature:
        return "the signature is not of this key; run the acceptance again, or correct the key"
    if body.get("format") != FORMAT:
        return f"the evidence has format {body.get('format')}, but {FORMAT} is understood; run the acceptance again"
    return cast("dict[str, Any]", body)


def _stale(body: Mapping[str, Any], group: str, now: datetime) -> list[str]:
    found: list[str] = []
    if body["group"] != group:
        found.append(f"the evidence is of {body['group']}, not of {group}")
    made, expires = (datetime.fromisoformat(body[key]) for key in ("madeAt", "expiresAt"))
    if now >= expires:
        found.append(f"the evidence expired at {body['expiresAt']}; run the acceptance again")
    if now < made:
        found.append(f"the evidence was made at {body['madeAt']}, which lies ahead; correct the clocks")
    return found


def _drift(had: Mapping[str, str], lock: Mapping[str, str]) -> list[str]:
    """Each part of the lock that is not what the evidence was made with."""
    if lock_digest(had) == lock_digest(lock):
        return []
    return [
        f"versions.{part}: the evidence is of {had.get(part, 'none')}, but the lock has {lock.get(part, 'none')}; "
        "run the acceptance again"
        for part in sorted({*had, *lock})
        if had.get(part) != lock.get(part)
    ]
