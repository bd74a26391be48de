"""Settling what a killed run left: for every row, at each of the two moments a kill can fall on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_cases import CASES, Case, World
from aws_engine import Engine, Refused

from fullbore_sandbox.plugins.aws import journal
from fullbore_sandbox.plugins.aws.__main__ import recover

Client = Callable[[str], Any]
ROOT = Path(__file__).parents[3]
each = pytest.mark.parametrize("case", CASES, ids=str)


@pytest.fixture(scope="session")
def world(client: Client) -> World:
    return World(client)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "journal.jsonl"
    monkeypatch.setenv("FULLBORE_JOURNAL", str(path))
    return path


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def cut_after(log: Path, phase: str) -> dict[str, Any]:
    """The journal as a kill leaves it: nothing after the first line of this phase, and half a line more."""
    kept = next(line for line in log.read_text().splitlines() if json.loads(line)["phase"] == phase)
    log.write_text(f'{kept}\n{{"urn": "ur')
    return json.loads(kept)


@each
def test_an_object_made_by_a_killed_run_is_found(engine: Engine, case: Case, world: World, log: Path) -> None:
    made = engine.create(case.type, world.name("r"), case.inputs(world))
    assert [(e["phase"], e["id"]) for e in lines(log)] == [("begin", ""), ("created", made.id)]
    begun = cut_after(log, "begin")
    assert recover(begun["urn"], begun["token"]) == made.id


@each
def test_a_run_killed_before_the_call_left_nothing(engine: Engine, case: Case, world: World, log: Path) -> None:
    made = engine.create(case.type, world.name("r"), case.inputs(world))
    begun = cut_after(log, "begin")
    engine.delete(made)
    if case.type != "aws:s3/bucketVersioning:BucketVersioning":
        assert recover(begun["urn"], begun["token"]) == ""


def test_a_creation_that_is_in_the_journal_needs_no_search(engine: Engine, log: Path) -> None:
    made = engine.create("aws:ec2/vpc:Vpc", "v", {"cidrBlock": "10.0.0.0/16"})
    token = lines(log)[0]["token"]
    engine.delete(made)
    assert recover(made.urn, token) == made.id


def test_a_refused_creation_is_closed_so_that_another_object_is_not_taken_for_it(
    engine: Engine, world: World, log: Path
) -> None:
    with pytest.raises(Refused):
        engine.create("aws:s3/bucket:Bucket", "b", {"bucket": world.bucket()})
    assert [e["phase"] for e in lines(log)] == ["begin", "failed"]
    assert recover(lines(log)[0]["urn"], lines(log)[0]["token"]) == ""


def test_two_attempts_have_two_tokens(engine: Engine, log: Path) -> None:
    for _ in range(2):
        engine.create("aws:ec2/vpc:Vpc", "v", {"cidrBlock": "10.0.0.0/16"})
    assert len({e["token"] for e in lines(log)}) == 2


def test_the_journal_holds_no_secret(engine: Engine, world: World, log: Path) -> None:
    from fullbore.provider.values import Secret

    case = next(case for case in CASES if str(case) == "LocationSmb")
    engine.create(case.type, "smb", {**case.inputs(world), "password": Secret("hunter2")})
    assert "hunter2" not in log.read_text()


def test_nothing_is_written_where_no_journal_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FULLBORE_JOURNAL", raising=False)
    journal.write({"urn": "u"})
    assert list(journal.entries()) == []


def test_the_command_prints_the_id_or_nothing(engine: Engine, world: World, log: Path) -> None:
    made = engine.create("aws:s3/bucket:Bucket", "b", {"bucket": world.name("bucket")})
    begun = cut_after(log, "begin")
    assert _command(begun["urn"], begun["token"]) == (0, f"{made.id}\n")
    engine.delete(made)
    assert _command(begun["urn"], begun["token"]) == (0, "")
    assert _command("urn:x", "y") == (1, "")


def _command(*arguments: str) -> tuple[int, str]:
    ran = subprocess.run(
        [ROOT / "components/fullbore_sandbox/plugins/bin/pulumi-resource-aws", "recover", *arguments]
        if (ROOT / ".venv").exists()
        else [sys.executable, "-m", "fullbore_sandbox.plugins.aws", "recover", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout
