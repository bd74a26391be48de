"""What is wrong with a stack file around and beside the environment: its keys, and how its secrets are kept.

The top level's keys are the engine's (pulumi/pulumi sdk/go/common/workspace/project.go, ProjectStack). An encrypted
value is `v1:NONCE:TEXT` in base64, TEXT under AES-256-GCM (sdk/go/common/resource/config/crypt.go).
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, cast

from fullbore.config.errors import NEVER_SECRET, nearest
from fullbore.config.paths import KEY, clip, dotted, in_stack_file
from fullbore.problems import Problem

TOP_LEVEL = ("config", "encryptedkey", "encryptionsalt", "environment", "secretsprovider")
SECRETS = (
    ("replication", "password"),
    ("replication", "agents", "*", "activation_key"),
    ("cloud", "vpn", "direct_connect", "bgp_key"),
    ("site", "bmc", "password"),
    ("site", "groups", "*", "bmc", "password"),
)
"""Fields of an environment that are written encrypted; `*` is any name."""
MAY_BE_SECRET = (("monitoring", "webhook_url"),)
"""Fields that are written encrypted where they hold a secret, and in clear where not."""
NONCE_BYTES = 12
TAG_BYTES = 16

_Loc = tuple[str | int, ...]


def stack_file_problems(
    raw: Mapping[object, object], key: str = KEY, stack: str | None = None, *, sealed: bool = True
) -> tuple[Problem, ...]:
    """Problems of the file of `stack` as it was read, with its encrypted values; never repeats a value.

    `sealed` is false where it is known to hold none, so that none is looked for.
    """
    found = sealed_values(raw) if sealed else []
    return (
        *_unknown_keys(raw, key),
        *_sealed_badly(raw, found, stack),
        *_sealed_needlessly(raw, key, found),
        *_in_clear(raw, key, {loc for loc, _ in found}, stack),
    )


def _unknown_keys(raw: Mapping[object, object], key: str) -> Iterator[Problem]:
    config = raw.get("config")
    own = key.partition(":")[0] + ":"
    names = list(cast("Mapping[object, object]", config)) if isinstance(config, Mapping) else []
    yield from _unknown((), list(raw), TOP_LEVEL)
    yield from _unknown(("config",), [name for name in names if str(name).startswith(own)], (key,))


def _unknown(loc: _Loc, names: Sequence[object], allowed: Sequence[str]) -> Iterator[Problem]:
    for name in map(str, names):
        if name not in allowed:
            hint = nearest(name, allowed) or "; remove it"
            message = f"unknown field{hint}; allowed here: {', '.join(allowed)}"
            yield _problem((*loc, clip(name)), "config-unknown-field", message)


def _sealed_badly(
    raw: Mapping[object, object], sealed: Sequence[tuple[_Loc, str]], stack: str | None
) -> Iterator[Problem]:
    """Encrypted values that the engine could not open: of another form, or without what the key is made from."""
    for loc, value in sealed:
        if sealed_parts(value) is None:
            message = (
                "an encrypted value of another form, allowed v1:NONCE:TEXT as the engine writes it; restore it, "
                f"or set it again with {setting(loc, stack)}"
            )
            yield _problem(loc, "secret-form", message)
    if sealed and not raw.get("encryptionsalt") and not raw.get("secretsprovider"):
        message = (
            f"missing, but {in_stack_file(sealed[0][0])} is encrypted with a key that is made from it; "
            "restore the line that the engine wrote"
        )
        yield _problem(("encryptionsalt",), "secret-without-salt", message)


def _sealed_needlessly(raw: Mapping[object, object], key: str, sealed: Sequence[tuple[_Loc, str]]) -> Iterator[Problem]:
    """Encrypted values in fields that are shown, compared and written in clear on hosts and in tags."""
    allowed = {loc for field in (*SECRETS, *MAY_BE_SECRET) for loc in _places(raw, ("config", key, *field))}
    for loc, _ in sealed:
        if loc[:2] == ("config", key) and loc not in allowed:
            yield _problem(loc, "config-secret", NEVER_SECRET)


def sealed_values(raw: Mapping[object, object]) -> list[tuple[_Loc, str]]:
    """Places and cipher texts of the encrypted values of a stack file."""
    found: list[tuple[_Loc, str]] = []
    _find_sealed(raw.get("config"), ("config",), found)
    return found


def _find_sealed(value: Any, loc: _Loc, found: list[tuple[_Loc, str]]) -> None:
    if isinstance(value, dict):
        items = cast("dict[object, Any]", value)
        if len(items) == 1 and isinstance(items.get("secure"), str):
            found.append((loc, items["secure"]))
            return
        for name, item in items.items():
            if isinstance(item, dict | list):
                _find_sealed(item, (*loc, str(name)), found)
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            if isinstance(item, dict | list):
                _find_sealed(item, (*loc, index), found)


def sealed_parts(value: str) -> tuple[bytes, bytes] | None:
    """Nonce and text of an encrypted value; None where it has another form."""
    version, *parts = value.split(":")
    try:
        nonce, text = (b64decode(part, validate=True) for part in parts)
    except (binascii.Error, ValueError):  # not base64, or not two parts
        return None
    return (nonce, text) if version == "v1" and len(nonce) == NONCE_BYTES and len(text) >= TAG_BYTES else None


def _in_clear(raw: Mapping[object, object], key: str, sealed: Set[_Loc], stack: str | None) -> Iterator[Problem]:
    places = (loc for field in SECRETS for loc in _places(raw, ("config", key, *field)))
    for loc in places:
        if loc not in sealed:
            message = (
                "a secret in clear text, allowed an encrypted value; choose a new one and "
                f"set it with {setting(loc, stack)}"
            )
            yield _problem(loc, "secret-in-clear", message)


def setting(loc: _Loc, stack: str | None) -> str:
    """The command that encrypts a value. It names the stack: else the secret would go to whichever is selected."""
    return f"scripts/pulumi config set -s {stack or 'ENV'} --secret --path '{dotted(loc[1:])}'"


def _places(value: Any, field: Sequence[str], loc: _Loc = ()) -> Iterator[_Loc]:
    """Where something is written in a field."""
    if not field:
        if value is not None:
            yield loc
    elif isinstance(value, Mapping):
        named = cast("Mapping[object, Any]", value)
        for name in named if field[0] == "*" else named.keys() & {field[0]}:
            yield from _places(named[name], field[1:], (*loc, str(name)))


def _problem(loc: _Loc, rule: str, message: str) -> Problem:
    return Problem(path=in_stack_file(loc), severity="error", rule=rule, message=message)
