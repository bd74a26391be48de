"""The served model on every GPU of the catalog: in which precision, on how many of one machine, with how much room.

An environment names its GPUs; this tells what others would do, and how the model adapts to smaller ones: a GPU without
bfloat16 units takes fp16, and what does not fit is tried in fewer bits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fullbore.catalog.accelerators import ACCELERATORS, AcceleratorRow
from fullbore.catalog.architecture import ModelRow
from fullbore.catalog.instances import INSTANCES
from fullbore.catalog.precisions import no_larger
from fullbore.config.models import Environment
from fullbore.plan.fit import Candidate, Layout, runs
from fullbore.plan.pools import asked_layout, layouts_of, model_of

MACHINE_GPUS = {name: max(row.gpus for row in INSTANCES.values() if row.accelerator == name) for name in ACCELERATORS}
"""{accelerator: GPUs of its largest machine}, as EC2 has them."""


@dataclass(frozen=True, kw_only=True)
class Tier:
    """One kind of GPU; `best` is None where one machine of it holds no sequence in any precision."""

    accelerator: str
    machine_gpus: int
    best: Candidate | None


def tiers(env: Environment) -> tuple[Tier, ...]:
    """Every GPU of the catalog in its order; nothing where no model is known."""
    serving, model = env.serving, model_of(env.serving)
    if serving is None or model is None:
        return ()
    asked = asked_layout(serving)
    return tuple(
        Tier(accelerator=name, machine_gpus=MACHINE_GPUS[name], best=_best(model, row, asked))
        for name, row in ACCELERATORS.items()
    )


def _best(model: ModelRow, row: AcceleratorRow, asked: Layout) -> Candidate | None:
    """In the first precision with room for every sequence, else for any: the fewest GPUs, of equals the cheapest."""
    found = [
        candidate
        for precision in no_larger(asked.precision)
        if runs(precision, row)
        for candidate in layouts_of(
            model, row.name, replace(asked, precision=precision), MACHINE_GPUS[row.name], "cost"
        )
    ]
    full = [candidate for candidate in found if candidate.fit.full]
    same = [
        candidate for candidate in full or found if candidate.layout.precision == (full or found)[0].layout.precision
    ]
    return min(same, key=lambda candidate: candidate.layout.gpus, default=None)
