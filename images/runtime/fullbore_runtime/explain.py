"""What was found, what would be set and why, for a person or for a program."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fullbore_runtime.codec import to_json
from fullbore_runtime.facts.model import Facts
from fullbore_runtime.launch import command
from fullbore_runtime.tune import Launch

GIB = 1 << 30
WIDEST = 60
"""A longer setting does not push the reasons of all others to the right."""


def explain(facts: Facts, tuned: Launch) -> str:
    """Plain text: facts with their sources, settings with their reasons, warnings, and whether it would start."""
    blocks = [
        ("facts", columns((f"{name}: {text}", facts.sources.get(name, "")) for name, text in shown(facts))),
        (f"settings of {tuned.engine}", columns((str(setting), setting.why) for setting in tuned.settings)),
        ("warnings", list(tuned.warnings)),
        ("refuses to start", list(tuned.refusals)),
    ]
    return "\n\n".join("\n".join([title, *(f"  {line}" for line in lines)]) for title, lines in blocks if lines)


def columns(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Two columns; the second begins where the first one's usual entries end."""
    pairs = list(rows)
    width = max((len(left) for left, _ in pairs if len(left) <= WIDEST), default=0)
    return [f"{left:<{width}}  {right}".rstrip() for left, right in pairs]


def shown(facts: Facts) -> Iterator[tuple[str, str]]:
    """(field, text) of the facts that decide."""
    yield "profile", facts.profile
    yield "cpus", f"{facts.cpus:g} of CPUs {facts.cpu_set}"
    yield "memory_bytes", f"{facts.memory_bytes / GIB:.1f} GiB"
    for node in facts.numa:
        yield "numa", f"node {node.number} has CPUs {node.cpus} and {node.memory_bytes / GIB:.1f} GiB"
    yield "mempolicy", "may be set" if facts.mempolicy else "may not be set"
    if facts.driver:
        yield "driver", f"{facts.driver.version}, CUDA {facts.driver.cuda[0]}.{facts.driver.cuda[1]}"
    else:
        yield "no_driver", facts.no_driver or ""
    for gpu in facts.gpus:
        place = "" if gpu.numa_node is None else f", NUMA node {gpu.numa_node}"
        slices = "".join(f", slice {device.profile}" for device in gpu.mig_devices)
        memory = f"{gpu.used_bytes / GIB:.1f} of {gpu.memory_bytes / GIB:.1f} GiB in use"
        yield "gpus", f"{gpu.index} {gpu.name} at {gpu.pci_bus}{place}, {gpu.nvlinks} NVLinks, {memory}{slices}"
    for hca in facts.hcas:
        yield "hcas", f"{hca.name} port {hca.port} {hca.state}/{hca.physical_state}, {hca.rate_gbps:g} Gbit/s"
    for name, version in facts.software.packages.items():
        yield "software", f"{name} {version}"
    yield "weights", f"{facts.weights.name or facts.weights.directory}, {len(facts.weights.shards)} shards"


def document(facts: Facts, tuned: Launch) -> dict[str, Any]:
    """The same as JSON, with the argument vector."""
    return {"facts": to_json(facts), **launch_document(tuned), "argv": command(tuned)}


def launch_document(tuned: Launch) -> dict[str, Any]:
    """What is kept of a decision: one entry a setting, in order."""
    return {
        "engine": tuned.engine,
        "starts": not tuned.refusals,
        "refusals": list(tuned.refusals),
        "warnings": list(tuned.warnings),
        "settings": [{"kind": s.kind, "set": str(s), "why": s.why} for s in tuned.settings],
    }
