"""The closing table says what a real question found."""

import json
import socket
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from fullbore.config import load_file
from fullbore_sandbox import status
from fullbore_sandbox.kubelet.api import ApiError, Object, Unreachable
from fullbore_sandbox.sandbox import endpoints_file
from fullbore_sandbox.state import State, write_atomically

ENVIRONMENT = load_file(Path(__file__).parents[3] / "stacks" / "Pulumi.local.yaml")
WELL = {"/health": 200, "/-/ready": 200, "/v2/": 200, "/moto-api/": 200}


class Services(ThreadingHTTPServer):
    """Answers each path with the status in `answers`, any other with 404."""

    answers: dict[str, int]

    @property
    def at(self) -> dict[str, Any]:
        return {"address": "127.0.0.1", "port": self.server_port}


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Services)
        self.send_response(self.server.answers.get(self.path, 404))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def services() -> Iterator[Services]:
    with Services(("127.0.0.1", 0), Answer) as server:
        server.answers = dict(WELL)
        Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server
        server.shutdown()


class Greet(BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")


@pytest.fixture
def host() -> Iterator[dict[str, Any]]:
    with ThreadingTCPServer(("127.0.0.1", 0), Greet) as server:
        Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield {"address": "127.0.0.1", "port": server.server_address[1]}
        server.shutdown()


def node(ready: str) -> Object:
    return {"status": {"conditions": [{"type": "DiskPressure", "status": "False"}, {"type": "Ready", "status": ready}]}}


def deployment(wanted: int, **status: int) -> Object:
    return {"spec": {"replicas": wanted}, "status": status}


class Clusters:
    """What the control planes answer, by the cluster's name and the path; no answer where the path is not there."""

    def __init__(self) -> None:
        apps = "/apis/apps/v1/namespaces/fullbore/deployments"
        self.answers: dict[tuple[str, str], Object | Exception] = {
            ("site", "/api/v1/nodes"): {"items": [node("True"), node("True")]},
            ("cloud", "/api/v1/nodes"): {"items": [node("True")]},
            ("site", f"{apps}/serving"): deployment(2, readyReplicas=2),
            ("cloud", f"{apps}/standby"): deployment(1, readyReplicas=1),
        }

    def ask(self, kubeconfig: Path, path: str) -> Object:
        answer = self.answers.get((kubeconfig.name, path), Unreachable("refused"))
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def clusters(monkeypatch: pytest.MonkeyPatch) -> Clusters:
    made = Clusters()
    monkeypatch.setattr(status, "Api", lambda kubeconfig: SimpleNamespace(get=partial(made.ask, kubeconfig)))
    return made


@pytest.fixture
def state(tmp_path: Path, services: Services, host: dict[str, Any], clusters: Clusters) -> State:
    made = State.load_or_create(tmp_path)
    address = f"127.0.0.1:{services.server_port}"
    parts = dict.fromkeys(("gateway", "prometheus", "alertmanager"), services.at)
    ssh = {"user": "root", "private_key_file": "key"}
    kubeconfigs = {name: {"kubeconfig": str(tmp_path / name)} for name in ("site", "cloud")}
    rest = {"ssh": ssh, "aws": {"endpoint_url": f"http://{address}"}, "registry": address, "clusters": kubeconfigs}
    write_atomically(endpoints_file(made), json.dumps({**parts, **rest, "hosts": {"gpu-01": host}}))
    return made


def shown(state: State, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, str]]:
    """The exit status, and the state in the table by part."""
    code = status.show(state, ENVIRONMENT)
    rows = [line.strip("│").split("│") for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    return code, {row[0].strip(): row[-1].strip() for row in rows if row[0].strip()}


def test_what_is_ready_is_called_ready(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    ready = dict.fromkeys(("gateway", "prometheus", "alertmanager", "AWS (emulated)", "image registry"), "ready")
    nodes = {"cluster site": "2 of 2 nodes ready", "cluster cloud": "1 of 1 nodes ready"}
    pools = {"serving": "2 of 2 replicas ready", "standby": "1 of 1 replicas ready"}
    assert shown(state, capsys) == (0, {**ready, "host gpu-01": "SSH answers", **nodes, **pools})


def test_commands_can_be_copied_from_a_log(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    status.show(state, ENVIRONMENT)
    host = next(line for line in capsys.readouterr().out.splitlines() if "gpu-01" in line)
    assert "ssh -i " in host
    assert "root@127.0.0.1" in host


@pytest.mark.parametrize(
    ("path", "part"),
    [("/health", "gateway"), ("/-/ready", "prometheus"), ("/v2/", "image registry"), ("/moto-api/", "AWS (emulated)")],
)
def test_a_part_that_listens_but_is_not_ready_is_seen(
    path: str, part: str, state: State, services: Services, capsys: pytest.CaptureFixture[str]
) -> None:
    services.answers[path] = 503
    code, found = shown(state, capsys)
    assert (code, found[part]) == (1, "HTTP 503")


def test_a_host_that_hangs_is_seen_and_left_to_the_stack_to_judge(
    state: State, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fullbore_sandbox.status.TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as hung:  # the kernel accepts for it, and nothing greets
        endpoints = json.loads(endpoints_file(state).read_text())
        endpoints["hosts"]["gpu-01"]["port"] = hung.getsockname()[1]
        write_atomically(endpoints_file(state), json.dumps(endpoints))
        code, found = shown(state, capsys)
    assert (code, found["host gpu-01"]) == (0, "silent")


def test_a_part_that_is_gone_is_silent(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: a connection is refused
        endpoints = json.loads(endpoints_file(state).read_text())
        endpoints["gateway"]["port"] = unused.getsockname()[1]
        write_atomically(endpoints_file(state), json.dumps(endpoints))
        code, found = shown(state, capsys)
    assert (code, found["gateway"]) == (1, "silent")


@pytest.mark.parametrize(
    ("path", "answer", "part", "code", "told"),
    [
        ("/api/v1/nodes", {"items": [node("True"), node("Unknown")]}, "cluster site", 0, "1 of 2 nodes ready"),
        ("/api/v1/nodes", Unreachable("refused"), "cluster site", 1, "silent"),
        ("/api/v1/nodes", ApiError(500, "InternalError", "etcd is gone"), "cluster site", 1, "InternalError"),
        ("deployments/serving", deployment(2), "serving", 0, "0 of 2 replicas ready"),
        ("deployments/serving", ApiError(404, "NotFound", "no such thing"), "serving", 0, "NotFound"),
    ],
)
def test_clusters_are_judged_by_what_they_say(
    path: str,
    answer: Object | Exception,
    part: str,
    code: int,
    told: str,
    state: State,
    clusters: Clusters,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nodes and replicas that are not ready yet are the stack's to judge; a control plane that fails is not."""
    (asked,) = [key for key in clusters.answers if key[0] == "site" and key[1].endswith(path)]
    clusters.answers[asked] = answer
    found = shown(state, capsys)
    assert (found[0], found[1][part]) == (code, told)
