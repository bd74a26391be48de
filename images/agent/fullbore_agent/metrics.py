"""The metrics that the agent serves: names of node-exporter and DCGM, our own where they lack one."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from . import __version__, hardware
from .document import BadPlan, load
from .settings import drifted, read_all
from .system import System

SETTINGS_FRESH_S = 15.0
"""Settings are read again when they are older: reading starts a few tools, and a scrape may come every second."""
MEMORY_WINDOW = 120
"""Samples of GPU memory that the forecast looks back on."""

PORT_COUNTERS = {
    "link_downed": "node_infiniband_link_downed",
    "link_error_recovery": "node_infiniband_link_error_recovery",
    "port_rcv_data": "node_infiniband_port_data_received_bytes",
    "port_xmit_data": "node_infiniband_port_data_transmitted_bytes",
    "port_rcv_errors": "node_infiniband_port_errors_received",
    "port_xmit_discards": "node_infiniband_port_discards_transmitted",
    "port_xmit_wait": "node_infiniband_port_transmit_wait",
    "symbol_error": "node_infiniband_symbol_error",
    "local_link_integrity_errors": "node_infiniband_local_link_integrity_errors",
    "excessive_buffer_overrun_errors": "node_infiniband_excessive_buffer_overrun_errors",
    "out_of_sequence": "node_infiniband_hw_out_of_sequence",
    "packet_seq_err": "node_infiniband_hw_packet_seq_err",
    "local_ack_timeout_err": "node_infiniband_hw_local_ack_timeout_err",
    "rnr_nak_retry_err": "node_infiniband_hw_rnr_nak_retry_err",
    "rx_icrc_encapsulated": "node_infiniband_hw_rx_icrc_encapsulated",
    "np_ecn_marked_roce_packets": "node_infiniband_hw_np_ecn_marked_roce_packets",
    "np_cnp_sent": "node_infiniband_hw_np_cnp_sent",
    "rp_cnp_handled": "node_infiniband_hw_rp_cnp_handled",
    "roce_adp_retrans": "node_infiniband_hw_roce_adp_retrans",
    "roce_slow_restart": "node_infiniband_hw_roce_slow_restart",
}
"""sysfs counter -> metric without `_total`. The hw_ ones are mlx5's hw_counters, which node-exporter does not read."""

GPU_GAUGES: dict[str, tuple[str, Callable[[hardware.Gpu], float | None]]] = {
    "DCGM_FI_DEV_FB_USED": ("framebuffer memory used, MiB", lambda gpu: gpu.memory and gpu.memory[1]),
    "DCGM_FI_DEV_FB_FREE": ("framebuffer memory free, MiB", lambda gpu: gpu.memory and gpu.memory[0] - gpu.memory[1]),
    "DCGM_FI_DEV_GPU_TEMP": ("GPU temperature, C", lambda gpu: gpu.temperature_c),
    "DCGM_FI_DEV_POWER_USAGE": ("power draw, W", lambda gpu: gpu.power_w),
    "DCGM_FI_DEV_GPU_UTIL": ("GPU utilization, percent", lambda gpu: gpu.utilization_percent),
}


class HostCollector(Collector):
    """Everything about one host, read when it is asked for."""

    def __init__(self, system: System, plan_path: Path, clock: Callable[[], float] = time.time) -> None:
        self._system, self._plan_path, self._clock = system, plan_path, clock
        self._settings: tuple[float, dict[str, dict[str, int]]] | None = None
        self._memory: dict[str, deque[tuple[float, float]]] = {}
        self._reading = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        """One scrape at a time: where reading takes longer than a scraper waits, its next scrape finds what this one
        read, and does not start the same tools beside it."""
        with self._reading:
            metrics = list(self._read())
        yield from metrics

    def _read(self) -> Iterator[Metric]:
        try:
            plan, fault = load(self._plan_path), None
        except BadPlan as error:
            plan, fault = None, error
        yield _gauge(
            "fullbore_plan_valid", "1 where /etc/fullbore/plan.json is whole and of a known version", fault is None
        )
        yield _labelled("fullbore_agent_build_info", "version of the agent", {"version": __version__})
        if plan is not None:
            yield self._identity(plan)
            yield from self._managed(plan)
            yield _gauge("fullbore_planned_gpus", "GPUs that the plan says the host has", plan.get("gpus", 0))
        failed = GaugeMetricFamily(
            "fullbore_failed_readings", "figures of the hardware that could not be read", labels=["kind"]
        )
        yield from self._rdma(failed)
        yield from self._gpus(failed)
        yield failed
        yield from self._node()

    def _identity(self, plan: dict[str, Any]) -> Metric:
        labels = {name: str(plan[name]) for name in ("host", "serial", "site", "rack", "kind")}
        labels["simulated"] = str(self._system.simulated).lower()
        return _labelled("fullbore_host_info", "who this host is", labels)

    def _managed(self, plan: dict[str, Any]) -> Iterator[Metric]:
        """How many managed settings each role has, and how many of them drifted."""
        at, roles = self._fresh_settings(plan)
        managed = GaugeMetricFamily("fullbore_managed_settings", "settings that a role manages", labels=["role"])
        drift = GaugeMetricFamily("fullbore_drifted_settings", "managed settings that differ", labels=["role"])
        for role, counts in roles.items():
            managed.add_metric([role], counts["managed"])
            drift.add_metric([role], counts["drifted"])
        yield managed
        yield drift
        yield _gauge("fullbore_settings_read_timestamp_seconds", "when the settings were last read", at)

    def _fresh_settings(self, plan: dict[str, Any]) -> tuple[float, dict[str, dict[str, int]]]:
        if self._settings is None or self._clock() - self._settings[0] >= SETTINGS_FRESH_S:
            self._system.forget()
            counts = role_counts(self._system, plan["settings"])
            self._settings = self._clock(), counts
        return self._settings

    def _rdma(self, failed: GaugeMetricFamily) -> Iterator[Metric]:
        labels = ["device", "port"]
        state = GaugeMetricFamily("node_infiniband_state_id", "port state (4 is active)", labels=labels)
        physical = GaugeMetricFamily(
            "node_infiniband_physical_state_id", "physical state (5 is link up)", labels=labels
        )
        rate = GaugeMetricFamily("node_infiniband_rate_bytes_per_second", "rate of the port", labels=labels)
        counters = {n: CounterMetricFamily(m, f"sysfs counter {n}", labels=labels) for n, m in PORT_COUNTERS.items()}
        ports, unread = hardware.ports(self._system)
        failed.add_metric(["rdma"], unread)
        for port in ports:
            at = [port.device, port.port]
            _add(state, at, port.state)
            _add(physical, at, port.physical_state)
            _add(rate, at, port.rate_bytes)
            for name in counters.keys() & port.counters.keys():
                unit = hardware.PORT_DATA_UNIT if name in ("port_rcv_data", "port_xmit_data") else 1
                counters[name].add_metric(at, port.counters[name] * unit)
        yield from (state, physical, rate)
        yield from (counter for counter in counters.values() if counter.samples)

    def _gpus(self, failed: GaugeMetricFamily) -> Iterator[Metric]:
        labels = ["gpu", "UUID", "modelName", "simulated"]
        families = {n: GaugeMetricFamily(n, text, labels=labels) for n, (text, _) in GPU_GAUGES.items()}
        full_in = GaugeMetricFamily(
            "fullbore_gpu_memory_full_seconds",
            "seconds until GPU memory runs out if it grows on as it did; +Inf while it does not grow",
            labels=labels,
        )
        gpus, unread = hardware.gpus(self._system)
        failed.add_metric(["gpu"], unread)
        for gpu in gpus:
            at = [str(gpu.number), gpu.uuid, gpu.model, str(gpu.simulated).lower()]
            for name, (_, value) in GPU_GAUGES.items():
                _add(families[name], at, value(gpu))
            _add(full_in, at, self._forecast(gpu))
        yield from (family for family in (*families.values(), full_in) if family.samples)

    def _forecast(self, gpu: hardware.Gpu) -> float | None:
        if gpu.memory is None:
            return None
        total, used = gpu.memory
        samples = self._memory.setdefault(gpu.uuid, deque(maxlen=MEMORY_WINDOW))
        samples.append((self._clock(), used))
        return hardware.seconds_until_full(samples, total)

    def _node(self) -> Iterator[Metric]:
        memory = hardware.memory_bytes(self._system)
        for name in ("MemTotal", "MemAvailable"):
            yield _gauge(f"node_memory_{name}_bytes", f"/proc/meminfo {name}", memory[name])
        for minutes, load1 in zip((1, 5, 15), hardware.load_averages(self._system), strict=True):
            yield _gauge(f"node_load{minutes}", f"load average of {minutes} minutes", load1)


def role_counts(system: System, settings: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """{role: {managed, drifted}}: how many settings each role manages here, and how many differ."""
    values = read_all(system, {s["id"]: s["want"] for s in settings})
    drift = drifted(settings, values)
    counts = {s["role"]: {"managed": 0, "drifted": len(drift.get(s["role"], []))} for s in settings}
    for setting in settings:
        counts[setting["role"]]["managed"] += 1
    return counts


def _add(family: GaugeMetricFamily, labels: list[str], value: float | None) -> None:
    """A figure that could not be read has no sample."""
    if value is not None:
        family.add_metric(labels, value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _labelled(name: str, text: str, labels: dict[str, str]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=list(labels))
    family.add_metric(list(labels.values()), 1)
    return family
