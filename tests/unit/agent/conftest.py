"""A machine for the agent."""

from __future__ import annotations

from pathlib import Path

import pytest
from agent_machine import machine

from fullbore_agent.system import System


@pytest.fixture
def system(tmp_path: Path) -> System:
    return machine(tmp_path)
