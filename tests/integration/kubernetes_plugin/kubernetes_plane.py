"""A Kubernetes control plane of its own for tests, and a provider that is called through its real gRPC service."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import yaml

from fullbore.provider import _process
from fullbore.provider._proto import provider_pb2, provider_pb2_grpc, status_pb2
from fullbore.provider.values import decode, encode
from fullbore_sandbox import toolchain
from fullbore_sandbox.plugins.kubernetes import kubeconfig
from fullbore_sandbox.plugins.kubernetes.api import Client
from fullbore_sandbox.plugins.kubernetes.provider import Kubernetes

TOKEN = "contract-test"
START_S = 60.0
CONTROLLERS = ("namespace", "garbage-collector", "deployment", "replicaset", "resourcequota", "persistentvolume-binder")


@dataclass(frozen=True)
class Plane:
    """A running control plane: no scheduler and no nodes, so that pods do what the test says."""

    kubeconfig: Path
    client: Client


@contextlib.contextmanager
def plane(folder: Path) -> Iterator[Plane]:
    """etcd, kube-apiserver and kube-controller-manager on free ports; all stopped at the end."""
    etcd, peer, server = (_free_port() for _ in range(3))
    (folder / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')
    _keys(folder)
    with contextlib.ExitStack() as stack:
        client_url, peer_url = f"http://127.0.0.1:{etcd}", f"http://127.0.0.1:{peer}"
        stack.enter_context(
            _running(
                folder,
                "etcd",
                f"--data-dir={folder / 'etcd'}",
                f"--listen-client-urls={client_url}",
                f"--advertise-client-urls={client_url}",
                f"--listen-peer-urls={peer_url}",
                f"--initial-advertise-peer-urls={peer_url}",
                f"--initial-cluster=default={peer_url}",
                "--unsafe-no-fsync",
            )
        )
        api = stack.enter_context(
            _running(
                folder,
                "kube-apiserver",
                f"--etcd-servers={client_url}",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={folder / 'accounts.key'}",
                f"--service-account-signing-key-file={folder / 'accounts.key'}",
                f"--cert-dir={folder / 'certs'}",
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                f"--secure-port={server}",
                f"--token-auth-file={folder / 'tokens.csv'}",
                "--authorization-mode=RBAC",
                "--service-cluster-ip-range=10.96.0.0/24",
                "--disable-admission-plugins=ServiceAccount",
            )
        )
        _until(lambda: _ready(server), api, folder / "kube-apiserver.log")
        path = _kubeconfig(folder, server)
        stack.enter_context(
            _running(
                folder,
                "kube-controller-manager",
                f"--kubeconfig={path}",
                "--leader-elect=false",
                "--secure-port=0",
                f"--controllers={','.join(f'{each}-controller' for each in CONTROLLERS)}",
            )
        )
        yield Plane(path, Client(kubeconfig.load(str(path))))


def _keys(folder: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "accounts.key").write_bytes(pem)


def _kubeconfig(folder: Path, port: int) -> Path:
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(folder / "certs" / "apiserver.crt")}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": TOKEN}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "current-context": "test",
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


@contextlib.contextmanager
def _running(folder: Path, name: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([toolchain.path(name), *arguments], stdout=log, stderr=log, cwd=folder)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(port: int) -> bool:
    request = urllib.request.Request(f"https://127.0.0.1:{port}/readyz", headers={"Authorization": f"Bearer {TOKEN}"})
    try:
        with urllib.request.urlopen(request, context=ssl._create_unverified_context(), timeout=2) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


def _until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """There is no event for an API server that becomes ready: asked ten times a second, up to a deadline."""
    deadline = time.monotonic() + START_S
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"the control plane did not start:\n{log.read_text()[-3000:]}")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Refused(Exception):
    """A call that ended with a gRPC status. `partial` is the state kept with it, if any."""

    def __init__(self, error: Any) -> None:
        super().__init__(error.details())
        self.partial = None
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                status = status_pb2.Status.FromString(value)
                self.partial = provider_pb2.ErrorResourceInitFailed()
                status.details[0].Unpack(self.partial)


@dataclass
class Engine:
    """Plays the engine for one resource at a time; values are decoded as the provider sees them."""

    kubeconfig: str
    preview: bool = False
    timeout_s: float = 0.0
    config: dict[str, Any] = field(default_factory=dict)

    def __enter__(self) -> Engine:
        self._server, port = _process.start(Kubernetes())
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.stub = provider_pb2_grpc.ResourceProviderStub(self._channel)
        config = encode({"kubeconfig": self.kubeconfig, **self.config})
        self.call("Configure", provider_pb2.ConfigureRequest(args=config, acceptSecrets=True))
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()
        self._server.stop(None).wait()

    def call(self, method: str, request: Any) -> Any:
        try:
            return getattr(self.stub, method)(request)
        except grpc.RpcError as error:
            raise Refused(error) from error

    def check(self, token: str, news: dict[str, Any], olds: dict[str, Any] | None = None, name: str = "x") -> Any:
        """(inputs, {path: reason})"""
        request = provider_pb2.CheckRequest(urn=urn(token, name), type=token, name=name, news=encode(news))
        request.olds.CopyFrom(encode(olds or {}))
        answer = self.call("Check", request)
        return decode(answer.inputs), dict(each.reason.split(": ", 1) for each in answer.failures)

    def diff(self, token: str, id_: str, olds: dict[str, Any], old_inputs: dict[str, Any], news: dict[str, Any]) -> Any:
        return self.call(
            "Diff",
            provider_pb2.DiffRequest(
                urn=urn(token),
                type=token,
                name="x",
                id=id_,
                olds=encode(olds),
                old_inputs=encode(old_inputs),
                news=encode(news),
            ),
        )

    def create(self, token: str, news: dict[str, Any], name: str = "x") -> tuple[str, dict[str, Any]]:
        answer = self.call(
            "Create",
            provider_pb2.CreateRequest(
                urn=urn(token, name),
                type=token,
                name=name,
                properties=encode(news),
                preview=self.preview,
                timeout=self.timeout_s,
            ),
        )
        return answer.id, decode(answer.properties)

    def read(self, token: str, id_: str, inputs: dict[str, Any], olds: dict[str, Any]) -> Any:
        """(id, inputs, outputs); the id is empty where the object is gone."""
        answer = self.call(
            "Read",
            provider_pb2.ReadRequest(
                urn=urn(token), type=token, name="x", id=id_, inputs=encode(inputs), properties=encode(olds)
            ),
        )
        return answer.id, decode(answer.inputs), decode(answer.properties)

    def update(
        self, token: str, id_: str, olds: dict[str, Any], old_inputs: dict[str, Any], news: dict[str, Any]
    ) -> dict[str, Any]:
        request = provider_pb2.UpdateRequest(
            urn=urn(token),
            type=token,
            name="x",
            id=id_,
            olds=encode(olds),
            old_inputs=encode(old_inputs),
            news=encode(news),
            preview=self.preview,
            timeout=self.timeout_s,
        )
        return decode(self.call("Update", request).properties)

    def delete(self, token: str, id_: str, outputs: dict[str, Any], inputs: dict[str, Any]) -> None:
        self.call(
            "Delete",
            provider_pb2.DeleteRequest(
                urn=urn(token), type=token, name="x", id=id_, properties=encode(outputs), old_inputs=encode(inputs)
            ),
        )


def urn(token: str, name: str = "x") -> str:
    return f"urn:pulumi:test::test::{token}::{name}"
