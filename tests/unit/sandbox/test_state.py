"""What a sandbox chooses once stays chosen, and two sandboxes do not choose the same."""

import json
import shutil
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


def test_a_copied_checkout_does_not_take_the_original_s_sandbox(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    original = State.load_or_create(tmp_path / "a", taken=nothing_taken)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    with pytest.raises(SandboxError, match=f"^{tmp_path}/b/.fullbore: copied from {tmp_path}/a, .*; remove [^\n]*$"):
        State.load_or_create(tmp_path / "b", taken=nothing_taken)
    shutil.rmtree(tmp_path / "b" / ".fullbore")
    assert State.load_or_create(tmp_path / "b", taken=nothing_taken).id != original.id
    assert State.load_or_create(tmp_path / "a", taken=nothing_taken) == original


def test_a_moved_checkout_keeps_its_sandbox(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    before = State.load_or_create(tmp_path / "a", taken=nothing_taken)
    (tmp_path / "a").rename(tmp_path / "b")
    for _ in range(2):
        after = State.load_or_create(tmp_path / "b", taken=nothing_taken)
        assert (after.id, after.network, after.subnet) == (before.id, before.network, before.subnet)


@pytest.mark.parametrize("is_own", [True, False])
def test_a_state_that_does_not_say_where_it_was_made(is_own: bool, tmp_path: Path) -> None:
    state = State.load_or_create(tmp_path, taken=nothing_taken)
    path = state.dir / "state.json"
    values = json.loads(path.read_text())
    del values["root"]
    path.write_text(json.dumps(values if is_own else {**values, "id": "00000000"}))
    if is_own:
        assert State.load_or_create(tmp_path, taken=nothing_taken) == state
        assert json.loads(path.read_text())["root"] == str(tmp_path)
        return
    with pytest.raises(SandboxError, match="copied from another path"):
        State.load_or_create(tmp_path, taken=nothing_taken)
