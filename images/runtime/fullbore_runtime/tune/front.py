"""The gRPC front end: where it listens, and what it needs. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from fullbore_runtime.document import Document
from fullbore_runtime.facts.model import Facts
from fullbore_runtime.tune.settings import Setting

NEEDED = ("grpcio", "protobuf")
BESIDE = "fullbore_runtime.rpc.beside"
CALLS_PER_SEQUENCE = 5
"""Calls that are taken for each sequence that the plan lets run: one, and four that wait, as in the CPU profile."""
CONCURRENCY = 64
"""Of which that is, where the plan does not say: our choice."""


def grpc_port(facts: Facts, plan: Document | None) -> tuple[int, str] | None:
    """The port and why; None where nobody asks for one."""
    planned = plan.grpc_port if plan else None
    if planned:
        return planned, "the plan's port for gRPC"
    return (facts.grpc_port, "FULLBORE_GRPC_PORT") if facts.grpc_port else None


def beside(facts: Facts, plan: Document) -> Iterator[Setting]:
    """The front end of a GPU engine, which translates to its HTTP; where a replica spans hosts, on the first one."""
    asked = grpc_port(facts, plan)
    if asked is None or facts.inherited.get("LWS_WORKER_INDEX", "0") != "0":
        return
    port, why = asked
    words = {
        "port": port,
        "engine-port": plan.port or facts.port,
        "model": plan.model,
        "most": CALLS_PER_SEQUENCE * (plan.concurrency or CONCURRENCY),
        "pool": facts.pool,
        "pod": facts.pod,
    }
    values = tuple(f"--{name}={value}" for name, value in words.items() if value != "")
    yield Setting("beside", BESIDE, values, f"{why}; it asks the engine by HTTP on loopback")


def refusals(facts: Facts, plan: Document | None) -> Iterator[str]:
    asked = grpc_port(facts, plan)
    if asked is None:
        return
    port, why = asked
    missing = [name for name in NEEDED if name not in facts.software.packages]
    if missing:
        yield (
            f"grpc_port: {port} is asked for ({why}), but this image lacks {' and '.join(missing)}; "
            "build it on a base that has them, or leave the port out"
        )
    taken = {"port": (plan.port if plan else None) or facts.port, "monitor_port": plan.monitor_port if plan else None}
    for name, other in taken.items():
        if other == port:
            yield f"grpc_port: {port} is {name}, too; choose another"
