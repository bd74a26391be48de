"""The gRPC front end without a process of its own; tests/integration/runtime/test_grpc_client.py asks a real one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpc_tools import protoc
from small_server import SERVED, client_of, serving
from tune_cases import facts_of, plan_of

from fullbore_runtime import health
from fullbore_runtime.document import Document
from fullbore_runtime.errors import Overloaded, RequestError, RuntimeRefusal, Unavailable
from fullbore_runtime.facts import Facts, gather
from fullbore_runtime.rpc import protocol
from fullbore_runtime.rpc.local import Local
from fullbore_runtime.rpc.server import Front
from fullbore_runtime.rpc.tensors import Part
from fullbore_runtime.rpc.upstream import parts, refusal
from fullbore_runtime.tune import tune

SECONDS = 60
Machine = Callable[..., tuple[Facts, Document | None]]


def test_the_compiled_descriptors_are_those_of_the_proto_files(tmp_path: Path) -> None:
    folder, made = protocol.DESCRIPTORS.parent, tmp_path / "made"
    words = ["protoc", "-I", str(folder), "--include_imports", f"--descriptor_set_out={made}"]
    assert protoc.main([*words, "inference.proto", "health.proto"]) == 0
    assert protocol.DESCRIPTORS.read_bytes() == made.read_bytes(), protocol.__doc__


@pytest.mark.parametrize(
    ("phase", "probes"),
    [
        ("starting", {"live"}),
        ("ready", {"ready", "live", "startup"}),
        ("draining", {"live", "startup"}),
        ("broken", {"startup"}),
    ],
)
def test_probes_tell_what_a_phase_needs(phase: health.Phase, probes: set[str]) -> None:
    assert {probe for probe in health.GOOD if health.good(probe, phase)} == probes


def statuses(client: httpx.Client) -> list[int]:
    return [client.get(f"/health{path}").status_code for path in ("", "/ready", "/live", "/startup")]


def test_an_engine_that_breaks_fails_both_front_ends_alike(model_directory: Path) -> None:
    with serving(model_directory, opened=False) as server, client_of(server) as client:
        front = Front(Local(server.service), "127.0.0.1:0", most=4)
        front.start()
        with grpc.insecure_channel(f"127.0.0.1:{front.port}") as channel:
            check = protocol.calls(channel, protocol.HEALTH)["Check"]
            ask = protocol.message("grpc.health.v1.HealthCheckRequest")
            infer = protocol.calls(channel, protocol.INFERENCE)["ModelInfer"]
            request = protocol.message("inference.ModelInferRequest")(model_name=SERVED)
            text = request.inputs.add(name="text_input", datatype="BYTES", shape=[1])
            text.contents.bytes_contents.append(b"hello")

            def probes() -> list[int]:
                return [
                    check(ask(service=name), timeout=SECONDS).status for name in ("readiness", "liveness", "startup")
                ]

            assert (statuses(client), probes()) == ([503, 503, 200, 503], [2, 1, 2])
            server.service.open(model_directory)
            assert (statuses(client), probes()) == ([200, 200, 200, 200], [1, 1, 1])
            server.service.engine.step = broken  # pyright: ignore[reportAttributeAccessIssue]
            with pytest.raises(grpc.RpcError) as caught:
                infer(request, timeout=SECONDS)
            error: Any = caught.value
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            assert (statuses(client), probes()) == ([503, 503, 503, 200], [2, 2, 1])
        assert front.stop(SECONDS).wait(SECONDS)


def broken(_: object) -> object:
    raise FloatingPointError("as told by the test")


def test_a_port_that_is_taken_is_refused(model_directory: Path) -> None:
    with serving(model_directory, opened=False) as server, pytest.raises(RuntimeRefusal, match="grpc_port"):
        Front(Local(server.service), f"127.0.0.1:{server.server_port}", most=1)


def test_the_port_of_the_plan_or_of_the_environment_reaches_the_server(machine: Machine) -> None:
    serving = {"version": 1, "kind": "serving", "model": "any", "profile": "cpu"}
    assert "grpc-port" not in tune(*machine(plan=serving)).args
    assert tune(*machine(plan=serving, FULLBORE_GRPC_PORT="9001")).args["grpc-port"] == "9001"
    planned = tune(*machine(plan={**serving, "grpc_port": 9000}, FULLBORE_GRPC_PORT="9001"))
    assert (planned.args["grpc-port"], planned.refusals) == ("9000", ())
    with pytest.raises(RuntimeRefusal, match="FULLBORE_GRPC_PORT"):
        gather(environment={"FULLBORE_GRPC_PORT": "no"})


def test_a_grpc_port_is_refused_without_grpc_or_where_it_is_taken(machine: Machine) -> None:
    facts, plan = machine(plan={"version": 1, "kind": "serving", "model": "any", "profile": "cpu", "grpc_port": 8000})
    bare = replace(facts, software=replace(facts.software, packages={"protobuf": "4"}))
    refusals = " ".join(tune(bare, plan).refusals)
    assert "this image lacks grpcio;" in refusals
    assert "8000 is port, too" in refusals


def test_a_front_end_runs_beside_a_gpu_engine_where_it_is_asked_for() -> None:
    facts, plan = facts_of("h100.tp-8"), replace(plan_of("h100.tp-8"), grpc_port=9000)
    assert "this image lacks grpcio and protobuf" in " ".join(tune(facts, plan).refusals)
    packages = {**facts.software.packages, "grpcio": "1.80", "protobuf": "6"}
    facts = replace(facts, software=replace(facts.software, packages=packages))
    tuned = tune(facts, plan)
    (front,) = [beside for beside in tuned.of("beside") if beside.name == "fullbore_runtime.rpc.beside"]
    assert not tuned.refusals
    assert {"--port=9000", "--engine-port=8000", f"--model={plan.model}"} <= set(front.values)
    follower = tune(replace(facts, inherited={"LWS_WORKER_INDEX": "1"}), plan)
    assert front.name not in {beside.name for beside in follower.of("beside")}


def test_an_engines_events_become_parts_and_a_cut_answer_is_none() -> None:
    chat = [
        b'data: {"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n',
        b"\n",
        b": a comment\n",
        b'data: {"choices":[{"delta":{"content":"one"},"finish_reason":null}],"usage":null}\n',
        b'data: {"choices":[{"delta":{},"finish_reason":"length"}]}\n',
        b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}\n',
        b"data: [DONE]\n",
    ]
    assert list(parts(iter(chat))) == [Part("one"), Part("", "length", 3, 1)]
    for lines, why in ((chat[:5], "middle"), ([b'data: {"error":{"message":"out of memory"}}\n'], "out of memory")):
        with pytest.raises(Unavailable, match=why):
            list(parts(iter(lines)))


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (400, b'{"error":{"message":"too hot","code":400}}', RequestError, "too hot"),
        (404, b'{"object":"error","message":"no model"}', RequestError, "no model"),
        (429, b'{"error":{"message":"full"}}', Overloaded, "full"),
        (503, b"gone", Unavailable, "gone"),
    ],
)
def test_an_engines_refusals_keep_their_kind_and_reason(status: int, body: bytes, kind: type, said: str) -> None:
    error = refusal(status, body)
    assert (type(error), str(error)) == (kind, said)
