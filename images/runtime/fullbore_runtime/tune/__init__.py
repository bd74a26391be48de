"""Tune: from facts and plan to every setting of the engine, each with the reason for it. Pure.

Where the facts contradict the plan, `Launch.refusals` holds all reasons at once, and the settings are those that the
engine would be started with: a machine without a GPU can say what one with GPUs would do.
"""

from __future__ import annotations

from collections.abc import Iterator

from fullbore_runtime.document import Document
from fullbore_runtime.facts import hash_threads
from fullbore_runtime.facts.model import Facts
from fullbore_runtime.tune import cpu, front, sglang, vllm
from fullbore_runtime.tune.binding import places
from fullbore_runtime.tune.engines import VERSIONS, memory_monitor
from fullbore_runtime.tune.environment import environment
from fullbore_runtime.tune.machine import MIB, Ranks, ranks
from fullbore_runtime.tune.refusals import broken_hcas, refusals
from fullbore_runtime.tune.settings import CHECK, Launch, Setting, arg
from fullbore_runtime.tune.tables import ACCELERATORS

__all__ = ["Launch", "Setting", "tune"]

ENGINES = {"vllm": vllm.settings, "sglang": sglang.settings}
SHM_BYTES = 1 << 30
"""What /dev/shm should have where ranks talk to each other: NVIDIA's images ask for --shm-size=1g; Docker and
Kubernetes give 64 MiB unless told."""


def tune(facts: Facts, plan: Document | None) -> Launch:
    """Every setting, and every reason not to start."""
    if facts.profile == "cpu":
        return Launch(
            engine="fullbore",
            settings=tuple(cpu.settings(facts, plan)),
            refusals=tuple(cpu.refusals(facts, plan)),
            warnings=tuple(cpu.warnings(facts, plan)),
        )
    if plan is None:
        reason = "plan: there is no /etc/fullbore/plan.json, and the model's layout cannot be guessed; mount it"
        return Launch(engine="vllm", settings=(), refusals=(reason,))
    return _on_gpus(facts, plan)


def _on_gpus(facts: Facts, plan: Document) -> Launch:
    used, engine = ranks(facts, plan), plan.engine or "vllm"
    model = arg("model" if engine == "vllm" else "model-path", facts.weights.directory, "where the weights are mounted")
    return Launch(
        engine=engine,
        settings=(
            model,
            *environment(facts, plan, used),
            *ENGINES[engine](facts, plan, used),
            memory_monitor(plan),
            *front.beside(facts, plan),
            *_check(facts, engine),
        ),
        refusals=(*refusals(facts, plan, used, engine), *front.refusals(facts, plan), *_described(facts)),
        warnings=tuple(_warnings(facts, plan, used, engine)),
    )


def _check(facts: Facts, engine: str) -> Iterator[Setting]:
    """Shards that nobody has read yet are read beside vLLM, which this package's plugin makes wait for it."""
    unread = not facts.weights.checked and any(shard.want for shard in facts.weights.shards)
    if engine == "vllm" and facts.software.plugin and unread:
        words = (str(facts.weights.directory), str(hash_threads(facts.cpus)))
        yield Setting(
            "beside", CHECK, words, "shards are checked while the engine imports; it waits before it loads them"
        )


def _described(facts: Facts) -> Iterator[str]:
    if facts.simulated:
        yield "gpu: the machine is a described double (FULLBORE_SYSROOT); nothing can be started on it"


def _warnings(facts: Facts, plan: Document, used: Ranks, engine: str) -> Iterator[str]:
    installed = facts.software.packages.get(engine, VERSIONS[engine])
    if not f"{installed}.".startswith(f"{VERSIONS[engine]}."):
        yield f"{engine}: {installed} is installed, and its arguments are taken to be those of {VERSIONS[engine]}"
    if plan.accelerator and plan.accelerator not in ACCELERATORS:
        yield f"accelerator: {plan.accelerator} is not known to this image, so GPUs were not checked against it"
    if plan.context_policy == "truncate" and engine == "vllm" and not vllm.cuts(plan):
        yield "context_policy: the plan says no context_tokens to cut to; prompts that are too long are refused"
    if facts.weights.shards and facts.weights.manifest_sha256 is None:
        yield f"weights: {facts.weights.directory} has no manifest.json, so its shards were not checked"
    if plan.hosts == 1:
        for broken in broken_hcas(facts, plan).values():
            yield f"hca {broken}; this replica runs on one host and does without it"
    yield from _links(plan, used)
    yield from _binding(facts, used)
    if plan.ranks > 1 and facts.shm_bytes is not None and facts.shm_bytes < SHM_BYTES:
        yield f"/dev/shm: has {facts.shm_bytes // MIB} MiB, and ranks share memory there; mount one of 1 GiB or more"
    planned = {name for lines in plan.fabric.environment.values() for name in lines}
    for name, value in facts.inherited.items():
        if name.startswith(("NCCL_", "UCX_", "NVSHMEM_")) and name not in planned:
            yield f"{name}={value}: set from outside and kept; the plan does not ask for it"


def _binding(facts: Facts, used: Ranks) -> Iterator[str]:
    found = places(facts, used)
    if isinstance(found, str) and used.gpus and len(facts.numa) > 1:
        yield f"numa: nothing is bound, and ranks may use the other node's memory: {found}"


def _links(plan: Document, used: Ranks) -> Iterator[str]:
    """NVLinks that are down, and boards that have none where the plan reckons with them."""
    row = ACCELERATORS.get(plan.accelerator or "")
    if row is None or not row.nvlinks or plan.ranks == 1 or plan.mig_profile:
        return
    for gpu in used.gpus:
        if gpu.nvlinks == 0:
            yield f"gpu {gpu.index}: no NVLink is up; ranks talk over PCIe, slower than the plan reckons"
        elif gpu.nvlinks < row.nvlinks:
            yield f"gpu {gpu.index}: {gpu.nvlinks} of {row.nvlinks} NVLinks are up; look at the kernel's log for Xid 74"
