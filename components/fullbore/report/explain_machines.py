"""What an explanation tells of what roles install on machines: driver, containers, node, NVMe drives. Pure."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fullbore.catalog.kubernetes import EVICTION_MIB, PACKAGES
from fullbore.config.models import Environment, Site
from fullbore.plan import container_runtime, gpu_driver, kubernetes
from fullbore.plan.checks.base import counted
from fullbore.plan.model import GroupPlan, Plan
from fullbore.plan.pools import first_of
from fullbore.report.section import Row, Section, fact, merged

Wants = Mapping[str, str]
"""{id of a setting: what it must be} of a group."""


def _of_each_group(env: Environment, plan: Plan, told: Callable[[Site, GroupPlan, Wants], Iterator[Row]]) -> list[Row]:
    """What is told of each group, with the groups that it is true of in the first column."""
    site, groups = env.site, plan.site.groups if plan.site else ()
    rows = [
        {"machines": group.name, **row}
        for group in groups
        for row in (told(site, group, _wants(group)) if site else ())
    ]
    return list(merged(rows, "machines"))


def _wants(group: GroupPlan) -> Wants:
    return {setting.id: setting.want for setting in group.settings}


def _below(wants: Wants, kind: str) -> dict[str, str]:
    """{KEY: value} of the settings KIND.KEY."""
    return {id.removeprefix(f"{kind}."): want for id, want in wants.items() if id.startswith(f"{kind}.")}


def _texts(group: GroupPlan, role: str) -> dict[str, str]:
    """{path: text} of the files that a role writes."""
    return {file.path: file.text for file in group.files if file.role == role}


def driver_section(env: Environment, plan: Plan) -> Section:
    note = "another driver, option or division drains a machine and boots it, inside the window of site.maintenance"
    return Section(title="machines: GPU driver", rows=tuple(_of_each_group(env, plan, _driver)), note=note)


def _driver(site: Site, group: GroupPlan, wants: Wants) -> Iterator[Row]:
    given = site.gpu_driver
    if given is None or "driver.loaded" not in wants:
        return
    held = sum(s.role == gpu_driver.ROLE and s.id.startswith("package.") for s in group.settings)
    yield fact("driver", wants["driver.loaded"], f"of the lock; apt may not change its {counted(held, 'package')}")
    runs = "unit.nvidia-fabricmanager.service" in wants
    joined = f"NVSwitches join the {group.gpus} GPUs" if runs else "no NVSwitches join the GPUs"
    note = joined if given.fabric_manager is None else "site.gpu_driver.fabric_manager says so"
    yield fact("Fabric Manager", "runs" if runs else "does not run", note)
    needed = gpu_driver.needed_options(site)
    for option, value in _below(wants, "nvreg").items():
        own = option in given.module_options or option not in needed
        yield fact(option, value, "of site.gpu_driver.module_options" if own else "NVSHMEM needs it for IBGDA")
    yield fact("persistence mode", wants["persistence.all"], "GPUs stay ready while no process uses them")
    instances = {want for id, want in wants.items() if id.startswith("mig.")}
    if instances:
        yield fact("MIG instances of each GPU", ", ".join(sorted(instances)).replace(",", ", "), "")


def containers_section(env: Environment, plan: Plan) -> Section:
    return Section(title="machines: containers", rows=tuple(_of_each_group(env, plan, _containers)))


def _containers(site: Site, group: GroupPlan, wants: Wants) -> Iterator[Row]:
    given = site.container_runtime
    if given is None or container_runtime.CONFIG_FILE not in _texts(group, container_runtime.ROLE):
        return
    version = container_runtime.config_version(given)
    yield fact("containerd", given.containerd, f"package {given.package}, which apt may not change")
    yield fact("version of its configuration", version, "the newest that this release reads")
    yield fact("image of pod sandboxes", given.pause_image or "containerd's own", "")
    devices = wants.get("cdi.nvidia.com/gpu")
    if devices:
        toolkit = wants[f"package.{container_runtime.TOOLKIT[0]}"].removesuffix(gpu_driver.HELD)
        yield fact("NVIDIA Container Toolkit", toolkit, "of the lock; apt may not change it")
        yield fact("devices that CDI names", int(devices), "GPUs of a machine, or their MIG instances")


def registries_section(env: Environment, plan: Plan) -> Section:
    """Registries are the same on every machine."""
    group = next(iter(plan.site.groups), None) if plan.site else None
    files = _texts(group, container_runtime.ROLE) if group else {}
    rows = tuple(
        _registry(path, tomllib.loads(text))
        for path, text in sorted(files.items())
        if path.startswith(container_runtime.CERTS_FOLDER)
    )
    return Section(title="machines: registries", rows=rows, note="of every machine; credentials stay with Kubernetes")


def _registry(path: str, hosts: Mapping[str, Any]) -> Row:
    """A row of a hosts.toml, as plan.container_runtime writes it: one host, which is the registry or its mirror."""
    ((url, host),) = hosts["host"].items()
    return {
        "registry": path.split("/")[-2],
        "images come from": "itself" if url == hosts["server"] else url,
        "CA certificate": host.get("ca", "the system's"),
    }


def nodes_section(env: Environment, plan: Plan) -> Section:
    rows = (*_of_each_group(env, plan, _node), *_labels(env, plan))
    return Section(title="machines: nodes of the cluster", rows=rows)


def _node(site: Site, group: GroupPlan, wants: Wants) -> Iterator[Row]:
    """All but labels, of which some differ in every group."""
    files = _texts(group, kubernetes.ROLE)
    if kubernetes.CONFIG_FILE not in files:
        return
    version = wants[f"package.{PACKAGES[0]}"].removesuffix(gpu_driver.HELD)
    yield fact(", ".join(PACKAGES), version, "of the lock; apt may not change them")
    yield fact("joins by", group.join["file"] or "nothing: is a node already", f"kubeadm's {group.join['api']}")
    for key, taint in _below(wants, "taint").items():
        yield fact(f"taint {key}", taint, "serving pods tolerate it")
    yield from _memory(json.loads(files[kubernetes.CONFIG_FILE]))


def _memory(config: Mapping[str, Any]) -> Iterator[Row]:
    """What the kubelet's configuration keeps for the system, in MiB."""
    kept = config.get("reservedMemory")
    if not kept:
        yield fact("memory manager", "off", "pods get memory of any NUMA node; see reserved_memory_mib")
        return
    mib = int(kept[0]["limits"]["memory"].removesuffix("Mi"))
    system = int(config["systemReserved"]["memory"].removesuffix("Mi"))
    yield fact("memory manager", config["memoryManagerPolicy"], "pods get memory of their own NUMA nodes")
    yield fact("reserved of each NUMA node (MiB)", mib, "of site.kubernetes.reserved_memory_mib")
    yield fact(
        "reserved for the system (MiB)", system, f"of {len(kept)} NUMA nodes, without {EVICTION_MIB} MiB for eviction"
    )


def _labels(env: Environment, plan: Plan) -> Iterator[Row]:
    """A row for each label: the group's and the rack's differ, and are told by the first one."""
    values: dict[str, list[str]] = {}
    machines: dict[str, list[str]] = {}
    for group in plan.site.groups if plan.site else ():
        for key, value in _below(_wants(group), "label").items():
            machines.setdefault(key, []).append(group.name)
            if value not in values.setdefault(key, []):
                values[key].append(value)
    given = env.site.kubernetes.labels if env.site and env.site.kubernetes else {}
    for key, found in values.items():
        note = "of site.kubernetes.labels" if key in given else "planned"
        yield {"machines": first_of(machines[key]), **fact(f"label {key}", first_of(found) or "empty", note)}


def nvme_section(env: Environment, plan: Plan) -> Section:
    found = [(group.name, _wants(group)) for group in (plan.site.groups if plan.site else ())]
    rows = [
        {
            "machines": name,
            "read-ahead (KiB)": int(wants["readahead.nvme"]) if "readahead.nvme" in wants else "as it is",
            "policy of paths": wants.get("iopolicy.nvme", "as it is"),
        }
        for name, wants in found
        if "readahead.nvme" in wants or "iopolicy.nvme" in wants
    ]
    note = "of every NVMe drive, local or over a fabric, by a udev rule as it appears; nothing is written to it"
    return Section(title="machines: NVMe drives", rows=merged(rows, "machines"), note=note)
