"""What BMCs say of the machines, beside what the environment plans of them. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from fullbore.bmc.compare import Difference, PlannedHost, differences, hca_ports
from fullbore.bmc.model import BmcError, Inventory
from fullbore.config.paths import clip
from fullbore.report.section import Row, Section

Answer = Inventory | BmcError


@dataclass(frozen=True, kw_only=True)
class Discovered:
    """One planned host: its BMC's address, what it answered, and how that differs."""

    planned: PlannedHost
    bmc: str
    answer: Answer

    @property
    def differences(self) -> tuple[Difference, ...]:
        return () if isinstance(self.answer, BmcError) else differences(self.planned, self.answer)

    @property
    def as_planned(self) -> bool:
        return not isinstance(self.answer, BmcError) and not self.differences


def section(hosts: Sequence[Discovered], without: Sequence[str]) -> Section:
    """One row for each host. `without` are the names of those that have no BMC in the environment."""
    return Section(title="machines, as their BMCs say", rows=tuple(map(_row, hosts)), note=_note(hosts, without))


def _row(host: Discovered) -> Row:
    found, group = host.answer, host.planned.group
    if isinstance(found, BmcError):
        read = ("power", "model", "serial", "GPUs", "memory (GiB)", "NVMe drives", "HCA ports")
        return {"host": host.planned.name, "BMC": host.bmc, **dict.fromkeys(read, ""), "as planned": "no answer"}
    nvme = len(found.nvme) if host.planned.nvme is None else _beside(len(found.nvme), host.planned.nvme)
    return {
        "host": host.planned.name,
        "BMC": host.bmc,
        "power": found.power or "not said",
        "model": " ".join(filter(None, (found.manufacturer, found.model))),
        "serial": _beside(found.serial or "not said", host.planned.host.serial),
        "GPUs": _beside(len(found.gpus), group.gpus_per_host),
        "memory (GiB)": "not said" if found.memory_gib is None else _beside(found.memory_gib, group.memory_gib),
        "NVMe drives": nvme,
        "HCA ports": _beside(hca_ports(found), len(group.hcas)),
        "as planned": "yes" if host.as_planned else "no",
    }


def _beside(found: str | float, planned: str | float) -> str:
    """`8`, or `7 (planned 8)`."""
    shown = found if isinstance(found, str) else f"{found:g}"
    return shown if found == planned else f"{shown} (planned {planned if isinstance(planned, str) else f'{planned:g}'})"


def _note(hosts: Sequence[Discovered], without: Sequence[str]) -> str:
    lines = [line for host in hosts for line in told(host)]
    if without:
        lines.append(f"not asked, for the environment names no BMC of them: {', '.join(without)}")
    return "\n".join(lines)


def told(host: Discovered) -> Iterator[str]:
    """What is wrong with one host, a line each; the host is named where the path does not."""
    name = host.planned.name
    if isinstance(host.answer, BmcError):
        yield f"{host.planned.path}.bmc: {host.answer.message}"
        return
    for each in host.differences:
        yield str(each) if each.path.startswith(host.planned.path) else f"{each} in {name}"
    yield from (f"{name}: {part}" for part in host.answer.unwell)
    yield from (f"{name}: not read: {why}" for why in host.answer.unread)


def document(environment: str, hosts: Sequence[Discovered], without: Sequence[str]) -> dict[str, object]:
    """The same as JSON, with each machine's whole inventory."""
    return {
        "environment": environment,
        "hosts": {host.planned.name: _document(host) for host in hosts},
        "without_bmc": list(without),
    }


def _document(host: Discovered) -> dict[str, object]:
    common: dict[str, object] = {"path": host.planned.path, "bmc": host.bmc, "as_planned": host.as_planned}
    if isinstance(host.answer, BmcError):
        return {**common, "error": host.answer.message}
    return {**common, "differences": [asdict(each) for each in host.differences], "inventory": asdict(host.answer)}


def unlisted(found: Mapping[str, Inventory], serials: Iterable[str]) -> dict[str, Inventory]:
    """Machines by their BMC's address, without those whose serial number is planned."""
    planned = frozenset(serials)
    return {
        address: machine
        for address, machine in found.items()
        if not planned & {machine.serial, *machine.chassis_serials}
    }


def rows(machines: Mapping[str, Inventory]) -> str:
    """YAML of hosts, for `site.groups.GROUP.hosts`; the kind of machine stands above each run of equal ones."""
    lines, kind = list[str](), ""
    for address, machine in sorted(machines.items(), key=lambda item: (_kind(item[1]), item[1].serial)):
        if _kind(machine) != kind:
            kind = _kind(machine)
            lines.append(f"# {kind}")
        serial = f"serial: {json.dumps(machine.serial)}" if machine.serial else "# serial: the BMC says none"
        lines += [f"{_host_name(machine, address)}:", f"  {serial}", f"  bmc: {address}"]
        lines += [f"  # MAC {adapter.name}: {', '.join(adapter.macs)}" for adapter in machine.adapters if adapter.macs]
    return "".join(f"{line}\n" for line in lines)


def _kind(machine: Inventory) -> str:
    memory = "memory not said" if machine.memory_gib is None else f"{machine.memory_gib:g} GiB"
    name = " ".join(filter(None, (machine.manufacturer, machine.model))) or "a machine"
    models = ", ".join(sorted({gpu.model for gpu in machine.gpus if gpu.model}))
    parts = [
        f"{len(machine.gpus)} GPUs" + (f" ({models})" if models else ""),
        memory,
        f"{len(machine.nvme)} NVMe drives",
        f"{hca_ports(machine)} HCA ports",
    ]
    return clip(name) + ": " + ", ".join(parts)


def _host_name(machine: Inventory, address: str) -> str:
    """The same at each run: a name of lower-case letters, digits and hyphens."""
    word = re.sub(r"[^a-z0-9]+", "-", (machine.serial or address).lower()).strip("-")
    return f"host-{word}"[:40].rstrip("-")
