"""Launch parameters of vLLM's fused kernel for mixtures of experts, searched on this machine's GPU.

    python images/runtime/bench/moe.py tune --out DIRECTORY [--model deepseek-v2-lite] [--seconds N]
    python images/runtime/bench/moe.py compile --out DIRECTORY     # only what `tune` will time, into Triton's cache
    python images/runtime/bench/moe.py decode --out DIRECTORY --tuned DIRECTORY [--model deepseek-v2-lite]

`tune` writes a file of vLLM's form, named as vLLM looks for it, and moe-tune.json with the times. A batch keeps vLLM's
own parameters unless others are faster by MARGIN. `decode` measures the whole model with the file and without, both
engines up at once and taking turns: moe-decode.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import shapes

TOKENS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
MARGIN = 0.03
"""Half of all times differ by less than 1.5 % between two runs (fullbore_runtime/kernels/table.py)."""
BATCHES = ((1, 128), (4, 128), (16, 128), (64, 96), (256, 64))
SETS = 10
"""Draws of experts that a measurement goes round, so that the L2 cache does not hold their weights."""


def sizes(model: str) -> tuple[int, int, int, int]:
    """(experts, width of one, hidden, experts of a token)."""
    config = shapes.SHAPES[model]
    experts = config.get("n_routed_experts", config.get("num_experts"))
    return experts, config["moe_intermediate_size"], config["hidden_size"], config["num_experts_per_tok"]


def candidates(tokens: int, experts: int, each: int) -> list[dict[str, int]]:
    """Parameters worth trying: rows of a tile by the tokens that an expert gets."""
    share = tokens * each / experts
    rows = (16,) if share <= 4 else (16, 32) if share <= 16 else (32, 64) if share <= 64 else (64, 128)
    columns, depths = ((32, 64, 128), (64, 128, 256)) if share <= 16 else ((64, 128), (64, 128))
    groups = (1,) if share <= 16 else (1, 16)
    return [
        {"BLOCK_SIZE_M": m, "BLOCK_SIZE_N": n, "BLOCK_SIZE_K": k, "GROUP_SIZE_M": group, "SPLIT_K": 1,
         "num_warps": warps, "num_stages": stages}
        for m, n, k, group, warps, stages in itertools.product(rows, columns, depths, groups, (4, 8), (3, 4, 5))
        if (m + n) * k * 2 * stages <= 220_000 and not (warps == 8 and m * n < 4096)
    ]  # fmt: skip


class Layer:
    """One layer of random experts in bfloat16, and draws of the experts of each token."""

    def __init__(self, model: str) -> None:
        import torch

        self.experts, self.width, self.hidden, self.each = sizes(model)
        torch.manual_seed(0)
        shape = {"device": "cuda", "dtype": torch.bfloat16}
        self.first = torch.empty(self.experts, 2 * self.width, self.hidden, **shape).uniform_(-0.05, 0.05)
        self.second = torch.empty(self.experts, self.hidden, self.width, **shape).uniform_(-0.05, 0.05)

    def draws(self, tokens: int) -> list[tuple[Any, ...]]:
        import torch

        made = []
        for _ in range(SETS):
            x = torch.randn(tokens, self.hidden, device="cuda", dtype=torch.bfloat16)
            weights, chosen = torch.randn(tokens, self.experts, device="cuda").softmax(-1).topk(self.each)
            made.append((x, weights, chosen.int()))
        return made

    def call(self, config: dict[str, int], x: Any, weights: Any, chosen: Any) -> Any:
        from vllm.model_executor.layers.fused_moe import override_config
        from vllm.model_executor.layers.fused_moe.fused_moe import fused_experts

        with override_config(config):
            return fused_experts(x, self.first, self.second, weights, chosen)


def compile_part(model: str, part: int, parts: int) -> int:
    """Compiles a share of the candidates into Triton's cache on disk."""
    from vllm.config import VllmConfig, set_current_vllm_config

    layer, done = Layer(model), 0
    with set_current_vllm_config(VllmConfig()):
        for tokens in TOKENS:
            draw = layer.draws(tokens)[0]
            for number, config in enumerate(candidates(tokens, layer.experts, layer.each)):
                if number % parts == part:
                    try:
                        layer.call(config, *draw)
                        done += 1
                    except Exception as error:  # noqa: BLE001  too much shared memory, of many types: no candidate
                        print(tokens, config, type(error).__name__, file=sys.stderr)
    return done


def compile_all(arguments: argparse.Namespace) -> None:
    begun = time.monotonic()
    with ProcessPoolExecutor(arguments.processes, mp_context=get_context("spawn")) as pool:
        made = [
            pool.submit(compile_part, arguments.model, part, arguments.processes) for part in range(arguments.processes)
        ]
        compiled = sum(future.result() for future in made)
    print(f"{time.monotonic() - begun:.0f} s: {compiled} candidates compiled", flush=True)


def graph_us(layer: Layer, config: dict[str, int], draws: list[tuple[Any, ...]], replays: int) -> float:
    """Median microseconds of one call inside a CUDA graph that goes round the draws."""
    import torch

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        layer.call(config, *draws[0])
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            for draw in draws:
                layer.call(config, *draw)
    times = []
    for _ in range(replays + 1):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) * 1e3 / len(draws))
    return statistics.median(times[1:])


def tune(arguments: argparse.Namespace) -> None:
    import torch
    import triton
    from vllm.config import VllmConfig, set_current_vllm_config
    from vllm.model_executor.layers.fused_moe.fused_moe import get_config_file_name, get_default_config

    if not arguments.compiled:
        compile_all(arguments)
    begun = time.monotonic()
    chosen: dict[str, Any] = {"triton_version": triton.__version__}
    rows = []
    with set_current_vllm_config(VllmConfig()):
        layer = Layer(arguments.model)
        for tokens in TOKENS:
            draws = layer.draws(tokens)
            stock = get_default_config(tokens, layer.experts, layer.width, layer.hidden, layer.each, None)
            expected = layer.call(stock, *draws[0]).float()
            tried = []
            for config in candidates(tokens, layer.experts, layer.each):
                if time.monotonic() - begun > arguments.seconds:
                    break
                try:
                    got = layer.call(config, *draws[0]).float()
                    assert float((got - expected).abs().max() / expected.abs().max()) < 0.02
                    tried.append((graph_us(layer, config, draws, 5), config))
                except Exception as error:  # noqa: BLE001
                    print(tokens, config, repr(error)[:120], file=sys.stderr)
            best = sorted(tried, key=lambda pair: pair[0])[:3]
            again = [(graph_us(layer, config, draws, 15), config) for _, config in best]
            stock_us = graph_us(layer, stock, draws, 15)
            us, config = min(again, key=lambda pair: pair[0], default=(stock_us, stock))
            won = us <= stock_us * (1 - MARGIN)
            chosen[str(tokens)] = config if won else stock
            rows.append({"tokens": tokens, "stock_us": stock_us, "tuned_us": us, "won": won, "stock": stock,
                         "tuned": config, "tried": len(tried)})  # fmt: skip
            print(f"{time.monotonic() - begun:.0f} s", tokens, f"{stock_us:.1f} -> {us:.1f}", won, config, flush=True)
        name = get_config_file_name(layer.experts, layer.width, None)
    (arguments.out / name).write_text(json.dumps(chosen, indent=1) + "\n")
    document = {"model": arguments.model, "accelerator": torch.cuda.get_device_name(), "file": name, "rows": rows}
    (arguments.out / "moe-tune.json").write_text(json.dumps(document, indent=1))


def decode(arguments: argparse.Namespace) -> None:
    from decode import Worker

    model = shapes.folder(Path("/tmp/models/moe"), shapes.SHAPES[arguments.model])
    base = {"model": str(model), "load_format": "dummy", "skip_tokenizer_init": True, "max_model_len": 8192,
            "gpu_memory_utilization": 0.05, "kv_cache_memory_bytes": 8 << 30, "trust_remote_code": False}  # fmt: skip
    ways = {"stock": {}, "control": {}, "tuned": {"VLLM_TUNED_CONFIG_FOLDER": str(arguments.tuned)}}
    workers = [Worker(f"moe-{name}", base, env, arguments.out) for name, env in ways.items()]
    for worker in workers:
        worker.answer()
    seen: dict[str, dict[int, list[float]]] = {name: {} for name in ways}
    for turn in range(arguments.rounds):
        for batch, tokens in BATCHES:
            pairs = list(zip(ways, workers, strict=True))
            for name, worker in pairs if turn % 2 == 0 else reversed(pairs):
                seen[name].setdefault(batch, []).append(batch / worker.decode(batch, tokens)["step_s"])
        rate = {name: {batch: statistics.median(got) for batch, got in rows.items()} for name, rows in seen.items()}
        ratio = {name: {batch: got / rate["stock"][batch] for batch, got in rows.items()}
                 for name, rows in rate.items()}  # fmt: skip
        document = {"model": arguments.model, "tokens_per_s": rate, "ratio": ratio, "runs": seen}
        (arguments.out / "moe-decode.json").write_text(json.dumps(document, indent=1))
    for worker in workers:
        os.killpg(worker.process.pid, signal.SIGKILL)
        worker.process.wait(30)
    for name in ways:
        print(name, {batch: f"{rate[name][batch]:.1f} ({ratio[name][batch]:.3f})" for batch in rate[name]}, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["compile", "tune", "decode"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="deepseek-v2-lite")
    parser.add_argument("--tuned", type=Path, help="folder that holds the file which `tune` wrote")
    parser.add_argument("--processes", type=int, default=14)
    parser.add_argument("--compiled", action="store_true", help="`compile` has run: compile nothing beforehand")
    parser.add_argument("--seconds", type=float, default=1e9, help="try no further candidates after this long")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    {"compile": compile_all, "tune": tune, "decode": decode}[arguments.what](arguments)


if __name__ == "__main__":
    main()
