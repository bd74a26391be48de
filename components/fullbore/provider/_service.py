"""The gRPC service around a `Provider`: decodes calls, encodes answers, and turns exceptions into statuses."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Generator
from typing import Any, Final

import grpc
from google.protobuf import empty_pb2, struct_pb2

from fullbore.provider._engine_log import EngineLog
from fullbore.provider._proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2
from fullbore.provider.base import Check, Diff, PartialFailure, Provider, ProviderError, Request
from fullbore.provider.values import decode, encode

_KIND: Final = {
    "add": provider_pb2.PropertyDiff.Kind.ADD,
    "add-replace": provider_pb2.PropertyDiff.Kind.ADD_REPLACE,
    "delete": provider_pb2.PropertyDiff.Kind.DELETE,
    "delete-replace": provider_pb2.PropertyDiff.Kind.DELETE_REPLACE,
    "update": provider_pb2.PropertyDiff.Kind.UPDATE,
    "update-replace": provider_pb2.PropertyDiff.Kind.UPDATE_REPLACE,
}

_INTERNAL_CONFIG: Final = frozenset({"version", "pluginDownloadURL", "__internal"})
"""What the engine keeps beside a provider's own configuration."""


class Service(provider_pb2_grpc.ResourceProviderServicer):
    """Decodes each call, hands it to the provider, encodes the answer, and turns exceptions into statuses."""

    def __init__(self, provider: Provider, log: EngineLog) -> None:
        self.provider = provider
        self.log = log

    # The plugin itself

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.log.attach(request.engine_address)
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_outputs=True)

    def Attach(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.log.attach(request.address)
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        return plugin_pb2.PluginInfo(version=self.provider.version)

    def GetSchema(self, request: Any, context: grpc.ServicerContext) -> Any:
        with _status(context, "GetSchema"):
            if request.version != 0:
                raise ProviderError(f"schema version {request.version} was asked for, but only 0 is known")
            return provider_pb2.GetSchemaResponse(schema=json.dumps(self.provider.schema()))

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.provider.cancel()
        return empty_pb2.Empty()

    # Configuration

    def CheckConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        with _status(context, "CheckConfig"):
            return _check_response(self.provider.check_config(decode(request.olds), decode(request.news)))

    def DiffConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        with _status(context, "DiffConfig"):
            return _diff_response(self.provider.diff_config(decode(request.old_inputs), decode(request.news)))

    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:
        with _status(context, "Configure"):
            config = decode(request.args)
            self.provider.configure({key: value for key, value in config.items() if key not in _INTERNAL_CONFIG})
            return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True, acceptOutputs=True)

    def Invoke(self, request: Any, context: grpc.ServicerContext) -> Any:
        with _status(context, f"Invoke {request.tok}"):
            result = self.provider.invoke(request.tok, decode(request.args))
            response = provider_pb2.InvokeResponse()
            getattr(response, "return").CopyFrom(encode(result))  # the field's name is a keyword of Python
            return response

    # Resources

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
        with _status(context, "Check"):
            r = self._request(request, olds=request.olds, news=request.news)
            return _check_response(self.provider.check(r))

    def Diff(self, request: Any, context: grpc.ServicerContext) -> Any:
        with _status(context, "Diff"):
            r = self._request(
                request,
                id=request.id,
                olds=request.olds,
                old_inputs=request.old_inputs,
                news=request.news,
                ignore_changes=tuple(request.ignoreChanges),
            )
            return _diff_response(self.provider.diff(r))

    def Create(self, request: Any, context: grpc.ServicerContext) -> Any:
        with _status(context, "Create"):
            r = self._request(
                request, news=request.properties, preview=request.preview, timeout_s=request.timeout or None
            )
            created = self.provider.create(r)
            return provider_pb2.CreateResponse(id=created.id, properties=encode(created.outputs))

    def Read(self, request: Any, context: grpc.ServicerContext) -> Any:
        with _status(context, "Read"):
            r = self._request(
                request,
                id=request.id,
                olds=request.properties,
                inputs=request.inputs,
                timeout_s=request.timeout or None,
            )
            found = self.provider.read(r)
            if found is None:
                return provider_pb2.ReadResponse(id="")
            return provider_pb2.ReadResponse(id=found.id, properties=encode(found.outputs), inputs=encode(found.inputs))

    def Update(self, request: Any, context: grpc.ServicerContext) -> Any:
        with _status(context, "Update"):
            r = self._request(
                request,
                id=request.id,
                olds=request.olds,
                old_inputs=request.old_inputs,
                news=request.news,
                ignore_changes=tuple(request.ignoreChanges),
                preview=request.preview,
                timeout_s=request.timeout or None,
            )
            return provider_pb2.UpdateResponse(properties=encode(self.provider.update(r)))

    def Delete(self, request: Any, context: grpc.ServicerContext) -> Any:
        with _status(context, "Delete"):
            r = self._request(
                request,
                id=request.id,
                olds=request.properties,
                old_inputs=request.old_inputs,
                timeout_s=request.timeout or None,
            )
            self.provider.delete(r)
            return empty_pb2.Empty()

    # What this kind of provider has not. The generated base raises, which would print a traceback for each.

    def Parameterize(self, request: Any, context: grpc.ServicerContext) -> Any:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{self.provider.name} takes no parameters")

    def Construct(self, request: Any, context: grpc.ServicerContext) -> Any:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{self.provider.name} has no remote components")

    def Call(self, request: Any, context: grpc.ServicerContext) -> Any:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{self.provider.name} has no methods")

    def List(self, request: Any, context: grpc.ServicerContext) -> Any:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{self.provider.name} lists no resources")

    def GetMapping(self, request: Any, context: grpc.ServicerContext) -> Any:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{self.provider.name} maps no other ecosystem")

    def GetMappings(self, request: Any, context: grpc.ServicerContext) -> Any:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{self.provider.name} maps no other ecosystem")

    def _request(self, request: Any, **fields: Any) -> Request:
        values: dict[str, Any] = {
            key: decode(value) if isinstance(value, struct_pb2.Struct) else value for key, value in fields.items()
        }
        return Request(urn=request.urn, type=request.type, name=request.name, write_log=self.log.write, **values)


def _check_response(check: Check) -> Any:
    # The engine prints the whole value of a failure's `property`, secrets too: the path goes into the reason instead.
    failures = [provider_pb2.CheckFailure(reason=f"{f.path}: {f.reason}") for f in check.failures]
    return provider_pb2.CheckResponse(inputs=encode(check.inputs), failures=failures)


def _diff_response(diff: Diff) -> Any:
    some = bool(diff.changes)
    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if some else provider_pb2.DiffResponse.DIFF_NONE,
        diffs=sorted({_root(path) for path in diff.changes}),
        replaces=sorted({_root(path) for path, kind in diff.changes.items() if kind.endswith("-replace")}),
        detailedDiff={
            path: provider_pb2.PropertyDiff(kind=_KIND[kind], inputDiff=diff.input_diff)
            for path, kind in diff.changes.items()
        },
        hasDetailedDiff=some,
        deleteBeforeReplace=diff.delete_before_replace,
    )


def _root(path: str) -> str:
    """The top-level property of a path, which is all that `diffs` and `replaces` can say."""
    if path.startswith('["'):
        return str(json.JSONDecoder().raw_decode(path, 1)[0])
    return path.split(".", 1)[0].split("[", 1)[0]


@contextlib.contextmanager
def _status(context: grpc.ServicerContext, call: str) -> Generator[None]:
    """Ends the call with a gRPC status where its body raises."""
    try:
        yield
    except PartialFailure as failure:
        _abort_partial(context, failure)
    except ProviderError as error:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
    except Exception as error:  # noqa: BLE001 - the boundary: whatever it was becomes one line
        if os.environ.get("FULLBORE_DEBUG"):
            traceback.print_exc(file=sys.stderr)
        line = str(error).strip().splitlines()
        detail = f"{type(error).__name__}: {line[0]}" if line else type(error).__name__
        context.abort(grpc.StatusCode.INTERNAL, f"{call} failed in the provider: {detail}; FULLBORE_DEBUG=1 says more")


def _abort_partial(context: grpc.ServicerContext, failure: PartialFailure) -> None:
    """The status whose detail tells the engine to keep the resource and retry it."""
    detail = provider_pb2.ErrorResourceInitFailed(
        id=failure.id, properties=encode(failure.outputs), inputs=encode(failure.inputs), reasons=failure.reasons
    )
    message = str(failure)
    # google.rpc.Status goes in trailing metadata, as grpc-status-details-bin; grpcio has no call of its own for it.
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=message)
    status.details.add().Pack(detail)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, message)
