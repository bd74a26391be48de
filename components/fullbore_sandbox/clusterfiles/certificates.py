"""Certificates of one control plane: its own authority, one server and one client certificate, made once.

Everything runs on one machine for one user, so a single server certificate (loopback names) serves etcd and the API
server, and a single client certificate in `system:masters` serves every component. Keys are readable by the owner only.
"""

from __future__ import annotations

import base64
import datetime
import json
import os
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFE = datetime.timedelta(days=3650)
SERVER_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
SERVER_ADDRESSES = ("127.0.0.1", "10.96.0.1")
PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, as files."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Certificates:
    """The files of one control plane in `folder`."""

    folder: Path

    @property
    def authority(self) -> Pair:
        return self._pair("ca")

    @property
    def server(self) -> Pair:
        return self._pair("server")

    @property
    def client(self) -> Pair:
        return self._pair("client")

    @property
    def accounts(self) -> Pair:
        """The pair that signs service account tokens."""
        return self._pair("accounts")

    def _pair(self, name: str) -> Pair:
        return Pair(self.folder / f"{name}.crt", self.folder / f"{name}.key")


def ensure(folder: Path, name: str) -> Certificates:
    """The certificates in `folder`, made now where they are missing. `name` goes into the authority's subject."""
    made = Certificates(folder)
    if (folder / "complete").exists():
        return made
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority_key, authority = _authority(name)
    _write(made.authority, authority_key, authority)
    for pair, subject, usage in (
        (made.server, _subject("kube-apiserver"), [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
        (made.client, _subject("fullbore-sandbox", "system:masters"), [ExtendedKeyUsageOID.CLIENT_AUTH]),
        (made.accounts, _subject("service-accounts"), [ExtendedKeyUsageOID.CLIENT_AUTH]),
    ):
        key = ec.generate_private_key(ec.SECP256R1())
        _write(pair, key, _signed(subject, key, authority, authority_key, usage))
    (folder / "complete").touch()
    return made


def kubeconfig(path: Path, name: str, server: str, certificates: Certificates) -> Path:
    """Write a kubeconfig with everything inline, mode 0600. JSON, which every YAML reader takes."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": server,
                    "certificate-authority-data": _encoded(certificates.authority.certificate),
                },
            }
        ],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": _encoded(certificates.client.certificate),
                    "client-key-data": _encoded(certificates.client.key),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    _write_private(path, (json.dumps(config, indent=1) + "\n").encode())
    return path


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _subject(common_name: str, organization: str | None = None) -> x509.Name:
    names = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:
        names.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(names)


def _authority(name: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(f"fullbore sandbox {name}")
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    certificate = (
        _builder(subject, subject, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return key, certificate


def _signed(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    usages: list[x509.ObjectIdentifier],
) -> x509.Certificate:
    names: list[x509.GeneralName] = [x509.DNSName(n) for n in SERVER_NAMES]
    names += [x509.IPAddress(IPv4Address(a)) for a in SERVER_ADDRESSES]
    builder = _builder(subject, authority.subject, key).add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    if ExtendedKeyUsageOID.SERVER_AUTH in usages:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return builder.add_extension(signer, critical=False).sign(authority_key, hashes.SHA256())


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + LIFE)
    )


def _write(pair: Pair, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    _write_private(pair.key, key.private_bytes(PEM, PKCS8, serialization.NoEncryption()))
    _write_private(pair.certificate, certificate.public_bytes(PEM))


def _write_private(path: Path, content: bytes) -> None:
    """Replace `path`; no reader other than the owner can open it at any moment."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    partial.replace(path)
