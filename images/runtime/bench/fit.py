"""The memory plan against running engines: weights and KV cache as planned, and as vLLM reports them.

    python images/runtime/bench/fit.py --out DIRECTORY [--gpus 2] [--only NAME]

Each case is started as the launcher would start it, with dummy weights. Cases on one GPU run beside each other, one a
GPU. Writes fit.json: for each case what the plan says, what vLLM says, and the difference; a case that the plan calls
fitting and that does not start is an error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "components"), str(ROOT / "images" / "runtime")]

import shapes  # noqa: E402
from served import Served, argv_and_environment, launched  # noqa: E402

from fullbore.catalog.accelerators import ACCELERATORS  # noqa: E402
from fullbore.catalog.hub import model_row  # noqa: E402
from fullbore.plan.fit import Engine, Layout, fit  # noqa: E402
from fullbore_runtime.errors import RuntimeRefusal  # noqa: E402

START_S = 150.0
FRACTION, BATCH_TOKENS = 0.9, 8192
ALLOWED = {"weights_gib": 0.005, "kv_tokens": 0.03}
"""Largest differences that count as met."""


@dataclass(frozen=True)
class Case:
    name: str
    model: str
    precision: str
    tensor_parallel: int = 1
    kv_precision: str = "auto"
    context_tokens: int = 8192
    concurrency: int = 256


CASES = (
    Case("dense, FP16", "qwen3-8b", "fp16"),
    Case("dense, FP8 made while loading", "qwen3-8b", "fp8"),
    Case("dense, long context, FP8 cache", "llama-3.1-8b", "bf16", kv_precision="fp8", context_tokens=131_072,
         concurrency=64),
    Case("larger dense", "qwen3-14b", "bf16", context_tokens=32_768, concurrency=128),
    Case("MLA and 64 experts", "deepseek-v2-lite", "bf16"),
    Case("128 experts", "qwen3-30b-a3b", "bf16"),
    Case("dense, two GPUs", "qwen3-8b", "fp16", tensor_parallel=2),
    Case("MLA and 64 experts, two GPUs", "deepseek-v2-lite", "bf16", tensor_parallel=2),
)  # fmt: skip


def planned(case: Case, accelerator: str) -> dict[str, float]:
    """The plan's figures of one rank."""
    layout = Layout(
        precision=case.precision, context_tokens=case.context_tokens, concurrency=case.concurrency,
        tensor_parallel=case.tensor_parallel, kv_precision=case.kv_precision,
    )  # fmt: skip
    row = model_row(case.model, "", shapes.SHAPES[case.model])
    engine = Engine(memory_fraction=FRACTION, batch_tokens=BATCH_TOKENS)
    result = fit(row, ACCELERATORS[accelerator], layout, engine)
    rank = result.fullest
    return {"fits": result.fits, "weights_gib": rank.weights_gib, "activations_gib": rank.activations_gib,
            "kv_gib": rank.kv_gib, "kv_tokens": rank.kv_tokens, "graphs_gib": rank.graphs_gib}  # fmt: skip


def measured(case: Case, gpus: list[int], arguments: argparse.Namespace) -> dict[str, float]:
    """What vLLM says of itself. Empty where it does not start."""
    at = arguments.out / f"fit-{case.name.replace(', ', '-').replace(' ', '-')}"
    model = shapes.folder(Path("/tmp/models") / at.name, shapes.SHAPES[case.model])
    port = 18_000 + 10 * gpus[0]
    plan = {
        "model": case.model, "profile": "cuda", "accelerator": arguments.accelerator, "precision": case.precision,
        "kv_precision": case.kv_precision, "tensor_parallel": case.tensor_parallel,
        "context_tokens": case.context_tokens, "concurrency": case.concurrency, "memory_fraction": FRACTION,
        "batch_tokens": BATCH_TOKENS, "port": port,
    }  # fmt: skip
    given = {**os.environ, "CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus))}
    argv, env = argv_and_environment(launched(plan, model, arguments.table, given), "--load-format=dummy")
    engine = Served(argv, {**env, "CUDA_VISIBLE_DEVICES": given["CUDA_VISIBLE_DEVICES"]}, at.with_suffix(".log"), port)
    try:
        ready = engine.ready(START_S)
        return {**engine.told(), "ready_s": ready} if ready else {}
    finally:
        engine.stop()


def compared(case: Case, plan: Mapping[str, float], engine: Mapping[str, float]) -> dict[str, Any]:
    difference = {name: plan[name] / engine[name] - 1 for name in (*ALLOWED, "kv_gib") if name in engine}
    met = all(name in difference and abs(difference[name]) <= most for name, most in ALLOWED.items())
    return {"case": case.__dict__, "plan": dict(plan), "engine": dict(engine), "difference": difference, "met": met}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--gpus", type=int, default=2)
    parser.add_argument("--accelerator", default="h200")
    parser.add_argument("--table", type=Path, help="kernel table, as the image has it")
    parser.add_argument("--only", action="append", help="cases whose name has this")
    arguments = parser.parse_args()
    chosen = [case for case in CASES if not arguments.only or any(word in case.name for word in arguments.only)]
    results: list[dict[str, Any]] = []
    lock = threading.Lock()

    def run(case: Case, gpus: list[int]) -> None:
        try:
            row = compared(case, planned(case, arguments.accelerator), measured(case, gpus, arguments))
        except (RuntimeError, RuntimeRefusal, OSError, ValueError) as error:  # the other cases go on; this one failed
            row = {"case": case.__dict__, "met": False, "error": repr(error)}
        with lock:
            results.append(row)
            shown = {key: row.get(key) for key in ("difference", "met", "engine", "error")}
            print(case.name, json.dumps(shown), flush=True)
            (arguments.out / "fit.json").write_text(json.dumps(results, indent=1))

    waiting: Queue[Case] = Queue()
    for case in chosen:
        if case.tensor_parallel == 1:
            waiting.put(case)

    def lane(gpu: int) -> None:
        with suppress(Empty):
            while True:
                run(waiting.get_nowait(), [gpu])

    lanes = [threading.Thread(target=lane, args=(gpu,)) for gpu in range(arguments.gpus)]
    for thread in lanes:
        thread.start()
    for thread in lanes:
        thread.join()
    for case in chosen:
        if 1 < case.tensor_parallel <= arguments.gpus:
            run(case, list(range(case.tensor_parallel)))
    sys.exit(0 if all(row["met"] for row in results) else 1)


if __name__ == "__main__":
    main()
