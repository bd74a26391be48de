"""One lock of versions for the machines of the site and the images of the cloud."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fullbore.config.base import Strict

Version = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+){1,3}([a-z+-][0-9A-Za-z.+-]*)?$", max_length=40)]
Release = Annotated[str, Field(pattern=r"^1\.[0-9]{2}\.[0-9]{1,2}-20[0-9]{6}$")]
"""KUBERNETES-DATE (EKS user guide, "Retrieve Amazon Linux AMI version information")."""
OperatingSystem = Literal[
    "ubuntu-20.04",
    "ubuntu-22.04",
    "ubuntu-24.04",
    "ubuntu-26.04",
    "debian-11",
    "debian-12",
    "rhel-9",
    "rhel-10",
    "amazon-linux-2",
    "amazon-linux-2023",
]
Nic = Literal["connectx-4", "connectx-6", "connectx-6-dx", "connectx-7", "connectx-8", "bluefield-3"]


class Versions(Strict):
    """What is locked together; a part that is left out is chosen to go with the others."""

    os: OperatingSystem | None = Field(default=None, description="operating system, e.g. ubuntu-24.04")
    kernel: Version | None = Field(default=None, description="version of Linux, e.g. 6.8")
    ofed: Literal["inbox", "doca_ofed"] | None = Field(
        default=None, description="RDMA drivers: those of the kernel, or NVIDIA's DOCA-OFED"
    )
    ofed_version: Version | None = Field(default=None, description="version of DOCA-OFED, e.g. 3.2.2")
    nic: Nic | None = Field(default=None, description="network card of the fabric, e.g. connectx-7")
    nic_firmware: Version | None = Field(default=None, description="firmware of the network card, e.g. 28.47.2682")
    gpu_driver: Version | None = Field(default=None, description="version of the NVIDIA driver, e.g. 580.95.05")
    gpu_kernel_modules: Literal["open", "proprietary"] | None = Field(
        default=None, description="flavour of the driver's kernel modules"
    )
    gpu_memory: Literal["dmabuf", "peermem"] | None = Field(
        default=None, description="how GPU memory is registered for RDMA: the kernel's DMA-BUF, or nvidia-peermem"
    )
    cuda: Version | None = Field(default=None, description="version of the CUDA toolkit in the images, e.g. 13.0.2")
    cuda_compat: bool | None = Field(
        default=None,
        strict=True,
        description="whether the images carry CUDA's forward compatibility package, for an older driver",
    )
    nccl: Version | None = Field(default=None, description="version of NCCL, e.g. 2.31.2")
    efa: Version | None = Field(default=None, description="version of the EFA installer, e.g. 1.50.0")
    libfabric: Version | None = Field(default=None, description="version of libfabric, e.g. 2.6.0amzn1.0")
    ofi_nccl: Version | None = Field(default=None, description="version of the plugin aws-ofi-nccl, e.g. 1.21.1")
    container_toolkit: Version | None = Field(
        default=None, description="version of the NVIDIA Container Toolkit, e.g. 1.18.2"
    )
    kubernetes: Version | None = Field(default=None, description="version of Kubernetes, e.g. 1.33")
    eks_image: Release | None = Field(
        default=None,
        description="release of the EKS image with NVIDIA drivers that cloud nodes start from, e.g. 1.33.11-20260423; "
        "the newest at creation if left out",
    )
