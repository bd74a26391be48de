"""Does the passphrase at hand open a stack file's secrets? Asked before the engine starts, which fails less clearly.

The engine's passphrase provider keeps `encryptionsalt: v1:SALT:v1:NONCE:TEXT` (base64): TEXT is the word `pulumi`
under AES-256-GCM with a key of PBKDF2-HMAC-SHA256 over 1,000,000 rounds
(pulumi/pulumi sdk/go/common/resource/config/crypt.go and pkg/secrets/passphrase). About 0.3 s of one core.
"""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fullbore.config.paths import KEY, in_stack_file
from fullbore.config.stack_file import NONCE_BYTES, sealed_parts, sealed_values, setting
from fullbore.problems import Problem

ROUNDS = 1_000_000
KEY_BYTES = 32
PROOF = b"pulumi"
PATH = "encryptionsalt"
PUBLIC = "fullbore-local"
"""The passphrase of a sandbox's stack, whose secrets guard nothing; docs/adr/0005."""


def passphrase_problems(
    document: Mapping[object, object], environ: Mapping[str, str], sandbox: bool = False, stack: str | None = None
) -> tuple[Problem, ...]:
    """What the passphrase at hand does not open in the file of `stack`; nothing where there is nothing to compare.

    In a sandbox the public one is used where `environ` has none.
    """
    if PATH not in document:
        return ()
    try:
        parts = _parts(document[PATH])
    except ValueError:
        form = "got a value of another form, allowed v1:SALT:v1:NONCE:TEXT as the engine writes it; restore it"
        return (_problem(form),)
    try:
        passphrase = _passphrase(environ)
    except (OSError, UnicodeDecodeError) as error:
        unread = f"PULUMI_CONFIG_PASSPHRASE_FILE cannot be read ({error.__class__.__name__}); correct its path"
        return (_problem(unread),)
    if passphrase is None and not sandbox:
        return ()
    key = _key(parts, PUBLIC if passphrase is None else passphrase)
    if key is None:
        return (_problem(_wrong(given=passphrase is not None, sandbox=sandbox)),)
    return tuple(_unopened(document, key, stack))


def _wrong(*, given: bool, sandbox: bool) -> str:
    if not given:
        return (
            "the public passphrase of a sandbox does not open this stack's secrets; restore the value, or set "
            "PULUMI_CONFIG_PASSPHRASE to the passphrase that the stack was created with"
        )
    instead = "unset both, then a sandbox's public one is used, or " if sandbox else ""
    return (
        "the passphrase in PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE does not open this stack's "
        f"secrets; {instead}set the one that the stack was created with"
    )


def _unopened(document: Mapping[object, object], key: bytes, stack: str | None) -> Iterator[Problem]:
    """Encrypted values under another key: copied from another stack, or left of an earlier `encryptionsalt`."""
    for loc, value in sealed_values(document):
        parts = sealed_parts(value)
        if parts is not None and _decrypted(key, *parts) is None:
            message = (
                "this stack's passphrase opens other secrets, but not this one: it was encrypted for another stack, "
                f"or is damaged; set it again with {setting(loc, stack)}"
            )
            yield Problem(path=in_stack_file(loc), severity="error", rule="secret-unopened", message=message)


def opened(
    document: Mapping[object, object], field: Sequence[str], environ: Mapping[str, str], sandbox: bool = False
) -> str | None:
    """The encrypted value of a field of the environment, in clear; None where what is at hand does not open it."""
    sealed = dict(sealed_values(document)).get(("config", KEY, *field))
    parts = sealed_parts(sealed) if sealed else None
    try:
        salt, passphrase = _parts(document.get(PATH)), _passphrase(environ)
    except (OSError, ValueError):
        return None
    if parts is None or (passphrase is None and not sandbox):
        return None
    key = _key(salt, PUBLIC if passphrase is None else passphrase)
    plain = _decrypted(key, *parts) if key else None
    return None if plain is None else plain.decode()


def opens(salt: str, passphrase: str) -> bool:
    """True where the passphrase decrypts the proof in `encryptionsalt`. Raises ValueError for another form."""
    return _key(_parts(salt), passphrase) is not None


def _parts(salt: object) -> tuple[bytes, bytes, bytes]:
    """Key salt, nonce and proof. Raises ValueError for another form."""
    if not isinstance(salt, str):
        raise ValueError("not a text")
    version, key_salt, cipher_version, nonce, text = salt.split(":")
    if (version, cipher_version) != ("v1", "v1"):
        raise ValueError(version)
    try:
        parts = b64decode(key_salt, validate=True), b64decode(nonce, validate=True), b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if len(parts[1]) != NONCE_BYTES:
        raise ValueError("not a nonce")
    return parts


def _key(parts: tuple[bytes, bytes, bytes], passphrase: str) -> bytes | None:
    """The stack's key; None where the passphrase is not the one that the proof was written with."""
    key_salt, nonce, text = parts
    key = hashlib.pbkdf2_hmac("sha256", passphrase.encode("utf-8", "surrogateescape"), key_salt, ROUNDS, KEY_BYTES)
    return key if _decrypted(key, nonce, text) == PROOF else None


def _decrypted(key: bytes, nonce: bytes, text: bytes) -> bytes | None:
    try:
        return AESGCM(key).decrypt(nonce, text, None)
    except InvalidTag:
        return None


def _passphrase(environ: Mapping[str, str]) -> str | None:
    """As the engine reads it: the variable, else the file's content without the white space around it."""
    if "PULUMI_CONFIG_PASSPHRASE" in environ:
        return environ["PULUMI_CONFIG_PASSPHRASE"]
    file = environ.get("PULUMI_CONFIG_PASSPHRASE_FILE")
    return Path(file).read_text(encoding="utf-8", errors="surrogateescape").strip() if file else None


def _problem(message: str) -> Problem:
    return Problem(path=PATH, severity="error", rule="passphrase-wrong", message=message)
