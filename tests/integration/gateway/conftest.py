"""Two site replicas, one standby and an Envoy in front of them, whole again before each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_parts import Envoy, free_port, name_server, until
from gateway_stage import ELSEWHERE, FIRST, NAMES, SECOND, THIRD, USUAL, Stage

from fullbore_runtime import weights
from fullbore_runtime.manifest import Shape


@pytest.fixture(scope="session")
def gateway_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("gateway-model")
    weights.make(directory, seed=7, shape=Shape(width=16, layers=1, heads=2, kv_heads=1, hidden=16, positions=512))
    return directory


@pytest.fixture(scope="session")
def whole_stage(gateway_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with name_server() as names:
        names.names = dict(NAMES)
        folder = tmp_path_factory.mktemp("gateway")
        stage = Stage(gateway_model, names, free_port(FIRST, SECOND, THIRD, ELSEWHERE), folder)
        try:
            stage.start(FIRST, SECOND, ELSEWHERE)
            stage.envoy = Envoy(folder, names, stage.port)
            try:
                yield stage
            finally:
                stage.envoy.close()
        finally:
            stage.kill(*stage.replicas)


@pytest.fixture
def stage(whole_stage: Stage) -> Stage:
    """The stage with what the last test killed started again, and what it added gone."""
    whole_stage.names.names = dict(NAMES)
    ended = {address for address, replica in whole_stage.replicas.items() if replica.process.poll() is not None}
    whole_stage.kill(*(ended | set(whole_stage.replicas) - USUAL))
    whole_stage.start(*(USUAL - set(whole_stage.replicas)))
    until(lambda: set(whole_stage.envoy.hosts()) == USUAL, "the usual addresses and no others")
    whole_stage.wait_healthy(*USUAL)
    # Envoy's workers hear of it a moment after its statistics do.
    until(lambda: whole_stage.envoy.ask().headers.get("x-fullbore-pool") == "serving", "the site answers")
    return whole_stage
