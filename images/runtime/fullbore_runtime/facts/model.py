"""What a machine has, and what its container may use of it: frozen values, no reading and no deciding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fullbore_runtime.kernels.table import Reach


@dataclass(frozen=True, kw_only=True)
class NumaNode:
    """One NUMA node of the machine, whether or not this container may use it."""

    number: int
    cpus: str
    """As all CPU and node lists here in Linux's form, e.g. 0-31,64-95."""
    memory_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class GpuProcess:
    """A process that holds memory of a GPU; `used_bytes` is None where NVML does not tell."""

    pid: int
    used_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class MigDevice:
    """A slice of a GPU; `profile` as NVIDIA writes it, e.g. 3g.40gb."""

    uuid: str
    profile: str
    memory_bytes: int
    used_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU as NVML shows it. `used_bytes` leaves out what the driver reserves for itself, as nvidia-smi does."""

    index: int
    uuid: str
    name: str
    pci_bus: str
    """As sysfs names it: domain:bus:device.function, lower case."""
    compute_capability: tuple[int, int]
    memory_bytes: int
    used_bytes: int = 0
    reserved_bytes: int = 0
    numa_node: int | None = None
    nvlinks: int = 0
    """NVLinks that are up."""
    mig: bool = False
    mig_devices: tuple[MigDevice, ...] = ()
    processes: tuple[GpuProcess, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Driver:
    """The GPU driver. `cuda` is the newest CUDA, (major, minor), that the libcuda in use runs."""

    version: str
    cuda: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Hca:
    """One port of an RDMA device. States are the kernel's words: ACTIVE or DOWN, LinkUp or Disabled, and others."""

    name: str
    port: int
    state: str
    physical_state: str
    rate_gbps: float
    link_layer: str
    numa_node: int | None = None

    @property
    def up(self) -> bool:
        return self.state == "ACTIVE" and self.physical_state == "LinkUp"


@dataclass(frozen=True, kw_only=True)
class Software:
    """What is installed in the image, found without importing it."""

    packages: Mapping[str, str] = field(default_factory=dict[str, str])
    """{distribution: version} of vllm, sglang, torch, grpcio and protobuf, where they are there."""
    cuda: tuple[int, int] | None = None
    """CUDA that torch was built for."""
    numactl: bool = False
    plugin: bool = False
    """Whether vLLM would load this package's plugin."""


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """A table of this image's own kernels, measured on one accelerator, and what it lets them replace."""

    table: Path
    accelerator: str
    """As nvidia-smi prints it."""
    digest: str
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    """{package: version} that they were measured against."""
    norms: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    """{vLLM's IR operator: widths} at which they stand for every batch."""
    linear_tokens: int = 0
    """Most tokens of a step whose linear layers they may take; 0 for none."""
    sequences: int = 0
    """Most sequences of a server that is not slower with them at any batch."""
    quantised: Mapping[str, Reach] = field(default_factory=dict[str, Reach])
    """By precision of the weights, where whole models were measured in it."""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One file of weights: the digest that the manifest wants, and the one that was read.

    `want` is None for a file that the manifest does not name, `got` for one that was not read, `bytes` for one that
    is missing.
    """

    name: str
    want: str | None = None
    got: str | None = None
    bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The weights on disk. `checked` is true where the content of every shard was read."""

    directory: Path
    name: str | None = None
    manifest_sha256: str | None = None
    positions: int | None = None
    kv_bytes_per_token: int | None = None
    """These two only for the CPU profile's own model, whose sizes its manifest holds."""
    hidden: int | None = None
    """hidden_size of a Hugging Face config.json."""
    quantization: str | None = None
    """quant_method of a Hugging Face config.json; None where the checkpoint is not quantised."""
    bits: int | None = None
    """Of a weight, where an AWQ or GPTQ checkpoint says so."""
    shards: tuple[Shard, ...] = ()
    checked: bool = False


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything that `tune` decides from besides the plan.

    `cpus`, `cpu_set`, `memory_bytes` and `memory_nodes` are what the container may use, not what the machine has.
    `driver` is None where there is no NVML; `no_driver` then says why. `sources` says of each field where it was read.
    """

    profile: str
    weights: Weights
    port: int = 8000
    grpc_port: int | None = None
    pool: str = ""
    pod: str = ""
    cpus: float
    cpu_set: str = ""
    memory_bytes: int
    memory_nodes: str = ""
    numa: tuple[NumaNode, ...] = ()
    mempolicy: bool = False
    """Whether this process may set a NUMA memory policy; Kubernetes' default seccomp profile forbids it."""
    shm_bytes: int | None = None
    memlock_bytes: int | None = None
    """Most memory that may be locked; None for no limit."""
    driver: Driver | None = None
    no_driver: str | None = None
    gpus: tuple[Gpu, ...] = ()
    hcas: tuple[Hca, ...] = ()
    software: Software = Software()
    kernels: tuple[Kernels, ...] = ()
    """Tables of this image's own kernels, one an accelerator."""
    inherited: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables of NCCL, UCX, CUDA and torch that were set for this process from outside."""
    simulated: bool = False
    """True where FULLBORE_SYSROOT describes the machine: nothing may be started on such GPUs."""
    sources: Mapping[str, str] = field(default_factory=dict[str, str])
