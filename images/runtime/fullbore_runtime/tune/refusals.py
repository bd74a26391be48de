"""Where what is found contradicts the plan: each reason says what, got, allowed, and what to do. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from fullbore_runtime.document import Document
from fullbore_runtime.facts.model import Facts, Gpu, Hca, Weights
from fullbore_runtime.tune.machine import IDLE_BYTES, MIB, Ranks, visible, wrong_names
from fullbore_runtime.tune.tables import ACCELERATORS, DRIVERS, ENGINE_CAPABILITY, FP8_KV_CAPABILITY, OLDEST_CAPABILITY

GIB = 1 << 30
RDMA = ("infiniband", "roce")
QUANTISED = {
    "fp8": ("fp8", "compressed-tensors", "modelopt"),
    "int8": ("gptq", "gptq_marlin", "compressed-tensors"),
    "int4": ("awq", "gptq", "awq_marlin", "gptq_marlin", "compressed-tensors"),
}
"""quant_method of config.json by the plan's precision (docs.vllm.ai features/quantization)."""
BITS = {"int4": 4, "int8": 8}


def refusals(facts: Facts, plan: Document, ranks: Ranks, engine: str) -> Iterator[str]:
    """Every reason not to start."""
    yield from _image(facts, plan, engine)
    yield from _weights(facts, plan)
    if facts.driver is None:
        yield f"gpu: the plan needs {plan.ranks_here}, but {facts.no_driver}; run it where the driver is"
        return
    yield from _driver(facts, plan)
    yield from _gpus(facts, plan, ranks)
    yield from _mig(facts, plan, ranks)
    yield from _precision(facts, plan, ranks, engine)
    yield from _fabric(facts, plan)


def _image(facts: Facts, plan: Document, engine: str) -> Iterator[str]:
    if plan.profile not in (None, facts.profile):
        yield f"profile: the plan says {plan.profile!r}, but this image is {facts.profile!r}; deploy the planned image"
    if engine not in facts.software.packages:
        yield f"engine: the plan says {engine}, but it is not installed in this image; deploy the planned image"
    built = facts.software.cuda
    if plan.cuda and built and built != _version(plan.cuda)[:2]:
        got = f"{built[0]}.{built[1]}"
        yield f"cuda: the plan says {plan.cuda}, but torch of this image is built for {got}; deploy the planned image"


def _weights(facts: Facts, plan: Document) -> Iterator[str]:
    weights = facts.weights
    if plan.weights_sha256 and plan.weights_sha256 != weights.manifest_sha256:
        held = weights.manifest_sha256 or "no manifest"
        yield f"weights_sha256: the plan says {plan.weights_sha256}, but {weights.directory} has {held}; copy it again"
    if not weights.shards:
        yield f"weights: {weights.directory} holds no shards; mount the volume that has them"
    yield from shard_refusals(weights)
    quantised = weights.quantization
    allowed = QUANTISED.get(plan.precision or "", ())
    if plan.precision and quantised and quantised not in allowed:
        yield (
            f"precision: the plan says {plan.precision}, but the checkpoint is quantised with {quantised}; "
            f"allowed {', '.join(allowed) or 'one that is not quantised'}; take another checkpoint or precision"
        )
    bits = BITS.get(plan.precision or "")
    if bits and weights.bits and weights.bits != bits:
        yield (
            f"precision: the plan says {plan.precision}, but the checkpoint's weights have {weights.bits} bits; "
            "take another checkpoint or precision"
        )
    if plan.precision in ("int4", "int8") and weights.shards and not quantised:
        yield f"precision: {plan.precision} needs a checkpoint that is quantised so, and this one is not quantised"


def shard_refusals(weights: Weights) -> Iterator[str]:
    """What is wrong with the shards; their content counts where it was read."""
    named = [shard for shard in weights.shards if shard.want is not None]
    for shard in weights.shards:
        if shard.bytes is None:
            yield f"shard {shard.name}: is missing or cannot be read; copy it again"
        elif named and shard.want is None:
            yield f"shard {shard.name}: is not in the manifest, and the engine would load it; remove it"
        elif weights.checked and shard.want and shard.got != shard.want:
            yield f"shard {shard.name}: sha256 is {shard.got}, but the manifest says {shard.want}; copy it again"


def _driver(facts: Facts, plan: Document) -> Iterator[str]:
    driver, built = facts.driver, facts.software.cuda
    assert driver is not None
    # Within a major version any driver of that version runs it; newer drivers run all older versions.
    if built and driver.cuda[0] < built[0]:
        need = DRIVERS.get(built[0])
        yield (
            f"driver: {driver.version} runs CUDA up to {driver.cuda[0]}.{driver.cuda[1]}, but this image is built for "
            f"{built[0]}.{built[1]}, which needs driver {need or 'of that version'} or newer; update the driver"
        )
    if plan.driver and _version(driver.version) < _version(plan.driver):
        yield f"driver: got {driver.version}, but the plan needs {plan.driver} or newer; update the driver"


def _gpus(facts: Facts, plan: Document, ranks: Ranks) -> Iterator[str]:
    seen = visible(facts)
    if not plan.mig_profile and len(seen) < plan.ranks_here:
        there = ", ".join(gpu.pci_bus for gpu in seen) or "none"
        yield (
            f"gpu: the plan needs {plan.ranks_here}, but NVML shows {len(seen)} ({there}); "
            "look for the missing one in the kernel's log (Xid 79: fallen off the bus), or ask for it"
        )
    if plan.accelerator in ACCELERATORS:
        for gpu in wrong_names(ranks.gpus, plan.accelerator):
            yield f"gpu {gpu.index}: is {gpu.name}, but the plan says {plan.accelerator}; use the planned nodes"
    for gpu in ranks.gpus:
        if not plan.mig_profile and gpu.used_bytes > IDLE_BYTES:
            yield _in_use(f"gpu {gpu.index}", gpu)
    for device in ranks.devices:
        if device.used_bytes > IDLE_BYTES // 2:
            yield f"slice {device.uuid}: {device.used_bytes // MIB} MiB of it are in use; end what uses it"


def _in_use(name: str, gpu: Gpu) -> str:
    holders = ", ".join(str(process.pid) for process in gpu.processes)
    who = f"process {holders}" if holders else "a process of another container"
    used, total = gpu.used_bytes / GIB, gpu.memory_bytes / GIB
    return f"{name}: {used:.1f} of {total:.1f} GiB are in use already, by {who}; end it, or use another GPU"


def _mig(facts: Facts, plan: Document, ranks: Ranks) -> Iterator[str]:
    if not plan.mig_profile:
        for gpu in ranks.gpus:
            if gpu.mig:
                profiles = ", ".join(device.profile for device in gpu.mig_devices) or "none"
                yield f"gpu {gpu.index}: is in MIG mode ({profiles}), but the plan wants it whole; switch MIG off"
        return
    if plan.ranks > 1:
        yield f"mig_profile: {plan.ranks} ranks cannot talk to each other from MIG slices; plan one rank or whole GPUs"
    if len(ranks.devices) < plan.ranks_here:
        found = ", ".join(device.profile for gpu in visible(facts) for device in gpu.mig_devices) or "none"
        yield f"mig: the plan needs a slice {plan.mig_profile}, but there are: {found}; partition the GPU as planned"


def _precision(facts: Facts, plan: Document, ranks: Ranks, engine: str) -> Iterator[str]:
    got = ranks.capability
    if got is None:
        return
    shown = f"{got[0]}.{got[1]}"
    need = ENGINE_CAPABILITY[engine]
    if got < need:
        yield f"gpu: compute capability is {shown}, but {engine} needs {need[0]}.{need[1]}; use a newer GPU"
    oldest = OLDEST_CAPABILITY.get(facts.software.cuda[0]) if facts.software.cuda else None
    if oldest and got < oldest:
        built = ".".join(map(str, facts.software.cuda or ()))
        yield f"gpu: compute capability is {shown}, but CUDA {built} has no code for GPUs below {oldest[0]}.{oldest[1]}"
    if plan.precision == "bf16" and not ranks.bf16:
        yield f"precision: bf16 needs compute capability 8.0, and this GPU has {shown}; plan fp16"
    if plan.kv_precision == "fp8" and got < FP8_KV_CAPABILITY:
        yield f"kv_precision: fp8 needs compute capability 8.0, and this GPU has {shown}; plan auto"


def _fabric(facts: Facts, plan: Document) -> Iterator[str]:
    """Only a replica that spans hosts cannot do without its fabric."""
    if plan.hosts < 2:
        return
    for broken in broken_hcas(facts, plan).values():
        yield f"hca {broken}; the replica spans {plan.hosts} hosts: repair the port, or run it elsewhere"
    if plan.fabric.kind in RDMA and facts.memlock_bytes is not None:
        limit = facts.memlock_bytes // MIB
        yield f"memlock: only {limit} MiB may be locked, but RDMA needs no limit; raise it in the container runtime"
    if "LWS_WORKER_INDEX" not in facts.inherited:
        yield f"hosts: there are {plan.hosts}, but LWS_WORKER_INDEX does not say which this is; use LeaderWorkerSet"


def broken_hcas(facts: Facts, plan: Document) -> dict[str, str]:
    """{name: what is wrong} of each planned HCA that has no port up; the text begins with the name."""
    ports: dict[str, list[Hca]] = {}
    for hca in facts.hcas:
        ports.setdefault(hca.name, []).append(hca)
    found: dict[str, str] = {}
    for name in plan.fabric.hcas:
        if name not in ports:
            found[name] = f"{name}: is not there"
        elif not any(port.up for port in ports[name]):
            states = ", ".join(f"port {port.port} is {port.state}/{port.physical_state}" for port in ports[name])
            found[name] = f"{name}: {states}"
    return found


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdecimal())
