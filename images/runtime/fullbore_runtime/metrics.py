"""Counters in Prometheus' text form, under vLLM's names where vLLM has one."""

from __future__ import annotations

import math
import os
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from fullbore_runtime.memory import Outlook

FIRST_TOKEN_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
REQUEST_S = (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0)

MIB = 1 << 20

HELP = {
    "vllm:num_requests_running": ("gauge", "Requests that are being generated."),
    "vllm:num_requests_waiting": ("gauge", "Requests that wait for a place."),
    "vllm:kv_cache_usage_perc": ("gauge", "Share of the KV cache in use, 1 is all of it."),
    "vllm:prompt_tokens": ("counter", "Prompt tokens processed."),
    "vllm:generation_tokens": ("counter", "Tokens generated."),
    "vllm:request_success": ("counter", "Requests by the reason they ended for."),
    "vllm:time_to_first_token_seconds": ("histogram", "Seconds from request to first token."),
    "vllm:e2e_request_latency_seconds": ("histogram", "Seconds from request to last token."),
    "process_resident_memory_bytes": ("gauge", "Resident memory."),
    "process_start_time_seconds": ("gauge", "Start of the process since the epoch."),
    "DCGM_FI_DEV_FB_USED": ("gauge", "Framebuffer memory used, MiB."),
    "DCGM_FI_DEV_FB_FREE": ("gauge", "Framebuffer memory free, MiB."),
    "DCGM_FI_DEV_FB_RESERVED": ("gauge", "Framebuffer memory reserved by the driver, MiB."),
    "fullbore_gpu_memory_full_seconds": ("gauge", "Seconds until GPU memory runs out if it grows on as it did."),
    "fullbore_gpu_memory_warning": ("gauge", "1 while GPU memory is about to run out."),
    "fullbore_gpu_process_memory_bytes": ("gauge", "GPU memory of one process."),
}


@dataclass
class Histogram:
    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Metrics:
    """What /metrics says."""

    def __init__(self, model_name: str) -> None:
        self.label = f'model_name="{escape(model_name)}"'
        self.lock = threading.Lock()
        self.started = time.time()
        self.gauges = dict.fromkeys(list(HELP)[:3], 0.0)
        self.counters = {"vllm:prompt_tokens": 0, "vllm:generation_tokens": 0}
        self.reasons: Counter[str] = Counter()
        self.first_token = Histogram(FIRST_TOKEN_S)
        self.request = Histogram(REQUEST_S)
        self.histograms = {
            "vllm:time_to_first_token_seconds": self.first_token,
            "vllm:e2e_request_latency_seconds": self.request,
        }

    def load(self, running: int, waiting: int, kv_share: float) -> None:
        with self.lock:
            self.gauges = dict(zip(self.gauges, (running, waiting, kv_share), strict=True))

    def prompt_tokens(self, count: int) -> None:
        with self.lock:
            self.counters["vllm:prompt_tokens"] += count

    def token(self, first_after_s: float | None) -> None:
        with self.lock:
            self.counters["vllm:generation_tokens"] += 1
            if first_after_s is not None:
                self.first_token.observe(first_after_s)

    def finished(self, reason: str, after_s: float) -> None:
        with self.lock:
            self.reasons[reason] += 1
            self.request.observe(after_s)

    def text(self) -> str:
        """Everything, in the exposition format 0.0.4."""
        with self.lock:
            values = {
                **{name: [f"{name}{{{self.label}}} {value:g}"] for name, value in self.gauges.items()},
                **{name: [f"{name}_total{{{self.label}}} {value}"] for name, value in self.counters.items()},
                "vllm:request_success": [
                    f'vllm:request_success_total{{{self.label},finished_reason="{reason}"}} {self.reasons[reason]}'
                    for reason in ("stop", "length", "abort")
                ],
                **{name: self.histogram(name, histogram) for name, histogram in self.histograms.items()},
                "process_resident_memory_bytes": [f"process_resident_memory_bytes {resident_bytes()}"],
                "process_start_time_seconds": [f"process_start_time_seconds {self.started:.3f}"],
            }
        return "".join(block(name, lines) for name, lines in values.items())

    def histogram(self, name: str, histogram: Histogram) -> list[str]:
        lines: list[str] = []
        seen = 0
        for bound, count in zip((*histogram.bounds, "+Inf"), histogram.counts, strict=True):
            seen += count
            lines.append(f'{name}_bucket{{{self.label},le="{bound}"}} {seen}')
        return [*lines, f"{name}_sum{{{self.label}}} {histogram.total:.6f}", f"{name}_count{{{self.label}}} {seen}"]


def gpu_memory_text(outlooks: Iterable[Outlook]) -> str:
    """Memory of every GPU, and of every process on it, in the exposition format 0.0.4. Labels are dcgm-exporter's."""
    values: dict[str, list[str]] = {name: [] for name in HELP if name.startswith(("DCGM_", "fullbore_gpu_"))}
    for outlook in outlooks:
        now = outlook.reading
        label = f'gpu="{now.index}",UUID="{escape(now.uuid)}",modelName="{escape(now.name)}"'
        values["DCGM_FI_DEV_FB_USED"].append(f"{{{label}}} {now.used / MIB:.10g}")
        values["DCGM_FI_DEV_FB_FREE"].append(f"{{{label}}} {now.room / MIB:.10g}")
        values["DCGM_FI_DEV_FB_RESERVED"].append(f"{{{label}}} {now.reserved / MIB:.10g}")
        full = "+Inf" if math.isinf(outlook.full_in_s) else f"{outlook.full_in_s:.3f}"
        values["fullbore_gpu_memory_full_seconds"].append(f"{{{label}}} {full}")
        values["fullbore_gpu_memory_warning"].append(f"{{{label}}} {int(outlook.warns)}")
        for pid, used in sorted(now.processes.items()):
            if used is not None:
                values["fullbore_gpu_process_memory_bytes"].append(f'{{{label},pid="{pid}"}} {used}')
    return "".join(block(name, [name + line for line in lines]) for name, lines in values.items() if lines)


def block(name: str, lines: list[str]) -> str:
    kind, text = HELP[name]
    full = f"{name}_total" if kind == "counter" else name
    return "\n".join((f"# HELP {full} {text}", f"# TYPE {full} {kind}", *lines)) + "\n"


def escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def resident_bytes() -> int:
    """Resident memory of this process, from /proc."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - read at every scrape
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
