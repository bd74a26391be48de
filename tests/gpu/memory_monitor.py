"""Proof of the memory monitor on a real GPU: a torch program leaks until an allocation fails. Was it told of before?

    PYTHONPATH=images/runtime python3 tests/gpu/memory_monitor.py [--leak-mib-s 8192] > result.json

Half way the program holds still, and the monitor's figures are compared with what nvidia-smi prints. Exit status 0
where both hold. Needs torch, nvidia-ml-py and nvidia-smi; takes half a minute on a GPU with 140 GiB.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from typing import IO, Any

from fullbore_runtime import nvml as seam
from fullbore_runtime.memory import Outlook
from fullbore_runtime.metrics import gpu_memory_text
from fullbore_runtime.monitor import Monitor

MIB = 1 << 20
STEP_S = 0.1
INTERVAL_S = 0.25
LEAK = """
import json, sys, time, torch
step = int(float(sys.argv[1]) * 2**20 * float(sys.argv[2]))
held, total = [], torch.cuda.get_device_properties(0).total_memory
def say(what): print(json.dumps({"what": what, "at_s": time.monotonic()}), flush=True)
def leak(until):
    while sum(part.numel() for part in held) < until:
        held.append(torch.empty(step, dtype=torch.uint8, device="cuda"))
        time.sleep(float(sys.argv[2]))
try:
    leak(total // 2)
    torch.cuda.synchronize()
    say("half")
    sys.stdin.readline()
    leak(2 * total)
except torch.cuda.OutOfMemoryError:
    say("failed")
"""


def smi(query: str, fields: str) -> list[list[str]]:
    argv = ["nvidia-smi", f"--query-{query}={fields}", "--format=csv,noheader,nounits"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True)
    return [[word.strip() for word in line.split(",")] for line in done.stdout.splitlines() if line.strip()]


def compared(monitor: Monitor) -> list[dict[str, Any]]:
    """Each figure of the monitor beside nvidia-smi's, MiB; read twice where something moved in between."""
    rows: list[dict[str, Any]] = []
    for _ in range(3):
        before = monitor.look()
        gpus = smi("gpu", "index,memory.total,memory.used,memory.reserved,memory.free")
        apps = smi("compute-apps", "gpu_uuid,pid,used_gpu_memory")
        rows = [row for outlook in monitor.look() for row in _rows(outlook, gpus, apps)]
        if [outlook.reading.used for outlook in before] == [outlook.reading.used for outlook in monitor.outlooks]:
            break
    return rows


def _rows(outlook: Outlook, gpus: list[list[str]], apps: list[list[str]]) -> list[dict[str, Any]]:
    now = outlook.reading
    theirs = next(words for words in gpus if int(words[0]) == now.index)
    ours = {"total": now.total, "used": now.used, "reserved": now.reserved, "free": now.room}
    rows = [
        {"gpu": now.index, "what": what, "monitor_mib": value / MIB, "nvidia_smi_mib": float(words)}
        for (what, value), words in zip(ours.items(), theirs[1:], strict=True)
    ]
    listed = {int(pid): used for uuid, pid, used in apps if uuid == now.uuid and used.isdecimal()}
    for pid, used in now.processes.items():
        if used is not None:
            told = float(listed[pid]) if pid in listed else None
            rows.append({"gpu": now.index, "what": "process", "monitor_mib": used / MIB, "nvidia_smi_mib": told})
    return rows


def agree(row: dict[str, Any]) -> bool:
    """nvidia-smi prints whole MiB."""
    told = row["nvidia_smi_mib"]
    return told is not None and abs(row["monitor_mib"] - told) <= 1


def watch(monitor: Monitor, stop: threading.Event) -> None:
    while not stop.wait(INTERVAL_S):
        monitor.look()


def until(stream: IO[str], what: str) -> float:
    """Wait for a word of the leaking program; when it said so."""
    for line in stream:
        told = json.loads(line)
        if told["what"] == what:
            return float(told["at_s"])
    raise SystemExit(f"the program ended before it said {what!r}")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--leak-mib-s", type=float, default=8192, help="MiB that the program takes each second")
    parser.add_argument("--within", type=float, default=5.0, help="seconds ahead of the end to warn")
    args = parser.parse_args()
    warnings: list[tuple[float, str]] = []
    with seam.session() as nvml:
        monitor = Monitor(nvml, lambda outlook: warnings.append((time.monotonic(), str(outlook))), within_s=args.within)
        idle = compared(monitor)
        argv = [sys.executable, "-c", LEAK, str(args.leak_mib_s), str(STEP_S)]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
            assert program.stdin is not None
            assert program.stdout is not None
            until(program.stdout, "half")
            half, metrics = compared(monitor), gpu_memory_text(monitor.outlooks)
            stop = threading.Event()
            thread = threading.Thread(target=watch, args=(monitor, stop))
            thread.start()
            program.stdin.write("go on\n")
            program.stdin.flush()
            failed_at = until(program.stdout, "failed")
            stop.set()
            thread.join()
    ahead = [failed_at - at for at, _ in warnings]
    figures = [*idle, *half]
    ok = bool(ahead) and ahead[0] > 0 and all(agree(row) for row in figures)
    result = {
        "name": "memory_monitor",
        "ok": ok,
        "leak_mib_s": args.leak_mib_s,
        "asked_ahead_s": args.within,
        "warned_ahead_s": ahead,
        "warnings": [text for _, text in warnings],
        "figures": figures,
        "metrics": metrics.splitlines(),
    }
    print(json.dumps(result, indent=1))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
