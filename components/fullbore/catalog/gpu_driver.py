"""The NVIDIA driver on Debian and Ubuntu: its packages, what needs Fabric Manager, and how GPUs can be divided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

UNVERSIONED = "590"
"""First branch whose packages lost the branch in their names
(https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/version-locking.html, Ubuntu 590
package renames)."""
_HEADLESS = "https://packages.ubuntu.com/jammy/nvidia-headless-no-dkms-470 and its siblings: driver without a desktop"
_GUIDE = "https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/kernel-modules.html, tables 5 and 6"
_DEBIAN = (
    "https://forums.developer.nvidia.com/t/debian-cuda-drivers-580-package-580-105-08-1-improperly-pulls-in-v590-components"
    "/353805: names of NVIDIA's packages for Debian"
)


@dataclass(frozen=True, kw_only=True)
class DriverPackages:
    """Packages of one flavour of kernel modules on one distribution; `{branch}` is the driver's, e.g. 580."""

    distribution: str
    flavour: str
    unversioned: bool
    """True for branches from UNVERSIONED on."""
    names: tuple[str, ...]
    source: str


DRIVER_PACKAGES = (
    DriverPackages(
        distribution="ubuntu",
        flavour="open",
        unversioned=False,
        names=("nvidia-headless-{branch}-open", "nvidia-utils-{branch}"),
        source=_HEADLESS,
    ),
    DriverPackages(
        distribution="ubuntu",
        flavour="proprietary",
        unversioned=False,
        names=("nvidia-headless-{branch}", "nvidia-utils-{branch}"),
        source=_HEADLESS,
    ),
    DriverPackages(
        distribution="ubuntu",
        flavour="open",
        unversioned=True,
        names=("nvidia-open", "nvidia-persistenced"),
        source=_GUIDE,
    ),
    DriverPackages(
        distribution="ubuntu",
        flavour="proprietary",
        unversioned=True,
        names=("cuda-drivers", "nvidia-persistenced"),
        source=_GUIDE,
    ),
    *(
        DriverPackages(
            distribution="debian",
            flavour=flavour,
            unversioned=unversioned,
            names=("nvidia-driver-cuda", modules, "nvidia-persistenced"),
            source=_DEBIAN,
        )
        for flavour, modules in (("open", "nvidia-kernel-open-dkms"), ("proprietary", "nvidia-kernel-dkms"))
        for unversioned in (False, True)
    ),
)

FABRIC_MANAGER = ("nvidia-fabricmanager-{branch}", "nvidia-fabricmanager")
"""Its package before UNVERSIONED and from there on; always of the driver's own version
(https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/)."""

SUBNET_MANAGER = "nvlsm"
SUBNET_MANAGED = ("b200",)
"""Boards whose NVLink 5 has a subnet manager beside Fabric Manager, in a package with versions of its own (Fabric
Manager user guide, NVLink Subnet Manager)."""
NVSWITCH = ("a100-40", "a100-80", "h100", "h200", "b200")
NVSWITCH_GPUS = 8
"""Boards of eight of these GPUs join them by NVSwitches, boards of four by NVLink alone. In a GB200 rack the switches
have trays of their own, and Fabric Manager runs there (Fabric Manager user guide, supported platforms)."""

IBGDA_OPTIONS = {"NVreg_EnableStreamMemOPs": "1", "NVreg_RegistryDwords": "PeerMappingOverride=1;"}
"""What NVSHMEM's IBGDA needs of the driver (deepseek-ai/DeepEP third-party/README.md, 2.1; NVSHMEM installation
guide). Newer NVSHMEM falls back to the CPU's help without them, which is slower (deepseek-ai/DeepEP#295)."""


@dataclass(frozen=True, kw_only=True)
class MigProfileRow:
    """One GPU instance profile: slices of compute (of 7) and of memory (of 8), and how many of it a GPU holds."""

    name: str
    compute: int
    memory: int
    most: int


def _profiles(*gib: int) -> tuple[MigProfileRow, ...]:
    """The profiles of a GPU by the GB in their names: of an eighth, a quarter, half and all of its memory."""
    eighth, quarter, half, whole = gib
    shapes = (
        (f"1g.{eighth}gb", 1, 1, 7),
        (f"1g.{eighth}gb+me", 1, 1, 1),
        (f"1g.{quarter}gb", 1, 2, 4),
        (f"2g.{quarter}gb", 2, 2, 3),
        (f"3g.{half}gb", 3, 4, 2),
        (f"4g.{half}gb", 4, 4, 1),
        (f"7g.{whole}gb", 7, 8, 1),
    )
    return tuple(MigProfileRow(name=name, compute=c, memory=m, most=most) for name, c, m, most in shapes)


COMPUTE_SLICES, MEMORY_SLICES = 7, 8
MIG_PROFILES: Mapping[str, tuple[MigProfileRow, ...]] = {
    "a100-40": _profiles(5, 10, 20, 40),
    "a100-80": _profiles(10, 20, 40, 80),
    "h100": _profiles(10, 20, 40, 80),
    "h200": _profiles(18, 35, 71, 141),
    "b200": _profiles(23, 45, 90, 180),
    "gb200": _profiles(24, 47, 95, 189),
}
"""{accelerator: profiles}: https://docs.nvidia.com/datacenter/tesla/mig-user-guide/supported-mig-profiles.html;
NVIDIA/mig-parted deployments/systemd/config-default.yaml; B200: NVIDIA/mig-parted#187; GB200: NVIDIA/gpu-operator#1303.
V100, T4 and L40S cannot be divided."""
