"""What a test of the gateway can kill, start or ask."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gateway_parts import SITE, STANDBY, Envoy, NameServer, Replica, until

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
