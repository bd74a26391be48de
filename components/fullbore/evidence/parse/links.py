"""Cables as hosts and the subnet manager see them: `lldpcli -f json0`, `iblinkinfo`, `ibnetdiscover -p`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from fullbore.catalog.acceptance import LANE_GBPS
from fullbore.evidence.unreadable import Unreadable

_CA = re.compile(r"^CA: (.+):\s*$")
_OWN = re.compile(
    r"^\s*0x[0-9a-f]+\s+\d+\s+(?P<port>\d+)\[.*?\] ==\(\s*(?P<link>.*?)\s*\)==>\s*(?:0x[0-9a-f]+\s+)?"
    r"(?P<peer_lid>\d*)\s*(?P<peer_port>\d*)\[.*?\] \"(?P<peer>.*?)\""
)
_UP = re.compile(r"^(\d+)X\s+([\d.]+) Gbps\s+Active/\s*LinkUp$")
_PORT = re.compile(
    r"^CA\s+\d+\s+(?P<port>\d+) 0x[0-9a-f]+ (?P<width>\d+)x (?P<speed>\S+)\s+"
    r"(?:- \w+\s+\d+\s+(?P<peer_port>\d+) 0x[0-9a-f]+ \( '(?P<node>.*)' - '(?P<peer>.*)' \)|'(?P<alone>.*)')\s*$"
)
_MANAGED = re.compile(r"^MF0;([^:]+):")
"""What a managed switch of NVIDIA puts before and after its own name."""


@dataclass(frozen=True, kw_only=True, order=True)
class Link:
    """One end of a cable and what is at the other end; `peer` is empty where there is nothing."""

    host: str
    port: str
    peer: str
    peer_port: str
    gbps: float | None = None
    """Signalling rate of all lanes, Gbit/s; 0 where the link is down, None where the tool does not say."""


def parse_linkinfo(text: str) -> tuple[Link, ...]:
    """`iblinkinfo`: the ports of hosts, whose descriptions are 'HOST DEVICE'."""
    node: str | None = None
    links: list[Link] = []
    for line in text.splitlines():
        head = _CA.match(line)
        if head or line.startswith("Switch:"):
            node = head[1] if head else None
            continue
        own = _OWN.match(line) if node else None
        if own and node:
            up = _UP.match(own["link"])
            rate = int(up[1]) * float(up[2]) if up else 0.0
            links.append(_link(node, own["peer"] if up else "", own["peer_port"] if up else "", rate))
    return _found(links)


def parse_ports(text: str) -> tuple[Link, ...]:
    """`ibnetdiscover -p`: the ports of hosts."""
    links: list[Link] = []
    for line in text.splitlines():
        port = _PORT.match(line)
        if port and port["alone"] is not None:
            links.append(_link(port["alone"], "", "", 0.0))
        elif port:
            rate = int(port["width"]) * LANE_GBPS.get(port["speed"], 0.0)
            links.append(_link(port["node"], port["peer"], port["peer_port"], rate))
        elif re.match(r"^CA\s+\d+\s", line):
            raise Unreadable(f"a line is not whole: {line.strip()[:80]}")
    return _found(links)


def _link(node: str, peer: str, peer_port: str, gbps: float) -> Link:
    host, _, device = node.rpartition(" ")
    managed = _MANAGED.match(peer)
    return Link(host=host, port=device, peer=managed[1] if managed else peer, peer_port=peer_port, gbps=gbps)


def _found(links: list[Link]) -> tuple[Link, ...]:
    if not links:
        raise Unreadable("no port of a host is listed")
    return tuple(sorted(links))


def parse_lldp(text: str, host: str) -> tuple[Link, ...]:
    """`lldpcli -f json0 show neighbors` of one host: a neighbour each, none where an interface hears nothing.

    json0 keeps its form whatever the number of neighbours (lldpcli(8)); -f json does not.
    """
    try:
        content: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise Unreadable(f"not JSON: {error.msg} at character {error.pos}") from None
    lldp = cast("dict[str, Any]", content).get("lldp") if isinstance(content, dict) else None
    if not isinstance(lldp, list) or not lldp:
        raise Unreadable("it has no list 'lldp'; ask with -f json0")
    return tuple(sorted(_neighbours(cast("list[Any]", lldp), host)))


def _neighbours(lldp: list[Any], host: str) -> Iterator[Link]:
    for interface in (item for part in lldp for item in part.get("interface", [])):
        try:
            chassis, port = interface["chassis"][0], interface["port"][0]
            system = _first(chassis.get("name")) or _first(chassis["id"])
            named = port["id"][0]["type"] == "ifname" or "descr" not in port
            peer_port = _first(port["id"]) if named else _first(port["descr"])
            yield Link(host=host, port=interface["name"], peer=system, peer_port=peer_port)
        except (KeyError, IndexError, TypeError) as error:
            raise Unreadable(f"an interface lacks {error}") from None


def _first(values: Any) -> str:
    return str(values[0]["value"]) if values else ""
