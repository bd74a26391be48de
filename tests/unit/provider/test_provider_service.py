"""The gRPC service around a provider, over a real channel."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from provider_plugin import Plugin, refused, running

from fullbore.provider._proto import plugin_pb2, provider_pb2, status_pb2
from fullbore.provider.base import (
    UNKNOWN,
    Check,
    Created,
    Diff,
    Failure,
    Map,
    PartialFailure,
    Provider,
    ProviderError,
    Read,
    Request,
    Secret,
)
from fullbore.provider.values import decode, encode


class Toy(Provider):
    """Does what its inputs ask for."""

    name = "toy"
    version = "1.2.3"

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Request] = []
        self.config: Map = {}

    def configure(self, config: Map) -> None:
        self.config = config

    def check(self, r: Request) -> Check:
        return Check(r.news, [Failure("a.b", "is no good")] if r.news.get("bad") else ())

    def diff(self, r: Request) -> Diff:
        self.seen.append(r)
        changes = {'a["b.c"]': "update", "list[0]": "add", "gone": "delete", "new": "update-replace"}
        return Diff(changes if r.news else {}, delete_before_replace=True)

    def create(self, r: Request) -> Created:
        self.seen.append(r)
        r.log("warning", "look", ephemeral=True)
        match r.news.get("fail"):
            case "error":
                raise ProviderError("size: got 3, but it must be even; use 2 or 4")
            case "bug":
                raise KeyError("nothing here\nsecond line")
            case "partial":
                raise PartialFailure("i-1", {"done": Secret("half")}, {"asked": 1}, ["host a is away", "host b too"])
            case _:
                return Created("" if r.preview else "i-1", {**r.news, "made": UNKNOWN if r.preview else 1})

    def read(self, r: Request) -> Read | None:
        return None if r.olds.get("gone") else Read(r.id, {"in": 1}, {"out": 2})

    def invoke(self, token: str, args: Map) -> Map:
        return {"token": token, **args} if token == "toy:f" else super().invoke(token, args)


@pytest.fixture
def toy() -> Toy:
    return Toy()


@pytest.fixture
def plugin(toy: Toy) -> Iterator[Plugin]:
    with running(toy, "toy:index:Thing") as plugin:
        yield plugin


def test_secrets_and_unknowns_reach_the_provider_and_come_back(plugin: Plugin, toy: Toy) -> None:
    news = {"a": {"b": Secret([1, {"c": "x"}])}, "u": UNKNOWN}
    assert plugin.create(news, preview=True) == ("", {**news, "made": UNKNOWN})
    seen = toy.seen[0]
    assert (seen.news, seen.preview, seen.type, seen.name) == (news, True, "toy:index:Thing", "it")
    assert plugin.create({"n": 1}) == ("i-1", {"n": 1, "made": 1})


def test_a_diff_says_kinds_and_roots(plugin: Plugin, toy: Toy) -> None:
    request = provider_pb2.DiffRequest(
        id="i", olds=encode({"o": 1}), old_inputs=encode({"i": 1}), news=encode({"n": 1}), ignoreChanges=["x"]
    )
    answer = plugin.stub.Diff(request)
    kinds = provider_pb2.PropertyDiff.Kind
    assert {path: kinds.Name(each.kind) for path, each in answer.detailedDiff.items()} == {
        'a["b.c"]': "UPDATE",
        "list[0]": "ADD",
        "gone": "DELETE",
        "new": "UPDATE_REPLACE",
    }
    assert list(answer.diffs) == ["a", "gone", "list", "new"]
    assert list(answer.replaces) == ["new"]
    assert answer.deleteBeforeReplace
    seen = toy.seen[0]
    assert (seen.olds, seen.old_inputs, seen.news, seen.ignore_changes) == ({"o": 1}, {"i": 1}, {"n": 1}, ("x",))


def test_no_difference_is_said_outright(plugin: Plugin) -> None:
    answer = plugin.stub.Diff(provider_pb2.DiffRequest(id="i"))
    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE


def test_bad_input_is_one_line(plugin: Plugin) -> None:
    status = refused(lambda: plugin.create({"fail": "error"}))
    assert status.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert status.details() == "size: got 3, but it must be even; use 2 or 4"


def test_a_fault_is_one_line_without_a_traceback(plugin: Plugin, capfd: pytest.CaptureFixture[str]) -> None:
    status = refused(lambda: plugin.create({"fail": "bug"}))
    assert status.code() is grpc.StatusCode.INTERNAL
    details = status.details() or ""
    assert details.startswith("Create failed in the provider: KeyError: 'nothing here")
    assert "\n" not in details
    assert "Traceback" not in capfd.readouterr().err


def test_a_fault_has_a_traceback_on_request(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FULLBORE_DEBUG", "1")
    refused(lambda: plugin.create({"fail": "bug"}))
    assert "KeyError" in capfd.readouterr().err


def test_a_partial_failure_carries_what_exists(plugin: Plugin) -> None:
    status = refused(lambda: plugin.create({"fail": "partial"}))
    trailing = dict(status.trailing_metadata())
    rich = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    detail = provider_pb2.ErrorResourceInitFailed()
    assert rich.details[0].Unpack(detail)
    assert detail.id == "i-1"
    assert decode(detail.properties) == {"done": Secret("half")}
    assert decode(detail.inputs) == {"asked": 1}
    assert list(detail.reasons) == ["host a is away", "host b too"]


def test_a_failed_check_names_the_path_and_shows_no_value(plugin: Plugin) -> None:
    answer = plugin.stub.Check(provider_pb2.CheckRequest(news=encode({"bad": True, "a": Secret("hush")})))
    # The engine prints the value of a failure's property, secret or not.
    assert [(failure.property, failure.reason) for failure in answer.failures] == [("", "a.b: is no good")]


def test_log_lines_are_tied_to_the_resource(plugin: Plugin) -> None:
    plugin.create({})
    line = plugin.log.lines[0]
    assert (line.severity, line.message, line.urn, line.ephemeral) == ("warning", "look", plugin.urn, True)


def test_a_log_that_nobody_takes_fails_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with running(Toy(), "toy:index:Thing") as plugin:
        plugin.stub.Attach(plugin_pb2.PluginAttach(address="127.0.0.1:1"))
        assert plugin.create({})[0] == "i-1"
    assert "look" in capfd.readouterr().err


def test_the_log_follows_the_engine_that_attaches() -> None:
    with running(Toy(), "toy:index:Thing") as first, running(Toy(), "toy:index:Thing") as second:
        # `second`'s engine takes over `first`'s plugin; both engines are real servers.
        first.stub.Handshake(provider_pb2.ProviderHandshakeRequest(engine_address=second.engine_address))
        first.create({})
        assert (len(first.log.lines), len(second.log.lines)) == (0, 1)


def test_gone_is_an_empty_id(plugin: Plugin) -> None:
    assert plugin.read({}, {"gone": True})[0] == ""
    assert plugin.read({}, {}) == ("i", {"in": 1}, {"out": 2})


def test_configuration_comes_without_what_the_engine_keeps_beside_it(plugin: Plugin, toy: Toy) -> None:
    args = {"version": "1.2.3", "__internal": {}, "region": "x", "key": Secret("k")}
    answer = plugin.stub.Configure(provider_pb2.ConfigureRequest(args=encode(args)))
    assert (answer.acceptSecrets, answer.supportsPreview, answer.acceptOutputs) == (True, True, True)
    assert toy.config == {"region": "x", "key": Secret("k")}


def test_what_configure_and_handshake_say_agrees(plugin: Plugin) -> None:
    configured = plugin.stub.Configure(provider_pb2.ConfigureRequest())
    shaken = plugin.stub.Handshake(provider_pb2.ProviderHandshakeRequest())
    assert (shaken.accept_secrets, shaken.accept_resources, shaken.accept_outputs) == (
        configured.acceptSecrets,
        configured.acceptResources,
        configured.acceptOutputs,
    )


def test_functions(plugin: Plugin) -> None:
    answer = plugin.stub.Invoke(provider_pb2.InvokeRequest(tok="toy:f", args=encode({"x": 1})))
    assert decode(getattr(answer, "return")) == {"token": "toy:f", "x": 1}
    status = refused(lambda: plugin.stub.Invoke(provider_pb2.InvokeRequest(tok="toy:g")))
    assert "toy:g" in (status.details() or "")


def test_identity(plugin: Plugin) -> None:
    assert plugin.stub.GetPluginInfo(empty_pb2.Empty()).version == "1.2.3"
    assert json.loads(plugin.stub.GetSchema(provider_pb2.GetSchemaRequest()).schema)["name"] == "toy"


def test_cancel_is_passed_on(plugin: Plugin, toy: Toy) -> None:
    plugin.stub.Cancel(empty_pb2.Empty())
    assert toy.cancelled.is_set()


@pytest.mark.parametrize("call", ["Parameterize", "Construct", "Call", "GetMapping", "GetMappings"])
def test_what_is_not_there_says_so_quietly(plugin: Plugin, call: str, capfd: pytest.CaptureFixture[str]) -> None:
    requests: dict[str, Any] = {
        "Parameterize": provider_pb2.ParameterizeRequest,
        "Construct": provider_pb2.ConstructRequest,
        "Call": provider_pb2.CallRequest,
        "GetMapping": provider_pb2.GetMappingRequest,
        "GetMappings": provider_pb2.GetMappingsRequest,
    }
    status = refused(lambda: getattr(plugin.stub, call)(requests[call]()))
    assert status.code() is grpc.StatusCode.UNIMPLEMENTED
    assert capfd.readouterr().err == ""


def test_the_plugin_starts_without_the_sdk_and_leaves_it_importable() -> None:
    code = "import sys, fullbore.provider.plugin, fullbore.provider._process\n"
    code += "assert not [n for n in sys.modules if n.split('.')[0] == 'pulumi']\n"
    code += "import pulumi.runtime.proto\n"
    code += "from fullbore.provider._proto import provider_pb2\n"
    code += "assert pulumi.runtime.proto.provider_pb2.DiffRequest(id='i') == provider_pb2.DiffRequest(id='i')\n"
    subprocess.run([sys.executable, "-c", code], check=True)
