"""GPUs: how much memory each has, and what owning one costs."""

from __future__ import annotations

from dataclasses import dataclass

_SMI = "memory total as nvidia-smi prints it (modal-labs/modal-client#2797)"
_ASSUMED = "assumption of this project, October 2026; set usd_per_host to your own price"
_DGX_A100 = "NVIDIA DGX A100 data sheet, 6.5 kW for 8 GPUs"
_DGX_H100 = "NVIDIA DGX H100/H200 user guide, 10.2 kW for 8 GPUs"
_DGX_B200 = "NVIDIA DGX B200 data sheet, 14.3 kW for 8 GPUs"


@dataclass(frozen=True, kw_only=True)
class AcceleratorRow:
    """One GPU model. `hbm_gib` is what a program can see, before any CUDA context; `usd` and `kw` are for one GPU
    with its share of the server."""

    name: str
    hbm_gib: float
    hbm_source: str
    usd: float
    usd_source: str = _ASSUMED
    kw: float
    kw_source: str


ACCELERATORS = {
    row.name: row
    for row in (
        AcceleratorRow(
            name="t4",
            hbm_gib=15.0,
            hbm_source=_SMI,
            usd=3_000,
            kw=0.15,
            kw_source="70 W board and its share of a server",
        ),
        AcceleratorRow(
            name="v100-32",
            hbm_gib=31.7,
            hbm_source="NVIDIA V100 data sheet: 32 GB, less ECC and driver reservation (torch sees 31.7 GiB)",
            usd=6_000,
            kw=0.44,
            kw_source="NVIDIA DGX-1 (V100) data sheet, 3.5 kW for 8 GPUs",
        ),
        AcceleratorRow(name="a100-40", hbm_gib=40.0, hbm_source=_SMI, usd=15_000, kw=0.81, kw_source=_DGX_A100),
        AcceleratorRow(name="a100-80", hbm_gib=80.0, hbm_source=_SMI, usd=19_000, kw=0.81, kw_source=_DGX_A100),
        AcceleratorRow(
            name="l40s",
            hbm_gib=44.99,
            hbm_source=_SMI,
            usd=11_000,
            kw=0.55,
            kw_source="350 W board and its share of a server",
        ),
        AcceleratorRow(name="h100", hbm_gib=79.65, hbm_source=_SMI, usd=35_000, kw=1.28, kw_source=_DGX_H100),
        AcceleratorRow(
            name="h200",
            hbm_gib=139.8,
            hbm_source="measured by this project on an H200 (NVML total, driver 580)",
            usd=40_000,
            kw=1.28,
            kw_source=_DGX_H100,
        ),
        AcceleratorRow(
            name="b200",
            hbm_gib=178.35,
            hbm_source="total global memory that the CUDA driver reports (pytorch/ao#4002)",
            usd=60_000,
            kw=1.79,
            kw_source=_DGX_B200,
        ),
        AcceleratorRow(
            name="gb200",
            hbm_gib=173.2,
            hbm_source="NVIDIA GB200 NVL72 data sheet: 13.4 TB for 72 GPUs, read as decimal (the lower reading)",
            usd=75_000,
            kw=1.67,
            kw_source="NVIDIA GB200 NVL72: about 120 kW for 72 GPUs",
        ),
    )
}
