"""all_reduce between the GPUs of one machine, 1 KiB to 8 GiB: stock NCCL, vLLM's own dispatch, and what can be tuned.

    python images/runtime/bench/allreduce.py --out DIRECTORY [--gpus 2]

Starts one process a GPU for each variant of NCCL's environment and writes allreduce.json: microseconds by candidate and
size, with plain calls and inside CUDA graphs, and the bus bandwidth 2 * (n - 1) / n * bytes / time that nccl-tests
define. At each size and for each candidate the result has to be exact: the values are small whole numbers. `tuned` is
what a table for the launcher says: up to which size vLLM's own kernel over peer memory, and NCCL's environment beyond.
NVLink multicast stays as the environment has it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

SIZES = tuple(2**power for power in range(10, 34))
GRAPH_MOST = 2**26
"""Above it the launch is no part of the time."""
PEER_MOST = 2**26
"""Largest message that is tried over peer memory."""
VLLM_LIMIT = 2**23
"""vLLM 0.24 takes smaller messages over peer memory (custom_all_reduce.py, max_size), and NCCL from here on."""
NOISE = 0.02
"""Runs of the same variant differ by less."""
VARIANTS: dict[str, dict[str, str]] = {
    "nccl": {},
    "nccl 32 channels": {"NCCL_MIN_NCHANNELS": "32"},
}
"""NCCL's environment by variant. "nccl" is stock; what vLLM brings is measured beside it."""
Candidate = tuple[str, Callable[[Tensor], Tensor], int, Callable[[], Any]]


def candidates(variant: str, device: torch.device) -> Iterator[Candidate]:
    """(name, call that returns the sum, largest size in bytes, context for graph capture)."""

    def in_place(x: Tensor) -> Tensor:
        dist.all_reduce(x)
        return x

    yield variant, in_place, SIZES[-1], nullcontext
    if variant == "nccl":
        yield from vllm_dispatch(device)


def vllm_dispatch(device: torch.device) -> Iterator[Candidate]:
    """What a tensor-parallel layer of vLLM calls, and its kernel over peer memory with a larger buffer."""
    from vllm.config import VllmConfig, set_current_vllm_config
    from vllm.distributed import parallel_state
    from vllm.distributed.communication_op import tensor_model_parallel_all_reduce
    from vllm.distributed.device_communicators.custom_all_reduce import CustomAllreduce

    rank, ranks = dist.get_rank(), dist.get_world_size()
    with set_current_vllm_config(VllmConfig()):
        parallel_state.init_distributed_environment(ranks, rank, "env://", device.index)
        parallel_state.initialize_model_parallel(ranks)
        yield "vllm", tensor_model_parallel_all_reduce, SIZES[-1], lambda: parallel_state.graph_capture(device)
        group = parallel_state.get_tp_group().cpu_group
        peer = CustomAllreduce(group, device, max_size=PEER_MOST + 16)

        def over_peer_memory(x: Tensor) -> Tensor:
            out = peer.custom_all_reduce(x)
            assert out is not None, "vLLM's kernel over peer memory refuses this size"
            return out

        if not peer.disabled:
            yield "peer memory", over_peer_memory, PEER_MOST, peer.capture


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
            x = torch.randn(count, dtype=torch.float16, device=device)
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


def counted_us(row: Mapping[str, Any]) -> float:
    """Below vLLM's limit messages are those of decoding, which runs in graphs; above, those of prefill, which does
    not."""
    return row.get("graph_us", row["us"]) if row["bytes"] < VLLM_LIMIT else row["us"]


def merge(parts: list[Path], gpus: int) -> dict[str, Any]:
    """Every row with its bus bandwidth, what is tuned, and its gain at each size."""
    rows = [row for part in parts if part.exists() for row in json.loads(part.read_text())]
    found: dict[str, dict[int, float]] = {row["candidate"]: {} for row in rows}
    for row in rows:
        row["busbw_gbps"] = 2 * (gpus - 1) / gpus * row["bytes"] / counted_us(row) / 1e3
        if row["exact"]:
            found[row["candidate"]][row["bytes"]] = counted_us(row)
    tuned = choose(found)
    gains = []
    for size in found["nccl"]:
        name = "peer memory" if size <= tuned["peer_bytes"] else tuned["nccl"]
        others = [other for other in ("nccl", "vllm") if size in found.get(other, {})]
        over = {f"over_{other}": found[other][size] / found[name][size] for other in others}
        gains.append({"bytes": size, "candidate": name, "us": found[name][size], **over})
    return {"version": 1, "accelerator": torch.cuda.get_device_name(), "ranks": gpus, "versions": versions(),
            "environment": {name: value for name, value in os.environ.items() if name.startswith("NCCL_")},
            "wrong": [row for row in rows if not row["exact"]],
            "tuned": {**tuned, "environment": VARIANTS[tuned["nccl"]]}, "gains": gains, "rows": rows}  # fmt: skip


def choose(found: Mapping[str, Mapping[int, float]]) -> dict[str, Any]:
    """Peer memory, as vLLM has it, below VLLM_LIMIT, and on up to the last size at which it beats every NCCL; for what
    is beyond, the variant of NCCL that is behind stock at no size and gains most."""
    tried = [name for name in VARIANTS if name in found]
    peer_bytes = VLLM_LIMIT // 2
    for size, us in sorted(found.get("peer memory", {}).items()):
        if size >= VLLM_LIMIT:
            if us > min(found[name][size] for name in tried):
                break
            peer_bytes = size

    def gain(name: str) -> float:
        ratios = [us / found[name][size] for size, us in found["nccl"].items() if size > peer_bytes]
        return statistics.mean(ratios) if min(ratios) >= 1 - NOISE else 0.0

    return {"peer_bytes": peer_bytes, "nccl": max(tried, key=gain)}


def versions() -> dict[str, str]:
    import vllm

    nccl = ".".join(map(str, torch.cuda.nccl.version()))
    return {"torch": torch.__version__, "nccl": nccl, "vllm": vllm.__version__}


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
    print(document["tuned"])
    for row in document["gains"]:
        print(row)


if __name__ == "__main__":
    main()
