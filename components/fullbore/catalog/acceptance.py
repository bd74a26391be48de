"""Floors that machines must reach before they serve, each with its source; `evidence.floors` scales them to a topology.

Rates of collectives are NCCL's bus bandwidth, GB/s (10^9). Where sources conflict the row says which one is used.
"""

from __future__ import annotations

from dataclasses import dataclass

_OCI = (
    "https://github.com/oracle-quickstart/oci-hpc/blob/main/playbooks/roles/healthchecks/files/"
    "multi_node_active_healthcheck.py"
)
_OCI_GB = f"{_OCI}: 300 for the GB200-v3 shape; CoreWeave's README expects 745 in a rack of its own, which is not used"
_AZURE = (
    "Azure skills/slurm/sku_performance_baseline/SKILL.md: an H100 host is expected at 450, warned of at 400, failed "
    "at 300; AICR asks for 300 too (recipes/overlays/h100-eks-training.yaml)"
)
_RING = (
    "https://github.com/NVIDIA/nccl-tests/issues/212: 370 where NVLink SHARP is not used; 2/3 of it is the share that "
    "Azure fails an H100 host at (300 of 450): our inference"
)
_RING_A100 = (
    "https://github.com/NVIDIA/nccl-tests/issues/149: 230 on A100; 2/3 of it is the share that Azure fails an H100 "
    "host at (300 of 450): our inference"
)
_H200_AS_H100 = f"{_AZURE}; H200 has the same NVLink: our inference"
_A100_SMI = (
    "https://github.com/NVIDIA/nccl-tests/issues/149: the name, and 12 links; PCIe 4.0: NVIDIA A100 data sheet (SXM)"
)
_H100_SMI = "https://github.com/NVIDIA/nccl/issues/1264: the name, and 18 links; PCIe 5.0: NVIDIA H100 data sheet (SXM)"
_H200_SMI = "read by this project on H200 (driver 580): name, 18 links, PCIe 5.0 x16"
_GB200_SMI = "https://github.com/NVIDIA/k8s-test-infra/issues/371: nvidia-smi of GB200: the name, and 18 links"


@dataclass(frozen=True, kw_only=True)
class AcceptanceRow:
    """What one GPU model must show.

    `product` is what nvidia-smi's product name ends with. `nvls` and `ring` are floors of all-reduce between the GPUs
    of one host with and without NVLink SHARP, `all_to_all` that of all-to-all; None where no source was found.
    `pcie_generation` is None where the GPU does not hang on PCIe. `latency_us` is the most that ib_write_lat may show.
    """

    accelerator: str
    product: str
    nvlinks: int
    pcie_generation: int | None
    source: str
    nvls: float | None = None
    nvls_source: str = ""
    ring: float | None = None
    ring_source: str = ""
    all_to_all: float | None = None
    all_to_all_source: str = ""
    latency_us: float = 5.0
    latency_source: str = f"{_OCI}: ib_write_lat_threshold"


def _a100(name: str, product: str) -> AcceptanceRow:
    return AcceptanceRow(
        accelerator=name,
        product=product,
        nvlinks=12,
        pcie_generation=4,
        source=_A100_SMI,
        ring=185,
        ring_source=_OCI,
        all_to_all=153,
        all_to_all_source=_RING_A100,
    )


def _hopper(name: str, product: str, source: str, ring_source: str) -> AcceptanceRow:
    return AcceptanceRow(
        accelerator=name,
        product=product,
        nvlinks=18,
        pcie_generation=5,
        source=source,
        nvls=440,
        nvls_source=_OCI,
        ring=300,
        ring_source=ring_source,
        all_to_all=246,
        all_to_all_source=_RING,
    )


ACCEPTANCE = {
    row.accelerator: row
    for row in (
        _a100("a100-40", "A100-SXM4-40GB"),
        _a100("a100-80", "A100-SXM4-80GB"),
        _hopper("h100", "H100 80GB HBM3", _H100_SMI, _AZURE),
        _hopper("h200", "H200", _H200_SMI, _H200_AS_H100),
        AcceptanceRow(
            accelerator="gb200",
            product="GB200",
            nvlinks=18,
            pcie_generation=None,
            source=_GB200_SMI,
            nvls=300,
            nvls_source=_OCI_GB,
            latency_us=9.0,
            latency_source="oracle-quickstart/oci-hpc multi_node_active_healthcheck.py, GB200 and GB300 shapes",
        ),
    )
}

PCIE_WIDTH = 16
PCIE_WIDTH_SOURCE = "NVIDIA data sheets: every GPU listed takes 16 lanes; read by this project on H200 (driver 580)"

WRITE_SHARE = 0.96
WRITE_SHARE_SOURCE = f"{_OCI}: ib_write_bw of 96 on ports of 100 Gbit/s, 192 on 200, 384 on 400"

NETWORK_SHARE = 0.75
NETWORK_SHARE_SOURCE = (
    "Azure skills/slurm/sku_performance_baseline/SKILL.md: between racks of GB300 200 GB/s are expected and 150 fail; "
    "AICR asks for 300 of the 400 GB/s of an H100 host (recipes/overlays/h100-eks-training.yaml)"
)
"""Of the bandwidth of a host's HCAs, what all-reduce over three hosts and more must reach."""
PAIR_SHARE = {False: 0.925, True: 1.1}
PAIR_SHARE_SOURCE = (
    f"{_OCI}: with two hosts 185 on A100 (16 ports of 100 Gbit/s, a ring), 440 on H100 (3200 Gbit/s, NVLink SHARP)"
)
"""{with NVLink SHARP: the same share for two hosts}."""

ALL_TO_ALL_SHARE = 0.6
ALL_TO_ALL_SOURCE = (
    "https://github.com/NVIDIA/nccl-tests/issues/130: bus bandwidth is N/(N-1) of a GPU's share of the network for N "
    "hosts; https://github.com/NVIDIA/nccl-tests/issues/355: 80 of those 100 GB/s seen on two H100 hosts; 3/4 of that "
    "is the share that Azure fails at (150 of 200): our inference"
)

HOST_TO_DEVICE = {5: 52.0, 4: 26.0}
HOST_TO_DEVICE_SOURCE = (
    "https://github.com/oracle-quickstart/oci-hpc/blob/main/playbooks/roles/healthchecks/files/gpu_bw_test.py: 52 GB/s "
    "each way on PCIe 5.0; half of it on 4.0, which has half the rate: our inference"
)
"""{PCIe generation: GB/s}."""

REMAPPED_ROWS = 512
REMAPPED_ROWS_SOURCE = "oracle-quickstart/oci-hpc alert-rules.yaml: more uncorrectable remapped rows mean replacing"

CLOCK_ERROR_S = 0.05
CLOCK_ERROR_SOURCE = (
    "https://docs.ceph.com/en/latest/rados/configuration/mon-config-ref/: mon clock drift allowed, 0.05 s; etcd's own "
    "limit of 1 s is wider and not used"
)

NVME_READ_IOPS = 500_000.0
NVME_READ_IOPS_SOURCE = "requirement of this project for local NVMe that checkpoints are loaded from; no source"

LANE_GBPS = {
    "SDR": 2.5,
    "DDR": 5.0,
    "QDR": 10.0,
    "FDR10": 10.3125,
    "FDR": 14.0625,
    "EDR": 25.78125,
    "HDR": 53.125,
    "NDR": 106.25,
    "XDR": 212.5,
}
"""Gbit/s of one lane, by InfiniBand's name of the speed (iblinkinfo prints the rate, ibnetdiscover the name):
https://github.com/linux-rdma/rdma-core infiniband-diags."""
