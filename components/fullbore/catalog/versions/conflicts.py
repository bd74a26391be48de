"""Combinations that do not work, or work badly: a row of conditions that all hold, with the source that says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fullbore.catalog.accelerators import ACCELERATORS
from fullbore.catalog.versions.releases import CUDA, DOCA, EFA

_MINOR = "https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html"
_FORWARD = "https://docs.nvidia.com/deploy/cuda-compatibility/forward-compatibility.html"
_RDMA = "https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/latest/gpu-operator-rdma.html"
_MODULES = "https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/kernel-modules.html"
_TRANSITION = "https://developer.nvidia.com/blog/nvidia-transitions-fully-towards-open-source-gpu-kernel-modules/"
_CUDA_13 = "https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/, deprecated and dropped"
_EFA_SHEET = "aws-samples/awsome-distributed-training 1.architectures/efa-cheatsheet.md"
_EFA_NOTES = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-changelog.html"
_GDS = "https://docs.nvidia.com/gpudirect-storage/release-notes/mlnx-ofed-doca-and-file-system-requirements.html"


def _capable(at_least: tuple[int, int], below: tuple[int, int]) -> tuple[str, ...]:
    """GPUs of a range of compute capabilities."""
    return tuple(row.name for row in ACCELERATORS.values() if at_least <= row.compute_capability < below)


VOLTA = _capable((7, 0), (7, 5))
HOPPER_AND_ADA = _capable((8, 9), (10, 0))
BLACKWELL = _capable((10, 0), (12, 0))


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One part of the lock, or one fact about the machines (`accelerator`, `efa_nodes`), is in a range or a set.

    An empty bound is no bound. `base` compares versions up to the first letter only. A part that is not locked meets
    no condition.
    """

    part: str
    at_least: str = ""
    below: str = ""
    any_of: tuple[str, ...] = ()
    not_base: str = ""


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """All of `when` hold together, and that is bad. `part` is the one that is blamed; `why` completes
    "PART VERSION, but"."""

    rule: str
    part: str
    when: tuple[Condition, ...]
    why: str
    source: str
    severity: Literal["error", "warning"] = "error"


def _at_least(part: str, version: str, below: str = "") -> Condition:
    return Condition(part=part, at_least=version, below=below)


def _below(part: str, version: str) -> Condition:
    return Condition(part=part, below=version)


def _is(part: str, *values: str) -> Condition:
    return Condition(part=part, any_of=values)


_NO_COMPAT = _is("cuda_compat", "no")
_FLOORS = {"11": "450.80.02", "12": "525.60.13", "13": "580.65.06"}
"""Least driver of each major release of CUDA."""


def _next_major(major: str) -> str:
    return f"{int(major) + 1}.0"


CUDA_DRIVER = (
    *(
        Conflict(
            rule="versions-cuda-driver",
            part="gpu_driver",
            when=(_at_least("cuda", f"{major}.0", _next_major(major)), _below("gpu_driver", floor), _NO_COMPAT),
            why=f"CUDA {major} needs driver {floor} or newer, or its forward compatibility package (cuda_compat)",
            source=_MINOR,
        )
        for major, floor in _FLOORS.items()
    ),
    Conflict(
        rule="versions-cuda-driver",
        part="gpu_driver",
        when=(_at_least("cuda", "13.0"), _below("gpu_driver", "535"), _is("cuda_compat", "yes")),
        why="the forward compatibility package of CUDA 13 needs a driver of branch 535 or newer",
        source=_FORWARD,
    ),
    *(
        Conflict(
            rule="versions-cuda-minor",
            part="gpu_driver",
            when=(
                _is("cuda", row.version),
                _at_least("gpu_driver", _FLOORS[row.version.partition(".")[0]], row.driver),
                _NO_COMPAT,
            ),
            why=f"CUDA {row.version} was released with {row.driver}: an older driver limits its features",
            source=f"{_MINOR}; {row.source}",
            severity="warning",
        )
        for row in CUDA
        if row.driver not in _FLOORS.values()
    ),
)

ACCELERATOR = (
    Conflict(
        rule="versions-driver-gpu",
        part="gpu_driver",
        when=(_is("accelerator", "b200"), _below("gpu_driver", "570.133.20")),
        why="HGX B200 needs driver 570.133.20 or newer",
        source="NVIDIA/cloud-native-docs#184",
    ),
    Conflict(
        rule="versions-driver-gpu",
        part="gpu_driver",
        when=(_is("accelerator", "gb200"), _below("gpu_driver", "570.124.06")),
        why="GB200 is supported from driver 570.124.06 on",
        source="NVIDIA/cloud-native-docs#184",
    ),
    Conflict(
        rule="versions-driver-gpu",
        part="gpu_driver",
        when=(_is("accelerator", *VOLTA), _at_least("gpu_driver", "590")),
        why="branch 580 is the last one that drives Volta GPUs",
        source="Azure/AgentBaker#8810; https://wiki.nixos.org/wiki/NVIDIA, legacy branches",
    ),
    Conflict(
        rule="versions-gpu-modules",
        part="gpu_kernel_modules",
        when=(_is("accelerator", *BLACKWELL), _is("gpu_kernel_modules", "proprietary")),
        why="Blackwell GPUs are driven by the open kernel modules only",
        source=_TRANSITION,
    ),
    Conflict(
        rule="versions-gpu-modules",
        part="gpu_kernel_modules",
        when=(_is("accelerator", *VOLTA), _is("gpu_kernel_modules", "open")),
        why="the open kernel modules drive Turing and newer GPUs only, and V100 is Volta",
        source=_MODULES,
    ),
    Conflict(
        rule="versions-cuda-gpu",
        part="cuda",
        when=(_is("accelerator", *BLACKWELL), _below("cuda", "12.8")),
        why="Blackwell GPUs need CUDA 12.8 or newer",
        source="NVIDIA/nccl-tests#271",
    ),
    Conflict(
        rule="versions-cuda-gpu",
        part="cuda",
        when=(_is("accelerator", *HOPPER_AND_ADA), _below("cuda", "11.8")),
        why="Hopper and Ada GPUs need CUDA 11.8 or newer",
        source="pytorch/vision#7052; https://gitlab.com/gromacs/gromacs/-/merge_requests/3180",
    ),
    Conflict(
        rule="versions-cuda-gpu",
        part="cuda",
        when=(_is("accelerator", *VOLTA), _at_least("cuda", "13.0")),
        why="CUDA 13 has no support for Volta GPUs any more",
        source=_CUDA_13,
    ),
    Conflict(
        rule="versions-nccl",
        part="nccl",
        when=(_is("accelerator", *BLACKWELL), _below("nccl", "2.25.1")),
        why="NCCL knows Blackwell GPUs from 2.25.1 on",
        source="NVIDIA/nccl v2.25.1-1 release notes (ROCm/rccl#1662)",
    ),
)

GPU_MEMORY = (
    Conflict(
        rule="versions-gpu-memory",
        part="gpu_memory",
        when=(_is("gpu_memory", "dmabuf"), _below("kernel", "5.12")),
        why="DMA-BUF needs Linux 5.12 or newer",
        source=_RDMA,
    ),
    Conflict(
        rule="versions-gpu-memory",
        part="gpu_memory",
        when=(_is("gpu_memory", "dmabuf"), _is("gpu_kernel_modules", "proprietary")),
        why="DMA-BUF needs the open kernel modules",
        source=_RDMA,
    ),
    Conflict(
        rule="versions-gpu-memory",
        part="gpu_memory",
        when=(_is("gpu_memory", "dmabuf"), _below("cuda", "11.7")),
        why="DMA-BUF needs CUDA 11.7 or newer",
        source=_RDMA,
    ),
    Conflict(
        rule="versions-gpu-memory",
        part="gpu_memory",
        when=(_is("gpu_memory", "peermem"), _is("ofed", "inbox")),
        why="nvidia-peermem needs the peer memory interface of DOCA-OFED, which inbox drivers lack",
        source=f"{_RDMA}; Mellanox/nv_peer_memory#79",
    ),
)

LIBRARIES = (
    Conflict(
        rule="versions-nccl-cuda",
        part="nccl",
        when=(_at_least("cuda", "13.0"), _below("nccl", "2.27.7")),
        why="no NCCL before 2.27.7 was published for CUDA 13",
        source="the releases of the package nvidia-nccl-cu13 (the oldest that public lock files name: our inference)",
        severity="warning",
    ),
    Conflict(
        rule="versions-known-bad",
        part="nccl",
        when=(_is("nccl", "2.29.2"),),
        why="NCCL 2.29.2 hangs, which 2.29.3 mends",
        source="pytorch/pytorch#174338",
    ),
    Conflict(
        rule="versions-known-bad",
        part="nccl",
        when=(_is("accelerator", "gb200"), _below("nccl", "2.29.3")),
        why="NCCL before 2.29.3 loses proxy slots on Arm CPUs and hangs silently",
        source="marin-community/marin#8038; NVIDIA/nccl v2.29.3-1 release notes",
    ),
    Conflict(
        rule="versions-known-poor",
        part="nccl",
        when=(_is("nccl", "2.19.4"),),
        why="NCCL 2.19.4 is slower than its neighbours",
        source="awslabs/awsome-distributed-ai#217",
        severity="warning",
    ),
    Conflict(
        rule="versions-known-poor",
        part="nccl",
        when=(_is("nccl", "2.25.1"),),
        why="NCCL 2.25.1 may hang when a communicator is aborted, which 2.26.2 mends",
        source="pytorch/pytorch#149546",
        severity="warning",
    ),
    Conflict(
        rule="versions-container-toolkit",
        part="container_toolkit",
        when=(_below("container_toolkit", "1.17.8"),),
        why="a container can take over the host through it (CVE-2025-23266, up to 1.17.7; CVE-2024-0132, up to 1.16.1)",
        source="https://www.cve.org/CVERecord?id=CVE-2025-23266; https://www.cve.org/CVERecord?id=CVE-2024-0132",
    ),
    Conflict(
        rule="versions-os",
        part="cuda",
        when=(_is("os", "ubuntu-20.04"), _at_least("cuda", "13.0")),
        why="CUDA 13 does not support Ubuntu 20.04",
        source=_CUDA_13,
    ),
)

_EFA_NODES = _is("efa_nodes", "yes")

AWS = (
    *(
        Conflict(
            rule="versions-efa-bundle",
            part=part,
            when=(_EFA_NODES, _is("efa", row.version), Condition(part=part, not_base=bundled)),
            why=f"the EFA installer {row.version} brings {bundled}",
            source=row.source,
        )
        for row in EFA
        for part, bundled in (("libfabric", row.libfabric), ("ofi_nccl", row.ofi_nccl))
        if bundled
    ),
    *(
        Conflict(
            rule="versions-os",
            part="efa",
            when=(_EFA_NODES, _is("os", system), _at_least("efa", version)),
            why=f"the EFA installer supports {system} before {version} only",
            source=_EFA_NOTES,
        )
        for system, version in (("ubuntu-20.04", "1.43.0"), ("amazon-linux-2", "1.50.0"), ("debian-11", "1.51.0"))
    ),
    Conflict(
        rule="versions-known-bad",
        part="ofi_nccl",
        when=(_EFA_NODES, _at_least("efa", "1.35.0"), _is("ofi_nccl", "1.11.0", "1.12.0")),
        why="with the EFA installer 1.35.0 or newer this plugin is slow or crashes, which 1.11.1 and 1.12.1 mend",
        source="https://github.com/aws/aws-ofi-nccl/releases/tag/v1.12.1-aws",
    ),
    Conflict(
        rule="versions-known-poor",
        part="efa",
        when=(_EFA_NODES, _below("efa", "1.29.1"), _at_least("nccl", "2.19")),
        why="with NCCL 2.19 or newer it needs FI_EFA_SET_CUDA_SYNC_MEMOPS=0, which 1.29.1 makes needless",
        source=_EFA_SHEET,
        severity="warning",
    ),
    Conflict(
        rule="versions-nccl",
        part="nccl",
        when=(_EFA_NODES, _at_least("ofi_nccl", "1.19.0"), _below("nccl", "2.17.1")),
        why="aws-ofi-nccl 1.19.0 and newer needs NCCL 2.17.1 or newer",
        source="aws/aws-ofi-nccl#1190",
    ),
    Conflict(
        rule="versions-efa-p5",
        part="cuda",
        when=(_EFA_NODES, _is("accelerator", "h100", "h200"), _below("cuda", "12.0")),
        why="P5 nodes need CUDA 12 or newer for EFA",
        source=_EFA_SHEET,
    ),
    Conflict(
        rule="versions-efa-p5",
        part="nccl",
        when=(_EFA_NODES, _is("accelerator", "h100", "h200"), _below("nccl", "2.18.5")),
        why="P5 nodes need NCCL 2.18.5 or newer for EFA",
        source=_EFA_SHEET,
    ),
    Conflict(
        rule="versions-efa-p5",
        part="ofi_nccl",
        when=(_EFA_NODES, _is("accelerator", "h100", "h200"), _below("ofi_nccl", "1.7.3")),
        why="P5 nodes need aws-ofi-nccl 1.7.3 or newer",
        source=_EFA_SHEET,
    ),
)

NETWORK = (
    Conflict(
        rule="versions-ofed",
        part="ofed_version",
        when=(_is("ofed", "doca_ofed"), _is("nic", "connectx-8"), _below("ofed_version", "2.10.0")),
        why="DOCA-OFED 2.9 does not know ConnectX-8",
        source="https://docs.nvidia.com/doca/archive/2-9-4/Changes+and+New+Features",
    ),
    Conflict(
        rule="versions-ofed",
        part="ofed_version",
        when=(_is("ofed", "doca_ofed"), _is("nic", "connectx-4"), _at_least("ofed_version", "2.10.0")),
        why="DOCA-OFED 2.9 is the last one that knows ConnectX-4",
        source="https://docs.nvidia.com/doca/archive/2-9-2/General+Support",
    ),
    *(
        Conflict(
            rule="versions-os",
            part="ofed_version",
            when=(_is("ofed", "doca_ofed"), _is("os", system), _below("ofed_version", version)),
            why=f"DOCA-OFED supports {system} from {version} on",
            source=_GDS,
        )
        for system, version in (("ubuntu-26.04", "3.4.0"), ("rhel-10", "3.1.0"))
    ),
    *(
        Conflict(
            rule="versions-firmware",
            part="nic_firmware",
            when=(
                _is("ofed", "doca_ofed"),
                _is("ofed_version", row.version),
                _is("nic", nic),
                _below("nic_firmware", firmware),
            ),
            why=f"DOCA-OFED {row.version} was released with {firmware} for {nic}",
            source=row.source,
            severity="warning",
        )
        for row in DOCA
        for nic, firmware in row.firmware
    ),
)

FIRMWARE = tuple(
    Conflict(
        rule="versions-firmware-card",
        part="nic_firmware",
        when=(_is("nic", nic), Condition(part="nic_firmware", at_least=at_least, below=below)),
        why=f"firmware of {nic} is {family}.x",
        source="https://docs.nvidia.com/doca/archive/2-9-2/General+Support; ConnectX-8: the same page of 2.10.0",
    )
    for nic, family in (
        ("connectx-4", 12),
        ("connectx-6", 20),
        ("connectx-6-dx", 22),
        ("connectx-7", 28),
        ("bluefield-3", 32),
        ("connectx-8", 40),
    )
    for at_least, below in (("", f"{family}.0"), (f"{family + 1}.0", ""))
)

KERNEL = tuple(
    Conflict(
        rule="versions-driver-kernel",
        part="kernel",
        when=(_at_least("gpu_driver", oldest, newest), _at_least("kernel", kernel)),
        why=f"the modules of driver {oldest} do not build for Linux {kernel} and newer",
        source=source,
    )
    for oldest, newest, kernel, source in (
        ("530.41.03", "530.41.04", "6.4", "Frogging-Family/nvidia-all#177"),
        ("550.78", "550.79", "6.10", "NixOS/nixpkgs#332350"),
        ("565.77", "565.78", "6.13", "NVIDIA/open-gpu-kernel-modules#751, NixOS/nixpkgs#396716"),
        ("570.144", "570.153.03", "6.15", "NixOS/nixpkgs#412299, NixOS/nixpkgs#411829"),
    )
)

CONFLICTS: tuple[Conflict, ...] = (
    *CUDA_DRIVER,
    *ACCELERATOR,
    *GPU_MEMORY,
    *LIBRARIES,
    *AWS,
    *NETWORK,
    *FIRMWARE,
    *KERNEL,
)
