from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbore.config import UNKNOWN_SECRET, ConfigError, load_file, parse
from fullbore.config.find import environment_names, find_file, repository_root
from fullbore.config.models import Environment, Strict
from fullbore.config.stack_file import MAY_BE_SECRET, SECRETS, stack_file_problems
from fullbore.config.yaml_text import parse_raw, revealed
from fullbore.problems import Problem

ROOT = Path(__file__).parents[3]

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["80GB", "10.0.0.0/8", "10.0.0.1", "a", UNKNOWN_SECRET, "[key]"]),
)
NAMES = (
    *("name", "site", "cloud", "groups", "hosts", "gpu", "cidr", "region", "zones", "serving", "model", "replicas"),
    *("sysctl", "tags", "standby", "rpo_s", "secure"),
)
FIELDS = st.sampled_from(NAMES) | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIELDS, inner, max_size=5), max_leaves=25
)


def load_text(text: str) -> dict[str, object]:
    return revealed(parse_raw(text))


def problems_of(read: Callable[[], object]) -> tuple[Problem, ...] | None:
    """The problems that reading gives; None where it gives none. Anything but ConfigError is a failure."""
    try:
        read()
    except ConfigError as error:
        return error.problems
    return None


@given(st.dictionaries(FIELDS, VALUES, max_size=8))
def test_parse_refuses_any_mapping_with_problems_and_nothing_else(values: dict[str, object]) -> None:
    problems = problems_of(lambda: parse(values))
    assert problems is None or problems
    assert all(problem.message and problem.path and problem.rule for problem in problems or ())


@given(st.text(max_size=200))
def test_load_text_refuses_any_text_with_problems_and_nothing_else(text: str) -> None:
    problems = problems_of(lambda: load_text(text))
    assert problems is None or problems


@given(st.dictionaries(FIELDS | st.just("config"), VALUES, max_size=4), VALUES)
def test_any_mapping_is_a_stack_file_with_problems_or_without(raw: dict[object, object], env: object) -> None:
    found = (*stack_file_problems(raw), *stack_file_problems({"config": {"fullbore:env": env}}))
    assert all(problem.message and problem.path and problem.rule for problem in found)


def test_every_field_that_is_hidden_must_or_may_be_encrypted() -> None:
    assert set(hidden(Environment)) == {*SECRETS, *MAY_BE_SECRET}


def hidden(model: type[Strict], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Fields of a model and of what is in it that are not shown; `*` is any name of a mapping."""
    for name, field in model.model_fields.items():
        if not field.repr:
            yield (*path, name)
        kinds = [field.annotation, *get_args(field.annotation)]
        for kind in [*kinds, *(each for inner in kinds for each in get_args(inner))]:
            if isinstance(kind, type) and issubclass(kind, Strict):
                named = any(get_origin(each) is dict for each in kinds)
                yield from hidden(kind, (*path, name, "*") if named else (*path, name))


@pytest.mark.parametrize(("case", "rule"), [("secret-in-clear", "secret-in-clear"), ("secret-form", "secret-form")])
def test_a_secret_is_set_again_in_the_stack_whose_file_it_is(tmp_path: Path, case: str, rule: str) -> None:
    """Without `-s` the engine would write it into the file of the stack that is selected, under that one's key."""
    file = tmp_path / "Pulumi.example.yaml"
    file.write_text((ROOT / "tests" / "fixtures" / "config" / case / "in.yaml").read_text())
    problems = problems_of(lambda: load_file(file))
    found = [each.message for each in problems or () if each.rule == rule]
    assert found
    assert all("scripts/pulumi config set -s example --secret" in message for message in found)


def test_decrypted_values_are_parsed_as_they_are() -> None:
    replication = {"source": "smb", "server": "s", "password": "hunter2"}
    env = parse({"name": "example", "replication": replication})
    assert env.replication
    assert env.replication.password == "hunter2"


@pytest.mark.parametrize("name", environment_names(ROOT))
def test_the_repository_s_environments_can_be_read(name: str) -> None:
    assert load_file(find_file(name, ROOT)).name == name


def test_only_the_words_of_yaml_1_2_are_not_text() -> None:
    read = load_text("{a: no, b: 1:30, c: 0x10, d: 2026-01-02, e: true, f: 7, g: 1.5, h: null, i: 1e3, j: 010}")
    assert read == {
        "a": "no",
        "b": "1:30",
        "c": "0x10",
        "d": "2026-01-02",
        "e": True,
        "f": 7,
        "g": 1.5,
        "h": None,
        "i": 1000.0,
        "j": "010",
    }


def test_an_alias_is_read_where_it_ends() -> None:
    assert load_text("a: &x {k: 1}\nb: *x\n") == {"a": {"k": 1}, "b": {"k": 1}}


def test_aliases_that_multiply_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(ConfigError, match="without end"):
        load_text("\n".join(lines))


def test_an_encrypted_value_is_an_unknown_secret(tmp_path: Path) -> None:
    replication = {"source": "smb", "server": "s", "password": UNKNOWN_SECRET}
    env = parse({"name": "example", "replication": replication})
    assert env.replication
    assert env.replication.password == UNKNOWN_SECRET
    assert "password" not in repr(env)


def test_the_file_s_name_and_the_environment_s_must_agree(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.prod.yaml"
    path.write_text("config:\n  fullbore:env:\n    name: dev\n")
    with pytest.raises(ConfigError, match="name: got dev, but the file is that of the stack prod") as raised:
        load_file(path)
    assert [problem.rule for problem in raised.value.problems] == ["environment-name"]


@pytest.mark.parametrize("env", ["nowhere", "no/such.yaml", "x" * 5000, "a\0b", "stacks"])
def test_an_environment_that_is_not_there_is_a_problem(env: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_file(env, ROOT)
    assert caught.value.problems[0].rule == "environment-missing"


@pytest.mark.parametrize("env", ["", "  "])
def test_an_empty_name_says_which_there_are(env: str) -> None:
    with pytest.raises(ConfigError, match=r"^ENV: got an empty name; .* known: dev, local, prod, staging$"):
        find_file(env, ROOT)


def test_the_root_is_found_from_below() -> None:
    assert repository_root(ROOT / "components" / "fullbore") == ROOT
    assert repository_root(Path("/")) == ROOT


def test_a_folder_instead_of_a_file_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        load_file(tmp_path)


def test_a_binary_file_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.x1.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not utf-8 text"):
        load_file(path)
