"""All gates of a host, and all of a group: what was not run and what cannot be read fails like a bad value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from fullbore.catalog.acceptance import ACCEPTANCE
from fullbore.evidence.gates.cables import judge_cables
from fullbore.evidence.gates.fabric import judge_clock, judge_collective, judge_drive, judge_pairs
from fullbore.evidence.gates.gpu import judge_dcgm, judge_nvlink, judge_smi
from fullbore.evidence.model import Group, Machine, Pair, Verdict
from fullbore.evidence.parse.links import Link, parse_linkinfo, parse_lldp, parse_ports
from fullbore.evidence.unreadable import Unreadable
from fullbore.evidence.verdicts import did_not_run, unreadable

SMI = "nvidia-smi -q"
NVLINK = "nvidia-smi nvlink -s"
DCGM = "dcgmi diag -j"
ALL_REDUCE = "all_reduce_perf"
ALL_TO_ALL = "alltoall_perf"
CLOCK = "chronyc tracking"
FIO = "fio --output-format=json"
LINKINFO = "iblinkinfo"
PORTS = "ibnetdiscover -p"
LLDP = "lldpcli -f json0 show neighbors"

Judge = Callable[[str], Iterable[Verdict]]
"""The text of one command -> its verdicts; raises `Unreadable`."""


@dataclass(frozen=True, kw_only=True)
class GroupOutputs:
    """What was run over the hosts of a group: {command: text}, and by pair or by host where it runs for each."""

    commands: Mapping[str, str] = field(default_factory=dict[str, str])
    bandwidth: Mapping[Pair, str] = field(default_factory=dict[Pair, str])
    latency: Mapping[Pair, str] = field(default_factory=dict[Pair, str])
    lldp: Mapping[str, str] = field(default_factory=dict[str, str])
    """{host: text}."""


def judge_host(machine: Machine, outputs: Mapping[str, str]) -> tuple[Verdict, ...]:
    """{command: text} of one host -> a verdict for everything that the plan says it has."""
    checks: list[tuple[str, str, Judge]] = [("clock", CLOCK, partial(judge_clock, machine))]
    if machine.gpus:
        checks.append(("gpu", SMI, partial(judge_smi, machine)))
        checks.append(("dcgm", DCGM, partial(judge_dcgm, machine)))
    row = ACCEPTANCE.get(machine.accelerator or "")
    if row and row.nvlinks and machine.gpus > 1:
        checks.append(("nvlink", NVLINK, partial(judge_nvlink, machine)))
        for gate, name in (("all-reduce", ALL_REDUCE), ("all-to-all", ALL_TO_ALL)):
            judge = partial(judge_collective, name, machine.host, machine.accelerator, machine.topology)
            checks.append((gate, name, judge))
    checks += [("nvme", f"{FIO} {drive}", partial(judge_drive, machine, drive)) for drive in machine.drives]
    return tuple(
        verdict
        for gate, command, judge in checks
        for verdict in _run(gate, machine.host, command, outputs.get(command), judge)
    )


def judge_group(group: Group, outputs: GroupOutputs) -> tuple[Verdict, ...]:
    """Cables, pairs and collectives of a group of hosts."""
    return (*_cables(group, outputs), *judge_pairs(group, outputs.bandwidth, outputs.latency), *_all(group, outputs))


def _all(group: Group, outputs: GroupOutputs) -> Iterator[Verdict]:
    if group.topology.hosts < 2 or not group.topology.gpus_per_host:
        return
    for gate, name in (("all-reduce", ALL_REDUCE), ("all-to-all", ALL_TO_ALL)):
        judge = partial(judge_collective, name, group.name, group.accelerator, group.topology)
        yield from _run(gate, group.name, name, outputs.commands.get(name), judge)


def _cables(group: Group, outputs: GroupOutputs) -> Iterator[Verdict]:
    """As the subnet manager sees them, or as each host hears its switches."""
    if not group.cables:
        return
    links: list[Link] = []
    if group.subnet_manager:
        ports = PORTS in outputs.commands
        command, parse = (PORTS, parse_ports) if ports else (LINKINFO, parse_linkinfo)
        yield from _run("cabling", group.name, command, outputs.commands.get(command), _collect(parse, links))
    for host in () if group.subnet_manager else sorted({cable.host for cable in group.cables}):
        judge = _collect(partial(parse_lldp, host=host), links)
        yield from _run("cabling", f"{group.name}.{host}", LLDP, outputs.lldp.get(host), judge)
    yield from judge_cables(group, links)


def _collect(parse: Callable[[str], tuple[Link, ...]], links: list[Link]) -> Judge:
    """A judge without verdicts of its own: it gathers links."""

    def judge(text: str) -> Iterable[Verdict]:
        links.extend(parse(text))
        return ()

    return judge


def _run(gate: str, path: str, command: str, text: str | None, judge: Judge) -> Iterator[Verdict]:
    if text is None:
        yield did_not_run(gate, path, command)
        return
    try:
        yield from tuple(judge(text))
    except Unreadable as error:
        yield unreadable(gate, path, command, error)


def failures(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Those that failed, by path."""
    return tuple(sorted((v for v in verdicts if v.state == "failed"), key=lambda v: (v.path, v.what)))
