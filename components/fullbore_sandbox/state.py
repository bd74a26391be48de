"""What a sandbox chose once and keeps: its id, network, subnet, ports and addresses.

A sandbox is named after its checkout, so two clones run side by side and neither names anything globally.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

SITE = IPv4Network("10.200.0.0/16")
"""Sandboxes take a /24 of this, which is `site.cidr` of the stack `local`."""
PORTS = range(20000, 32000)
"""Below the kernel's ephemeral range, so that no outgoing connection takes a port that was chosen here."""
FIXED = range(10, 128)
"""Last bytes of addresses given to hosts; podman gives pods the upper half of the subnet."""


class SandboxError(Exception):
    """A failure of the sandbox that its message explains in full; it is shown without a traceback."""


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace `path` by `text` in one step: a reader sees the old content or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text)
    partial.chmod(mode)
    partial.replace(path)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path` between processes and threads; the kernel drops it when the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def routed_networks() -> list[IPv4Network]:
    """The networks that this machine routes, default route apart; from /proc/net/route."""
    networks: list[IPv4Network] = []
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        fields = line.split()
        address, mask = (int.from_bytes(bytes.fromhex(fields[i]), "little") for i in (1, 7))
        if mask:
            networks.append(IPv4Network((address, mask.bit_count())))
    return networks


def _in_use() -> list[IPv4Network]:
    from fullbore_sandbox.podman import networks_in_use  # podman.py stands on this module

    return networks_in_use()


def port_is_free(port: int) -> bool:
    """True where nothing listens on `port` at any address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
        return True


@dataclass(frozen=True, kw_only=True)
class State:
    """The state folder of one sandbox: `ROOT/.fullbore/sandbox`."""

    root: Path
    dir: Path
    id: str
    network: str
    subnet: str

    @classmethod
    def load_or_create(cls, root: Path, taken: Callable[[], list[IPv4Network]] | None = None) -> State:
        """The state of the checkout at `root`. `taken` is asked for networks in use when the subnet is chosen: those
        that are routed here and those of the container engine, where nothing else is given. Raises
        SandboxError for a copy of a checkout that is still there: its containers and processes are the original's."""
        root = root.resolve()
        folder = root / ".fullbore" / "sandbox"
        ident = _identity(root, folder)
        state = cls(root=root, dir=folder, id=ident, network=f"fullbore-{ident}", subnet="")
        subnet = state._remember("subnet", lambda _: str(_free_subnet(int(ident, 16), (taken or _in_use)())))
        return cls(root=root, dir=folder, id=ident, network=state.network, subnet=subnet)

    @classmethod
    def load(cls, root: Path) -> State:
        """The state of the checkout at `root`. Raises SandboxError where there is none, and makes none."""
        if not (root / ".fullbore" / "sandbox" / "state.json").exists():
            raise SandboxError(f"{root}: no sandbox runs here; run scripts/up")
        return cls.load_or_create(root)

    def port(self, name: str) -> int:
        """A TCP port for `name`, free when it was first asked for, the same ever after."""
        start = int.from_bytes(hashlib.sha256(f"{self.id} {name}".encode()).digest()[:4], "big")

        def choose(chosen: Mapping[str, Any]) -> int:
            used = set(chosen.values())
            for i in range(len(PORTS)):
                port = PORTS[(start + i) % len(PORTS)]
                if port not in used and port_is_free(port):
                    return port
            raise SandboxError(f"ports {PORTS.start}-{PORTS.stop - 1}: none is free for {name}")

        return self._remember("ports", choose, name)

    def address(self, name: str) -> str:
        """A fixed address in the lower half of the subnet for the host `name`, the same ever after."""

        def choose(chosen: Mapping[str, Any]) -> str:
            base = IPv4Network(self.subnet).network_address
            free = (str(base + last) for last in FIXED if str(base + last) not in chosen.values())
            address = next(free, None)
            if address is None:
                raise SandboxError(f"{name}: a sandbox holds {len(FIXED)} hosts at most; remove hosts")
            return str(IPv4Address(address))

        return self._remember("addresses", choose, name)

    def data(self, name: str) -> Path:
        """The folder where `name` keeps its files; made when it is missing."""
        path = self.dir / "data" / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def log(self, name: str) -> Path:
        """The log file of `name`."""
        path = self.dir / "log" / f"{name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def record(self, name: str) -> Path:
        """Where the process behind `name` is recorded."""
        path = self.dir / "run" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _remember(self, table: str, choose: Callable[[Mapping[str, Any]], T], name: str | None = None) -> T:
        """The remembered value of `table` (and `name` in it), chosen now where there is none yet."""
        path = self.dir / "state.json"
        with locked(self.dir / "state.lock"):
            values: dict[str, Any] = _recorded(path, self.root, self.id)
            holder: dict[str, Any] = values if name is None else values.setdefault(table, {})
            key = table if name is None else name
            if key not in holder:
                holder[key] = choose(holder)
                write_atomically(path, json.dumps(values, indent=1) + "\n")
            return holder[key]


def _identity(root: Path, folder: Path) -> str:
    """The id of the sandbox at `root`: a new one is named after the path, that of a checkout that was moved is kept."""
    path = folder / "state.json"
    ident = hashlib.sha256(str(root).encode()).hexdigest()[:8]
    if not path.exists():
        return ident
    with locked(folder / "state.lock"):
        values = _recorded(path, root, ident)
        made_at = values.get("root", str(root) if values["id"] == ident else None)
        if made_at != str(root) and (made_at is None or Path(made_at).exists()):
            origin = made_at or "another path"
            raise SandboxError(
                f"{root}/.fullbore: copied from {origin}, whose sandbox {values['id']} it names; "
                f"remove {root}/.fullbore, or work in {origin}"
            )
        if values.get("root") != str(root):
            write_atomically(path, json.dumps({**values, "root": str(root)}, indent=1) + "\n")
        return str(values["id"])


def _recorded(path: Path, root: Path, ident: str) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {"version": 1, "id": ident, "root": str(root)}


def _free_subnet(seed: int, taken: list[IPv4Network]) -> IPv4Network:
    subnets = list(SITE.subnets(new_prefix=24))
    for i in range(len(subnets)):
        subnet = subnets[(seed + i) % len(subnets)]
        if not any(subnet.overlaps(network) for network in taken):
            return subnet
    raise SandboxError(f"{SITE}: every /24 in it is routed or taken by a container network; remove one")
