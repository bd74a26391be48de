"""Steps that run beside each other where they do not depend on each other, with their progress shown."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table

from fullbore_sandbox.state import SandboxError

REMIND_S = 30.0
"""Seconds between two lines about a step that still runs, where the output is no terminal."""

Say = Callable[[str], None]


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


def run(steps: Sequence[Step], console: Console, workers: int = 8) -> dict[str, float]:
    """Run every step; seconds by name. The first failure stops what has not begun and is raised when the rest ended."""
    unknown = {a for s in steps for a in s.after} - {s.name for s in steps}
    if unknown:
        raise ValueError(f"steps: {sorted(unknown)} are waited for, but no step has that name")
    lanes = {s.lane: threading.Lock() for s in steps if s.lane}
    waiting = {s.name: s for s in steps}
    running: dict[Future[None], Step] = {}
    failure: BaseException | None = None
    with _shown(steps, console) as finished, ThreadPoolExecutor(workers) as pool:
        while running or (waiting and failure is None):
            for step in [
                s for s in waiting.values() if failure is None and not set(s.after) & _pending(waiting, running)
            ]:
                if step.lane and lanes[step.lane].locked():
                    continue
                if step.lane:
                    lanes[step.lane].acquire()
                running[pool.submit(_work, step)] = waiting.pop(step.name)
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                step = running.pop(future)
                if step.lane:
                    lanes[step.lane].release()
                failure = failure or future.exception()
                finished(step)
    if failure is not None:
        raise failure
    return {s.name: s.seconds or 0.0 for s in steps}


def _pending(waiting: dict[str, Step], running: dict[Future[None], Step]) -> set[str]:
    return set(waiting) | {s.name for s in running.values()}


def _work(step: Step) -> None:
    step.started = time.monotonic()

    def say(doing: str) -> None:
        step.doing = doing

    try:
        step.work(say)
    except SandboxError as error:
        raise SandboxError(f"{step.name}: {error}") from error
    finally:
        step.seconds = time.monotonic() - step.started


@contextmanager
def _shown(steps: Sequence[Step], console: Console) -> Iterator[Callable[[Step], None]]:
    """Show what runs: a table that renews itself on a terminal, else a line at each end and each half minute."""

    def finished(step: Step) -> None:
        console.print(f"[green]done[/] {step.name:<28} {step.seconds:6.1f} s", highlight=False, soft_wrap=True)

    if console.is_terminal:
        with Live(get_renderable=lambda: _table(steps), console=console, refresh_per_second=4, transient=True):
            yield finished
        return
    ended = threading.Event()
    reminder = threading.Thread(target=_remind, args=(steps, console, ended), daemon=True)
    reminder.start()
    try:
        yield finished
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
