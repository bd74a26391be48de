"""Counters in Prometheus' text form, under vLLM's names where vLLM has one."""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

FIRST_TOKEN_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
REQUEST_S = (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0)

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
