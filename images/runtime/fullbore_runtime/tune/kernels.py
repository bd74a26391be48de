"""Whether this image's own kernels take part, and what vLLM has to be told of them. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from fullbore_runtime.document import Document
from fullbore_runtime.facts.model import Facts, Kernels
from fullbore_runtime.kernels.table import ENVIRONMENT, PLAIN, PROVIDER, Reach
from fullbore_runtime.tune import engines
from fullbore_runtime.tune.machine import Ranks
from fullbore_runtime.tune.settings import Setting, arg, env, left
from fullbore_runtime.tune.tables import ACCELERATORS

LAYOUTS = ("awq", "gptq")
"""quant_method of the checkpoints that vLLM's kernels for weights in groups were compared on."""


def settings(facts: Facts, plan: Document, ranks: Ranks) -> Iterator[Setting]:
    found = usable(facts, plan, ranks)
    if isinstance(found, str):
        yield left(ENVIRONMENT, found)
        return
    yield env(ENVIRONMENT, found.table, f"kernels that beat vLLM's on {found.accelerator}, where this table says so")
    made = arguments(found, facts.weights.hidden if plan.precision == PLAIN else None)
    for name, (value, why) in made.items():
        yield arg(name, value, why)
    reach = found.quantised.get(plan.precision or "")
    if reach and reach.backend:
        yield arg(
            "linear-backend",
            reach.backend,
            f"faster than vLLM's choice for {plan.precision} at the plan's sequences",
        )


def usable(facts: Facts, plan: Document, ranks: Ranks) -> Kernels | str:
    """The table of the GPUs in use; or why the engine keeps its own kernels."""
    if plan.mig_profile:
        return "kernels were measured on whole GPUs"
    if plan.precision == PLAIN and facts.weights.quantization:
        return "fp16 is planned, and the checkpoint is quantised"
    found = next((table for table in facts.kernels if _of(table, plan, ranks)), None)
    if found is None:
        return "no kernels were measured on this accelerator"
    had, measured = facts.software.packages.get("vllm"), found.versions.get("vllm")
    if had != measured:
        return f"kernels were measured against vLLM {measured}, and this is {had}"
    reach = Reach(found.linear_tokens, found.sequences)
    if plan.precision != PLAIN:
        quantised = found.quantised.get(plan.precision or "")
        if quantised is None:
            return f"only kernels for {', '.join((PLAIN, *found.quantised))} were measured to win"
        reach = quantised
        if plan.ranks > 1:
            return f"{plan.precision} was measured on one GPU, and {plan.ranks} are planned"
        if reach.backend and facts.weights.quantization not in LAYOUTS:
            return f"{plan.precision} was measured in the layouts {', '.join(LAYOUTS)}"
    elif not found.norms and not found.linear_tokens:
        return "no kernel was measured to win in a whole model"
    most = engines.sequences(plan)
    if most is None or most > reach.sequences:
        planned = "the plan says no concurrency" if most is None else f"{most} are planned"
        return f"models were measured not to be slower with them up to {reach.sequences} sequences, and {planned}"
    return found


def _of(table: Kernels, plan: Document, ranks: Ranks) -> bool:
    """Without a GPU the planned one stands for what would be there."""
    if ranks.gpus:
        return all(gpu.name == table.accelerator for gpu in ranks.gpus)
    row = ACCELERATORS.get(plan.accelerator or "")
    return bool(row and re.search(row.pattern, table.accelerator))


def arguments(kernels: Kernels, hidden: int | None) -> dict[str, tuple[str, str]]:
    """{argument of vLLM: (value, why)} for a model of this hidden size: the norms that ours replace, and the table's
    digest, which keeps compile caches that were made without it apart."""
    digest = json.dumps({"fullbore_kernels": kernels.digest}, sort_keys=True)
    made = {"additional-config": (digest, "keeps compile caches of other kernels apart")}
    chosen = {name: [PROVIDER] for name, widths in kernels.norms.items() if hidden in widths}
    if chosen:
        value = json.dumps({"ir_op_priority": chosen}, sort_keys=True)
        made["kernel-config"] = (value, f"norms that beat vLLM's at {hidden} values a token")
    return made
