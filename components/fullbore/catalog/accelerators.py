"""GPUs: memory, bandwidth, arithmetic, links, and what owning one costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_TORCH = "the smallest total of torch in public out-of-memory reports, which differ by 0.1 GiB with driver and ECC: "
_STREET = (
    "https://www.aiinframap.com/tools/chips/h100-vs-h200-vs-b200-tco, street prices of mid-2026, without the server"
)
_DGX_A100_PRICE = (
    "https://geektopia.es/es/technology/2020/05/14/noticias/nvidia-anuncia-el-servidor-dgx-a100-ocho-tesla-a100-desde-"
    "200-000-dolares.html: DGX A100 from 200,000 dollars; of 80 GB no price was found"
)
_DGX_A100 = "NVIDIA DGX A100 data sheet, 6.5 kW for 8 GPUs"
_DGX_H100 = "NVIDIA DGX H100/H200 user guide, 10.2 kW for 8 GPUs"
_DGX_B200 = "NVIDIA DGX B200 data sheet, 14.3 kW for 8 GPUs"
_T4 = "NVIDIA T4 data sheet"
_V100 = "NVIDIA V100 data sheet (SXM2 32 GB) and Volta white paper"
_A100 = (
    "https://www.nvidia.com/content/dam/en-zz/Solutions/Data-Center/a100/pdf/"
    "nvidia-a100-datasheet-us-nvidia-1758950-r4-web.pdf (SXM), dense figures"
)
_L40S = (
    "https://resources.nvidia.com/en-us-l40s/l40s-datasheet-28413, dense figures; NVLink is not supported; "
    "links are PCIe 4.0 x16"
)
_H100 = (
    "https://resources.nvidia.com/en-us-tensor-core/nvidia-tensor-core-gpu-datasheet (SXM5), halved where it counts "
    "sparsity"
)
_H200 = (
    "https://resources.nvidia.com/en-us-data-center-overview/hpc-datasheet-sc23-h200 (SXM), halved where it counts "
    "sparsity"
)
_B200 = "NVIDIA HGX B200 and DGX B200 data sheets, halved where they count sparsity"
_GB200 = "NVIDIA GB200 NVL72 data sheet, a 72th, halved where it counts sparsity"

PCIE_GBPS = {3: 16.0, 4: 32.0, 5: 64.0}
"""GB/s one way of 16 lanes, by PCIe generation: 8, 16 and 32 GT/s a lane (PCI-SIG base specifications)."""


@dataclass(frozen=True, kw_only=True)
class AcceleratorRow:
    """One GPU model.

    `hbm_gib` is what a program can allocate from: the total that `cudaMemGetInfo` gives, which is below what nvidia-smi
    prints. `hbm_gbps` and `link_gbps` are GB/s (10^9), a link's one way. `tflops` are dense, by precision of the
    operands; a precision that is missing has no tensor (for fp32: no vector) unit for it. `link_domain` is the number
    of GPUs that reach each other over NVLink; 1 means there is none and `link_gbps` is PCIe's.
    `batch_tokens` is the most tokens of one step, as vLLM's API server sets it by default: 8192 on GPUs of 70 GiB and
    more but the A100, 2048 elsewhere (vllm/engine/arg_utils.py).
    `kw` is for one GPU with its share of the server. `usd` is a public price of one GPU, with its share of the server
    where whole systems are priced: no maker publishes prices, so that a site had better set usd_per_host.
    """

    name: str
    hbm_gib: float
    hbm_source: str
    hbm_gbps: float
    tflops: Mapping[str, float]
    link_gbps: float
    link_domain: int
    compute_capability: tuple[int, int]
    batch_tokens: int
    source: str
    usd: float
    usd_source: str
    kw: float
    kw_source: str

    @property
    def nvlink(self) -> bool:
        return self.link_domain > 1


def _ampere(name: str, hbm_gib: float, hbm_source: str, hbm_gbps: float) -> AcceleratorRow:
    return AcceleratorRow(
        name=name,
        hbm_gib=hbm_gib,
        hbm_source=hbm_source,
        hbm_gbps=hbm_gbps,
        tflops={"fp32": 19.5, "tf32": 156, "fp16": 312, "bf16": 312, "int8": 624},
        link_gbps=300,
        link_domain=8,
        compute_capability=(8, 0),
        batch_tokens=2048,
        source=_A100,
        usd=25_000,
        usd_source=_DGX_A100_PRICE,
        kw=0.81,
        kw_source=_DGX_A100,
    )


def _hopper(name: str, hbm_gib: float, hbm_source: str, hbm_gbps: float, source: str, usd: float) -> AcceleratorRow:
    return AcceleratorRow(
        name=name,
        hbm_gib=hbm_gib,
        hbm_source=hbm_source,
        hbm_gbps=hbm_gbps,
        tflops={"fp32": 67, "tf32": 494.5, "fp16": 989.5, "bf16": 989.5, "fp8": 1979, "int8": 1979},
        link_gbps=450,
        link_domain=8,
        compute_capability=(9, 0),
        batch_tokens=8192,
        source=source,
        usd=usd,
        usd_source=_STREET,
        kw=1.28,
        kw_source=_DGX_H100,
    )


ACCELERATORS = {
    row.name: row
    for row in (
        AcceleratorRow(
            name="t4",
            hbm_gib=14.56,
            hbm_source="torch with driver reservation and ECC (AlphaGPU/leetgpu-challenges#52); up to 14.76 elsewhere",
            hbm_gbps=320,
            tflops={"fp32": 8.1, "fp16": 65, "int8": 130},
            link_gbps=PCIE_GBPS[3],
            link_domain=1,
            compute_capability=(7, 5),
            batch_tokens=2048,
            source=_T4,
            usd=3_000,
            usd_source="assumption of this project: no source was found",
            kw=0.15,
            kw_source="70 W board (T4 data sheet) and as much again for its share of a server: our inference",
        ),
        AcceleratorRow(
            name="v100-32",
            hbm_gib=31.73,
            hbm_source=_TORCH + "31.74 in liucongg/ChatGLM-Finetuning#73, 31.75 in uni-medical/SAM-Med3D#8",
            hbm_gbps=900,
            tflops={"fp32": 15.7, "fp16": 125},
            link_gbps=150,
            link_domain=8,
            compute_capability=(7, 0),
            batch_tokens=2048,
            source=_V100,
            usd=18_625,
            usd_source="https://discussion.fool.com/t/nvda-dgx-1-pricing-margins-performance/40710: DGX-1 at 149,000",
            kw=0.44,
            kw_source="NVIDIA DGX-1 (V100) data sheet, 3.5 kW for 8 GPUs",
        ),
        _ampere(
            "a100-40",
            39.38,
            _TORCH + "42298834944 bytes (39.39) in bottlerocket-os/bottlerocket#3873, 39.50 in TianheWu/CoSeR#10",
            1555,
        ),
        _ampere("a100-80", 79.15, _TORCH + "79.25 in wbfwonderful/Vad-R1#11 and levihsu/OOTDiffusion#235", 2039),
        AcceleratorRow(
            name="l40s",
            hbm_gib=44.39,
            hbm_source=_TORCH + "44.42 in stepfun-ai/Step-Video-T2V#8, 44.40 of an L40 in QwenLM/Qwen3-VL#2097",
            hbm_gbps=864,
            tflops={"fp32": 91.6, "tf32": 183, "fp16": 362.05, "bf16": 362.05, "fp8": 733, "int8": 733},
            link_gbps=PCIE_GBPS[4],
            link_domain=1,
            compute_capability=(8, 9),
            batch_tokens=2048,
            source=_L40S,
            usd=10_000,
            usd_source="https://datastorage.com/gpu/nvidia-l40s/: a card at 7,000 to 10,000 dollars",
            kw=0.55,
            kw_source="350 W board (L40S data sheet) and 200 W for its share of a server: our inference",
        ),
        _hopper(
            "h100",
            79.19,
            "total_memory of vLLM 0.19 (llm-d-incubation/llm-d-planner accuracy/results/v0.19.0)",
            3350,
            _H100,
            30_000,
        ),
        _hopper("h200", 139.8, "measured by this project on an H200 (vLLM 0.24, driver 580)", 4800, _H200, 35_000),
        AcceleratorRow(
            name="b200",
            hbm_gib=178.35,
            hbm_source="total global memory that the CUDA driver reports (pytorch/ao#4002)",
            hbm_gbps=7700,
            tflops={"fp32": 75, "tf32": 1125, "fp16": 2250, "bf16": 2250, "fp8": 4500, "int8": 4500, "fp4": 9000},
            link_gbps=900,
            link_domain=8,
            compute_capability=(10, 0),
            batch_tokens=8192,
            source=_B200,
            usd=40_000,
            usd_source=_STREET,
            kw=1.79,
            kw_source=_DGX_B200,
        ),
        AcceleratorRow(
            name="gb200",
            hbm_gib=184.31,
            hbm_source="0.4 % less than the 189471 MiB that nvidia-smi prints (ai-dynamo/aiconfigurator "
            "systems/gb200.yaml): our inference, no report of torch was found",
            hbm_gbps=8000,
            tflops={"fp32": 80, "tf32": 1250, "fp16": 2500, "bf16": 2500, "fp8": 5000, "int8": 5000, "fp4": 10_000},
            link_gbps=900,
            link_domain=72,
            compute_capability=(10, 0),
            batch_tokens=8192,
            source=_GB200,
            usd=43_000,
            usd_source="https://fetchlogic.net/memory-now-costs-more-than-the-processor-in-ai-chips-and-that-changes-"
            "everything-about-who-can-afford-to-compete/: a rack of 72 at 3.1 million dollars",
            kw=1.67,
            kw_source="NVIDIA GB200 NVL72: about 120 kW for 72 GPUs",
        ),
    )
}
