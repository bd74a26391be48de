"""The emulator as a process of a sandbox: started once, and empty after it was lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from aws_engine import Engine, provider_config

from fullbore_sandbox import cloud
from fullbore_sandbox.state import State

VPC = "aws:ec2/vpc:Vpc"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State.load_or_create(tmp_path)
    yield state
    cloud.stop(state)


def test_a_lost_emulator_is_an_empty_account_and_everything_in_it_is_gone(state: State) -> None:
    url = cloud.start(state)
    assert cloud.start(state) == url
    engine = Engine(provider_config(url)).start()
    try:
        made = engine.create(VPC, "v", {"cidrBlock": "10.0.0.0/16"})
        assert engine.read(made) is not None
        cloud.stop(state)
        assert cloud.start(state) == url
        assert engine.read(made) is None
        engine.delete(made)
    finally:
        engine.stop()
