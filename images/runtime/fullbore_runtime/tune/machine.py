"""What the replica's ranks run on: the GPUs or slices that are chosen of those that are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fullbore_runtime.document import Document
from fullbore_runtime.facts.model import Facts, Gpu, MigDevice
from fullbore_runtime.tune.tables import ACCELERATORS, BF16_CAPABILITY

MIB = 1 << 20
IDLE_BYTES = 1 << 30
"""Memory that a GPU may have in use and still count as free: agents that watch it hold a CUDA context of about half a
GiB (plan/fit measured 0.51). Our inference."""


@dataclass(frozen=True)
class Ranks:
    """The GPUs that the ranks of this pod use, in rank order; `devices` are slices of them where the plan wants such.

    Both are empty where there is no NVML: then the accelerator that the plan names stands for what would be there.
    """

    gpus: tuple[Gpu, ...]
    devices: tuple[MigDevice, ...]
    capability: tuple[int, int] | None
    subset: bool
    """True where more GPUs are visible than the ranks use."""

    @property
    def bf16(self) -> bool:
        return self.capability is None or self.capability >= BF16_CAPABILITY


def ranks(facts: Facts, plan: Document) -> Ranks:
    seen = visible(facts)
    row = ACCELERATORS.get(plan.accelerator or "")
    planned = row.capability if row else None
    if plan.mig_profile:
        devices = tuple(device for gpu in seen for device in gpu.mig_devices if device.profile == plan.mig_profile)
        holders = tuple(gpu for gpu in seen if gpu.mig)
        return Ranks(holders[:1], devices[: plan.ranks_here], capability(holders, planned), subset=True)
    chosen = choose(seen, plan.ranks_here)
    return Ranks(chosen, (), capability(chosen, planned), subset=len(facts.gpus) > len(chosen) > 0)


def capability(gpus: tuple[Gpu, ...], planned: tuple[int, int] | None) -> tuple[int, int] | None:
    """The oldest of the GPUs used; the plan's where there are none or they do not say."""
    return min((gpu.compute_capability for gpu in gpus if gpu.compute_capability > (0, 0)), default=planned)


def visible(facts: Facts) -> tuple[Gpu, ...]:
    """GPUs that CUDA will show: NVML does not heed CUDA_VISIBLE_DEVICES, which may name them by number or by UUID."""
    given = facts.inherited.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return facts.gpus
    wanted = [word.strip() for word in given.split(",") if word.strip()]
    return tuple(gpu for word in wanted for gpu in facts.gpus if named(gpu, word))


def named(gpu: Gpu, word: str) -> bool:
    """A UUID may be shortened to what is unique of it; a slice's names no whole GPU but lies in one."""
    if word.isdecimal():
        return gpu.index == int(word)
    return gpu.uuid.startswith(word) or any(device.uuid == word for device in gpu.mig_devices)


def choose(gpus: tuple[Gpu, ...], count: int) -> tuple[Gpu, ...]:
    """`count` GPUs, or all where there are fewer: idle ones, from as few NUMA nodes as possible, in PCI order."""
    if len(gpus) <= count:
        return gpus
    idle = [gpu for gpu in gpus if gpu.used_bytes <= IDLE_BYTES]
    pool = idle if len(idle) >= count else list(gpus)
    nodes = [gpu.numa_node for gpu in pool]
    order = sorted(pool, key=lambda gpu: (_worth(nodes.count(gpu.numa_node), count), str(gpu.numa_node), gpu.index))
    return tuple(sorted(order[:count], key=lambda gpu: gpu.index))


def _worth(share: int, count: int) -> tuple[bool, int]:
    """Order of nodes: the smallest that holds all ranks, else the largest first."""
    return share < count, share if share >= count else -share


def wrong_names(gpus: tuple[Gpu, ...], accelerator: str) -> Iterator[Gpu]:
    """GPUs that are not of the planned model."""
    row = ACCELERATORS[accelerator]
    return (gpu for gpu in gpus if not re.search(row.pattern, gpu.name))
