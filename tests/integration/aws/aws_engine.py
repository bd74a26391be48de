"""The engine's side of the protocol, as far as the tests need it: calls to a plugin that really serves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import empty_pb2

from fullbore._aws import EMULATED_SERVICES
from fullbore.provider import _process
from fullbore.provider._proto import provider_pb2, provider_pb2_grpc
from fullbore.provider.values import decode, encode
from fullbore_sandbox.plugins.aws.provider import AwsProvider

REGION = "eu-central-1"
Map = dict[str, Any]


@dataclass
class Object:
    """A resource as the engine remembers it."""

    type: str
    name: str
    id: str
    inputs: Map
    outputs: Map

    @property
    def urn(self) -> str:
        return urn(self.type, self.name)


@dataclass
class Planned:
    """What Diff said."""

    changes: dict[str, str]
    replaces: list[str]
    delete_first: bool


def urn(token: str, name: str) -> str:
    return f"urn:pulumi:test::test::{token}::{name}"


def provider_config(endpoint: str, **more: object) -> dict[str, object]:
    """Configuration as the SDK sends it: nested values as JSON text."""
    return {
        "region": REGION,
        "accessKey": "test",
        "secretKey": "test",
        "endpoints": json.dumps([dict.fromkeys(EMULATED_SERVICES, endpoint)]),
        **{k: v if isinstance(v, str) else json.dumps(v) for k, v in more.items()},
    }


class Refused(Exception):
    """Check found failures, or a call ended with an error."""


class Engine:
    """A configured plugin behind a real gRPC server."""

    def __init__(self, config: Map) -> None:
        self.server, port = _process.start(AwsProvider())
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.stub: Any = provider_pb2_grpc.ResourceProviderStub(self.channel)
        self.config = config

    def start(self) -> Engine:
        checked = self._call("CheckConfig", provider_pb2.CheckRequest(news=encode(self.config)))
        _raise(checked)
        self._call("Configure", provider_pb2.ConfigureRequest(args=encode(self.config), acceptSecrets=True))
        return self

    def stop(self) -> None:
        self.channel.close()
        self.server.stop(None).wait()

    def _call(self, method: str, request: Any) -> Any:
        try:
            return getattr(self.stub, method)(request)
        except grpc.RpcError as error:
            raise Refused(error.details()) from error  # pyright: ignore[reportAttributeAccessIssue]

    def check(self, token: str, name: str, news: Map, olds: Map | None = None) -> Map:
        request = provider_pb2.CheckRequest(
            urn=urn(token, name), type=token, name=name, news=encode(news), olds=encode(olds or {})
        )
        answer = self._call("Check", request)
        _raise(answer)
        return decode(answer.inputs)

    def failures(self, token: str, news: Map) -> dict[str, str]:
        request = provider_pb2.CheckRequest(urn=urn(token, "x"), type=token, name="x", news=encode(news))
        return dict(f.reason.split(": ", 1) for f in self._call("Check", request).failures)

    def create(self, token: str, name: str, news: Map, preview: bool = False) -> Object:
        inputs = self.check(token, name, news)
        request = provider_pb2.CreateRequest(
            urn=urn(token, name), type=token, name=name, properties=encode(inputs), preview=preview
        )
        answer = self._call("Create", request)
        return Object(token, name, answer.id, inputs, decode(answer.properties))

    def read(self, made: Object) -> Object | None:
        """As a refresh does it; with no inputs and outputs, as an import does."""
        request = provider_pb2.ReadRequest(
            urn=made.urn,
            type=made.type,
            name=made.name,
            id=made.id,
            inputs=encode(made.inputs),
            properties=encode(made.outputs),
        )
        answer = self._call("Read", request)
        if not answer.id:
            return None
        return Object(made.type, made.name, answer.id, decode(answer.inputs), decode(answer.properties))

    def diff(self, made: Object, news: Map) -> Planned:
        inputs = self.check(made.type, made.name, news, made.inputs)
        request = provider_pb2.DiffRequest(
            urn=made.urn,
            type=made.type,
            name=made.name,
            id=made.id,
            olds=encode(made.outputs),
            old_inputs=encode(made.inputs),
            news=encode(inputs),
        )
        answer = self._call("Diff", request)
        kinds = {path: provider_pb2.PropertyDiff.Kind.Name(d.kind).lower() for path, d in answer.detailedDiff.items()}
        return Planned(kinds, list(answer.replaces), answer.deleteBeforeReplace)

    def update(self, made: Object, news: Map, preview: bool = False) -> Object:
        inputs = self.check(made.type, made.name, news, made.inputs)
        request = provider_pb2.UpdateRequest(
            urn=made.urn,
            type=made.type,
            name=made.name,
            id=made.id,
            olds=encode(made.outputs),
            old_inputs=encode(made.inputs),
            news=encode(inputs),
            preview=preview,
        )
        return Object(made.type, made.name, made.id, inputs, decode(self._call("Update", request).properties))

    def delete(self, made: Object) -> None:
        request = provider_pb2.DeleteRequest(
            urn=made.urn,
            type=made.type,
            name=made.name,
            id=made.id,
            properties=encode(made.outputs),
            old_inputs=encode(made.inputs),
        )
        self._call("Delete", request)

    def info(self) -> Any:
        return self._call("GetPluginInfo", empty_pb2.Empty())


def _raise(answer: Any) -> None:
    if answer.failures:
        raise Refused("; ".join(f.reason for f in answer.failures))
