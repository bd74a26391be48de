"""Steps run beside each other, in order where they must, one at a time where they share something."""

import io
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from rich.console import Console

from fullbore_sandbox.state import SandboxError
from fullbore_sandbox.steps import Say, Step, run


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def text(shown: Console) -> str:
    return shown.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]


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
    assert [line.split()[:2] for line in text(shown).splitlines()] == [["done", "a"], ["done", "b"]]
    assert "\x1b" not in text(shown)


def test_a_failure_is_shown_at_once_with_what_is_waited_for_and_ends_the_rest() -> None:
    shown, ended = console(), threading.Event()
    said_before_the_end: list[str] = []

    def broken(say: Say) -> None:
        raise SandboxError("network: pool overlaps\nmore")

    def building(say: Say) -> None:
        assert ended.wait(10)
        said_before_the_end.extend(text(shown).splitlines())
        raise SandboxError("go build failed")

    with pytest.raises(SandboxError, match=r"^network: pool overlaps\nmore$"):
        run([step("engine", building), step("network", broken)], shown, ended.set)
    assert said_before_the_end == ["FAILED network: pool overlaps", "stopping: waiting for engine"]
    assert text(shown).splitlines()[2:] == ["stopped engine"]


@pytest.fixture
def interrupts(request: pytest.FixtureRequest) -> Iterator[None]:
    """What this process does at an interrupt: its parent may have ignored it."""
    before = signal.signal(signal.SIGINT, request.param)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize("interrupts", [signal.SIG_IGN], indirect=True)
def test_a_run_in_the_background_goes_on_at_an_interrupt() -> None:
    later: list[str] = []

    def interrupted(say: Say) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    run([step("a", interrupted), step("b", lambda say: later.append("b"), after=("a",))], console())
    assert later == ["b"]


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize("interrupts", [signal.default_int_handler], indirect=True)
def test_an_interrupt_begins_nothing_more_and_ends_what_runs() -> None:
    begun, ended = threading.Event(), threading.Event()
    later: list[str] = []

    def building(say: Say) -> None:
        begun.set()
        assert ended.wait(10)

    def interrupt() -> None:
        assert begun.wait(10)
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=interrupt)
    sender.start()
    with pytest.raises(KeyboardInterrupt):
        run([step("a", building), step("b", lambda say: later.append("b"), after=("a",))], console(), ended.set)
    sender.join()
    assert ended.is_set()
    assert later == []
