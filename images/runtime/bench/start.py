"""From the start of a process to the first token of a request: vLLM as it comes, and as the launcher starts it.

    python images/runtime/bench/start.py --out DIRECTORY --table TABLE

Qwen3-8B's shape in FP16, with dummy weights and with 16 GB of random safetensors, the page cache without and with them.
Each way has caches of its own, which its first start fills; vLLM keys them by the model's folder, so the first start
with weights fills them once more. Byte code is there for both. Writes start.json: seconds to /health and to the first
token, and what vLLM's log says of the steps.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import shapes
from served import Served, argv_and_environment, launched

MODEL = "qwen3-8b"
START_S = 120.0


def forget(directory: Path) -> None:
    """Takes the files' content out of the page cache."""
    os.sync()
    for path in directory.glob("*.safetensors"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def remember(directory: Path) -> None:
    for path in directory.glob("*.safetensors"):
        with path.open("rb", buffering=0) as file:
            while file.read(1 << 24):
                pass


def caches(root: Path, name: str) -> dict[str, str]:
    """A way's own compile caches."""
    at = root / name
    return {"VLLM_CACHE_ROOT": str(at / "vllm"), "TRITON_CACHE_DIR": str(at / "triton"),
            "TORCHINDUCTOR_CACHE_DIR": str(at / "inductor")}  # fmt: skip


def stock(model: Path, arguments: argparse.Namespace, *more: str) -> tuple[list[str], dict[str, str]]:
    """As its documentation starts it, for the same context."""
    argv = [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", str(model), f"--served-model-name={MODEL}",
            "--dtype=float16", "--max-model-len=8192", f"--port={arguments.port}", *more]  # fmt: skip
    return argv, dict(os.environ)


def tuned(model: Path, arguments: argparse.Namespace, *more: str) -> tuple[list[str], dict[str, str]]:
    """Through the launcher, checksums of the shards included; with dummy weights what it would exec."""
    plan = {
        "version": 1, "kind": "serving", "model": MODEL, "profile": "cuda", "accelerator": arguments.accelerator,
        "precision": "fp16", "tensor_parallel": 1, "context_tokens": 8192, "concurrency": arguments.concurrency,
        "memory_fraction": 0.9, "batch_tokens": 8192, "port": arguments.port,
    }  # fmt: skip
    if more:
        return argv_and_environment(launched(plan, model, arguments.table, os.environ), *more)
    path = model / "plan.json"
    path.write_text(json.dumps(plan))
    env = {"FULLBORE_PROFILE": "cuda", "FULLBORE_MODEL_DIRECTORY": str(model), "FULLBORE_KERNELS": str(arguments.table)}
    return [sys.executable, "-m", "fullbore_runtime", "--plan", str(path)], {**os.environ, **env}


WAYS = {"stock": stock, "tuned": tuned}


def once(name: str, model: Path, arguments: argparse.Namespace, label: str, *more: str) -> dict[str, Any]:
    """One start, to the first token, and its end."""
    argv, env = WAYS[name](model, arguments, *more)
    log = arguments.out / f"start-{name}-{label}.log".replace(" ", "-").replace(",", "")
    engine = Served(argv, {**env, **caches(arguments.root / "caches", name)}, log, arguments.port)
    try:
        health = engine.ready(START_S)
        first = engine.first_token(MODEL) if health else None
        row = {"way": name, "what": label, "health_s": health, "first_token_s": first, **engine.told()}
    finally:
        engine.stop()
    print(json.dumps(row), flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--accelerator", default="h200")
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--skip", action="append", default=[], help="leave out: empty, dummy, cold, warm")
    parser.add_argument("--port", type=int, default=18_100)
    parser.add_argument("--root", type=Path, default=Path("/tmp/start"))
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    dummy = shapes.folder(arguments.root / "dummy", shapes.SHAPES[MODEL])
    real = arguments.root / "real"

    def both(label: str, model: Path, *more: str, before: Any = None) -> None:
        for name in WAYS:
            if before:
                before(model)
            rows.append(once(name, model, arguments, label, *more))
            (arguments.out / "start.json").write_text(json.dumps(rows, indent=1))

    if "empty" not in arguments.skip:
        both("caches empty, dummy weights", dummy, "--load-format=dummy")
    if "dummy" not in arguments.skip:
        both("dummy weights", dummy, "--load-format=dummy")
    if "cold" in arguments.skip and "warm" in arguments.skip:
        return
    if not (real / "manifest.json").exists():
        # in a process that ends: what it takes of the GPU would be in use, and the launcher would refuse to start
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            pool.submit(shapes.checkpoint, real, shapes.SHAPES[MODEL]).result()
    both("caches of another folder, 16 GB of weights, page cache warm", real, before=remember)
    if "cold" not in arguments.skip:
        both("page cache cold", real, before=forget)
    if "warm" not in arguments.skip:
        both("page cache warm", real, before=remember)


if __name__ == "__main__":
    main()
