"""The state of the serving process: starting, ready, draining; and the requests on their way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fullbore_runtime import health, weights
from fullbore_runtime.api import Limits
from fullbore_runtime.engine import Engine, Job, Sequence
from fullbore_runtime.errors import Unavailable
from fullbore_runtime.manifest import read_manifest
from fullbore_runtime.metrics import Metrics
from fullbore_runtime.model import Model


class Service:
    """What the HTTP and gRPC handlers talk to. `/health` is good only between `open` and `start_drain`."""

    def __init__(self, limits: Limits, *, max_running: int, max_waiting: int, pool: str = "", pod: str = "") -> None:
        self.limits = limits
        self.max_running = max_running
        self.max_waiting = max_waiting
        self.pool = pool
        self.pod = pod
        self.metrics = Metrics(limits.served_model)
        self.state: health.Phase = "starting"
        self.root_model = ""
        self.started_engine: Engine | None = None
        self.in_flight = 0
        self.changed = threading.Condition()
        """Told of each change of the state, and of each request that ends."""

    def open(self, model_directory: Path) -> None:
        """Check and load the weights, generate once, and be ready. Raises WeightsError."""
        manifest = read_manifest(model_directory)
        model = Model(manifest.shape, weights.load(model_directory, manifest))
        engine = Engine(model, self.metrics, max_running=self.max_running, max_waiting=self.max_waiting)
        engine.start()
        engine.warm_up()
        self.root_model = manifest.name
        self.started_engine = engine
        self.enter("ready")

    def enter(self, state: health.Phase) -> None:
        with self.changed:
            self.state = state
            self.changed.notify_all()

    @property
    def phase(self) -> health.Phase:
        """What the probes go by."""
        engine = self.started_engine
        return "broken" if engine is not None and engine.broken else self.state

    @property
    def engine(self) -> Engine:
        """The engine. Raises Unavailable before it is there."""
        if self.started_engine is None:
            raise Unavailable("the server is starting: weights are being checked and warmed up")
        return self.started_engine

    @contextmanager
    def generation(self, job: Job) -> Iterator[Sequence]:
        """A job in the engine, which ends at the latest with the block. Raises Overloaded or Unavailable."""
        sequence = self.engine.submit(job)
        try:
            yield sequence
        finally:
            # After the last piece this changes nothing; before it, nobody reads the rest.
            sequence.cancelled.set()

    @contextmanager
    def request(self) -> Iterator[None]:
        """Counts a request from its first line to the last byte of its answer."""
        with self.changed:
            self.in_flight += 1
        try:
            yield
        finally:
            with self.changed:
                self.in_flight -= 1
                self.changed.notify_all()

    def start_drain(self) -> None:
        """From now on /health fails and connections are closed after their answer; requests are still taken."""
        self.enter("draining")

    def finish(self, timeout_s: float) -> bool:
        """Take no more requests and wait for those in flight; False where some are left by then."""
        if self.started_engine is not None:
            self.started_engine.close(timeout_s)
        with self.changed:
            return self.changed.wait_for(lambda: self.in_flight == 0, timeout_s)
