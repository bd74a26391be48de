"""Decode rate of quantised modes beside FP16, each as vLLM has it and as the launcher tunes it, in the same minutes.

    python images/runtime/bench/quantised.py --out DIRECTORY --table TABLE --group fp8|int [--rounds 3]

Qwen3-8B's shape with dummy weights: FP16; FP8 made while loading; INT4 in AWQ's layout and INT8 in GPTQ's, groups of
128. `fp8` and `int` are the engines that one GPU holds at once; FP16 is in both. They are all up before the first is
measured, and take turns. Tuned ways use the table's rows for any number of sequences (a trial: its runs are what this
script's ratios are for). Writes quantised-GROUP.json.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import quantise
import shapes
from decode import Worker, engine_settings
from served import launched

MODEL = "qwen3-8b"
BATCHES = ((1, 256), (4, 128), (8, 128), (16, 128), (32, 128), (64, 128), (256, 96))
KV_BYTES = int(8.3 * 2**30)
TOKENS = 16
"""Most tokens of a step whose linear layers the trial may take."""


class Way(NamedTuple):
    """`backend` is what the launcher is made to choose; None with `tuned` false is vLLM as it comes."""

    name: str
    precision: str
    tuned: bool = False
    backend: str | None = None
    env: Mapping[str, str] = MappingProxyType({})


WAYS = {
    "fp8": (
        Way("fp16", "fp16"), Way("fp16 tuned", "fp16", True), Way("fp8", "fp8"), Way("fp8 tuned", "fp8", True),
        Way("fp8 marlin", "fp8", env={"VLLM_TEST_FORCE_FP8_MARLIN": "1"}),
    ),
    "int": (
        Way("fp16", "fp16"), Way("int4", "int4"), Way("int4 tuned", "int4", True, "marlin"), Way("int8", "int8"),
        Way("int8 tuned", "int8", True, "marlin"),
    ),
}  # fmt: skip
LAYERS = [f"self_attn.{part}_proj" for part in "qkvo"] + [f"mlp.{part}_proj" for part in ("gate", "up", "down")]
METHODS = {"int4": ("awq", 4), "int8": ("gptq", 8)}


def model(precision: str) -> Path:
    config = dict(shapes.SHAPES[MODEL])
    if precision in METHODS:
        # vLLM would look into the shards for what is quantised, and there is none
        config["quantization_config"] = {
            **quantise.config(*METHODS[precision]),
            "modules_in_block_to_quantize": [LAYERS],
        }
    return shapes.folder(Path("/tmp/models") / f"quantised-{precision}", config)


def trial(table: Path, way: Way) -> Path:
    """A copy of the table that lets this way's kernels and backend be used for any number of sequences."""
    document = json.loads(table.read_text())
    document["runs"] = [
        {"model": "trial", "ranks": 0, "linear_tokens": TOKENS, "norms": False, "precision": precision,
         "backend": way.backend if precision == way.precision else None, "ratio": {str(TOKENS): 1.0, "1024": 1.0}}
        for precision in {"fp16", way.precision}
    ]  # fmt: skip
    path = Path("/tmp") / f"trial-{way.name.replace(' ', '-')}.json"
    path.write_text(json.dumps(document))
    return path


def settings(way: Way, arguments: argparse.Namespace) -> tuple[dict[str, Any], dict[str, str]]:
    """(arguments of vllm.LLM, environment)."""
    folder = model(way.precision)
    base: dict[str, Any] = {
        "model": str(folder), "load_format": "dummy", "skip_tokenizer_init": True, "dtype": "float16",
        "max_model_len": 8192, "gpu_memory_utilization": 0.05, "kv_cache_memory_bytes": KV_BYTES,
    }  # fmt: skip
    if way.precision == "fp8":
        base["quantization"] = "fp8"
    if not way.tuned:
        return base, dict(way.env)
    plan = {"model": MODEL, "profile": "cuda", "accelerator": arguments.accelerator, "precision": way.precision,
            "context_tokens": 8192, "concurrency": 256, "batch_tokens": 8192}  # fmt: skip
    tuned = launched(plan, folder, trial(arguments.table, way), os.environ)
    tuned.check()
    return base | engine_settings(tuned), {**tuned.env, **way.env}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--group", choices=sorted(WAYS), required=True)
    parser.add_argument("--accelerator", default="h200")
    parser.add_argument("--only", action="append", help="this way and fp16; may be given more than once")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    ways = [way for way in WAYS[arguments.group] if not arguments.only or way.name in ("fp16", *arguments.only)]
    made = {way.name: settings(way, arguments) for way in ways}
    workers = {name: Worker(f"q-{name.replace(' ', '-')}", *given, arguments.out) for name, given in made.items()}
    for name in list(workers):
        try:
            workers[name].answer()
        except RuntimeError as error:  # noqa: PERF203
            print(f"{name} did not start: {error}", flush=True)
            del workers[name]
    seen: dict[str, dict[int, list[float]]] = {name: {} for name in workers}
    document: dict[str, Any] = {"model": MODEL, "engines": made}
    for turn in range(arguments.rounds):
        for batch, tokens in BATCHES:
            for name in workers if turn % 2 == 0 else reversed(workers):
                seen[name].setdefault(batch, []).append(batch / workers[name].decode(batch, tokens)["step_s"])
        rate = {name: {batch: statistics.median(got) for batch, got in rows.items()} for name, rows in seen.items()}
        document |= {
            "tokens_per_s": rate,
            "to_fp16": {name: {batch: got / rate["fp16"][batch] for batch, got in rows.items()}
                        for name, rows in rate.items()},
            "to_stock": {name: {batch: got / rate[name.split()[0]][batch] for batch, got in rows.items()}
                         for name, rows in rate.items() if name.split()[0] in rate},
            "runs": seen,
        }  # fmt: skip
        (arguments.out / f"quantised-{arguments.group}.json").write_text(json.dumps(document, indent=1, default=str))
    for worker in workers.values():
        os.killpg(worker.process.pid, signal.SIGKILL)
        worker.process.wait(30)
    for name, rows in document["tokens_per_s"].items():
        print(name, {batch: f"{got:.1f} ({document['to_fp16'][name][batch]:.3f})" for batch, got in rows.items()})


if __name__ == "__main__":
    main()
