"""GPUs: versions, PCIe, ECC and row remapping, NVLink, DCGM's tests, and the rate to the host."""

from __future__ import annotations

from collections.abc import Iterator

from fullbore.catalog import acceptance
from fullbore.catalog.acceptance import ACCEPTANCE
from fullbore.evidence import floors
from fullbore.evidence.floors import Floor
from fullbore.evidence.model import Machine, Verdict
from fullbore.evidence.parse.dcgm import Outcome, parse_diag
from fullbore.evidence.parse.nvidia_smi import Gpu, parse_links, parse_query
from fullbore.evidence.verdicts import measured, required

_SMI = "nvidia-smi -q"
_ERRORS = "https://docs.nvidia.com/deploy/gpu-memory-error-management/index.html"
_FABRIC = "https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/index.html"
_REPLACE = "take the host out of service and have the GPU replaced"

DCGM_TESTS = {
    1: ("software",),
    2: ("software", "memory", "pcie"),
    3: ("software", "memory", "pcie", "diagnostic", "targeted_stress", "targeted_power", "memory_bandwidth"),
}
"""{level: tests that must pass}. EUD is a package of its own, so that it may be skipped.
https://docs.nvidia.com/datacenter/dcgm/latest/user-guide/dcgm-diagnostics.html: run levels and tests."""


def judge_smi(machine: Machine, text: str) -> Iterator[Verdict]:
    """Every GPU that the plan knows, and the locked driver."""
    smi = parse_query(text)
    host = machine.host
    if "gpu_driver" in machine.lock:
        want = machine.lock["gpu_driver"]
        fix = "let the role install the locked driver, or change versions.gpu_driver"
        yield required("version-lock", f"{host}.gpu_driver", "the GPU driver", smi.driver, want, "versions", fix)
    fix = "reseat or replace the GPU that is missing; the kernel's log may show XID 79"
    count = str(len(smi.gpus))
    yield required("gpu-count", f"{host}.gpus", "the number of GPUs", count, str(machine.gpus), "the plan", fix)
    for index, gpu in enumerate(smi.gpus):
        yield from _judge_gpu(machine, f"{host}.gpu{index}", gpu)


def _judge_gpu(machine: Machine, path: str, gpu: Gpu) -> Iterator[Verdict]:
    where = f"{gpu.product} at {gpu.bus}"
    yield from _pcie(machine, path, gpu)
    fix = f"turn ECC on (nvidia-smi -e 1) and reboot; {where}"
    yield required("ecc", f"{path}.ecc", "ECC", gpu.ecc, "Enabled", _ERRORS, fix)
    none = Floor(value=0, unit="errors", source=_ERRORS, most=True)
    what = "the number of uncorrectable errors since the driver was loaded"
    yield measured("ecc", f"{path}.uncorrectable", what, gpu.uncorrectable, none, f"reset {where} and run it again")
    yield required("ecc", f"{path}.repair", "a repair", _yes(gpu.unrepairable), "not needed", _ERRORS, _REPLACE)
    yield from _remapped(machine, path, gpu)
    fix = f"do what the driver asks for; {where}"
    what = "the driver's recovery action"
    yield required("recovery", f"{path}.recovery", what, gpu.recovery, "None", _ERRORS, fix)
    if _has_switches(machine):
        fix = "look at nvidia-fabricmanager's journal; it must run in the driver's own version"
        what = "the state of the NVLink fabric"
        yield required("nvlink", f"{path}.fabric", what, gpu.fabric, "Completed, Success", _FABRIC, fix)


def _remapped(machine: Machine, path: str, gpu: Gpu) -> Iterator[Verdict]:
    """Row remapping, which every GPU that the catalog has floors for can do; older ones may not."""
    if gpu.remap_pending == "N/A" and machine.accelerator not in ACCEPTANCE:
        return
    fix = f"reset {gpu.product} at {gpu.bus} while nothing runs on it"
    yield required("row-remap", f"{path}.remap", "a row remap", _yes(gpu.remap_pending), "not needed", _ERRORS, fix)
    failed = "failed" if gpu.remap_failed != "No" else "not failed"
    yield required("row-remap", f"{path}.remap_failure", "row remapping", failed, "not failed", _ERRORS, _REPLACE)
    what = "the number of rows remapped for uncorrectable errors"
    yield measured("row-remap", f"{path}.remapped", what, gpu.remapped, floors.remapped_rows(), _REPLACE)


def _yes(said: str) -> str:
    return "not needed" if said == "No" else f"needed ({said})"


def _has_switches(machine: Machine) -> bool:
    """Hopper and later report the fabric's state; Ampere's driver prints N/A."""
    row = ACCEPTANCE.get(machine.accelerator or "")
    return row is not None and row.nvls is not None


def _pcie(machine: Machine, path: str, gpu: Gpu) -> Iterator[Verdict]:
    row = ACCEPTANCE.get(machine.accelerator or "")
    if row is None:
        return
    fix = "install the planned GPU, or correct the group's accelerator"
    product = row.product if gpu.product.endswith(row.product) else gpu.product
    yield required("gpu-model", f"{path}.product", "the GPU", product, row.product, row.source, fix)
    if row.pcie_generation is None:
        return
    fix = f"reseat the GPU or its riser; {gpu.product} at {gpu.bus}"
    source = acceptance.PCIE_WIDTH_SOURCE
    width = Floor(value=acceptance.PCIE_WIDTH, unit="lanes", source=source)
    yield measured("pcie", f"{path}.pcie_width", "the PCIe link's width", gpu.pcie_width, width, fix)
    speed = Floor(value=row.pcie_generation, unit="", source=row.source)
    what = "the PCIe link's generation"
    yield measured("pcie", f"{path}.pcie_generation", what, gpu.pcie_generation, speed, fix)


def judge_nvlink(machine: Machine, text: str) -> Iterator[Verdict]:
    """Every link of every GPU, up and at its rate."""
    gpus = parse_links(text)
    accelerator = machine.accelerator or ""
    row, floor = ACCEPTANCE[accelerator], floors.nvlink(accelerator)
    for index in range(machine.gpus):
        links = gpus.get(index, {})
        path = f"{machine.host}.gpu{index}.nvlink"
        fix = "restart nvidia-fabricmanager, then reset the GPU; if it stays, have the board replaced"
        up = Floor(value=row.nvlinks, unit="links", source=row.source)
        slow = sorted(number for number, rate in links.items() if not floor.met(rate))
        yield measured("nvlink", path, "the number of NVLinks at full rate", len(links) - len(slow), up, fix)
        for number in slow:
            yield measured("nvlink", f"{path}{number}", "the NVLink's rate", links[number], floor, fix)


def judge_dcgm(machine: Machine, text: str) -> Iterator[Verdict]:
    """Every test of the level, on every GPU; a test that was skipped proves nothing."""
    outcomes = parse_diag(text)
    tests = DCGM_TESTS[machine.dcgm_level]
    for test in tests:
        ran = [outcome for outcome in outcomes if outcome.test == test]
        for index in range(machine.gpus):
            yield _dcgm_verdict(f"{machine.host}.gpu{index}.dcgm.{test}", test, _of(ran, index))
    for outcome in outcomes:
        extra = outcome.test not in tests and outcome.status not in ("Pass", "Skip")
        if extra:
            where = machine.host if outcome.gpu is None else f"{machine.host}.gpu{outcome.gpu}"
            yield _dcgm_verdict(f"{where}.dcgm.{outcome.test}", outcome.test, [outcome])
    yield from _host_rates(machine, outcomes)


def _of(outcomes: list[Outcome], gpu: int) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.gpu in (gpu, None)]


def _dcgm_verdict(path: str, test: str, outcomes: list[Outcome]) -> Verdict:
    """The worst of what a test says about one GPU."""
    worst = next((outcome for outcome in outcomes if outcome.status != "Pass"), outcomes[0] if outcomes else None)
    said = "; ".join(worst.said)[:200] if worst else ""
    got = "not run" if worst is None else worst.status + (f" ({said})" if said and worst.status != "Pass" else "")
    source = "https://docs.nvidia.com/datacenter/dcgm/latest/user-guide/dcgm-diagnostics.html"
    fix = "do what the message says, then run dcgmi diag again"
    if worst is None or worst.status == "Skip":
        fix = "allow the test to run (no other process on the GPU, the package of the driver's CUDA version)"
    return required("dcgm", path, f"DCGM's test {test}", got, "Pass", source, fix)


def _host_rates(machine: Machine, outcomes: tuple[Outcome, ...]) -> Iterator[Verdict]:
    """What the PCIe test measured, for each GPU and direction."""
    floor = floors.host_to_device(machine.accelerator)
    if floor is None or machine.dcgm_level < 2:
        return
    for index in range(machine.gpus):
        found = [o.host_rates for o in outcomes if o.test == "pcie" and o.gpu == index]
        rates = {way: rate for each in found for way, rate in each.items()}
        for way in ("GPU to Host", "Host to GPU"):
            path = f"{machine.host}.gpu{index}.{way.lower().replace(' ', '_')}"
            fix = "check the PCIe link, the NUMA binding and the IOMMU's mode (iommu=pt)"
            yield measured("host-to-device", path, f"the rate from {way}", rates.get(way, 0.0), floor, fix)
