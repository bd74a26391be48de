"""Two site replicas, one standby and an Envoy in front of them, whole again before each test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fullbore_runtime import weights
from fullbore_runtime.manifest import Shape
from gateway_parts import SITE, STANDBY, Envoy, NameServer, Replica, free_port, name_server, until

FIRST, SECOND, THIRD, ELSEWHERE = "127.0.0.11", "127.0.0.12", "127.0.0.13", "127.0.0.21"

NAMES = {SITE: [FIRST, SECOND], STANDBY: [ELSEWHERE]}
USUAL = {FIRST, SECOND, ELSEWHERE}


@dataclass
class Stage:
    """Everything that a test can kill, start or ask."""

    model: Path
    names: NameServer
    port: int
    folder: Path
    replicas: dict[str, Replica] = field(default_factory=dict)
    envoy: Envoy = field(init=False)

    def start(self, *addresses: str, lame_duck_s: float = 0) -> None:
        """Start replicas at once, and wait until each says that it is ready."""
        for address in addresses:
            pool = "standby" if address == ELSEWHERE else "serving"
            self.replicas[address] = Replica(self.model, address, self.port, pool, lame_duck_s=lame_duck_s)
        for address in addresses:
            self.replicas[address].wait_ready()

    def kill(self, *addresses: str) -> None:
        for address in addresses:
            self.replicas.pop(address).kill()

    def wait_healthy(self, *addresses: str) -> None:
        until(lambda: self.envoy.healthy() == set(addresses), f"healthy are {', '.join(addresses) or 'none'}")


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
    return whole_stage
