"""The commands under scripts/ set up what they need, so that each works on a fresh checkout."""

from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
FILES = [path for path in sorted(SCRIPTS.rglob("*")) if path.is_file() and path.name != "setup"]


@pytest.mark.parametrize("file", FILES, ids=lambda path: str(path.relative_to(SCRIPTS)))
def test_a_command_sets_up_what_is_missing_before_it_uses_it(file: Path) -> None:
    before, _, after = file.read_text(encoding="utf-8").partition(".venv/")
    assert after, "it uses no virtual environment, so this test is not for it"
    assert "scripts/setup" in "".join(line for line in before.splitlines() if not line.startswith("#"))
