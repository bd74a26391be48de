"""Steps run beside each other, in order where they must, one at a time where they share something."""

import io
import threading
import time

import pytest
from rich.console import Console

from fullbore_sandbox.state import SandboxError
from fullbore_sandbox.steps import Say, Step, run


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def step(name: str, work: object = None, after: tuple[str, ...] = (), lane: str | None = None) -> Step:
    def nothing(say: Say) -> None:
        say("nothing")

    return Step(name=name, work=work or nothing, doing="waiting", estimate_s=1, after=after, lane=lane)  # pyright: ignore[reportArgumentType]


def test_a_step_waits_for_what_it_needs() -> None:
    order: list[str] = []
    steps = [step("b", lambda say: order.append("b"), after=("a",)), step("a", lambda say: order.append("a"))]
    seconds = run(steps, console())
    assert order == ["a", "b"]
    assert set(seconds) == {"a", "b"}


def test_independent_steps_run_at_once() -> None:
    meeting = threading.Barrier(2, timeout=10)
    run([step("a", lambda say: meeting.wait()), step("b", lambda say: meeting.wait())], console())


def test_one_lane_is_used_by_one_step_at_a_time() -> None:
    busy = threading.Lock()

    def work(say: Say) -> None:
        assert busy.acquire(blocking=False)
        time.sleep(0.02)
        busy.release()

    run([step(f"s{i}", work, lane="compiler") for i in range(4)], console())


def test_a_failure_names_its_step_and_stops_what_needs_it() -> None:
    begun: list[str] = []

    def broken(say: Say) -> None:
        raise SandboxError("no space left")

    with pytest.raises(SandboxError, match=r"^a: no space left$"):
        run([step("a", broken), step("b", lambda say: begun.append("b"), after=("a",))], console())
    assert begun == []


def test_what_runs_when_another_fails_is_waited_for() -> None:
    failed, finished = threading.Event(), threading.Event()

    def broken(say: Say) -> None:
        failed.set()
        raise SandboxError("no")

    def slow(say: Say) -> None:
        assert failed.wait(10)
        finished.set()

    with pytest.raises(SandboxError):
        run([step("slow", slow), step("a", broken)], console())
    assert finished.is_set()


def test_waiting_for_an_unknown_step_is_an_error() -> None:
    with pytest.raises(ValueError, match="'nosuch'"):
        run([step("a", after=("nosuch",))], console())


def test_without_a_terminal_there_is_a_line_for_each_step_and_no_escape_code() -> None:
    shown = console()
    run([step("a"), step("b")], shown)
    text = shown.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert [line.split()[:2] for line in text.splitlines()] == [["done", "a"], ["done", "b"]]
    assert "\x1b" not in text
