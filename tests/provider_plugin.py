"""The engine's side of the protocol for tests: a plugin behind a real gRPC server, and an engine that takes its log."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2

from fullbore.provider import _process
from fullbore.provider._proto import engine_pb2, engine_pb2_grpc, provider_pb2, provider_pb2_grpc
from fullbore.provider.base import Provider
from fullbore.provider.builder import Builder
from fullbore.provider.events import slim
from fullbore.provider.image import Images
from fullbore.provider.plugin import IMAGE, Fullbore
from fullbore.provider.runner import Job
from fullbore.provider.values import Map, decode, encode

METADATA = [(f"grpc.{limit}_metadata_size", 16 << 20) for limit in ("max", "absolute_max")]
"""As the engine takes them (grpc-go, defaultClientMaxHeaderListSize): the state that a resource keeps when it fails
travels in the status, and Python's limit of 16 KiB would lose it."""
RECORDED = Path(__file__).parent / "unit" / "provider" / "recorded"


@dataclass
class Line:
    severity: str
    message: str
    urn: str
    ephemeral: bool


@dataclass
class EngineLog(engine_pb2_grpc.EngineServicer):
    """Keeps what a plugin logs."""

    lines: list[Line] = field(default_factory=list)

    def Log(self, request: Any, context: Any) -> Any:
        name = engine_pb2.LogSeverity.Name(request.severity)
        self.lines.append(Line(name.lower(), request.message, request.urn, request.ephemeral))
        return empty_pb2.Empty()

    def said(self, severity: str = "info") -> list[str]:
        """Kept lines of a severity."""
        return [line.message for line in self.lines if line.severity == severity and not line.ephemeral]


@dataclass
class Plugin:
    """Calls to a running plugin, with plain maps."""

    stub: Any
    log: EngineLog
    type: str
    engine_address: str
    name: str = "it"

    @property
    def urn(self) -> str:
        return f"urn:pulumi:test::test::{self.type}::{self.name}"

    def _about(self) -> Map:
        return {"urn": self.urn, "type": self.type, "name": self.name}

    def check(self, news: Map, olds: Map | None = None) -> tuple[Map, list[str]]:
        """(inputs, failures)"""
        request = provider_pb2.CheckRequest(**self._about(), news=encode(news), olds=encode(olds or {}))
        answer = self.stub.Check(request)
        return decode(answer.inputs), [failure.reason for failure in answer.failures]

    def diff(self, old_inputs: Map, olds: Map, news: Map) -> dict[str, str]:
        """{path: kind}; empty where the plugin says that nothing changes."""
        request = provider_pb2.DiffRequest(
            **self._about(), id="i", old_inputs=encode(old_inputs), olds=encode(olds), news=encode(news)
        )
        answer = self.stub.Diff(request)
        assert (answer.changes == provider_pb2.DiffResponse.DIFF_SOME) == bool(answer.detailedDiff)
        kinds = provider_pb2.PropertyDiff.Kind
        return {path: kinds.Name(each.kind) for path, each in answer.detailedDiff.items()}

    def create(self, news: Map, preview: bool = False) -> tuple[str, Map]:
        answer = self.stub.Create(provider_pb2.CreateRequest(**self._about(), properties=encode(news), preview=preview))
        return answer.id, decode(answer.properties)

    def update(self, old_inputs: Map, olds: Map, news: Map, preview: bool = False) -> Map:
        request = provider_pb2.UpdateRequest(
            **self._about(),
            id="i",
            old_inputs=encode(old_inputs),
            olds=encode(olds),
            news=encode(news),
            preview=preview,
        )
        return decode(self.stub.Update(request).properties)

    def configure(self, config: Map) -> None:
        self.stub.Configure(provider_pb2.ConfigureRequest(args=encode(config)))

    def read(self, inputs: Map, olds: Map, id: str = "i") -> tuple[str, Map, Map]:
        """(id, inputs, outputs)"""
        request = provider_pb2.ReadRequest(**self._about(), id=id, inputs=encode(inputs), properties=encode(olds))
        answer = self.stub.Read(request)
        return answer.id, decode(answer.inputs), decode(answer.properties)

    def delete(self, old_inputs: Map, olds: Map) -> None:
        request = provider_pb2.DeleteRequest(
            **self._about(), id="i", old_inputs=encode(old_inputs), properties=encode(olds)
        )
        self.stub.Delete(request)


@contextmanager
def running(provider: Provider, type: str) -> Iterator[Plugin]:
    """A plugin that serves, beside an engine that it logs to."""
    log = EngineLog()
    engine = grpc.server(futures.ThreadPoolExecutor(2))
    engine_pb2_grpc.add_EngineServicer_to_server(log, engine)
    port = engine.add_insecure_port("127.0.0.1:0")
    engine.start()
    server, plugin_port = _process.start(provider, f"127.0.0.1:{port}")
    channel = grpc.insecure_channel(f"127.0.0.1:{plugin_port}", options=METADATA)
    try:
        yield Plugin(provider_pb2_grpc.ResourceProviderStub(channel), log, type, f"127.0.0.1:{port}")
    finally:
        channel.close()
        server.stop(None).wait()
        engine.stop(None).wait()


def refused(call: Callable[[], Any]) -> Any:
    """The status that a call ends with (a `grpc.Call`); fails where it succeeds."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


def recorded(name: str) -> list[Map]:
    """The slim events of a recorded ansible-runner run."""
    events = [slim(json.loads(line)) for line in (RECORDED / f"{name}.jsonl").read_text().splitlines()]
    return [event for event in events if event is not None]


@dataclass
class Recorder:
    """Stands in for Ansible: plays one recorded run after another, and keeps the jobs that it was given."""

    runs: list[str]
    jobs: list[Job] = field(default_factory=list)
    stopped: bool = False

    def run(self, job: Job, on_event: Callable[[Map], None]) -> None:
        self.jobs.append(job)
        for event in recorded(self.runs.pop(0)):
            on_event(event)
        on_event({"event": "end", "status": "successful", "rc": 0})

    def stop(self) -> None:
        self.stopped = True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def image_context(folder: Path) -> Path:
    """The smallest context that builds, made in `folder`: no base image, one file."""
    (folder / "sub").mkdir(parents=True)
    (folder / "Containerfile").write_text("FROM scratch\nARG WHO\nCOPY sub /sub\nENV WHO=$WHO\n")
    (folder / "sub" / "hello").write_text("hello\n")
    return folder


def image_inputs(address: Any, **changes: Any) -> Map:
    """Inputs of an image of the context `context`."""
    image = {"context": "context", "registry": address, "repository": "t/image", "insecure": True}
    return image | {"buildArgs": {"WHO": "me"}} | changes


@contextmanager
def image_plugin(folder: Path) -> Iterator[Plugin]:
    """The plugin of images whose contexts are in `folder`, and whose builds leave what they leave in its `builds`."""
    (folder / "builds").mkdir()
    builder = Builder(folder=str(folder / "builds"))
    with running(Fullbore(images=Images(builder, root=folder)), IMAGE) as plugin:
        yield plugin
