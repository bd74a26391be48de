"""The NVIDIA driver of a group: packages, options, Fabric Manager, persistence and MIG, as settings. Pure.

Kinds of setting that only this role has, and how each is read back:

    package.NAME        the release that dpkg has installed, "VERSION,hold" where apt may not change it; "any,hold"
                        where any release will do
    driver.loaded       "open VERSION" or "proprietary VERSION"; "V; at boot: W" where the next boot loads W
    nvreg.OPTION        the option that the loaded driver runs with; "V; at boot: W" where modprobe.d says another
    persistence.all     the persistence mode that all GPUs share, else "mixed"
    mig.GPU             GPU instances, largest first, "none" in MIG mode without any, "off" without MIG
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fullbore.catalog.gpu_driver import (
    DRIVER_PACKAGES,
    FABRIC_MANAGER,
    IBGDA_OPTIONS,
    MIG_PROFILES,
    NVSWITCH,
    NVSWITCH_GPUS,
    SUBNET_MANAGED,
    SUBNET_MANAGER,
    UNVERSIONED,
    DriverPackages,
)
from fullbore.config.gpu_driver import GpuDriver
from fullbore.config.models import HostGroup, Site
from fullbore.plan.model import FilePlan, Setting

ROLE = "gpu_driver"
HELD = ",hold"
ANY = "any"
"""Whatever release apt has."""
MODPROBE_FILE = "/etc/modprobe.d/fullbore-nvidia.conf"
PIN_FILE = "/etc/apt/preferences.d/90-fullbore-nvidia"
HEADER = f"# Written by Fullbore (role {ROLE}); changes made here are undone.\n"
Lock = Mapping[str, str]


def driver_settings(site: Site, group: HostGroup, lock: Lock) -> Iterator[Setting]:
    """In the order in which they are set; none where the site leaves the driver alone.

    All that only a loaded driver shows is marked as waiting for a reboot, for a driver in use is not replaced before.
    """
    given = site.gpu_driver
    if given is None or group.kind != "gpu" or not lock:
        return
    version = lock["gpu_driver"]
    for name in driver_packages(given, group, lock):
        yield _setting(f"package.{name}", version + HELD)
    if has_fabric_manager(given, group) and group.accelerator in SUBNET_MANAGED:
        yield _setting(f"package.{SUBNET_MANAGER}", ANY + HELD)
    yield _setting("driver.loaded", f"{lock['gpu_kernel_modules']} {version}", reboot=True)
    for option, value in sorted(module_options(site, given).items()):
        yield _setting(f"nvreg.{option}", value, reboot=True)
    if has_fabric_manager(given, group):
        yield _setting("unit.nvidia-fabricmanager.service", "enabled,active", reboot=True)
    yield _setting("persistence.all", "Enabled", reboot=True)
    if group.accelerator in MIG_PROFILES:
        wanted = ",".join(largest_first(group.mig)) or "off"
        yield from (_setting(f"mig.{gpu}", wanted, reboot=True) for gpu in range(group.gpus_per_host))
    yield _setting("unit.fullbore-gpu.service", "enabled,active", reboot=True)


def _setting(id: str, want: str, *, reboot: bool = False) -> Setting:
    return Setting(id=id, role=ROLE, want=want, reboot=reboot)


def driver_files(site: Site, group: HostGroup, lock: Lock) -> Iterator[FilePlan]:
    """What keeps apt at the version, and what the kernel module is loaded with."""
    given = site.gpu_driver
    if given is None or group.kind != "gpu" or not lock:
        return
    pin = f"Package: *nvidia* cuda-drivers*\nPin: version {lock['gpu_driver']}-*\nPin-Priority: 1001\n"
    options = sorted(module_options(site, given).items())
    lines = "".join(f'options nvidia {option}="{value}"\n' for option, value in options)
    yield FilePlan(path=PIN_FILE, role=ROLE, text=HEADER + pin)
    yield FilePlan(path=MODPROBE_FILE, role=ROLE, text=HEADER + lines)


def driver_packages(given: GpuDriver, group: HostGroup, lock: Lock) -> tuple[str, ...]:
    """Names of the packages; none where the operating system of the lock has no row."""
    row = packages_row(lock)
    if row is None:
        return ()
    branch = lock["gpu_driver"].partition(".")[0]
    names = (*row.names, FABRIC_MANAGER[row.unversioned]) if has_fabric_manager(given, group) else row.names
    return tuple(name.format(branch=branch) for name in names)


def packages_row(lock: Lock) -> DriverPackages | None:
    """The packages of the lock's distribution, flavour of modules and branch."""
    unversioned = int(lock["gpu_driver"].partition(".")[0]) >= int(UNVERSIONED)
    key = (lock["os"].partition("-")[0], lock["gpu_kernel_modules"], unversioned)
    return next((row for row in DRIVER_PACKAGES if (row.distribution, row.flavour, row.unversioned) == key), None)


def has_fabric_manager(given: GpuDriver, group: HostGroup) -> bool:
    """Whether Fabric Manager runs: as it is said, else where the GPUs are joined by NVSwitches."""
    if given.fabric_manager is not None:
        return given.fabric_manager
    return group.accelerator in NVSWITCH and group.gpus_per_host == NVSWITCH_GPUS


def module_options(site: Site, given: GpuDriver) -> dict[str, str]:
    """{option of the module nvidia: value}: what the runtimes need, then what the site adds."""
    return {**needed_options(site), **given.module_options}


def needed_options(site: Site) -> dict[str, str]:
    """The same, of what the runtimes need alone."""
    nvshmem = site.runtimes.nvshmem
    return dict(IBGDA_OPTIONS) if nvshmem and nvshmem.transport == "ibgda" else {}


def largest_first(profiles: tuple[str, ...]) -> list[str]:
    """GPU instances in the order in which they find room; `1g.10gb+me` is as large as `1g.10gb`."""
    return sorted(profiles, key=_size, reverse=True)


def _size(profile: str) -> tuple[int, int]:
    slices, _, memory = profile.partition("g.")
    return int(slices), int(memory.partition("gb")[0])
