"""The pure parts: what a pod does next, what its probes mean, and the queue and informer that feed it."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest
from cluster_fakes import FakeEngine, Object, config_map, recorded_pod

from fullbore_sandbox.kubelet import services
from fullbore_sandbox.kubelet.addresses import Addresses
from fullbore_sandbox.kubelet.api import ApiError, Unreachable
from fullbore_sandbox.kubelet.informer import Informer
from fullbore_sandbox.kubelet.machine import Done, Ended, Idle, PodRun, Slot, Start, State, Wait, next_step, ran
from fullbore_sandbox.kubelet.probes import Counter, Target, ask
from fullbore_sandbox.kubelet.queue import WorkQueue
from fullbore_sandbox.state import SandboxError


def ended(code: int) -> Ended:
    return Ended(exit_code=code, reason="", message="", started_at="", finished_at="", id="c")


def slot(name: str, code: int | None = None, running: bool = False, **fields: object) -> Slot:
    made = Slot(name=name, **fields)  # type: ignore[arg-type]
    made.state = State.RUNNING if running else State.NEW if code is None else State.EXITED
    made.ended = None if code is None else ended(code)
    return made


@pytest.mark.parametrize(
    ("slots", "policy", "expected"),
    [
        ([slot("a")], "Always", "start a"),
        ([slot("a", running=True)], "Always", "idle"),
        ([slot("a", 0)], "Always", "start a"),
        ([slot("a", 0)], "OnFailure", "Succeeded"),
        ([slot("a", 1)], "OnFailure", "start a"),
        ([slot("a", 1)], "Never", "Failed"),
        ([slot("a", 0), slot("b", 1)], "Never", "Failed"),
        ([slot("a", 0), slot("b", running=True)], "Never", "idle"),
        ([slot("a", running=True), slot("b")], "Always", "start b"),
        ([slot("i", init=True), slot("a")], "Always", "start i"),
        ([slot("i", running=True, init=True), slot("a")], "Always", "idle"),
        ([slot("i", 0, init=True), slot("a")], "Always", "start a"),
        ([slot("i", 1, init=True), slot("a")], "Never", "Failed"),
        ([slot("i", 1, init=True), slot("a")], "OnFailure", "start i"),
        ([slot("s", running=True, init=True, sidecar=True), slot("a")], "Always", "idle"),
        ([slot("s", running=True, init=True, sidecar=True, started=True), slot("a")], "Always", "start a"),
        ([slot("a", 1, retry_at=50.0)], "Always", "wait 50"),
    ],
)
def test_next_step(slots: list[Slot], policy: str, expected: str) -> None:
    step = next_step(PodRun(uid="u", slots=slots), policy, 10.0)  # type: ignore[arg-type]
    said = {
        Start: lambda: f"start {step.slot.name}",  # type: ignore[union-attr]
        Wait: lambda: f"wait {step.until:.0f}",  # type: ignore[union-attr]
        Done: lambda: step.phase,  # type: ignore[union-attr]
        Idle: lambda: "idle",
    }[type(step)]()
    assert said == expected


def test_the_delay_doubles_and_is_forgotten_after_a_long_run() -> None:
    one = slot("a", running=True)
    delays: list[float] = []
    for _ in range(8):
        one.state, one.started_clock = State.RUNNING, 100.0
        ran(one, ended(1), 100.0)
        delays.append(one.retry_at - 100.0)
    assert delays == [0, 10, 20, 40, 80, 160, 300, 300]
    one.state, one.started_clock = State.RUNNING, 100.0
    ran(one, ended(1), 800.0)
    assert one.retry_at == 800.0


def test_a_verdict_needs_as_many_answers_in_a_row_as_the_thresholds_say() -> None:
    counter = Counter(successes=2, failures=3, verdict=False)
    answers = [True, False, True, True, False, False, True, False, False, False]
    assert [counter.observe(a) for a in answers] == [False] * 3 + [True] + [False] * 5 + [True]


class _Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def port() -> Iterator[int]:
    with http.server.HTTPServer(("127.0.0.1", 0), _Health) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_probes_ask_over_http_and_tcp(port: int) -> None:
    target = Target(container="c", address="127.0.0.1", ports=(("http", port),))
    assert ask(FakeEngine(), {"httpGet": {"path": "/health", "port": "http"}}, target)[0]
    assert ask(FakeEngine(), {"tcpSocket": {"port": port}}, target)[0]
    assert ask(FakeEngine(), {"exec": {"command": ["true"]}}, target)[0]
    assert ask(FakeEngine(), {"httpGet": {"path": "/", "port": port}}, target) == (
        False,
        "HTTP probe failed with statuscode: 503",
    )
    good, why = ask(FakeEngine(), {"httpGet": {"path": "/", "port": "admin"}}, target)
    assert not good
    assert why == "port admin: the container names http"


def test_a_key_is_worked_on_by_one_worker_and_comes_again_when_it_changed_meanwhile() -> None:
    now = [0.0]
    queue = WorkQueue(lambda: now[0])
    queue.add("a")
    queue.add("a")
    assert queue.take() == "a"
    queue.add("a")
    queue.add("b")
    assert queue.take() == "b"
    queue.done("a")
    assert queue.take() == "a"
    queue.add("late", 5.0)
    queue.add("now")
    assert queue.take() == "now"
    now[0] = 5.0
    assert queue.take() == "late"
    queue.close()
    assert queue.take() is None


def test_addresses_are_kept_given_back_and_run_out() -> None:
    addresses = Addresses("10.200.7.0/29")
    assert addresses.of("a") == addresses.of("a") == "10.200.7.4"
    addresses.keep("b", "10.200.7.6")
    assert addresses.of("c") == "10.200.7.5"
    with pytest.raises(SandboxError, match="no address is left"):
        addresses.of("d")
    addresses.release("a")
    assert addresses.of("d") == "10.200.7.4"


class _Collection:
    """Answers lists and watches from a script, then stops the informer."""

    def __init__(self, stopped: threading.Event) -> None:
        self.stopped = stopped
        self.watches: list[list[Object] | Exception] = []
        self.lists: list[list[Object]] = []
        self.versions: list[str] = []

    def get(self, path: str, **query: str) -> Object:
        return {"metadata": {"resourceVersion": "10"}, "items": self.lists.pop(0)}

    def watch(self, path: str, version: str, **query: str) -> Iterator[Object]:
        self.versions.append(version)
        if not self.watches:
            self.stopped.set()
            return
        script = self.watches.pop(0)
        if isinstance(script, Exception):
            raise script
        yield from script


def _event(kind: str, name: str, version: str) -> Object:
    obj = config_map(name)
    obj["metadata"]["resourceVersion"] = version
    return {"type": kind, "object": obj}


def test_an_informer_goes_on_from_where_it_was_and_lists_again_when_that_is_too_old() -> None:
    stopped = threading.Event()
    server, seen = _Collection(stopped), list[str]()
    server.lists = [[config_map("a"), config_map("b")], [config_map("b"), config_map("d")]]
    server.watches = [
        [_event("ADDED", "c", "11"), _event("DELETED", "a", "12"), _event("BOOKMARK", "", "15")],
        Unreachable("connection reset"),
        ApiError(410, "Expired", "too old"),
    ]
    informer = Informer(server, "/x", lambda o: seen.append(o["metadata"]["name"]), stopped)
    informer.start()
    assert stopped.wait(5)
    assert server.versions == ["10", "15", "15", "10"]
    assert seen == ["a", "b", "c", "a", "c", "b", "d"]
    assert sorted(o["metadata"]["name"] for o in informer.all()) == ["b", "d"]


def test_services_select_by_namespace_and_all_labels() -> None:
    pod = recorded_pod()
    metadata = {"name": "s", "namespace": "demo"}
    one: Object = {"metadata": metadata, "spec": {"selector": {"app": "serving"}}}
    assert services.aliases(pod, [one], "site.internal") == ("s.demo.site.internal",)
    assert not services.selects({**one, "metadata": {"name": "s", "namespace": "other"}}, pod)
    assert not services.selects({**one, "spec": {"selector": {"app": "serving", "tier": "a"}}}, pod)
    assert not services.selects({**one, "spec": {}}, pod)


def test_a_port_that_would_need_a_proxy_is_reported() -> None:
    spec = {"selector": {"a": "b"}, "ports": [{"port": 80, "targetPort": 8000}, {"port": 9, "targetPort": 9}]}
    assert services.moved_ports({"spec": spec}) == ["80 -> 8000"]
    assert services.moved_ports({"spec": {**spec, "selector": None}}) == []
