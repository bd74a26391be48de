"""The inputs of evidence: what is accepted, and the machines, commands and cables that they describe."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from typing import Any, Final, cast

from fullbore.evidence.commands import host_commands
from fullbore.evidence.model import Cable, Group, Machine, Topology
from fullbore.provider.base import Failure, Map
from fullbore.provider.hostinputs import SSH, host_variables
from fullbore.provider.inputrules import (
    BOOL,
    COUNT,
    DAYS,
    HOSTS,
    KEY,
    LEVEL,
    MAP,
    MAPS,
    NAMES,
    PORT,
    RATE,
    TEXT,
    TEXTS,
    WORD,
    Rule,
    check_map,
)
from fullbore.provider.values import UNKNOWN, join_path, plain

DEFAULTS: Final[Map] = {
    "accelerator": "",
    "gpus": 0,
    "nvls": False,
    "dcgmLevel": 3,
    "drives": [],
    "fabric": "",
    "linkGbps": 0,
    "cables": [],
    "validDays": 30,
    "strict": True,
}
EVIDENCE: Final[dict[str, Rule]] = {
    "group": TEXT,
    "rack": TEXT,
    "hosts": HOSTS,
    "ssh": MAP,
    "accelerator": WORD,
    "gpus": COUNT,
    "nvls": BOOL,
    "dcgmLevel": LEVEL,
    "drives": NAMES,
    "fabric": WORD,
    "linkGbps": RATE,
    "cables": MAPS,
    "lock": TEXTS,
    "signingKeyFile": TEXT,
    "publicKey": KEY,
    "validDays": DAYS,
    "strict": BOOL,
}
MEASURED: Final = ("group", "accelerator", "gpus", "nvls", "dcgmLevel", "drives", "fabric", "linkGbps", "lock")
"""Inputs that decide what is measured of each machine; its serial number and its cables are its own, and the others say
how machines are reached and who signs."""
HOST: Final[dict[str, Rule]] = {"address": TEXT, "port": PORT, "hostKey": KEY, "serial": TEXT}
CABLE: Final[dict[str, Rule]] = {"host": TEXT, "port": TEXT, "peer": TEXT, "peerPort": TEXT}


def check_inputs(inputs: Map) -> list[Failure]:
    """Everything that is wrong with the inputs; values that are not known yet pass."""
    bare: Map = plain(inputs)
    failures = list(check_map("", bare, EVIDENCE))
    if isinstance(bare.get("ssh"), dict):
        failures += check_map("ssh", bare["ssh"], SSH)
    hosts: Any = bare.get("hosts")
    for name, spec in cast("Map", hosts).items() if isinstance(hosts, dict) else ():
        if spec is not UNKNOWN:
            failures += check_map(join_path("hosts", name), spec, HOST)
    cables: Any = bare.get("cables")
    for index, cable in enumerate(cast("list[Any]", cables) if isinstance(cables, list) else ()):
        if cable is not UNKNOWN:
            failures += _check_cable(f"cables[{index}]", cable, hosts)
    return failures


def _check_cable(path: str, cable: Map, hosts: Any) -> list[Failure]:
    failures = list(check_map(path, cable, CABLE))
    if not failures and isinstance(hosts, dict) and cable["host"] not in hosts:
        failures.append(Failure(f"{path}.host", f"got {cable['host']}, but it must be one of the hosts"))
    return failures


def measured(inputs: Map, host: str) -> Map:
    """What a host's result is of: with other values it must be made anew."""
    cables = [cable for cable in inputs["cables"] if cable["host"] == host]
    serial = inputs["hosts"].get(host, {}).get("serial")
    return {**{key: inputs.get(key) for key in MEASURED}, "serial": serial, "cables": cables}


def narrowed(inputs: Map, hosts: Collection[str]) -> Map:
    """The inputs of some hosts alone; a subnet manager sees the cables of all."""
    subnet = asks_subnet_manager(inputs)
    return {
        **inputs,
        "hosts": {host: inputs["hosts"][host] for host in hosts},
        "cables": [cable for cable in inputs["cables"] if subnet or cable["host"] in hosts],
    }


def machines(inputs: Map) -> dict[str, Machine]:
    """{host: what it must be}."""
    return {
        host: Machine(
            host=host,
            accelerator=inputs["accelerator"] or None,
            gpus=inputs["gpus"],
            lock=inputs["lock"],
            nvls=inputs["nvls"],
            dcgm_level=inputs["dcgmLevel"],
            drives=tuple(inputs["drives"]),
        )
        for host in sorted(inputs["hosts"])
    }


def cabling(inputs: Map) -> Group:
    """The group's cables. Pairs and collectives of several hosts are not run."""
    cables = tuple(
        Cable(host=cable["host"], port=cable["port"], peer=cable["peer"], peer_port=cable["peerPort"])
        for cable in inputs["cables"]
    )
    topology = Topology(hosts=len(inputs["hosts"]), gpus_per_host=0, link_gbps=inputs["linkGbps"])
    return Group(
        name=inputs["group"],
        accelerator=None,
        topology=topology,
        cables=cables,
        subnet_manager=asks_subnet_manager(inputs),
    )


def asks_subnet_manager(inputs: Map) -> bool:
    """On InfiniBand one host sees all cables; on Ethernet each host hears its own switches."""
    return bool(inputs["cables"]) and inputs["fabric"] == "infiniband"


def variables(inputs: Map) -> dict[str, Map]:
    """{host: Ansible's variables}."""
    first = min(inputs["hosts"])
    subnet = asks_subnet_manager(inputs)
    found: dict[str, Map] = {}
    for host, machine in machines(inputs).items():
        commands = host_commands(machine, lldp=bool(inputs["cables"]) and not subnet, linkinfo=subnet and host == first)
        own = {"fullbore_checks": [asdict(command) for command in commands], "fullbore_gpus": machine.gpus > 0}
        found[host] = host_variables(_with_vars(inputs, host, own), host, False)
    return found


def _with_vars(inputs: Map, host: str, own: Map) -> Map:
    return {**inputs, "hosts": {host: {**inputs["hosts"][host], "vars": own}}}
