"""The gRPC server: translates between the Open Inference Protocol and a backend, which decides everything else."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any, Protocol

import grpc

from fullbore_runtime import __version__, compression, health
from fullbore_runtime.body import MAX_BODY_BYTES
from fullbore_runtime.errors import Overloaded, RequestError, RuntimeRefusal, Unavailable
from fullbore_runtime.rpc import protocol, tensors

SPARE_CALLS = 64
"""Calls besides those that generate: probes, watchers of health, and requests on their way to being refused."""
WATCH_S = 1.0
"""Seconds after which a watcher looks for a change that nobody told of: an engine that broke."""
RETRY_MS = "1000"
ACCEPT = "x-fullbore-accept-encoding"
"""Metadata of a call that wants its answer packed, as Accept-Encoding does over HTTP: a server cannot tell a distant
client from a near one, and every gRPC client takes gzip."""
STATUS = {400: grpc.StatusCode.INVALID_ARGUMENT, 404: grpc.StatusCode.NOT_FOUND}
PROBES = {
    "": "ready",
    protocol.INFERENCE: "ready",
    "readiness": "ready",
    "liveness": "live",
    "startup": "startup",
}
"""What the health protocol may ask for, and the probe that it is: the whole, the service, and Kubernetes' three."""

OnEnd = Callable[[Callable[[], None]], bool]
"""Has a function called when a call ends, however it ends; False where it has ended already."""


class Backend(Protocol):
    """What stands behind the front end."""

    model: str
    pool: str
    pod: str
    changed: threading.Condition
    """Told of each change of `phase`."""

    @property
    def phase(self) -> health.Phase: ...

    def request(self) -> AbstractContextManager[None]:
        """Counts a request from its first byte to the last one of its answer."""
        ...

    def generate(self, asked: tensors.Asked, on_end: OnEnd) -> Iterator[tensors.Part]:
        """Parts of the answer. Raises RequestError, Overloaded or Unavailable."""
        ...


class Front:
    """A gRPC server of both services on one port; `most` calls generate at once, or wait to."""

    def __init__(self, backend: Backend, address: str, *, most: int) -> None:
        self.ending = threading.Event()
        self.backend = backend
        calls = most + SPARE_CALLS
        self.server = grpc.server(
            ThreadPoolExecutor(calls, thread_name_prefix="grpc"),
            maximum_concurrent_rpcs=calls,
            # Without so_reuseport a port that is taken is an error.
            options=[("grpc.max_receive_message_length", MAX_BODY_BYTES), ("grpc.so_reuseport", 0)],
        )
        probes, inference = Health(backend, self.ending), Inference(backend)
        self.server.add_generic_rpc_handlers(
            (
                protocol.handlers(protocol.HEALTH, functions(probes, protocol.HEALTH)),
                protocol.handlers(protocol.INFERENCE, functions(inference, protocol.INFERENCE)),
            )
        )
        try:
            self.port = self.server.add_insecure_port(address)
        except RuntimeError as error:
            raise RuntimeRefusal(f"grpc_port: {address} cannot be had ({error}); choose one that is free") from error
        if not self.port:
            raise RuntimeRefusal(f"grpc_port: {address} cannot be had; choose one that is free")

    def start(self) -> None:
        self.server.start()

    def stop(self, grace_s: float) -> threading.Event:
        """Take no more calls, and let those that run finish; what is returned is set when all have, or time is up."""
        self.ending.set()
        with self.backend.changed:
            self.backend.changed.notify_all()
        return self.server.stop(grace_s)


def functions(servicer: object, service: str) -> dict[str, Callable[..., Any]]:
    return {name: getattr(servicer, name) for name in protocol.methods(service)}


class Health:
    """grpc.health.v1.Health. The state is always the backend's own, never a copy."""

    Response = protocol.message("grpc.health.v1.HealthCheckResponse")

    def __init__(self, backend: Backend, ending: threading.Event) -> None:
        self.backend = backend
        self.ending = ending

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
        status = self.status(request.service)
        if status == "SERVICE_UNKNOWN":
            known = ", ".join(repr(name) for name in PROBES)
            context.abort(grpc.StatusCode.NOT_FOUND, f"service: got {request.service!r}, must be one of {known}")
        return self.Response(status=status)

    def Watch(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        """The status now, and each that differs from the one before, until the server or the caller ends."""
        context.add_callback(self.wake)
        last = None
        while context.is_active() and not self.ending.is_set():
            now = self.status(request.service)
            if now != last:
                last = now
                yield self.Response(status=now)
                continue
            with self.backend.changed:
                if self.status(request.service) == last and context.is_active() and not self.ending.is_set():
                    self.backend.changed.wait(WATCH_S)

    def status(self, service: str) -> str:
        probe = PROBES.get(service)
        if probe is None:
            return "SERVICE_UNKNOWN"
        return "SERVING" if health.good(probe, self.backend.phase) else "NOT_SERVING"

    def wake(self) -> None:
        with self.backend.changed:
            self.backend.changed.notify_all()


class Inference:
    """inference.GRPCInferenceService."""

    Live = protocol.message("inference.ServerLiveResponse")
    Ready = protocol.message("inference.ServerReadyResponse")
    ModelIsReady = protocol.message("inference.ModelReadyResponse")
    ServerData = protocol.message("inference.ServerMetadataResponse")
    ModelData = protocol.message("inference.ModelMetadataResponse")
    StreamResponse = protocol.message("inference.ModelStreamInferResponse")

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def ServerLive(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self.Live(live=health.good("live", self.backend.phase))

    def ServerReady(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self.Ready(ready=health.good("ready", self.backend.phase))

    def ModelReady(self, request: Any, context: grpc.ServicerContext) -> Any:
        ready = request.name == self.backend.model and request.version in ("", tensors.VERSION)
        return self.ModelIsReady(ready=ready and health.good("ready", self.backend.phase))

    def ServerMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self.ServerData(name="fullbore-runtime", version=__version__, extensions=["model_stream_infer"])

    def ModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self.answering(context, "ModelMetadata"):
            if request.name != self.backend.model:
                known = self.backend.model
                raise RequestError("name", f"{request.name!r} does not exist; this server has {known!r}", status=404)
            tensors.check_version(request.version)
            made = self.ModelData(name=request.name, versions=[tensors.VERSION], platform="fullbore")
            for field, rows in ((made.inputs, tensors.INPUTS), (made.outputs, tensors.OUTPUTS)):
                for name, kind in rows.items():
                    field.add(name=name, datatype=kind, shape=[1])
            return made

    def ModelInfer(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self.answering(context, "ModelInfer"):
            asked = tensors.read_request(request)
            if asked.stream:
                raise RequestError("stream", "many messages need ModelStreamInfer; leave it out here")
            return tensors.response(asked, self.whole(asked, context))

    def ModelStreamInfer(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        with self.answering(context, "ModelStreamInfer"):
            for request in requests:
                yield from self.stream(request, context)

    def stream(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        """Messages that answer one request of a stream. What is wrong with it does not end the stream."""
        try:
            asked = tensors.read_request(request)
            with closing(self.parts(asked, context)) as parts:
                for part in parts:
                    yield self.StreamResponse(infer_response=tensors.response(asked, part))
        except RequestError as error:
            failed = self.StreamResponse(error_message=str(error))
            failed.infer_response.id = request.id
            yield failed

    def parts(self, asked: tensors.Asked, context: grpc.ServicerContext) -> Generator[tensors.Part, None, None]:
        if asked.stream:
            yield from self.backend.generate(asked, context.add_callback)
        else:
            yield self.whole(asked, context)

    def whole(self, asked: tensors.Asked, context: grpc.ServicerContext) -> tensors.Part:
        parts = list(self.backend.generate(asked, context.add_callback))
        last = parts[-1]
        text = "".join(part.text for part in parts)
        return tensors.Part(text, last.finish, last.prompt_tokens, last.generated_tokens)

    @contextmanager
    def answering(self, context: grpc.ServicerContext, method: str) -> Iterator[None]:
        """Names the pool and the pod, gives every refusal its status, and logs a line for each call."""
        if compression.wanted(metadata(context).get(ACCEPT, "")):
            # Message by message, and not where it would make one larger.
            context.set_compression(grpc.Compression.Gzip)
        sent = {"x-fullbore-pool": self.backend.pool, "x-fullbore-pod": self.backend.pod}
        context.send_initial_metadata(tuple((name, value) for name, value in sent.items() if value))
        status = grpc.StatusCode.CANCELLED
        try:
            with self.backend.request():
                yield
            status = grpc.StatusCode.OK
        except (RequestError, Overloaded, Unavailable) as error:
            status = code(error)
            if status is grpc.StatusCode.RESOURCE_EXHAUSTED:
                context.set_trailing_metadata((("grpc-retry-pushback-ms", RETRY_MS),))
            if context.is_active():
                context.abort(status, str(error))
        finally:
            log(method, status, metadata(context).get("x-request-id", ""))


def code(error: Exception) -> grpc.StatusCode:
    """gRPC's status of a refusal."""
    if isinstance(error, RequestError):
        return STATUS.get(error.status, grpc.StatusCode.INVALID_ARGUMENT)
    return grpc.StatusCode.RESOURCE_EXHAUSTED if isinstance(error, Overloaded) else grpc.StatusCode.UNAVAILABLE


def metadata(context: grpc.ServicerContext) -> dict[str, str]:
    return {key: str(value) for key, value in context.invocation_metadata() or ()}


def log(method: str, status: grpc.StatusCode, request_id: str) -> None:
    line = {"method": "gRPC", "path": f"/{protocol.INFERENCE}/{method}", "status": status.name}
    print(json.dumps({**line, "request_id": request_id}), file=sys.stdout, flush=True)
