"""The proof below was written by engine 3.250.0 with the passphrase `hunter2`."""

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml

from fullbore.config.passphrase import PUBLIC, opened, opens, passphrase_problems
from fullbore.problems import Problem
from fullbore_sandbox.engine import PASSPHRASE

SALT = "v1:kRVTbYmAH8E=:v1:in/Kvouj7oolU9qd:VwAiMIDTujyMjW/EUHGjFjlGvaN11w=="
DOCUMENT = {"encryptionsalt": SALT}
LOCAL = yaml.safe_load((Path(__file__).parents[3] / "stacks" / "Pulumi.local.yaml").read_text())


def passphrase_problem(
    document: Mapping[Any, object], environ: Mapping[str, str], sandbox: bool = False
) -> Problem | None:
    found = passphrase_problems(document, environ, sandbox, "example")
    assert len(found) < 2
    return found[0] if found else None


@pytest.fixture(scope="module", autouse=True)
def each_key_is_derived_once() -> Iterator[None]:
    """A million rounds take 0.3 s."""
    with patch("hashlib.pbkdf2_hmac", cache(hashlib.pbkdf2_hmac)):
        yield


@pytest.mark.parametrize(("passphrase", "right"), [("hunter2", True), ("hunter3", False)])
def test_opens(passphrase: str, right: bool) -> None:
    assert opens(SALT, passphrase) is right


def test_the_variable_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    file.write_text("wrong\n")
    environ = {"PULUMI_CONFIG_PASSPHRASE": "hunter2", "PULUMI_CONFIG_PASSPHRASE_FILE": str(file)}
    assert passphrase_problem(DOCUMENT, environ) is None


def test_the_file_s_white_space_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    file.write_text("hunter2\n")
    assert passphrase_problem(DOCUMENT, {"PULUMI_CONFIG_PASSPHRASE_FILE": str(file)}) is None


def test_a_wrong_passphrase_is_one_problem_that_does_not_repeat_it() -> None:
    problem = passphrase_problem(DOCUMENT, {"PULUMI_CONFIG_PASSPHRASE": "hunter3"})
    assert problem
    assert (problem.path, problem.rule) == ("encryptionsalt", "passphrase-wrong")
    assert "hunter3" not in problem.message


@pytest.mark.parametrize(
    "salt", ["v1:x", "v2:AA==:v1:AA==:AA==", "v1:%%%:v1:AA==:AA==", "v1:AA==:v1:AA==:AA==", ":" * 4, 12, None]
)
@pytest.mark.parametrize("environ", [{}, {"PULUMI_CONFIG_PASSPHRASE": "x"}])
def test_another_form_is_a_problem(salt: object, environ: dict[str, str]) -> None:
    problem = passphrase_problem({"encryptionsalt": salt}, environ)
    assert problem
    assert "another form" in problem.message


def test_a_sandbox_has_the_public_passphrase_where_none_is_set() -> None:
    problem = passphrase_problem(DOCUMENT, {}, sandbox=True)
    assert problem
    assert "public passphrase" in problem.message
    assert passphrase_problem(DOCUMENT, {"PULUMI_CONFIG_PASSPHRASE": "hunter2"}, sandbox=True) is None
    assert passphrase_problem(LOCAL, {}, sandbox=True) is None


@pytest.mark.parametrize("change", [lambda text: text.replace("v1:SZUr", "v1:AZUr"), lambda text: text[:-4] + "AAA="])
def test_a_value_under_another_key_is_named_by_its_field(change: Callable[[str], str]) -> None:
    """Such as one that was copied from another stack: the engine would stop at it after all else has started."""
    document = copy.deepcopy(LOCAL)
    password = document["config"]["fullbore:env"]["replication"]["password"]
    password["secure"] = change(password["secure"])
    problem = passphrase_problem(document, {}, sandbox=True)
    assert problem
    assert (problem.path, problem.rule) == ("replication.password", "secret-unopened")
    assert "config set -s example --secret --path 'fullbore:env.replication.password'" in problem.message
    assert passphrase_problem(document, {}) is None, "without a passphrase at hand nothing can be opened"


def test_it_is_the_one_that_the_engine_is_given() -> None:
    assert PUBLIC == PASSPHRASE


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    problem = passphrase_problem(DOCUMENT, {"PULUMI_CONFIG_PASSPHRASE_FILE": str(tmp_path / "none")})
    assert problem
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" in problem.message


@pytest.mark.parametrize(("document", "environ"), [({}, {"PULUMI_CONFIG_PASSPHRASE": "x"}), (DOCUMENT, {})])
def test_nothing_to_compare_is_no_problem(document: dict[str, str], environ: dict[str, str]) -> None:
    assert passphrase_problem(document, environ) is None


def test_a_passphrase_that_is_no_text_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    file.write_bytes(b"\xff\n")
    for environ in ({"PULUMI_CONFIG_PASSPHRASE": "\udcff"}, {"PULUMI_CONFIG_PASSPHRASE_FILE": str(file)}):
        problem = passphrase_problem(DOCUMENT, environ)
        assert problem
        assert problem.rule == "passphrase-wrong"


def test_a_field_is_opened_by_the_passphrase_at_hand_alone() -> None:
    field = ("replication", "password")
    assert opened(LOCAL, field, {}, sandbox=True) == "replicator-of-the-sandbox"
    assert opened(LOCAL, field, {}) is None
    assert opened(LOCAL, field, {"PULUMI_CONFIG_PASSPHRASE": "hunter3"}) is None
    assert opened(LOCAL, ("site", "bmc", "password"), {}, sandbox=True) is None
    assert opened({}, field, {"PULUMI_CONFIG_PASSPHRASE": "hunter2"}) is None
