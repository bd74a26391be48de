"""Every row of the AWS stand-in, over its whole life: the real gRPC service in front of a real moto server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aws_cases import CASES, Case, World
from aws_engine import Engine, Object

from fullbore_sandbox.plugins.aws.row import TOKEN_TAG
from fullbore_sandbox.plugins.aws.rows import ROWS
from fullbore_sandbox.plugins.aws.schema import resource_schema

Client = Callable[[str], Any]
each = pytest.mark.parametrize("case", CASES, ids=str)
changing = pytest.mark.parametrize("case", [c for c in CASES if c.change], ids=str)


@pytest.fixture(scope="session")
def world(client: Client) -> World:
    return World(client)


@pytest.fixture(scope="session")
def remembered() -> dict[str, Object]:
    return {}


@pytest.fixture
def made(engine: Engine, case: Case, world: World, remembered: dict[str, Object]) -> Object:
    """One object a type, shared by the tests that only look."""
    if case.type not in remembered:
        remembered[case.type] = make(engine, case, world)
    return remembered[case.type]


def make(engine: Engine, case: Case, world: World) -> Object:
    return engine.create(case.type, world.name("r"), case.inputs(world))


@each
def test_what_was_made_is_read_back_the_same(engine: Engine, case: Case, made: Object) -> None:
    again = engine.read(made)
    assert again is not None
    assert (again.id, again.inputs, again.outputs) == (made.id, made.inputs, made.outputs)
    assert engine.diff(made, made.inputs).changes == {}


@each
def test_outputs_that_the_sdk_promises_are_there(case: Case, made: Object) -> None:
    row, schema = ROWS[case.type], resource_schema(case.type)
    assert schema is not None
    missing = {n for n, f in schema.outputs.items() if f.required and n not in made.outputs} - row.absent
    assert missing == set()


@each
def test_the_token_is_never_shown(case: Case, made: Object) -> None:
    assert TOKEN_TAG not in str(made.inputs)
    assert TOKEN_TAG not in str(made.outputs)


@each
def test_an_import_finds_the_inputs(engine: Engine, case: Case, made: Object) -> None:
    found = engine.read(Object(case.type, made.name, made.id, {}, {}))
    assert found is not None
    assert made.inputs.keys() - case.unreadable - ROWS[case.type].defaults.keys() <= found.inputs.keys()
    assert set(engine.diff(found, made.inputs).changes) == set(case.unreadable)


@each
def test_a_preview_makes_nothing_and_knows_no_id(engine: Engine, case: Case, world: World) -> None:
    planned = engine.create(case.type, "planned", case.inputs(world), preview=True)
    assert planned.id == ""
    for name, value in planned.inputs.items():
        said = planned.outputs[name]
        assert value.items() <= said.items() if isinstance(value, dict) else said == value


@each
def test_drift_by_hand_shows_and_an_update_repairs_it(engine: Engine, case: Case, world: World, client: Client) -> None:
    made = make(engine, case, world)
    case.drift(client, made)
    live = engine.read(made)
    if not case.drifted:
        assert live is None
        return
    assert live is not None
    path, _, kind = case.drifted.partition(" ")
    assert engine.diff(live, made.inputs).changes.get(path) == kind
    repaired = engine.update(live, made.inputs)
    after = engine.read(repaired)
    assert after is not None
    assert after.inputs == made.inputs


@changing
def test_a_change_is_made_in_place(engine: Engine, case: Case, world: World) -> None:
    made = make(engine, case, world)
    wanted = {**made.inputs, **case.changed(world)}
    planned = engine.diff(made, wanted)
    assert planned.changes
    assert planned.replaces == []
    changed = engine.update(made, wanted)
    live = engine.read(changed)
    assert live is not None
    assert live.inputs == wanted
    assert live.outputs == changed.outputs


@changing
def test_a_previewed_change_touches_nothing(engine: Engine, case: Case, world: World, made: Object) -> None:
    engine.update(made, {**made.inputs, **case.changed(world)}, preview=True)
    live = engine.read(made)
    assert live is not None
    assert live.inputs == made.inputs


@each
def test_a_change_that_the_api_cannot_make_replaces(engine: Engine, case: Case, world: World, made: Object) -> None:
    changed = case.replace(world)
    planned = engine.diff(made, {**made.inputs, **changed})
    assert set(planned.replaces) == set(changed)
    unique = ROWS[case.type].unique
    assert planned.delete_first == bool(unique and unique.isdisjoint(changed))


@each
def test_deleting_is_final_and_can_be_repeated(engine: Engine, case: Case, world: World) -> None:
    made = make(engine, case, world)
    engine.delete(made)
    if case.type != "aws:s3/bucketVersioning:BucketVersioning":
        assert engine.read(made) is None
    engine.delete(made)


def test_versioning_is_only_suspended(engine: Engine, world: World) -> None:
    bucket = world.bucket()
    given = {"bucket": bucket, "versioningConfiguration": {"status": "Enabled"}}
    made = engine.create("aws:s3/bucketVersioning:BucketVersioning", "v", given)
    engine.delete(made)
    assert world.client("s3").get_bucket_versioning(Bucket=bucket)["Status"] == "Suspended"


def test_every_row_has_a_case() -> None:
    assert {case.type for case in CASES} == set(ROWS)
