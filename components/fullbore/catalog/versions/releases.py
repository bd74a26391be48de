"""Releases of each part of the lock, oldest first, and what each brings with it."""

from __future__ import annotations

from dataclasses import dataclass

CUDA_NOTES = "https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/, CUDA Toolkit and Corresponding Driver Versions"
EFA_NOTES = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-changelog.html"
_PARALLEL_CLUSTER = "aws/aws-parallelcluster-cookbook CHANGELOG.md"
_DOCA = "https://docs.nvidia.com/doca/archive/{}/General+Support"


@dataclass(frozen=True, kw_only=True)
class CudaRow:
    """One CUDA toolkit. `version` is MAJOR.MINOR.UPDATE; `driver` is the driver that it was released with."""

    version: str
    driver: str
    source: str = CUDA_NOTES


@dataclass(frozen=True, kw_only=True)
class EfaRow:
    """One EFA installer: the libfabric and the aws-ofi-nccl plugin that it installs; None where no source says."""

    version: str
    libfabric: str
    ofi_nccl: str | None
    source: str = EFA_NOTES


@dataclass(frozen=True, kw_only=True)
class DocaRow:
    """One DOCA-OFED: the firmware of each network card that it was released with."""

    version: str
    firmware: tuple[tuple[str, str], ...]
    source: str


def _cuda(version: str, driver: str) -> CudaRow:
    return CudaRow(version=version, driver=driver)


CUDA = (
    _cuda("11.8.0", "520.61.05"),
    _cuda("12.0.0", "525.60.13"),
    _cuda("12.1.0", "530.30.02"),
    _cuda("12.2.0", "535.54.03"),
    _cuda("12.3.0", "545.23.06"),
    _cuda("12.4.0", "550.54.14"),
    _cuda("12.4.1", "550.54.15"),
    _cuda("12.5.0", "555.42.02"),
    _cuda("12.6.0", "560.28.03"),
    _cuda("12.6.3", "560.35.05"),
    _cuda("12.8.0", "570.26"),
    _cuda("12.8.1", "570.124.06"),
    _cuda("12.9.0", "575.51.03"),
    _cuda("12.9.1", "575.57.08"),
    _cuda("13.0.0", "580.65.06"),
    _cuda("13.0.1", "580.82.07"),
    _cuda("13.0.2", "580.95.05"),
    _cuda("13.1.0", "590.44.01"),
    _cuda("13.1.1", "590.48.01"),
    _cuda("13.2.0", "595.45.04"),
    _cuda("13.2.1", "595.58.03"),
    _cuda("13.2.2", "595.71.05"),
)

EFA = (
    EfaRow(version="1.36.0", libfabric="1.22.0", ofi_nccl=None, source=_PARALLEL_CLUSTER),
    EfaRow(version="1.40.0", libfabric="2.1.0amzn2.0", ofi_nccl="1.14.2"),
    EfaRow(version="1.42.0", libfabric="2.1.0amzn3.0", ofi_nccl="1.15.0"),
    EfaRow(version="1.43.0", libfabric="2.1.0amzn4.0", ofi_nccl="1.16.1"),
    EfaRow(version="1.43.1", libfabric="2.1.0amzn5.0", ofi_nccl="1.16.2"),
    EfaRow(version="1.43.2", libfabric="2.1.0amzn5.0", ofi_nccl="1.16.3"),
    EfaRow(version="1.50.0", libfabric="2.6.0amzn1.0", ofi_nccl="1.21.1"),
    EfaRow(version="1.51.0", libfabric="2.7.0amzn2.0", ofi_nccl="1.22.0"),
)


def _doca(version: str, main: str, *others: tuple[str, str]) -> DocaRow:
    """`main` is the firmware's release, which ConnectX-7 and its siblings share behind a number of their own."""
    firmware = (("connectx-6-dx", f"22.{main}"), ("connectx-7", f"28.{main}"), ("bluefield-3", f"32.{main}"))
    return DocaRow(version=version, firmware=(*others, *firmware), source=_DOCA.format(version.replace(".", "-")))


DOCA = (
    _doca("2.9.3", "43.3608", ("connectx-6", "20.43.3608")),
    _doca("2.10.0", "44.1036", ("connectx-6", "20.43.2026"), ("connectx-8", "40.44.1036")),
    _doca("3.0.0", "45.1020", ("connectx-6", "20.43.2566"), ("connectx-8", "40.45.1020")),
    _doca("3.1.0", "46.1006", ("connectx-6", "20.43.3608"), ("connectx-8", "40.46.1006")),
    _doca("3.2.2", "47.2682", ("connectx-6", "20.43.8004"), ("connectx-8", "40.47.2682")),
    DocaRow(
        version="3.4.1",
        firmware=(),
        source="https://docs.nvidia.com/gpudirect-storage/release-notes/mlnx-ofed-doca-and-file-system-requirements.html",
    ),
)

NCCL = (
    *("2.17.1", "2.18.3", "2.19.3", "2.20.5", "2.21.5", "2.22.3", "2.23.4", "2.24.3", "2.25.1", "2.26.2", "2.26.5"),
    *("2.27.3", "2.27.5", "2.27.6", "2.27.7", "2.28.3", "2.28.7", "2.28.9", "2.29.2", "2.29.3", "2.29.7"),
    *("2.30.3", "2.30.4", "2.30.7", "2.31.2", "2.32.3"),
)
"""Source: the releases of the package nvidia-nccl-cu12"""

EXTRA_DRIVERS = ("570.133.20",)
"""Drivers that no toolkit was released with. Source: NVIDIA/cloud-native-docs#184."""

KERNELS = ("5.15", "6.1", "6.8", "6.12")
"""Long-term releases of https://www.kernel.org/releases.html, and Ubuntu 24.04's."""

CONTAINER_TOOLKITS = ("1.16.2", "1.17.4", "1.17.8", "1.18.2", "1.19.1")
"""Source: https://github.com/NVIDIA/nvidia-container-toolkit/releases"""


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")]


CHANGEABLE: dict[str, tuple[str, ...]] = {
    "nccl": NCCL,
    "ofi_nccl": tuple(dict.fromkeys(row.ofi_nccl for row in EFA if row.ofi_nccl)),
    "libfabric": tuple(dict.fromkeys(row.libfabric for row in EFA)),
    "efa": tuple(row.version for row in EFA),
    "container_toolkit": CONTAINER_TOOLKITS,
    "cuda": tuple(row.version for row in CUDA),
    "gpu_memory": ("peermem", "dmabuf"),
    "nic_firmware": tuple(sorted({firmware for row in DOCA for _, firmware in row.firmware}, key=_numbers)),
    "gpu_driver": tuple(sorted({*(row.driver for row in CUDA), *EXTRA_DRIVERS}, key=_numbers)),
    "gpu_kernel_modules": ("proprietary", "open"),
    "ofed_version": tuple(row.version for row in DOCA),
    "ofed": ("inbox", "doca_ofed"),
    "kernel": KERNELS,
}
"""What each part may be changed to, older first. The order of the parts is that of the trouble: a library in an image
first, then drivers, then the kernel. The operating system, the network card and what the image carries for forward
compatibility are as they are."""

GOOD = {
    "os": "ubuntu-24.04",
    "kernel": "6.8",
    "ofed": "doca_ofed",
    "ofed_version": "3.2.2",
    "gpu_driver": "580.95.05",
    "gpu_kernel_modules": "open",
    "gpu_memory": "dmabuf",
    "cuda": "13.0.2",
    "cuda_compat": "no",
    "nccl": "2.31.2",
    "efa": "1.50.0",
    "libfabric": "2.6.0amzn1.0",
    "ofi_nccl": "1.21.1",
    "container_toolkit": "1.18.2",
}
"""What is locked where an environment does not say: CUDA with the driver that it was released with, and the EFA
installer whose plugin was tested with this NCCL and this libfabric (aws/aws-ofi-nccl v1.21.1)."""
