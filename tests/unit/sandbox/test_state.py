"""What a sandbox chooses once stays chosen, and two sandboxes do not choose the same."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from fullbore_sandbox.state import PORTS, SITE, SandboxError, State, write_atomically


def nothing_taken() -> list[IPv4Network]:
    return []


def test_second_load_chooses_the_same(tmp_path: Path) -> None:
    first = State.load_or_create(tmp_path)
    port, address = first.port("registry"), first.address("gpu-01")
    second = State.load_or_create(tmp_path)
    assert (second, second.port("registry"), second.address("gpu-01")) == (first, port, address)


def test_checkouts_differ_in_id_and_network(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    a, b = (State.load_or_create(tmp_path / name) for name in "ab")
    assert a.id != b.id
    assert a.network != b.network


def test_subnet_avoids_what_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    wanted = IPv4Network(State.load_or_create(tmp_path / "a", taken=nothing_taken).subnet)
    assert wanted.subnet_of(SITE)
    (tmp_path / "a" / ".fullbore" / "sandbox" / "state.json").unlink()
    other = IPv4Network(State.load_or_create(tmp_path / "a", taken=lambda: [wanted]).subnet)
    assert not other.overlaps(wanted)


def test_subnets_used_up_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"10\.200\.0\.0/16: every /24"):
        State.load_or_create(tmp_path, taken=lambda: [SITE])


def test_port_that_something_listens_on_is_not_chosen(tmp_path: Path) -> None:
    state = State.load_or_create(tmp_path)
    port = state.port("x")
    assert port in PORTS
    (state.dir / "state.json").unlink()
    with socket.create_server(("127.0.0.1", port)):
        assert State.load_or_create(tmp_path).port("x") != port


def test_threads_asking_at_once_get_distinct_ports_and_addresses(tmp_path: Path) -> None:
    state = State.load_or_create(tmp_path)
    names = [f"n{i}" for i in range(24)]
    with ThreadPoolExecutor(8) as pool:
        ports = list(pool.map(state.port, names))
        addresses = list(pool.map(state.address, names))
    assert len(set(ports)) == len(set(addresses)) == 24
    assert all(IPv4Address(a) in IPv4Network(state.subnet) for a in addresses)
    assert json.loads((state.dir / "state.json").read_text())["ports"] == dict(zip(names, ports, strict=True))


def test_write_atomically_leaves_only_the_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "d" / "f", "one")
    write_atomically(tmp_path / "d" / "f", "two", mode=0o600)
    assert [(p.name, p.read_text(), p.stat().st_mode & 0o777) for p in (tmp_path / "d").iterdir()] == [
        ("f", "two", 0o600)
    ]
