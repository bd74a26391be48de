"""A model's config.json that a stack file names: read beside the stack file, refused in words."""

from pathlib import Path

import pytest

from fullbore.config import ConfigError, parse
from fullbore.config.hub_file import MOST_BYTES


def environment(path: object) -> dict[str, object]:
    return {"name": "example", "serving": {"model": "house-7b", "hub_config": path}}


def refusal(path: object, folder: Path) -> str:
    with pytest.raises(ConfigError) as error:
        parse(environment(path), folder)
    (problem,) = error.value.problems
    assert problem.path == "serving.hub_config"
    return problem.message


def test_it_is_read_relative_to_the_stack_file(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "config.json").write_text('{"model_type": "llama"}')
    serving = parse(environment("models/config.json"), tmp_path).serving
    assert serving
    assert serving.hub_config
    assert serving.hub_config.path == "models/config.json"
    assert serving.hub_config.content == {"model_type": "llama"}


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert "No such file" in refusal("config.json", tmp_path)
    assert "cannot be read" in refusal(".", tmp_path)
    assert "no JSON" in refusal("a\0b", tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", "7", "[" * 100_000])
def test_what_is_no_object_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    assert "JSON" in refusal("config.json", tmp_path)


def test_a_file_that_is_no_configuration_by_its_size_is_not_parsed(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{" + " " * MOST_BYTES + "}")
    assert "1 MiB" in refusal("config.json", tmp_path)


def test_a_path_is_text(tmp_path: Path) -> None:
    assert "allowed text" in refusal(7, tmp_path)
