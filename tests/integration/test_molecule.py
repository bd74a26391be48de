"""The roles on a real host, by Molecule: check, converge, idempotence, verify."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ANSIBLE = Path(__file__).parents[2] / "ansible"


@pytest.mark.parametrize(("scenario", "actions"), [("default", 8), ("infiniband", 9)])
def test_roles_bring_a_bare_host_to_its_plan_and_then_change_nothing(
    tmp_path: Path, scenario: str, actions: int
) -> None:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "NO_COLOR": "1",
        # Apart from a developer's own run of the same scenario.
        "MOLECULE_EPHEMERAL_DIRECTORY": str(tmp_path / "molecule"),
    }
    argv = ["molecule", "test", "--scenario-name", scenario]
    done = subprocess.run(argv, cwd=ANSIBLE, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert re.search(rf"actions={actions}\s+successful={actions}\b", done.stdout + done.stderr)
