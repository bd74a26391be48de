"""Variables for the engine: only what is right for the fabric and the GPUs, and nothing for its own sake. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fullbore_runtime.document import Document
from fullbore_runtime.facts.model import Facts
from fullbore_runtime.tune.machine import Ranks
from fullbore_runtime.tune.refusals import broken_hcas
from fullbore_runtime.tune.settings import Setting, env, left

DEVICE_LISTS = ("UCX_NET_DEVICES", "NCCL_IB_HCA")
"""Variables that list RDMA devices as NAME:PORT; NCCL's may begin with = (exact names)."""


def environment(facts: Facts, plan: Document, ranks: Ranks) -> Iterator[Setting]:
    yield env("HF_HUB_OFFLINE", 1, "the weights are on disk: a start must not wait for a network")
    yield from _cuda(facts, plan, ranks)
    yield from _allocator(facts, plan)
    yield from _collectives(facts, plan)
    for library, lines in plan.fabric.environment.items():
        if library != "nccl":
            yield from _lines(lines, broken_hcas(facts, plan), f"the plan's, for {library} on {plan.fabric.kind}")


def _cuda(facts: Facts, plan: Document, ranks: Ranks) -> Iterator[Setting]:
    yield env("CUDA_DEVICE_ORDER", "PCI_BUS_ID", "numbers of GPUs mean the same to CUDA as to NVML and to the binding")
    slices = sum(len(gpu.mig_devices) for gpu in facts.gpus)
    if ranks.devices and slices > len(ranks.devices):
        why = f"one of {slices} slices, of the planned profile {plan.mig_profile}"
        yield env("CUDA_VISIBLE_DEVICES", ",".join(device.uuid for device in ranks.devices), why)
    elif ranks.subset and not ranks.devices and plan.engine == "sglang":
        uuids = ",".join(gpu.uuid for gpu in ranks.gpus)
        yield env("CUDA_VISIBLE_DEVICES", uuids, f"{len(ranks.gpus)} of those visible: idle, on the fewest NUMA nodes")


def _allocator(facts: Facts, plan: Document) -> Iterator[Setting]:
    for name in ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"):
        given = facts.inherited.get(name, "")
        if "expandable_segments:True" in given and plan.tensor_parallel > 1:
            fixed = given.replace("expandable_segments:True", "expandable_segments:False")
            yield env(name, fixed, "custom all-reduce cannot share memory of expandable segments (vllm#42609)")
            return
    yield left("PYTORCH_CUDA_ALLOC_CONF", "the engine takes its KV cache in one piece at the start")


def _collectives(facts: Facts, plan: Document) -> Iterator[Setting]:
    """NCCL finds NVLink, PCIe and NVLS by itself: within a host nothing is set."""
    lines = plan.fabric.environment.get("nccl", {})
    if plan.ranks == 1:
        yield left("NCCL_*", "one rank: there are no collectives")
    elif plan.hosts == 1:
        yield left("NCCL_*", "all ranks are on this host: NCCL finds NVLink, NVLS and PCIe by itself")
    else:
        hcas = plan.fabric.hcas
        listed = {"NCCL_IB_HCA": "=" + ",".join(f"{name}:1" for name in hcas)} if hcas else {}
        yield from _lines({**listed, **lines}, {}, f"the plan's, for NCCL over {plan.fabric.kind}")


def _lines(lines: Mapping[str, str], broken: Mapping[str, str], why: str) -> Iterator[Setting]:
    for name, value in lines.items():
        if name in DEVICE_LISTS and broken:
            kept = [device for device in value.split(",") if device.partition(":")[0].lstrip("=") not in broken]
            yield env(name, ",".join(kept), f"{why}, without {', '.join(broken)}")
        else:
            yield env(name, value, why)
