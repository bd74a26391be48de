"""Which layouts of a model fit a pool of GPUs, and which is the best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fullbore.catalog.accelerators import AcceleratorRow
from fullbore.catalog.architecture import ModelRow
from fullbore.plan.fit.latency import Speed, speed
from fullbore.plan.fit.layout import Layout, illegal
from fullbore.plan.fit.memory import Fit, fit

Aim = Literal["cost", "latency"]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A legal layout that fits, and how fast it is with as many sequences as have room."""

    fit: Fit
    speed: Speed

    @property
    def layout(self) -> Layout:
        return self.fit.layout


def legal_layouts(model: ModelRow, asked: Layout, gpus: int) -> Iterator[Layout]:
    """Splits of a replica within one machine of `gpus` GPUs, by powers of two and what divides the machine."""
    sizes = [n for n in range(1, gpus + 1) if gpus % n == 0 or n & (n - 1) == 0]
    for tensor in sizes:
        for pipeline in sizes:
            for data in sizes if model.moe else (1,):
                for experts in (False, True) if model.moe and tensor * data > 1 else (False,):
                    layout = replace(
                        asked,
                        tensor_parallel=tensor,
                        pipeline_parallel=pipeline,
                        data_parallel=data,
                        expert_parallel=experts,
                    )
                    if layout.gpus <= gpus and not illegal(model, layout):
                        yield layout


def candidates(model: ModelRow, accelerator: AcceleratorRow, asked: Layout, gpus: int) -> tuple[Candidate, ...]:
    """Every legal layout of which at least one sequence of full length fits, in the order that they are tried."""
    fitting = (fit(model, accelerator, layout) for layout in legal_layouts(model, asked, gpus))
    return tuple(candidate(model, accelerator, result) for result in fitting if result.fits)


def candidate(model: ModelRow, accelerator: AcceleratorRow, result: Fit) -> Candidate:
    """How fast a layout is that fits. Sequences that have no room wait, so that they do not count."""
    running = max(1, min(result.layout.concurrency, result.full_sequences))
    return Candidate(fit=result, speed=speed(model, accelerator, result.layout, running))


def ranked(found: Sequence[Candidate], aim: Aim) -> tuple[Candidate, ...]:
    """The best first: those with room for every sequence, then by GPU-seconds a token (cost) or by step time (latency),
    then the one of fewer GPUs and fewer ways of splitting."""

    def key(candidate: Candidate) -> tuple[bool, float, float, int]:
        goals = (candidate.speed.gpu_s_per_token, candidate.speed.step_s)
        first, second = goals if aim == "cost" else goals[::-1]
        return (not candidate.fit.full, first, second, candidate.layout.gpus)

    return tuple(sorted(found, key=key))
