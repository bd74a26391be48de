"""Facts: what this machine has and what this container may use of it. Reads, never decides.

Everything is read below one root, so that a test describes a machine as a folder. FULLBORE_SYSROOT names the root of a
described double, which then stands for the hardware; limits of the container stay its real ones.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fullbore_runtime import nvml as seam
from fullbore_runtime.errors import RuntimeRefusal
from fullbore_runtime.facts import gpus, hardware, limits, software
from fullbore_runtime.facts.kernels import kernels
from fullbore_runtime.facts.model import Driver, Facts, Gpu
from fullbore_runtime.facts.shards import weights

__all__ = ["Facts", "checked", "gather", "hash_threads"]

MODEL_DIRECTORY = Path("opt/fullbore/model")
HASH_THREADS = 16
"""Shards that are read at once: beyond this, disks get slower rather than faster (our inference)."""
INHERITED = ("NCCL_", "UCX_", "NVSHMEM_", "CUDA_", "PYTORCH_", "FI_", "LWS_")


def gather(
    root: Path = Path("/"), environment: Mapping[str, str] = os.environ, *, nvml: Any = None, check: bool = True
) -> Facts:
    """Read the machine. `check` reads the content of every shard. Raises RuntimeRefusal where something is unreadable.

    No NVML is a fact, not an error. `nvml` stands in for the module pynvml.
    """
    sysroot = environment.get("FULLBORE_SYSROOT")
    machine = root / sysroot.lstrip("/") if sysroot else root
    profile = environment.get("FULLBORE_PROFILE", "cpu")
    numa = hardware.numa_nodes(machine)
    described = ",".join(node.cpus for node in numa) if sysroot else ""
    cpu_set = described or limits.allowed(root, "Cpus_allowed_list") or limits.format_list(os.sched_getaffinity(0))
    cpus, cpus_source = limits.cpus(root, len(limits.parse_list(cpu_set)))
    memory, memory_source = limits.memory_bytes(root, limits.machine_memory_bytes(machine))
    driver, found, no_driver = _described(machine) if sysroot else _gpus(machine, nvml)
    grpc_port = environment.get("FULLBORE_GRPC_PORT")
    directory = Path(environment.get("FULLBORE_MODEL_DIRECTORY") or root / MODEL_DIRECTORY)
    return Facts(
        profile=profile,
        # The CPU profile's own server reads its shards when it loads them.
        weights=weights(directory, check=check and profile != "cpu", threads=hash_threads(cpus)),
        port=_port("FULLBORE_PORT", environment.get("FULLBORE_PORT", "8000")),
        grpc_port=_port("FULLBORE_GRPC_PORT", grpc_port) if grpc_port else None,
        pool=environment.get("FULLBORE_POOL", ""),
        pod=environment.get("POD_NAME") or environment.get("HOSTNAME", ""),
        cpus=cpus,
        cpu_set=cpu_set,
        memory_bytes=memory,
        memory_nodes=limits.allowed(root, "Mems_allowed_list"),
        numa=numa,
        mempolicy=limits.may_set_mempolicy(),
        shm_bytes=limits.shm_bytes(root),
        memlock_bytes=limits.memlock_bytes(),
        driver=driver,
        no_driver=no_driver,
        gpus=found,
        hcas=hardware.hcas(machine),
        software=software.software(environment),
        kernels=kernels(root, environment) if profile == "cuda" else (),
        inherited=_inherited(environment),
        simulated=bool(sysroot),
        sources=_sources(sysroot or "", cpus_source, memory_source, driver),
    )


def hash_threads(cpus: float) -> int:
    return min(HASH_THREADS, max(1, int(cpus)))


def checked(facts: Facts) -> Facts:
    """The same with the content of every shard read. Raises WeightsError."""
    read = weights(facts.weights.directory, check=facts.profile != "cpu", threads=hash_threads(facts.cpus))
    return replace(facts, weights=read)


def _inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that steer libraries. Those that images are labelled with (NCCL_VERSION and such) do not."""
    names = sorted(name for name in environment if name.startswith(INHERITED) and not name.endswith("_VERSION"))
    return {name: environment[name] for name in names}


def _port(name: str, text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= 65535:
        return int(text)
    raise RuntimeRefusal(f"{name}: must be a port from 1 to 65535, got {text!r}")


def _gpus(machine: Path, nvml: Any) -> tuple[Driver | None, tuple[Gpu, ...], str | None]:
    try:
        with seam.session(nvml) as opened:
            return gpus.driver(opened), gpus.gpus(opened, machine), None
    except seam.NoNvml as absent:
        return None, (), str(absent)


def _described(machine: Path) -> tuple[Driver | None, tuple[Gpu, ...], str | None]:
    return None, gpus.described(machine), f"the machine is described below {machine}"


def _sources(sysroot: str, cpus: str, memory: str, driver: Driver | None) -> dict[str, str]:
    """Where each field was read."""
    nvml = f"NVML, driver {driver.version}" if driver else f"{sysroot}/gpu" if sysroot else "NVML, which is not there"
    return {
        "profile": "FULLBORE_PROFILE",
        "weights": "FULLBORE_MODEL_DIRECTORY: its manifest.json, and the shards themselves",
        "port": "FULLBORE_PORT",
        "grpc_port": "FULLBORE_GRPC_PORT",
        "pool": "FULLBORE_POOL",
        "pod": "POD_NAME, else HOSTNAME",
        "cpus": cpus,
        "cpu_set": f"{sysroot}/sys/devices/system/node" if sysroot else "Cpus_allowed_list of /proc/self/status",
        "memory_bytes": memory,
        "memory_nodes": "Mems_allowed_list of /proc/self/status",
        "numa": f"{sysroot}/sys/devices/system/node",
        "mempolicy": "the system call get_mempolicy, tried",
        "shm_bytes": "statvfs of /dev/shm",
        "memlock_bytes": "RLIMIT_MEMLOCK",
        "driver": nvml,
        "no_driver": nvml,
        "gpus": f"{nvml}; numa_node from {sysroot}/sys/bus/pci/devices",
        "hcas": f"{sysroot}/sys/class/infiniband",
        "software": "metadata of installed distributions, torch's version.py, PATH",
        "kernels": "FULLBORE_KERNELS, else the tables in /opt/fullbore/kernels",
        "inherited": "environment of this process",
        "simulated": "FULLBORE_SYSROOT",
    }
