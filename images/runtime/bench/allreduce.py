"""all_reduce between the GPUs of one machine, 1 KiB to 8 GiB: stock NCCL, vLLM's own dispatch, and what can be tuned.

    python images/runtime/bench/allreduce.py --out DIRECTORY [--gpus 2]

Starts one process a GPU for each variant of NCCL's environment and writes allreduce.json: microseconds by candidate and
size, with plain calls and inside CUDA graphs, and the bus bandwidth 2 * (n - 1) / n * bytes / time that nccl-tests
define. At each size and for each candidate the result has to be exact: the values are small whole numbers. The tuned
choice by size is the fastest candidate; `tuned` says which. NVLink multicast stays as the environment has it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

SIZES = tuple(2**power for power in range(10, 34))
GRAPH_MOST = 2**26
"""Above it the launch is no part of the time."""
SHARED_MOST = 2**26
"""Largest buffer of symmetric memory that is tried."""
VARIANTS = {
    "nccl": {},
    "nccl ll128": {"NCCL_PROTO": "LL128"},
    "nccl simple": {"NCCL_PROTO": "Simple"},
    "nccl 32 channels": {"NCCL_MIN_NCHANNELS": "32", "NCCL_MAX_NCHANNELS": "32"},
    "nccl buffers 16m": {"NCCL_BUFFSIZE": str(2**24)},
}
"""NCCL's environment by variant. "nccl" is stock; vLLM's dispatch and symmetric memory are measured beside it."""


def candidates(variant: str, device: torch.device) -> Iterator[tuple[str, Callable[[Tensor], Tensor], int, object]]:
    """(name, call that returns the sum, largest size in bytes, context for graph capture)."""

    def in_place(x: Tensor) -> Tensor:
        dist.all_reduce(x)
        return x

    yield variant, in_place, SIZES[-1], nullcontext
    if variant == "nccl":
        yield from symmetric(device)
        yield from vllm_dispatch()


def symmetric(device: torch.device) -> Iterator[tuple[str, Callable[[Tensor], Tensor], int, object]]:
    """PyTorch's kernels over NVLink peer memory, the copy into the shared buffer included."""
    import torch.distributed._symmetric_memory as symm_mem

    group = dist.group.WORLD.group_name
    buffer = symm_mem.empty(SHARED_MOST // 2, dtype=torch.float16, device=device)
    symm_mem.rendezvous(buffer, group)

    def one_shot(x: Tensor) -> Tensor:
        part = buffer[: x.numel()]
        part.copy_(x)
        return torch.ops.symm_mem.one_shot_all_reduce(part, "sum", group)

    def two_shot(x: Tensor) -> Tensor:
        part = buffer[: x.numel()]
        part.copy_(x)
        return torch.ops.symm_mem.two_shot_all_reduce_(part, "sum", group)

    yield "one shot", one_shot, 2**23, nullcontext
    yield "two shot", two_shot, SHARED_MOST, nullcontext


def vllm_dispatch() -> Iterator[tuple[str, Callable[[Tensor], Tensor], int, object]]:
    """What a tensor-parallel layer of vLLM calls, in the state in which vLLM captures its graphs."""
    try:
        from vllm.config import VllmConfig, set_current_vllm_config
        from vllm.distributed import parallel_state
        from vllm.distributed.communication_op import tensor_model_parallel_all_reduce
    except ImportError as error:
        print(f"vLLM's dispatch is not measured: {error}", file=sys.stderr)
        return
    with set_current_vllm_config(VllmConfig()):
        parallel_state.init_distributed_environment(
            dist.get_world_size(), dist.get_rank(), "env://", int(os.environ["LOCAL_RANK"])
        )
        parallel_state.initialize_model_parallel(dist.get_world_size())
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    yield "vllm", tensor_model_parallel_all_reduce, SIZES[-1] // 4, lambda: parallel_state.graph_capture(device)


def exact(call: Callable[[Tensor], Tensor], count: int, device: torch.device) -> bool:
    """Whether the sum of rank + 1 times 0 .. 16 is right everywhere, on every rank."""
    pattern = torch.arange(count, device=device).remainder_(17).to(torch.float16)
    given = pattern * (dist.get_rank() + 1)
    ranks = dist.get_world_size()
    right = torch.equal(call(given), pattern * (ranks * (ranks + 1) // 2))
    agreed = torch.tensor([int(right)], device=device)
    dist.all_reduce(agreed, op=dist.ReduceOp.MIN)
    return bool(agreed.item())


def plain_us(call: Callable[[Tensor], Tensor], x: Tensor, calls: int) -> float:
    return timed_us(lambda: [call(x) for _ in range(calls)], calls)


def graph_us(call: Callable[[Tensor], Tensor], x: Tensor, calls: int, capturing: Callable) -> float:
    with capturing() as state:
        stream = getattr(state, "stream", None) or torch.cuda.Stream()
        with torch.cuda.stream(stream):
            call(x)
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=stream):
                for _ in range(calls):
                    call(x)
    return timed_us(graph.replay, calls)


def timed_us(run: Callable[[], object], calls: int) -> float:
    """Median of 7 microseconds for one call; the slowest rank counts."""
    times = []
    for _ in range(9):
        dist.barrier()
        torch.cuda.synchronize()
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        run()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) * 1e3 / calls)
    slowest = torch.tensor([statistics.median(times[2:])], device="cuda")
    dist.all_reduce(slowest, op=dist.ReduceOp.MAX)
    return slowest.item()


def measure(variant: str, out: Path) -> None:
    """One rank. Rank 0 writes."""
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(device)
    dist.init_process_group("nccl", device_id=device)
    rows = []
    for name, call, most, capturing in candidates(variant, device):
        for size in SIZES:
            if size > most:
                continue
            count = size // 2
            row = {"candidate": name, "bytes": size, "exact": exact(call, count, device)}
            x = torch.zeros(count, dtype=torch.float16, device=device)
            calls = 50 if size <= 2**20 else 10 if size <= 2**28 else 2
            row["us"] = plain_us(call, x, calls)
            if size <= GRAPH_MOST:
                row["graph_us"] = graph_us(call, x, calls, capturing)
            rows.append(row)
            del x
            if dist.get_rank() == 0:
                print(row, flush=True)
                out.write_text(json.dumps(rows))
    dist.destroy_process_group()


def merge(parts: list[Path], gpus: int) -> dict:
    """Every row with its bus bandwidth, and the fastest exact candidate of each size, by its graph if it has one."""
    rows = [row for part in parts if part.exists() for row in json.loads(part.read_text())]
    tuned = []
    for row in rows:
        time = row.get("graph_us", row["us"])
        row["busbw_gbps"] = 2 * (gpus - 1) / gpus * row["bytes"] / time / 1e3
    for size in SIZES:
        found = {
            row["candidate"]: row.get("graph_us", row["us"]) for row in rows if row["bytes"] == size and row["exact"]
        }
        if found:
            best = min(found, key=found.__getitem__)
            against = {f"speedup_over_{name}": found[name] / found[best] for name in ("nccl", "vllm") if name in found}
            tuned.append({"bytes": size, "candidate": best, "us": found[best], **against})
    return {"gpus": gpus, "torch": torch.__version__, "nccl": list(torch.cuda.nccl.version()),
            "environment": {name: value for name, value in os.environ.items() if name.startswith("NCCL_")},
            "wrong": [row for row in rows if not row["exact"]], "tuned": tuned, "rows": rows}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--gpus", type=int, default=2)
    parser.add_argument("--variant", choices=VARIANTS)
    arguments = parser.parse_args()
    if arguments.variant:
        measure(arguments.variant, arguments.out)
        return
    parts = []
    for variant, environment in VARIANTS.items():
        parts.append(arguments.out / f"allreduce-{len(parts)}.json")
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={arguments.gpus}",
                   __file__, "--variant", variant, "--out", str(parts[-1])]  # fmt: skip
        done = subprocess.run(command, env={**os.environ, **environment}, timeout=240, check=False)
        if done.returncode:
            print(f"{variant} ended with {done.returncode}", file=sys.stderr)
    document = merge(parts, arguments.gpus)
    for part in parts:
        part.unlink(missing_ok=True)
    (arguments.out / "allreduce.json").write_text(json.dumps(document, indent=1))
    for row in document["tuned"]:
        print(row)


if __name__ == "__main__":
    main()
