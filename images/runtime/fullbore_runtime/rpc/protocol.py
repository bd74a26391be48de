"""Messages and methods of the .proto files beside this, from their compiled form in `descriptors.binpb`.

The compiled form holds descriptors and no code, because generated code refuses every protobuf that is older than what
it was generated with: the image takes Debian's, a GPU engine brings its own. After a change of a .proto file:

    python -m grpc_tools.protoc -I images/runtime/fullbore_runtime/rpc --include_imports \
        --descriptor_set_out=images/runtime/fullbore_runtime/rpc/descriptors.binpb inference.proto health.proto
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

INFERENCE = "inference.GRPCInferenceService"
HEALTH = "grpc.health.v1.Health"
DESCRIPTORS = Path(__file__).with_name("descriptors.binpb")

_FILES = descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes())
# A pool of its own: an engine in the same process may know other files with the same names in them.
_POOL = descriptor_pool.DescriptorPool()
for _file in _FILES.file:
    _POOL.Add(_file)


def message(name: str) -> Any:
    """The class of a message by its full name."""
    found = _POOL.FindMessageTypeByName(name)
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(found)
    # protobuf before 4.22, as in Debian 12.
    return message_factory.MessageFactory(_POOL).GetPrototype(found)  # pyright: ignore[reportAttributeAccessIssue]


def methods(service: str) -> Mapping[str, descriptor_pb2.MethodDescriptorProto]:
    """The methods of a service by name."""
    services = {f"{file.package}.{found.name}": found for file in _FILES.file for found in file.service}
    return {method.name: method for method in services[service].method}


def handlers(service: str, functions: Mapping[str, Callable[..., Any]]) -> grpc.GenericRpcHandler:
    """What serves every method of a service by the function of its name: (request or requests, context)."""
    made: dict[str, grpc.RpcMethodHandler] = {}
    for name, method in methods(service).items():
        make = getattr(grpc, f"{_kind(method)}_rpc_method_handler")
        taken, given = (message(kind.lstrip(".")) for kind in (method.input_type, method.output_type))
        made[name] = make(functions[name], taken.FromString, given.SerializeToString)
    return grpc.method_handlers_generic_handler(service, made)


def calls(channel: grpc.Channel, service: str) -> Mapping[str, Callable[..., Any]]:
    """A client's calls by name."""
    made: dict[str, Callable[..., Any]] = {}
    for name, method in methods(service).items():
        taken, given = (message(kind.lstrip(".")) for kind in (method.input_type, method.output_type))
        make = getattr(channel, _kind(method))
        made[name] = make(f"/{service}/{name}", taken.SerializeToString, given.FromString)
    return made


def _kind(method: descriptor_pb2.MethodDescriptorProto) -> str:
    """unary_unary, unary_stream, and so on: grpcio's words for who streams."""
    return "_".join("stream" if streams else "unary" for streams in (method.client_streaming, method.server_streaming))
