"""Probes: what a container is asked, and when its answers count."""

from __future__ import annotations

import heapq
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

from fullbore_sandbox.kubelet.engine import Engine
from fullbore_sandbox.kubelet.spec import Object
from fullbore_sandbox.state import SandboxError

Kind = Literal["startup", "readiness", "liveness"]
Told = Callable[[Kind, bool, str], None]
"""Hears of a changed verdict: which probe, whether it is good, and why not."""
KINDS: tuple[Kind, ...] = ("startup", "readiness", "liveness")
WORKERS = 4


@dataclass(frozen=True, kw_only=True)
class Target:
    """The container that is asked."""

    container: str
    address: str
    ports: tuple[tuple[str, int], ...]
    """Named ports of the container."""


@dataclass(kw_only=True)
class Counter:
    """Turns answers into a verdict: so many in a row, as the probe's thresholds say."""

    successes: int
    failures: int
    verdict: bool | None = None
    _row: int = field(default=0)
    _last: bool | None = field(default=None)

    def observe(self, good: bool) -> bool:
        """Count an answer; True where the verdict changed."""
        self._row = self._row + 1 if good is self._last else 1
        self._last = good
        if self._row >= (self.successes if good else self.failures) and self.verdict is not good:
            self.verdict = good
            return True
        return False


def ask(engine: Engine, probe: Object, target: Target) -> tuple[bool, str]:
    """One question: whether the answer is good, and why not."""
    timeout_s = float(probe.get("timeoutSeconds", 1))
    try:
        if "httpGet" in probe:
            return _http(probe["httpGet"], target, timeout_s)
        if "tcpSocket" in probe:
            action = probe["tcpSocket"]
            with socket.create_connection((_host(action, target), _port(action, target)), timeout_s):
                return True, ""
        status, said = engine.execute(target.container, probe["exec"]["command"], timeout_s)
        return status == 0, said
    except (OSError, http.client.HTTPException, ValueError, SandboxError) as error:
        return False, str(error) or type(error).__name__


def _http(action: Object, target: Target, timeout_s: float) -> tuple[bool, str]:
    host, port = _host(action, target), _port(action, target)
    if action.get("scheme") == "HTTPS":
        # kubelet does not verify the certificate of a pod either.
        unverified = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=unverified)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    headers = {"User-Agent": "kube-probe/fullbore", "Accept": "*/*", "Connection": "close"}
    headers |= {h["name"]: h["value"] for h in action.get("httpHeaders", [])}
    try:
        connection.request("GET", action.get("path", "/"), headers=headers)
        status = connection.getresponse().status
    finally:
        connection.close()
    return 200 <= status < 400, f"HTTP probe failed with statuscode: {status}"


def _host(action: Object, target: Target) -> str:
    return action.get("host") or target.address


def _port(action: Object, target: Target) -> int:
    port = action["port"]
    if isinstance(port, int):
        return port
    if port.isdigit():
        return int(port)
    named = dict(target.ports)
    if port not in named:
        raise ValueError(f"port {port}: the container names {', '.join(named) or 'none'}")
    return named[port]


@dataclass(kw_only=True)
class Running:
    """One probe of one container."""

    kind: Kind
    probe: Object
    target: Target
    counter: Counter
    told: Told
    then: list[Running]
    """Probes that are asked only once this startup probe passed."""
    active: bool = True

    @property
    def period_s(self) -> float:
        return float(self.probe.get("periodSeconds", 10))


def _probe(kind: Kind, probe: Object, target: Target, ready: bool, told: Told) -> Running:
    counter = Counter(successes=probe.get("successThreshold", 1), failures=probe.get("failureThreshold", 3))
    counter.verdict = ready if kind == "readiness" else None
    return Running(kind=kind, probe=probe, target=target, counter=counter, told=told, then=[])


class Prober:
    """Asks every running container's probes when they are due. Time is what drives a probe: there is no event."""

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine, self._clock = engine, clock
        self._due: list[tuple[float, int, Running]] = []
        self._count = 0
        self._changed = threading.Condition()
        self._by_container: dict[str, list[Running]] = {}
        self._pool = ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="probe")
        self._thread = threading.Thread(target=self._loop, name="prober", daemon=True)
        self._thread.start()

    def add(self, container: Object, target: Target, ready: bool, told: Told) -> None:
        """Start the probes of a container. `told` hears (kind, verdict, reason) at every change of a verdict."""
        made = [
            _probe(kind, container[f"{kind}Probe"], target, ready, told)
            for kind in KINDS
            if f"{kind}Probe" in container
        ]
        self._by_container[target.container] = made
        if made and made[0].kind == "startup":
            made[0].then = made[1:]
            made = made[:1]
        self._schedule(made)

    def remove(self, container: str) -> None:
        """Ask this container no more."""
        for running in self._by_container.pop(container, []):
            running.active = False

    def _schedule(self, probes: list[Running]) -> None:
        for running in probes:
            self._push(running, self._clock() + float(running.probe.get("initialDelaySeconds", 0)))

    def _push(self, running: Running, due: float) -> None:
        with self._changed:
            self._count += 1
            heapq.heappush(self._due, (due, self._count, running))
            self._changed.notify()

    def _loop(self) -> None:
        while True:
            with self._changed:
                while not self._due or self._due[0][0] > self._clock():
                    self._changed.wait(self._due[0][0] - self._clock() if self._due else None)
                running = heapq.heappop(self._due)[2]
            if running.active:
                self._pool.submit(self._ask, running)

    def _ask(self, running: Running) -> None:
        good, why = ask(self._engine, running.probe, running.target)
        if not running.active:
            return
        if running.counter.observe(good):
            running.told(running.kind, good, why)
            if running.kind == "startup" and good:
                self._schedule(running.then)
        if not (running.kind == "startup" and running.counter.verdict):
            self._push(running, self._clock() + running.period_s)
