"""Steps that run beside each other where they do not depend on each other, with their progress shown."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, InvalidStateError, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from fullbore_sandbox.state import SandboxError

REMIND_S = 30.0
"""Seconds between two lines about a step that still runs, where the output is no terminal."""

END_S = 1.0
"""Seconds between two calls of `end`: a step may begin another command after the first. And the longest that an
interrupt can go unseen."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, `timeout` or whoever else ends a command, and a session that is lost."""

Say = Callable[[str], None]


class Interrupted(KeyboardInterrupt):
    """Like Ctrl-C, by the signal of this number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def interruptible() -> AbstractContextManager[None]:
    """Meanwhile each of SIGNALS raises Interrupted; one that is ignored, as SIGHUP under nohup, stays ignored."""
    return _handling(_raise, lambda handler: handler is not signal.SIG_IGN)


def _raise(number: int, _: object) -> None:
    raise Interrupted(number)


@dataclass(kw_only=True)
class Step:
    """One step: `work` is given a function that says what it is doing now.

    `after` names the steps that must have finished; `lane` names a resource that one step at a time uses.
    """

    name: str
    work: Callable[[Say], object]
    doing: str
    estimate_s: float
    after: Sequence[str] = ()
    lane: str | None = None
    started: float | None = field(default=None, init=False)
    seconds: float | None = field(default=None, init=False)

    def line(self) -> str:
        """What it is doing, for how long, and how long that should take."""
        elapsed = time.monotonic() - (self.started or time.monotonic())
        return f"{self.doing} ({elapsed:.0f} s of about {self.estimate_s:.0f} s)"


def run(
    steps: Sequence[Step], console: Console, end: Callable[[], None] = lambda: None, workers: int = 8
) -> dict[str, float]:
    """Run every step; seconds by name.

    The first failure, shown at once, stops what has not begun and is raised when the rest ended; so does an interrupt.
    From then on `end` is called every second: it ends what can be ended of the steps that run.
    """
    unknown = {a for s in steps for a in s.after} - {s.name for s in steps}
    if unknown:
        raise ValueError(f"steps: {sorted(unknown)} are waited for, but no step has that name")
    lanes = {s.lane: threading.Lock() for s in steps if s.lane}
    waiting = {s.name: s for s in steps}
    running: dict[Future[None], Step] = {}
    failure: BaseException | None = None
    with _shown(steps, console) as show, _interrupt() as interrupted, ThreadPoolExecutor(workers) as pool:
        while running or (waiting and failure is None):
            for step in [] if failure else _ready(waiting, running):
                if step.lane and not lanes[step.lane].acquire(blocking=False):
                    continue
                running[pool.submit(_work, step)] = waiting.pop(step.name)
            if failure:
                end()
            awaited = set(running) if failure else {*running, interrupted}
            # Never without an end: a signal that arrives just before the wait begins is handled when the wait is over.
            done, _ = wait(awaited, timeout=END_S, return_when=FIRST_COMPLETED)
            if interrupted in done:
                failure = interrupted.exception()
                end()  # before anything is shown: the terminal may be what was lost
                show(_waited_for("interrupted", running))
            for future in done - {interrupted}:
                step = running.pop(future)
                if step.lane:
                    lanes[step.lane].release()
                show(_ended(step, future.exception(), failure is not None))
                if failure is None and future.exception() is not None:
                    failure = future.exception()
                    if running:
                        show(_waited_for("stopping", running))
    if failure is None and interrupted.done():
        failure = interrupted.exception()
    if failure is not None:
        raise failure
    return {s.name: s.seconds or 0.0 for s in steps}


@contextmanager
def _interrupt() -> Iterator[Future[None]]:
    """A future that fails at the first of SIGNALS that is handled. An exception in this thread could come between
    any two statements: a step that had just begun would be forgotten, and nobody would end it."""
    interrupted: Future[None] = Future()

    def note(number: int, _: object) -> None:
        # Not here: the statement that this comes between may hold the future's lock.
        threading.Thread(target=_finish, args=(interrupted, number)).start()

    with noting(note):
        yield interrupted


def noting(note: Callable[[int, object], None]) -> AbstractContextManager[None]:
    """Meanwhile `note` is called at each of SIGNALS that is handled, not at those that end or spare this process."""
    return _handling(note, callable)


@contextmanager
def _handling(handle: Callable[[int, object], None], replaces: Callable[[object], bool]) -> Iterator[None]:
    """Meanwhile `handle` is called at each of SIGNALS whose handler it `replaces`; afterwards all is as before."""
    found = {number: signal.getsignal(number) for number in SIGNALS}
    before = {number: handler for number, handler in found.items() if replaces(handler)}
    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _finish(future: Future[None], number: int) -> None:
    with suppress(InvalidStateError):  # the second signal
        future.set_exception(Interrupted(number))


def _ready(waiting: dict[str, Step], running: dict[Future[None], Step]) -> list[Step]:
    return [s for s in waiting.values() if not set(s.after) & _pending(waiting, running)]


def _waited_for(why: str, running: dict[Future[None], Step]) -> str:
    return f"[yellow]{why}[/]: waiting for {', '.join(s.name for s in running.values()) or 'nothing'}"


def _ended(step: Step, error: BaseException | None, stopping: bool) -> str:
    """The line for a step that ended; an error after the first is mostly that the step was ended."""
    if error is None:
        return f"[green]done[/] {step.name:<28} {step.seconds or 0:6.1f} s"
    if stopping:
        return f"[yellow]stopped[/] {step.name}"
    said = str(error) or type(error).__name__
    return f"[red]FAILED[/] {step.name}: {escape(said.removeprefix(f'{step.name}: ').splitlines()[0])}"


def _pending(waiting: dict[str, Step], running: dict[Future[None], Step]) -> set[str]:
    return set(waiting) | {s.name for s in running.values()}


def _work(step: Step) -> None:
    step.started = time.monotonic()

    def say(doing: str) -> None:
        step.doing = doing

    try:
        step.work(say)
    except SandboxError as error:
        said = str(error)
        raise SandboxError(said if said.startswith(f"{step.name}: ") else f"{step.name}: {said}") from error
    finally:
        step.seconds = time.monotonic() - step.started


@contextmanager
def _shown(steps: Sequence[Step], console: Console) -> Iterator[Callable[[str], None]]:
    """Show what runs: a table that renews itself on a terminal, else a line at each end and each half minute."""

    def show(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    if console.is_terminal:
        with Live(get_renderable=lambda: _table(steps), console=console, refresh_per_second=4, transient=True):
            yield show
        return
    ended = threading.Event()
    reminder = threading.Thread(target=_remind, args=(steps, console, ended), daemon=True)
    reminder.start()
    try:
        yield show
    finally:
        ended.set()
        reminder.join()


def _table(steps: Sequence[Step]) -> Table:
    table = Table.grid(padding=(0, 2))
    for step in _running(steps):
        table.add_row("[cyan]....[/]", step.name, step.line())
    return table


def _remind(steps: Sequence[Step], console: Console, ended: threading.Event) -> None:
    while not ended.wait(REMIND_S):
        for step in _running(steps):
            console.print(f".... {step.name:<28} {step.line()}", highlight=False, soft_wrap=True)


def _running(steps: Sequence[Step]) -> list[Step]:
    return [s for s in steps if s.started is not None and s.seconds is None]
