"""From safetensors on disk to tensors on the GPU: how vLLM loads them by default, and the libraries that it can use.

    python images/runtime/bench/weights.py --out DIRECTORY [--model FOLDER]

16 GB of random FP16 in eight shards (Qwen3-8B's shape), the page cache without them and with them. Every way ends in
the same tensors on the GPU, which is checked. Writes weights.json: seconds and GB/s by way, beside what the disk and
the copy from pinned memory give.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import shapes
from start import forget, remember

MODEL = "qwen3-8b"
DEVICE = "cuda:0"
Named = Iterator[tuple[str, Tensor]]


def by_default(files: list[str]) -> Named:
    """vLLM's default: memory-mapped, a tensor after the other (weight_utils.safetensors_weights_iterator)."""
    from safetensors import safe_open

    for file in files:
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118  not a mapping
                yield name, opened.get_tensor(name)


def by_threads(files: list[str]) -> Named:
    """vLLM's `enable_multithread_load`, eight files at once."""
    from safetensors.torch import load_file

    with ThreadPoolExecutor(8) as pool:
        for done in as_completed([pool.submit(load_file, file, device="cpu") for file in files]):
            yield from done.result().items()


def by_fastsafetensors(files: list[str]) -> Named:
    from fastsafetensors import SingleGroup
    from fastsafetensors.parallel_loader import ParallelLoader

    loader = ParallelLoader(pg=SingleGroup(), hf_weights_files=files, queue_size=0, use_tqdm_on_load=False,
                            device=DEVICE, nogds=True)  # fmt: skip
    try:
        yield from loader.iterate_weights()
    finally:
        loader.close()


def by_streamer(files: list[str]) -> Named:
    """The Run:ai model streamer, with as many readers as it takes by itself."""
    from runai_model_streamer import SafetensorsStreamer

    with SafetensorsStreamer() as streamer:
        streamer.stream_files(files)
        yield from streamer.get_tensors()


WAYS: Mapping[str, Callable[[list[str]], Named]] = {
    "vLLM's default": by_default,
    "eight threads": by_threads,
    "fastsafetensors": by_fastsafetensors,
    "Run:ai streamer": by_streamer,
}


def load(way: Callable[[list[str]], Named], files: list[str], into: Mapping[str, Tensor]) -> float:
    """Seconds until every tensor is on the GPU."""
    torch.cuda.synchronize()
    begun = time.perf_counter()
    for name, tensor in way(files):
        into[name].copy_(tensor)
    torch.cuda.synchronize()
    return time.perf_counter() - begun


def ceilings(model: Path, size: int) -> dict[str, float]:
    """GB/s of the disk read by 16 threads, of the page cache read likewise, and of pinned memory to the GPU."""
    files = sorted(model.glob("*.safetensors"))

    def read(file: Path) -> None:
        block = bytearray(1 << 24)
        with file.open("rb", buffering=0) as opened:
            while opened.readinto(block):
                pass

    def rate() -> float:
        begun = time.perf_counter()
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(read, files))
        return size / (time.perf_counter() - begun) / 1e9

    forget(model)
    cold, warm = rate(), rate()
    pinned = torch.empty(1 << 30, dtype=torch.uint8).pin_memory()
    there = torch.empty_like(pinned, device=DEVICE)
    there.copy_(pinned)
    torch.cuda.synchronize()
    begun = time.perf_counter()
    for _ in range(8):
        there.copy_(pinned, non_blocking=True)
    torch.cuda.synchronize()
    return {"disk": cold, "page cache": warm, "pinned to GPU": 8 * (1 << 30) / (time.perf_counter() - begun) / 1e9}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=Path("/tmp/start/real"))
    arguments = parser.parse_args()
    config = shapes.SHAPES[MODEL]
    begun = time.perf_counter()
    if not (arguments.model / "manifest.json").exists():
        shapes.checkpoint(arguments.model, config)
    written_s = time.perf_counter() - begun
    tensors = shapes.qwen3_tensors(config)
    right = {name: torch.empty(shape, dtype=torch.float16, device=DEVICE) for name, shape in tensors.items()}
    size = sum(2 * tensor.numel() for tensor in right.values())
    files = sorted(str(path) for path in arguments.model.glob("*.safetensors"))
    load(by_default, files, right)
    result: dict[str, Any] = {"bytes": size, "written_s": written_s, "rows": []}
    result["ceilings_gb_s"] = ceilings(arguments.model, size)
    print(json.dumps(result), flush=True)
    for name, way in WAYS.items():
        for label, before in (("page cache cold", forget), ("page cache warm", remember)):
            into = {key: torch.full_like(tensor, float("nan")) for key, tensor in right.items()}
            before(arguments.model)
            try:
                seconds = load(way, files, into)
            except (ImportError, RuntimeError, OSError) as error:
                row = {"way": name, "what": label, "error": repr(error)}
            else:
                same = all(torch.equal(into[key], tensor) for key, tensor in right.items())
                row = {"way": name, "what": label, "seconds": seconds, "gb_s": size / seconds / 1e9, "right": same}
            result["rows"].append(row)
            print(json.dumps(row), flush=True)
            (arguments.out / "weights.json").write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
