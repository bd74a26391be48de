"""Decode rate of vLLM as the launcher tunes it, beside vLLM as it comes, on the same GPUs in the same minutes.

    python images/runtime/bench/decode.py --out DIRECTORY --table TABLE [--gpus 2] [--trial 64 [--norms]]

Qwen3-8B's shape in FP16 with dummy weights, which vLLM draws from a fixed seed. The engines are all up before the first
is measured; then they take turns, batch by batch and round by round, one at a time. Writes decode-GPUS.json: tokens a
second by engine and batch (medians of the rounds) and the ratio to stock. With --trial a third engine takes linear
layers of up to that many tokens, and with --norms our norms and activations, whatever the table says: a table's `runs`
are such ratios. Where the table leaves the kernels out, as it does above a number of sequences, "tuned" shows what two
engines with the same kernels differ by.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import shapes  # noqa: E402
from served import launched  # noqa: E402

from fullbore_runtime.tune import Launch  # noqa: E402

MODEL = "qwen3-8b"
BATCHES = ((1, 256), (4, 128), (8, 128), (16, 128), (32, 128), (64, 128), (256, 96))
"""(sequences, tokens that each decodes)."""
PROMPT = 128
SERVER = ("model", "served-model-name", "host", "port", "shutdown-timeout", "device-ids", "gpu-memory-utilization",
          "distributed-executor-backend")  # fmt: skip
"""Arguments of the server, and those that several engines on one GPU cannot share."""
MARK = "@@"


def engine_settings(tuned: Launch) -> dict[str, Any]:
    """The launcher's arguments as vllm.LLM takes them."""
    found: dict[str, Any] = {}
    for setting in tuned.of("arg"):
        if setting.name in SERVER:
            continue
        name = setting.name.replace("-", "_")
        found[name] = [value_of(word) for word in setting.values] if len(setting.values) > 1 else (
            value_of(setting.values[0]) if setting.values else True
        )  # fmt: skip
    return found


def value_of(word: str) -> Any:
    try:
        return json.loads(word)
    except ValueError:
        return word


def work(settings: Mapping[str, Any]) -> None:
    """One engine: a line of JSON in says what to decode, a marked line out says how long it took."""
    from vllm import LLM, SamplingParams

    llm = LLM(**settings)
    draw = random.Random(0)
    vocabulary = json.loads((Path(settings["model"]) / "config.json").read_text())["vocab_size"]

    def generate(batch: int, tokens: int, logprobs: int | None = None) -> tuple[float, Any]:
        prompts = [
            {"prompt_token_ids": [draw.randrange(1000, vocabulary) for _ in range(PROMPT)]} for _ in range(batch)
        ]
        sampling = SamplingParams(
            temperature=0.0, max_tokens=tokens, ignore_eos=True, detokenize=False, logprobs=logprobs
        )
        at = time.perf_counter()
        outputs = llm.generate(prompts, sampling, use_tqdm=False)
        return time.perf_counter() - at, outputs

    _, outputs = generate(4, 8, logprobs=1)
    first = [
        [(token, round(step[token].logprob, 4)) for token, step in zip(o.token_ids, o.logprobs, strict=True)]
        for o in (output.outputs[0] for output in outputs)
    ]
    print(MARK + json.dumps({"first": first}), flush=True)
    for line in sys.stdin:
        batch, tokens = json.loads(line)
        generate(batch, 4)
        short, long = generate(batch, 1)[0], generate(batch, tokens)[0]
        print(MARK + json.dumps({"step_s": (long - short) / (tokens - 1), "first_token_s": short}), flush=True)


class Worker:
    def __init__(self, name: str, settings: Mapping[str, Any], env: Mapping[str, str], out: Path) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--work", json.dumps(dict(settings))], env={**os.environ, **env},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=(out / f"decode-{name}.log").open("wb"), text=True,
            start_new_session=True,
        )  # fmt: skip

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout
        for line in self.process.stdout:
            if line.startswith(MARK):
                return json.loads(line.removeprefix(MARK))
        raise RuntimeError(f"{self.name} ended with {self.process.wait()}; see its log")

    def decode(self, batch: int, tokens: int) -> dict[str, float]:
        assert self.process.stdin
        self.process.stdin.write(json.dumps([batch, tokens]) + "\n")
        self.process.stdin.flush()
        return self.answer()


def engines(arguments: argparse.Namespace) -> dict[str, tuple[dict[str, Any], dict[str, str]]]:
    """{name: (settings of vllm.LLM, environment)}."""
    model = shapes.folder(Path("/tmp/models/decode"), shapes.SHAPES[MODEL])
    base = {
        "model": str(model), "load_format": "dummy", "skip_tokenizer_init": True, "dtype": "float16",
        "max_model_len": 8192, "gpu_memory_utilization": 0.2, "kv_cache_memory_bytes": int(arguments.kv_gib * 2**30),
        "tensor_parallel_size": arguments.gpus,
    }  # fmt: skip
    plan = {
        "model": MODEL, "profile": "cuda", "accelerator": arguments.accelerator, "precision": "fp16",
        "tensor_parallel": arguments.gpus, "context_tokens": 8192, "concurrency": arguments.concurrency,
        "batch_tokens": 8192,
    }  # fmt: skip
    given = {**os.environ, "CUDA_VISIBLE_DEVICES": ",".join(map(str, range(arguments.gpus)))}
    made = {"stock": (base, {})}
    tables = {"tuned": arguments.table}
    if arguments.trial:
        tables["trial"] = trial(arguments.table, arguments.trial, arguments.norms)
    for name, table in tables.items():
        tuned = launched(plan, model, table, given)
        tuned.check()
        made[name] = (base | engine_settings(tuned), dict(tuned.env))
    return {name: (settings, {**env, "CUDA_VISIBLE_DEVICES": given["CUDA_VISIBLE_DEVICES"]})
            for name, (settings, env) in made.items()}  # fmt: skip


def trial(table: Path, tokens: int, norms: bool) -> Path:
    """A copy of the table that lets the linear layers go up to `tokens`, for any number of sequences."""
    document = json.loads(table.read_text())
    ratio = {str(tokens): 1.0, "1024": 1.0}
    document["runs"] = [{"model": "trial", "ranks": 0, "linear_tokens": tokens, "norms": norms, "ratio": ratio}]
    path = Path("/tmp") / f"trial-{tokens}.json"
    path.write_text(json.dumps(document))
    return path


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    made = engines(arguments)
    out = {"model": MODEL, "gpus": arguments.gpus, "trial": arguments.trial, "norms": arguments.norms, "engines": made}
    workers = [Worker(name, settings, env, arguments.out) for name, (settings, env) in made.items()]
    out["first"] = {worker.name: worker.answer()["first"] for worker in workers}
    seen: dict[str, dict[int, list[dict[str, float]]]] = {worker.name: {} for worker in workers}
    for turn in range(arguments.rounds):
        for batch, tokens in BATCHES:
            for worker in workers if turn % 2 == 0 else reversed(workers):
                seen[worker.name].setdefault(batch, []).append(worker.decode(batch, tokens))
        out["tokens_per_s"] = {
            name: {batch: batch / statistics.median(run["step_s"] for run in runs) for batch, runs in by_batch.items()}
            for name, by_batch in seen.items()
        }
        out["ratio"] = {
            name: {batch: rate / out["tokens_per_s"]["stock"][batch] for batch, rate in rates.items()}
            for name, rates in out["tokens_per_s"].items()
        }
        out["runs"] = seen
        (arguments.out / f"decode-{arguments.gpus}.json").write_text(json.dumps(out, indent=1))
    for worker in workers:
        # The engine's own processes are of its group.
        os.killpg(worker.process.pid, signal.SIGKILL)
        worker.process.wait(30)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--accelerator", default="h200")
    parser.add_argument("--gpus", type=int, default=1)
    parser.add_argument("--kv-gib", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--trial", type=int)
    parser.add_argument("--norms", action="store_true")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(json.loads(arguments.work))
        return
    if not arguments.out or not arguments.table:
        parser.error("--out and --table are needed")
    result = measure(arguments)
    for name, ratios in result["ratio"].items():
        rates = result["tokens_per_s"][name]
        print(name, {batch: f"{rates[batch]:.1f} ({ratio:.3f})" for batch, ratio in ratios.items()}, flush=True)


if __name__ == "__main__":
    main()
