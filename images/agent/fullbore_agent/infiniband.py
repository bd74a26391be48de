"""An InfiniBand host: mode of IPoIB, and the two files of its subnet manager. Pure parsers, small readers.

Formats: opensm.conf is what `opensm --create-config` writes; partitions.conf is that of linux-rdma/opensm
doc/partition-config.txt, of which this reads what the role writes and names the rest.
"""

from __future__ import annotations

import re
from pathlib import Path

from .system import System

OPENSM_FILE = "/etc/fullbore/opensm/opensm.conf"
PARTITIONS_FILE = "/etc/fullbore/opensm/partitions.conf"
MEMBER = re.compile(r"(?:0x[0-9a-f]{1,16}|ALL|ALL_CAS|ALL_SWITCHES|ALL_ROUTERS|SELF)=(?:full|limited|both)")
FLAGS = re.compile(r"0x[0-9a-f]{1,4}(?:,(?:ipoib|mtu=[1-5]|rate=\d+|sl=\d+|scope=\d+|defmember=(?:full|limited)))*")


def parse_opensm(text: str) -> list[tuple[str, str]]:
    """(option, value) of each line; # starts a comment."""
    lines = (line.partition("#")[0].split(None, 1) for line in text.splitlines())
    return [(line[0], line[1].strip()) for line in lines if len(line) == 2]


def parse_partitions(text: str) -> list[tuple[str, str]]:
    """(name, "PKEY,FLAGS: MEMBER=KIND, ...") of each partition, members of all its lines together, sorted.

    Raises ValueError, naming the definition, where opensm would skip or misread it: it takes what it understands of a
    broken file, and cuts off ports without a word.
    """
    bare = "\n".join(line.partition("#")[0] for line in text.splitlines())
    *definitions, rest = bare.split(";")
    if rest.strip():
        raise ValueError(f"partitions: no ; ends {' '.join(rest.split())[:60]!r}")
    found: dict[str, tuple[str, set[str]]] = {}
    for definition in definitions:
        name, flags, members = _definition(" ".join(definition.split()))
        held, known = found.setdefault(name, (flags, set()))
        if held != flags:
            raise ValueError(f"partitions: {name} is {held} and {flags}")
        known |= members
    keys = [flags.partition(",")[0] for flags, _ in found.values()]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise ValueError(f"partitions: {', '.join(twice)} has two names")
    return [
        (name, f"{flags}: {', '.join(sorted(members, key=_first_all))}") for name, (flags, members) in found.items()
    ]


def _first_all(member: str) -> tuple[bool, str]:
    return not member.startswith("ALL"), member


def _definition(text: str) -> tuple[str, str, set[str]]:
    head, colon, body = text.partition(":")
    name, equals, flags = (part.strip() for part in head.partition("="))
    flags = re.sub(r"\s*,\s*", ",", flags)
    members = {re.sub(r"\s*=\s*", "=", member.strip()) for member in body.split(",")}
    bad = [member for member in sorted(members) if not MEMBER.fullmatch(member)]
    if not (name and colon and equals and FLAGS.fullmatch(flags)) or bad:
        raise ValueError(f"partitions: cannot read {text[:60]!r}" + (f" at {bad[0]!r}" if bad else ""))
    return name, flags, members


def opensm_lines(system: System) -> list[tuple[str, str]]:
    return parse_opensm(system.file(OPENSM_FILE).read_text())


def partition_lines(system: System) -> list[tuple[str, str]]:
    return parse_partitions(system.file(PARTITIONS_FILE).read_text())


def read_opensm(system: System, key: str, want: str) -> str:
    del want
    return dict(opensm_lines(system)).get(key, "absent")


def read_partition(system: System, key: str, want: str) -> str:
    """The definition; what is wanted where it names the same members in another order."""
    found = dict(partition_lines(system)).get(key, "absent")
    return want if _members(found) == _members(want) else found


def _members(definition: str) -> tuple[str, list[str]]:
    flags, _, members = definition.partition(":")
    return flags, sorted(member.strip() for member in members.split(","))


def read_ipoib(system: System, key: str, want: str) -> str:
    del want
    return mode_file(system, key).read_text().strip()


def set_ipoib(system: System, key: str, want: str) -> None:
    mode_file(system, key).write_text(want + "\n")


def mode_file(system: System, interface: str) -> Path:
    """Of an IPoIB interface: others, and those whose driver offloads all of it, have none or refuse another mode."""
    file = system.hardware(f"/sys/class/net/{interface}/mode")
    if not file.exists():
        raise FileNotFoundError(file)
    return file
