"""The engine: takes requests, runs one step of each running sequence in turn, hands text out as it comes.

One thread owns the model. Every other thread talks to it through `submit` and through the queue of its own sequence.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from fullbore_runtime.errors import Overloaded, Unavailable
from fullbore_runtime.metrics import Metrics
from fullbore_runtime.model import PREFILL_CHUNK, KvCache, Model, sample
from fullbore_runtime.tokenizer import BOS, EOS, decode
from fullbore_runtime.weights import Tensor

GONE_CHECK_S = 1.0
"""How long a request that gets no token goes on before its client is looked at again."""


@dataclass(frozen=True)
class Job:
    """What is to be generated: prompt tokens and how to go on from them."""

    prompt: tuple[int, ...]
    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None


@dataclass(frozen=True)
class Piece:
    """Text that is final. `finish` is "stop" or "length" with the last piece, None before."""

    text: str
    tokens: int
    finish: str | None = None


class StopScanner:
    """Holds text back while it could still become a stop string."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self.stops = stops
        self.held = ""

    def push(self, text: str) -> tuple[str, bool]:
        """Take text in; returns what is final now, and whether a stop string was met (it and what follows is cut)."""
        self.held += text
        found = [at for stop in self.stops if (at := self.held.find(stop)) >= 0]
        if found:
            out, self.held = self.held[: min(found)], ""
            return out, True
        keep = max((overlap(self.held, stop) for stop in self.stops), default=0)
        cut = len(self.held) - keep
        out, self.held = self.held[:cut], self.held[cut:]
        return out, False

    def flush(self) -> str:
        out, self.held = self.held, ""
        return out


def overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if stop.startswith(text[-n:])), 0)


@dataclass(eq=False)
class Sequence:
    """One request on its way; `pieces` is read by the thread that asked."""

    job: Job
    pieces: queue.SimpleQueue[Piece | Unavailable] = field(default_factory=queue.SimpleQueue)
    cancelled: threading.Event = field(default_factory=threading.Event)
    born: float = field(default_factory=time.monotonic)
    cache: KvCache | None = None
    generated: int = 0
    last: int = -1

    def __post_init__(self) -> None:
        self.scanner = StopScanner(self.job.stop)
        self.source = np.random.default_rng(self.job.seed)

    def cancel(self) -> None:
        """End the sequence, and whoever reads it; from any thread."""
        self.cancelled.set()
        self.pieces.put(Unavailable("the request was cancelled"))

    def read(self, gone: Callable[[], bool] = lambda: False) -> Iterator[Piece]:
        """Pieces until the last one; ends the sequence where `gone` says that nobody reads any more.

        Raises Unavailable where the engine broke or the reader is gone.
        """
        while True:
            try:
                piece = self.pieces.get(timeout=GONE_CHECK_S)
            except queue.Empty:
                piece = None
            if isinstance(piece, Unavailable):
                raise piece
            if piece is not None:
                yield piece
                if piece.finish is not None:
                    return
            if gone():
                self.cancelled.set()
                raise Unavailable("the client is gone")


class Engine:
    """Runs at most `max_running` sequences; `max_waiting` more may wait."""

    def __init__(self, model: Model, metrics: Metrics, *, max_running: int, max_waiting: int) -> None:
        self.model = model
        self.metrics = metrics
        self.max_running = max_running
        self.max_waiting = max_waiting
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self.changed = threading.Condition()
        self.closed = False
        self.broken: Unavailable | None = None
        self.thread = threading.Thread(target=self.run, name="engine", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def warm_up(self) -> None:
        """A real generation, so that the first client does not pay for first touches."""
        for _ in self.submit(Job(prompt=(BOS, *b"warm-up"), max_tokens=4, temperature=0)).read():
            pass

    def submit(self, job: Job) -> Sequence:
        """Queue a job. Raises Overloaded where there is no place, Unavailable where the engine has ended."""
        with self.changed:
            if self.broken or self.closed:
                raise self.broken or Unavailable("the engine has ended")
            if len(self.waiting) + len(self.running) >= self.max_running + self.max_waiting:
                raise Overloaded(
                    f"{self.max_running} requests run and {self.max_waiting} wait already; try again or add a replica"
                )
            sequence = Sequence(job)
            self.waiting.append(sequence)
            self.changed.notify_all()
        return sequence

    def close(self, timeout_s: float) -> bool:
        """Take no more, and wait until what was taken is finished; False where it is not by then."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        self.thread.join(timeout_s)
        return not self.thread.is_alive()

    def run(self) -> None:
        try:
            while self.admit():
                for sequence in list(self.running):
                    self.turn(sequence)
        except Exception as error:  # noqa: BLE001 - the thread's end must reach everyone who waits, whatever it was
            self.fail(error)

    def admit(self) -> bool:
        """Move waiting sequences to free places; sleep while there is nothing to do; False at the end."""
        with self.changed:
            while not (self.waiting or self.running or self.closed):
                self.changed.wait()
            while self.waiting and len(self.running) < self.max_running:
                sequence = self.waiting.popleft()
                sequence.cache = self.model.cache(len(sequence.job.prompt) + sequence.job.max_tokens)
                self.running.append(sequence)
            self.gauge()
            return bool(self.running)

    def turn(self, sequence: Sequence) -> None:
        """One step of a sequence, or its end."""
        if sequence.cancelled.is_set():
            self.retire(sequence, "abort")
            sequence.pieces.put(Unavailable("the request was cancelled"))
            return
        piece = self.step(sequence)
        if piece is None:
            return
        if piece.finish:
            # First free the place: whoever reads the last piece may ask again at once.
            self.retire(sequence, piece.finish)
        if piece.text or piece.finish:
            sequence.pieces.put(piece)

    def step(self, sequence: Sequence) -> Piece | None:
        """One chunk of the prompt, or one token."""
        cache, job = sequence.cache, sequence.job
        assert cache is not None
        logits = self.advance(sequence, cache)
        if logits is None:
            return None
        token = sample(logits, job.temperature, job.top_p, sequence.source)
        sequence.last = token
        sequence.generated += 1
        self.metrics.token(first_after_s=time.monotonic() - sequence.born if sequence.generated == 1 else None)
        return self.piece(sequence, token)

    def advance(self, sequence: Sequence, cache: KvCache) -> Tensor | None:
        """Logits for the next token; None while the prompt is not through."""
        prompt = sequence.job.prompt
        if cache.length >= len(prompt):
            return self.model.forward([sequence.last], cache)
        chunk = list(prompt[cache.length : cache.length + PREFILL_CHUNK])
        logits = self.model.forward(chunk, cache)
        self.metrics.prompt_tokens(len(chunk))
        return logits if cache.length >= len(prompt) else None

    def piece(self, sequence: Sequence, token: int) -> Piece:
        if token == EOS:
            return Piece(sequence.scanner.flush(), sequence.generated, "stop")
        text, stopped = sequence.scanner.push(decode(token))
        if stopped:
            return Piece(text, sequence.generated, "stop")
        if sequence.generated >= sequence.job.max_tokens:
            return Piece(text + sequence.scanner.flush(), sequence.generated, "length")
        return Piece(text, sequence.generated)

    def retire(self, sequence: Sequence, reason: str) -> None:
        with self.changed:
            self.running.remove(sequence)
            sequence.cache = None
            self.gauge()
        self.metrics.finished(reason, time.monotonic() - sequence.born)

    def fail(self, error: Exception) -> None:
        print(f"engine: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        with self.changed:
            self.broken = Unavailable("the engine failed; the pod is to be replaced")
            for sequence in (*self.running, *self.waiting):
                sequence.pieces.put(self.broken)
            self.running.clear()
            self.waiting.clear()
            self.gauge()

    def gauge(self) -> None:
        used = sum(sequence.cache.length for sequence in self.running if sequence.cache)
        room = self.max_running * self.model.shape.positions
        self.metrics.load(len(self.running), len(self.waiting), used / room)
