"""Pools of replicas, and what each pod's launcher is told: `/etc/fullbore/plan.json`.

The document holds what images/runtime (`fullbore_runtime/document.py`) reads or checks, and the name of what it is of.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from fullbore.config.models import Environment, Serving
from fullbore.plan.fit import Layout
from fullbore.plan.fit.memory import MEMORY_FRACTION
from fullbore.plan.identity import standby_account
from fullbore.plan.model import GroupPlan, ServingPlan, SitePlan, VersionsPlan
from fullbore.plan.pools import fits, layout_of
from fullbore.plan.weights import weights_plan

SERVING_PORT = 8000
MONITOR_PORT = 8001
DOCUMENT_VERSION = 1
PROGRESS_S, SANDBOX_PROGRESS_S = 3600, 600
"""Seconds that one pod may take from its start to Ready."""
BY_RANK = ("NVSHMEM_ENABLE_NIC_PE_MAPPING", "NVSHMEM_HCA_PE_MAPPING")
"""Variables that count a host's GPUs from its first: wrong in a pod that has some of them only."""


def serving_plan(env: Environment, site: SitePlan | None, versions: VersionsPlan) -> ServingPlan | None:
    """The replicas of the site."""
    serving, layout = env.serving, layout_of(env)
    if serving is None or layout is None:
        return None
    on_gpus = _on_gpus(env, versions, at_site=True)
    node = env.site.kubernetes if env.site else None
    return ServingPlan(
        name="serving",
        model=serving.model,
        replicas=serving.replicas,
        gpus=layout.gpus,
        cpus=serving.cpus,
        memory_gib=serving.memory_gib,
        port=SERVING_PORT,
        monitor_port=MONITOR_PORT if on_gpus else None,
        progress_s=_progress_s(env),
        document=_document(env, serving, layout, "serving") | on_gpus | (_fabric(env, site, layout) if on_gpus else {}),
        taints=node.taints if node else {},
    )


def standby_pool(env: Environment, versions: VersionsPlan) -> ServingPlan | None:
    """The replicas of the cloud. They ask for no CPUs of their own: none are pinned there."""
    serving, layout = env.serving, layout_of(env)
    if env.standby is None or serving is None or layout is None:
        return None
    on_gpus = _on_gpus(env, versions, at_site=False)
    return ServingPlan(
        name="standby",
        model=serving.model,
        replicas=env.standby.replicas,
        gpus=layout.gpus,
        service_account=standby_account(env),
        port=SERVING_PORT,
        monitor_port=MONITOR_PORT if on_gpus else None,
        progress_s=_progress_s(env),
        document=_document(env, serving, layout, "standby") | on_gpus,
        weights=weights_plan(env),
    )


def _progress_s(env: Environment) -> int:
    """A sandbox's model is made at build time and is there at once: what takes longer there is broken."""
    return SANDBOX_PROGRESS_S if env.sandbox else PROGRESS_S


def _document(env: Environment, serving: Serving, layout: Layout, name: str) -> dict[str, object]:
    """What every image reads."""
    told = {"weights_sha256": serving.weights_sha256} if serving.weights_sha256 else {}
    if serving.context_policy != "refuse":
        told["context_policy"] = serving.context_policy
    return {
        "version": DOCUMENT_VERSION,
        "kind": "serving",
        "name": name,
        "environment": env.name,
        "model": serving.model,
        "profile": env.image.profile if env.image else "cuda",
        "precision": serving.precision,
        "kv_precision": serving.kv_precision,
        "tensor_parallel": layout.tensor_parallel,
        "pipeline_parallel": layout.pipeline_parallel,
        "data_parallel": layout.data_parallel,
        "expert_parallel": layout.expert_parallel,
        "context_tokens": serving.context_tokens,
        "concurrency": serving.concurrency,
        "port": SERVING_PORT,
        **told,
    }


def _on_gpus(env: Environment, versions: VersionsPlan, *, at_site: bool) -> dict[str, object]:
    """What an image with CUDA reads besides; nothing for the CPU profile.

    The engine's settings are those that the memory plan was made with: of several pools that of the least KV cache, for
    a replica may land on any. The GPU model is told where all pools have the same.
    """
    if env.serving is None or (env.image and env.image.profile != "cuda"):
        return {}
    lock = versions.lock
    found = [(pool.accelerator, result) for pool, result in fits(env) if pool.at_site == at_site]
    names = {row.name for row, _ in found}
    engine: dict[str, object] = {
        "engine": env.serving.engine or "vllm",
        "cuda": numbers(lock["cuda"]),
        "driver": numbers(versions.oldest_driver),
        "monitor_port": MONITOR_PORT,
    }
    if found:
        least, _ = min(found, key=lambda item: item[1].kv_tokens)
        engine |= {"memory_fraction": MEMORY_FRACTION, "batch_tokens": least.batch_tokens}
    return engine | ({"accelerator": names.pop()} if len(names) == 1 else {})


def numbers(version: str) -> str:
    """The leading numbers of a version, as the launcher compares them: 13.0.2 of 13.0.2-1."""
    found = re.match(r"[0-9]+(\.[0-9]+)*", version)
    return found.group() if found else version


def _fabric(env: Environment, site: SitePlan | None, layout: Layout) -> dict[str, object]:
    """The fabric of the hosts that a replica may land on; its devices and variables where those are the same on all."""
    if site is None or env.site is None:
        return {}
    groups = [group for group in site.groups if group.kind == "gpu"]
    told = [{"hcas": list(env.site.groups[g.name].hcas), "environment": _variables(env, g, layout)} for g in groups]
    alike = told and all(other == told[0] for other in told)
    return {"fabric": {"kind": env.site.fabric, **(told[0] if alike else {})}}


def _variables(env: Environment, group: GroupPlan, layout: Layout) -> Mapping[str, Mapping[str, str]]:
    """{library: {variable: value}} of a group's processes, as a pod of so many of its GPUs may have them.

    A replica stays in one host, where NCCL needs none.
    """
    whole = env.site is not None and layout.gpus == env.site.groups[group.name].gpus_per_host
    kept = {
        library: {name: value for name, value in lines.items() if whole or name not in BY_RANK}
        for library, lines in group.environment.items()
        if library != "nccl"
    }
    return {library: lines for library, lines in kept.items() if lines}
