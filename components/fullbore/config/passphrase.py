"""Does the passphrase at hand open a stack file's secrets? Asked before the engine starts, which fails less clearly.

The engine's passphrase provider keeps `encryptionsalt: v1:SALT:v1:NONCE:TEXT` (base64): TEXT is the word `pulumi`
under AES-256-GCM with a key of PBKDF2-HMAC-SHA256 over 1,000,000 rounds
(pulumi/pulumi sdk/go/common/resource/config/crypt.go and pkg/secrets/passphrase). About 0.3 s of one core.
"""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fullbore.problems import Problem

ROUNDS = 1_000_000
KEY_BYTES = 32
NONCE_BYTES = 12
PROOF = b"pulumi"
PATH = "encryptionsalt"
PUBLIC = "fullbore-local"
"""The passphrase of a sandbox's stack, whose secrets guard nothing; docs/adr/0005."""


def passphrase_problem(
    document: Mapping[str, object], environ: Mapping[str, str], sandbox: bool = False
) -> Problem | None:
    """What is wrong with the passphrase for this stack file; None where it opens it or there is nothing to compare.

    In a sandbox the public one is used where `environ` has none.
    """
    if PATH not in document:
        return None
    salt = document[PATH]
    try:
        parts = _parts(salt)
    except ValueError:
        return _problem(
            "got a value of another form, allowed v1:SALT:v1:NONCE:TEXT as the engine writes it; restore it"
        )
    try:
        passphrase = _passphrase(environ)
    except (OSError, UnicodeDecodeError) as error:
        return _problem(f"PULUMI_CONFIG_PASSPHRASE_FILE cannot be read ({error.__class__.__name__}); correct its path")
    if passphrase is None and sandbox:
        return (
            None
            if _opens(parts, PUBLIC)
            else _problem(
                "the public passphrase of a sandbox does not open this stack's secrets; restore the value, or set "
                "PULUMI_CONFIG_PASSPHRASE to the passphrase that the stack was created with"
            )
        )
    if passphrase is None or _opens(parts, passphrase):
        return None
    instead = "unset both, then a sandbox's public one is used, or " if sandbox else ""
    return _problem(
        "the passphrase in PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE does not open this stack's "
        f"secrets; {instead}set the one that the stack was created with"
    )


def opens(salt: str, passphrase: str) -> bool:
    """True where the passphrase decrypts the proof in `encryptionsalt`. Raises ValueError for another form."""
    return _opens(_parts(salt), passphrase)


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


def _opens(parts: tuple[bytes, bytes, bytes], passphrase: str) -> bool:
    key_salt, nonce, text = parts
    key = hashlib.pbkdf2_hmac("sha256", passphrase.encode(), key_salt, ROUNDS, KEY_BYTES)
    try:
        return AESGCM(key).decrypt(nonce, text, None) == PROOF
    except InvalidTag:
        return False


def _passphrase(environ: Mapping[str, str]) -> str | None:
    """As the engine reads it: the variable, else the file's content without the white space around it."""
    if "PULUMI_CONFIG_PASSPHRASE" in environ:
        return environ["PULUMI_CONFIG_PASSPHRASE"]
    file = environ.get("PULUMI_CONFIG_PASSPHRASE_FILE")
    return Path(file).read_text(encoding="utf-8").strip() if file else None


def _problem(message: str) -> Problem:
    return Problem(path=PATH, severity="error", rule="passphrase-wrong", message=message)
