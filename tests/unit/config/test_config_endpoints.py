import json
from pathlib import Path

import pytest

from fullbore.config import ConfigError, load_endpoints


def write(tmp_path: Path, value: object) -> Path:
    path = tmp_path / "endpoints.json"
    path.write_text(json.dumps(value))
    return path


def test_none_without_a_sandbox(tmp_path: Path) -> None:
    assert load_endpoints(tmp_path / "endpoints.json") is None


def test_a_newer_writer_may_say_more(tmp_path: Path) -> None:
    endpoints = load_endpoints(
        write(tmp_path, {"version": 1, "id": "ab12cd34", "news": 1, "registry": "127.0.0.1:5000"})
    )
    assert endpoints
    assert endpoints.registry == "127.0.0.1:5000"
    assert endpoints.hosts == {}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"version": 2, "id": "x"}, "version 2, allowed 1; run scripts/up"),
        ({"version": 1}, "id: field required; run scripts/up"),
        ([], "run scripts/up"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(tmp_path: Path, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        load_endpoints(write(tmp_path, value))
    assert [problem.rule for problem in raised.value.problems] == ["sandbox-endpoints"]


def test_half_a_file_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "endpoints.json"
    path.write_text('{"version": 1, "id"')
    with pytest.raises(ConfigError, match="run scripts/up"):
        load_endpoints(path)
