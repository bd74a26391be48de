"""A host's lock and journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from fullbore_agent.journal import JOURNAL_LINES, Journal, Lock, Locked, interrupted


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def test_a_second_run_is_refused_and_told_who_holds_the_host(path: Path, clock: Clock) -> None:
    Lock("one", "ann@desk", path=path, clock=clock).hold()
    clock.now += 5
    said = r"ann@desk \(run one\) since 1970-01-01T00:16:40Z, last sign of life 5 s ago"
    with pytest.raises(Locked, match=said) as caught:
        Lock("two", "bob@desk", path=path, clock=clock).hold()
    assert str(caught.value).endswith("run again where it ran, or in 3595 s, when its lock is taken over"), (
        "it may be gone"
    )


def test_the_holder_may_hold_again_and_release(path: Path, clock: Clock) -> None:
    one, two = (Lock(name, "x", path=path, clock=clock) for name in ("one", "two"))
    one.hold()
    one.hold()
    two.release()
    with pytest.raises(Locked):
        two.hold()
    one.release()
    two.hold()


def test_a_run_known_to_be_dead_is_taken_over_and_no_other(path: Path, clock: Clock) -> None:
    Lock("one", "x", path=path, clock=clock).hold()
    two = Lock("two", "x", path=path, clock=clock)
    with pytest.raises(Locked):
        two.hold(dead="three")
    two.hold(dead="one")


@pytest.mark.parametrize(("silent_s", "taken"), [(59, False), (60, True)])
def test_a_silent_run_is_taken_over_in_the_end(path: Path, clock: Clock, silent_s: int, taken: bool) -> None:
    Lock("one", "x", path=path, clock=clock).hold()
    clock.now += 30
    Lock("one", "x", path=path, clock=clock).hold()
    clock.now += silent_s
    two = Lock("two", "x", stale_after_s=60, path=path, clock=clock)
    if taken:
        two.hold()
    else:
        with pytest.raises(Locked):
            two.hold()


def test_a_role_that_began_and_did_not_finish_is_interrupted(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "deep" / "journal.jsonl")
    assert interrupted(["a", "b"], journal) == []
    for role, event in (("a", "begin"), ("a", "finish"), ("b", "begin")):
        journal.write("run", role, event)
    assert interrupted(["a", "b"], journal) == ["b"]
    assert interrupted(["a"], journal) == []
    journal.write("run", "b", "finish")
    assert interrupted(["a", "b"], journal) == []


def test_half_a_line_spoils_neither_what_is_before_nor_after_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.write("run", "a", "begin")
    with path.open("a") as file:
        file.write('{"at": "2026-')
    journal.write("run", "b", "begin")
    assert [line["role"] for line in journal.lines()] == ["a", "b"]


def test_a_long_journal_is_cut_at_its_old_end(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    line = '{"at": "", "run": "old", "role": "a", "event": "finish"}\n'
    (tmp_path / "journal.jsonl").write_text(line * (JOURNAL_LINES + 1))
    journal.write("new", "b", "begin")
    assert len(journal.lines()) == JOURNAL_LINES // 2 + 1
    assert journal.lines()[-1]["run"] == "new"
