"""Rules about what roles install on the site's machines: packages, the driver's MIG, the container runtime."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from fullbore.catalog.container_runtime import CDI_SINCE
from fullbore.catalog.gpu_driver import COMPUTE_SLICES, DRIVER_PACKAGES, MEMORY_SLICES, MIG_PROFILES, NVSWITCH
from fullbore.catalog.kubernetes import DROP_IN_SINCE
from fullbore.config.gpu_driver import GpuDriver
from fullbore.config.models import HostGroup
from fullbore.plan.change import put, remove
from fullbore.plan.checks.base import Finding, Rule, Subject
from fullbore.plan.gpu_driver import has_fabric_manager, needed_options
from fullbore.plan.versions import compare, resolve

SECTIONS = ("gpu_driver", "container_runtime", "kubernetes")
"""Sections of the site whose roles install packages."""
DISTRIBUTIONS = tuple(sorted({row.distribution for row in DRIVER_PACKAGES}))


def _distribution(subject: Subject) -> Iterable[Finding]:
    installing = [name for name in SECTIONS if subject.env.site and getattr(subject.env.site, name) is not None]
    system = resolve(subject.env)["os"]
    if installing and system.partition("-")[0] not in DISTRIBUTIONS:
        paths = [f"site.{name}" for name in installing]
        message = f"got {system}, but {' and '.join(paths)} can install packages on {' and '.join(DISTRIBUTIONS)} only"
        fix = "correct it, or leave them out and install with the machine's image"
        yield Finding("versions.os", f"{message}; {fix}", tuple(map(remove, paths)))


def _mig(subject: Subject) -> Iterable[Finding]:
    site = subject.env.site
    for name, group in site.groups.items() if site else ():
        path = f"site.groups.{name}.mig"
        fault = _fault(group) if group.mig else ""
        if group.mig and not fault and subject.env.serving:
            fault = "divides the GPUs, but serving pods take whole ones; leave it out, or serving"
        elif group.mig and not fault and site and site.gpu_driver is None:
            message = "is given, but site.gpu_driver is not, and its role divides the GPUs; add it"
            yield Finding(path, message, (put("site.gpu_driver", {}),))
        if fault:
            yield Finding(path, fault, (remove(path),))


def _fault(group: HostGroup) -> str:
    """What is wrong with the instances of a group, empty where nothing is."""
    profiles = {row.name: row for row in MIG_PROFILES.get(group.accelerator or "", ())}
    if not profiles:
        return (
            f"got {', '.join(group.mig)}, but {group.accelerator or 'a machine without GPUs'} knows no MIG; remove it"
        )
    unknown = [name for name in group.mig if name not in profiles]
    if unknown:
        return f"got {', '.join(unknown)}, allowed on {group.accelerator}: {', '.join(profiles)}; correct it"
    rows = [profiles[name] for name in group.mig]
    compute, memory = sum(row.compute for row in rows), sum(row.memory for row in rows)
    if compute > COMPUTE_SLICES or memory > MEMORY_SLICES:
        takes = f"takes {compute} of {COMPUTE_SLICES} compute and {memory} of {MEMORY_SLICES} memory slices of a GPU"
        return f"got {', '.join(group.mig)}, which {takes}; take fewer or smaller ones"
    many = [name for name, count in Counter(group.mig).items() if count > profiles[name].most]
    return (
        f"got {', '.join(many)} too often: a GPU has {profiles[many[0]].most} of it at most; take fewer" if many else ""
    )


def _cdi(subject: Subject) -> Iterable[Finding]:
    given = subject.env.site.container_runtime if subject.env.site else None
    if given and compare(given.containerd, CDI_SINCE) < 0:
        message = f"got {given.containerd}, which knows no CDI, by which containers get GPUs; take {CDI_SINCE} or newer"
        path = "site.container_runtime.containerd"
        yield Finding(path, message, (put(path, CDI_SINCE),))


def _drop_in(subject: Subject) -> Iterable[Finding]:
    version = resolve(subject.env)["kubernetes"]
    if subject.env.site and subject.env.site.kubernetes and compare(version, DROP_IN_SINCE) < 0:
        message = f"got {version}, whose kubelet reads no drop-in configuration; take {DROP_IN_SINCE} or newer"
        path = "versions.kubernetes"
        yield Finding(path, f"{message}, or leave out site.kubernetes", (put(path, DROP_IN_SINCE),))


def _fabric_manager(subject: Subject) -> Iterable[Finding]:
    """A warning: cards on PCIe go by the same name as those on NVSwitches."""
    site = subject.env.site
    given = site.gpu_driver.fabric_manager if site and site.gpu_driver else None
    for name, group in site.groups.items() if site and given is not None else ():
        needed = has_fabric_manager(GpuDriver(), group)
        path = "site.gpu_driver.fabric_manager"
        if group.kind == "gpu" and needed and not given:
            message = (
                f"got false, but NVSwitches join the {group.accelerator} of site.groups.{name}, and no CUDA program "
            )
            yield Finding(
                path, f"{message}starts there without it; leave it out, unless they are PCIe cards", (remove(path),)
            )
        elif group.kind == "gpu" and given and group.accelerator not in NVSWITCH:
            message = f"got true, but no NVSwitch joins the {group.accelerator} of site.groups.{name}, so that it does "
            yield Finding(path, f"{message}not start there; leave it out", (remove(path),))


def _module_options(subject: Subject) -> Iterable[Finding]:
    site = subject.env.site
    given = site.gpu_driver.module_options if site and site.gpu_driver else {}
    for name, value in (needed_options(site) if site else {}).items():
        holds = value in given.get(name, value) if value.endswith(";") else value == given.get(name, value)
        if not holds:
            path = f"site.gpu_driver.module_options.{name}"
            message = f"got {given[name][:40]}, but nvshmem of site.runtimes needs {value} for ibgda; leave it out"
            yield Finding(path, message, (remove(path),))


RULES = (
    Rule(
        id="fabric-manager",
        severity="warning",
        summary="Fabric Manager is left out where NVSwitches need it, or asked for where there are none",
        find=_fabric_manager,
    ),
    Rule(
        id="module-option-overridden",
        severity="error",
        summary="an option of the driver undoes what a runtime needs",
        find=_module_options,
    ),
    Rule(
        id="packages-os",
        severity="error",
        summary="packages are to be installed on an operating system whose packages are not known",
        find=_distribution,
    ),
    Rule(id="containerd-cdi", severity="error", summary="a containerd that knows no CDI", find=_cdi),
    Rule(
        id="kubelet-drop-in",
        severity="error",
        summary="machines join a cluster whose kubelet reads no drop-in configuration",
        find=_drop_in,
    ),
    Rule(
        id="mig-layout",
        severity="error",
        summary="MIG instances that the GPU does not have or has no room for, that no role makes, or where pods serve",
        find=_mig,
    ),
)
