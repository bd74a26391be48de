"""Every value that a bare-metal host must hold, from its group and the catalog's rows. Pure.

Kinds of setting, and how each is read back on the host:

    sysctl.KEY              running value; "V; at boot: W" where it is right but /etc/sysctl.d/90-fullbore.conf says W
    limits.DOMAIN.TYPE.ITEM line of /etc/security/limits.d/90-fullbore.conf
    nccl.VARIABLE           line of /etc/nccl.conf
    qos.IF.trust            what mlnx_qos shows: "dscp" or "pcp"
    qos.IF.pfc              eight comma-separated 0 or 1, one a priority, as mlnx_qos takes them
    qos.IF.dscp             entries of the NIC's map that differ from priority = DSCP / 8, "26:5 48:6", or "default"
    ecn.IF.np, ecn.IF.rp    priorities whose congestion marks the NIC notifies of (np) and answers (rp): eight 0 or 1
    cnp.IF.dscp, cnp.IF.prio  DSCP and 802.1p priority of congestion notification packets, decimal
    mtu.IF                  MTU of the interface, bytes
    tos.HCA                 default RoCE type of service of RDMA CM connections, decimal, as cma_roce_tos shows it
    tclass.HCA              traffic class that the kernel puts over every application's (tc/1/traffic_class), decimal
    governor.all            the cpufreq governor that all CPUs share, else "mixed: ..."; "not applicable: no cpufreq",
                            which counts as met, where no CPU has cpufreq (a VM, or the BIOS keeps it)
    irq.IF                  "local" where every interrupt of the interface stays on its NUMA node, or the CPU list that
                            they are wanted on where they all stay on it; else "remote: N of M"
    kubelet.KEY             dotted key of /etc/fullbore/kubelet.yaml
    unit.NAME               "enabled,active" as systemd says it
    stopped.UNIT            "stopped" where systemd does not run, start at boot or know it; else as unit
    file.PATH               sha256 of the file's content
    ipoib.IF, opensm.KEY, partition.NAME   of an InfiniBand fabric: plan.infiniband
    extra.KIND              "none", or the lines of the file of sysctl, limits, nccl or kubelet that no setting is for

Kinds of the GPU driver alone are told of in plan.gpu_driver, of the container runtime in plan.container_runtime, of
NVMe drives in plan.nvme, of nodes in plan.kubernetes.

A thing that is not there reads as "absent".
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass

from fullbore.catalog.host_profiles import ROLES, ROWS, Row
from fullbore.config.endpoints import Endpoints
from fullbore.config.models import Host, HostGroup, Site
from fullbore.plan import infiniband
from fullbore.plan.acceptance import cable_plans
from fullbore.plan.container_runtime import runtime_files, runtime_settings
from fullbore.plan.fabric import HostQueues, group_environment, hca_list, host_queues, system_environment
from fullbore.plan.gpu_driver import Lock, driver_files, driver_settings
from fullbore.plan.kubernetes import join_variables, node_files, node_settings
from fullbore.plan.model import FilePlan, GroupPlan, HostPlan, NumaPlan, Setting
from fullbore.plan.numa import NODES_BY_DEFAULT, PodShape, node_memory_mib, numa_plan
from fullbore.plan.nvme import nvme_files, nvme_settings

AGENT_PORT = 9101
"""TCP port on which a host's agent serves metrics."""
DOCUMENT_VERSION = 1
DOCUMENT_PATH = "/etc/fullbore/plan.json"
LOOPBACK = "127.0.0.1"
"""Stands for an address that a sandbox has not chosen yet."""
_ITEM = {"interface": "interfaces", "hca": "hcas"}
"""What a row may be repeated for, and the group's list of it."""


@dataclass(frozen=True, kw_only=True)
class HostContent:
    """What one host must hold: settings in the order of the roles that write them, and the text of its plan file."""

    settings: tuple[Setting, ...]
    document_text: str


def group_plans(
    site: Site,
    pod: PodShape | None = None,
    endpoints: Endpoints | None = None,
    lock: Lock | None = None,
    *,
    registry: str = "",
    inbox: bool = False,
) -> tuple[GroupPlan, ...]:
    """The groups in the order of their names. `pod` is the serving pod that hosts run, where one is planned; `lock`
    the versions, without which no role installs anything; `registry` that of the runtime image.

    `inbox` is true where the RDMA drivers are the kernel's own, which lack what NVIDIA's add to sysfs.

    What groups of equal machines must hold is decided once: thousands of hosts are of few kinds. Equal machines have
    the same NumaPlan, the very object, which `known` keeps.
    """
    software = _Software(lock=lock or {}, registry=registry)
    known: dict[tuple[object, ...], _Common] = {}
    plans: list[GroupPlan] = []
    for name, group in sorted(site.groups.items()):
        numa = numa_plan(group, pod, node_memory_mib(site.kubernetes, group))
        kind: tuple[object, ...] = (
            group.kind,
            group.accelerator,
            group.gpus_per_host,
            group.interfaces,
            group.hcas,
            group.mig,
            group.nvme,
            id(numa),
        )
        kind += (name, group.rack) if site.kubernetes else ()
        common = known.get(kind) or known.setdefault(kind, _common(site, name, group, software, numa, inbox=inbox))
        plans.append(
            GroupPlan(
                name=name,
                kind=group.kind,
                rack=group.rack,
                roles=common.roles,
                hosts=tuple(_host(site, host, group.hosts[host], endpoints) for host in sorted(group.hosts)),
                max_failures=site.max_failures,
                settings=common.settings,
                document={**common.document, "rack": group.rack},
                accelerator=group.accelerator,
                gpus=group.gpus_per_host,
                numa=common.numa,
                environment=common.environment,
                files=common.files,
                join=join_variables(site, group, software.lock),
            )
        )
    return tuple(plans)


@dataclass(frozen=True, kw_only=True)
class _Software:
    """What the roles that install something go by."""

    lock: Lock
    registry: str

    def files(self, site: Site, name: str, group: HostGroup, settings: Iterable[Setting]) -> tuple[FilePlan, ...]:
        runtime = runtime_files(site, group, self.lock, self.registry)
        node = node_files(site, name, group, self.lock, settings)
        return (*driver_files(site, group, self.lock), *runtime, *nvme_files(group), *node)

    def settings(self, site: Site, name: str, group: HostGroup, files: Iterable[FilePlan]) -> Iterator[Setting]:
        """Files first: what is installed and started goes by them."""
        yield from (Setting(id=f"file.{file.path}", role=file.role, want=_sha256(file.text)) for file in files)
        yield from driver_settings(site, group, self.lock)
        yield from runtime_settings(site, group, self.lock)
        yield from nvme_settings(group)
        yield from node_settings(site, name, group, self.lock)


@dataclass(frozen=True, kw_only=True)
class _Common:
    """What groups of equal machines have in common; the document lacks the rack."""

    numa: NumaPlan
    roles: tuple[str, ...]
    settings: tuple[Setting, ...]
    environment: Mapping[str, Mapping[str, str]]
    document: Mapping[str, object]
    files: tuple[FilePlan, ...]


def _common(site: Site, name: str, group: HostGroup, software: _Software, numa: NumaPlan, *, inbox: bool) -> _Common:
    planned = _settings(site, group, numa, inbox)
    files = software.files(site, name, group, planned)
    settings = tuple(sorted((*planned, *software.settings(site, name, group, files)), key=_place))
    environment = group_environment(site, group, numa.ranks) if group.kind == "gpu" else {}
    return _Common(
        numa=numa,
        roles=roles_for(settings),
        settings=settings,
        environment=environment,
        document=_document(site, group, numa, environment, settings),
        files=files,
    )


def _settings(site: Site, group: HostGroup, numa: NumaPlan, inbox: bool) -> tuple[Setting, ...]:
    """What roles set and do not install. `site.sysctl` wins over a profile's row, and adds the keys that no row has."""
    rows = [row for row in ROWS if row.applies(group.kind, site.fabric, group.accelerator)]
    values = {**group_values(group, numa), **roce_values(site, group, inbox=inbox)}
    settings = {s.id: s for row in rows for s in _fill(row, group, values)}
    if group.kind == "gpu":
        nccl = (Setting(id=f"nccl.{name}", role="rdma", want=want) for name, want in system_environment(site).items())
        settings |= {setting.id: setting for setting in nccl}
    for key, value in site.sysctl.items():
        row_id = f"sysctl.{key}"
        settings[row_id] = Setting(id=row_id, role="baseline", want=" ".join(str(value).split()))
    settings |= {setting.id: setting for setting in infiniband.group_settings(site, group)}
    return (*settings.values(), *_extra(settings.values(), group.kind))


def _host(site: Site, name: str, host: Host, endpoints: Endpoints | None) -> HostPlan:
    real = endpoints.hosts.get(name) if endpoints else None
    return HostPlan(
        name=name,
        serial=host.serial,
        address=real.address if real else str(host.address or LOOPBACK),
        port=real.port if real else host.port,
        host_key=real.host_key if real else host.host_key or "",
        cables=cable_plans(host),
        settings=infiniband.host_settings(site, name),
    )


_FILES = (
    ("sysctl", "baseline", True),
    ("limits", "baseline", True),
    ("nccl", "rdma", False),
    ("kubelet", "numa", False),
)
"""Kinds that are lines of one file, the role that writes it, and whether hosts without GPUs have it."""


def _extra(settings: Iterable[Setting], kind: str) -> Iterator[Setting]:
    """Nothing else may stand in a managed file: what is no longer planned goes, and so does what was added by hand.

    A kernel setting that goes keeps its running value until the host boots: what it was before is not known.
    """
    roles = {setting.role for setting in settings}
    for lines, role, everywhere in _FILES:
        if role in roles and (everywhere or kind == "gpu"):
            yield Setting(id=f"extra.{lines}", role=role, want="none")


def _document(
    site: Site,
    group: HostGroup,
    numa: NumaPlan,
    environment: Mapping[str, Mapping[str, str]],
    settings: tuple[Setting, ...],
) -> dict[str, object]:
    return {
        "version": DOCUMENT_VERSION,
        "site": site.name,
        "kind": group.kind,
        "agent": {"port": AGENT_PORT},
        "gpus": group.gpus_per_host,
        "accelerator": group.accelerator,
        "fabric": _fabric(site, group, environment),
        "numa": {
            "ranks": [asdict(rank) for rank in numa.ranks],
            "reserved_cpus": numa.reserved_cpus,
            "interrupts": dict(numa.interrupts),
        },
        "settings": _written(settings),
    }


def _fabric(site: Site, group: HostGroup, environment: Mapping[str, Mapping[str, str]]) -> dict[str, object]:
    queues = host_queues(site)
    return {
        "kind": site.fabric,
        "interfaces": list(group.interfaces),
        "hcas": list(group.hcas),
        "trust": queues.trust if queues else None,
        "pfc": priority_mask(queues.pfc) if queues else None,
        "tos": queues.traffic_class if queues else None,
        "environment": {runtime: dict(lines) for runtime, lines in environment.items()},
    }


def content_of(group: GroupPlan, host: HostPlan) -> HostContent:
    """What a host of the group must hold: the group's settings, and the checksum of its own plan file among them.

    Shape of the file: {version, host, serial, site, rack, kind, agent: {port}, gpus, accelerator,
    fabric: {kind, interfaces, hcas, trust, pfc, tos, environment: {runtime: {variable: value}}},
    numa: {ranks: [{gpu, numa_node, hca, distance, cpus}], reserved_cpus, interrupts: {hca: cpus}},
    settings: [{id, role, want, reboot}], checksum}; its agent and its boot-time units read it.
    `trust`, `pfc` and `tos` are None where the fabric has no such thing.
    """
    planned = tuple(sorted((*group.settings, *host.settings), key=_place)) if host.settings else group.settings
    document = {**group.document, "settings": _written(planned)} if host.settings else group.document
    text = document_text({**document, "host": host.name, "serial": host.serial})
    plan_file = Setting(id=f"file.{DOCUMENT_PATH}", role="node_agent", want=_sha256(text))
    place = bisect_right(planned, _place(plan_file), key=_place)
    return HostContent(settings=(*planned[:place], plan_file, *planned[place:]), document_text=text)


def _place(setting: Setting) -> int:
    """Settings stand in the order of their roles."""
    return ROLES.index(setting.role)


def _written(settings: Iterable[Setting]) -> list[dict[str, object]]:
    return [{"id": s.id, "role": s.role, "want": s.want, "reboot": s.reboot} for s in settings]


def roles_for(settings: tuple[Setting, ...]) -> tuple[str, ...]:
    """The roles that write these settings, in the order that they run."""
    used = {setting.role for setting in settings}
    return tuple(role for role in ROLES if role in used)


def document_text(document: Mapping[str, object]) -> str:
    """The file's text: canonical JSON of the document and of `checksum`, the sha256 of the document without it."""
    body = {key: value for key, value in document.items() if key != "checksum"}
    return _canonical({**body, "checksum": f"sha256:{_sha256(_canonical(body))}"})


def priority_mask(priorities: Collection[int]) -> str:
    """Eight 0 or 1, one a priority, as mlnx_qos takes them."""
    return ",".join("1" if priority in priorities else "0" for priority in range(8))


def roce_values(site: Site, group: HostGroup, *, inbox: bool) -> dict[str, str]:
    """What rows of RoCE may name in braces, as `group_values`.

    The kernel's own driver has no files for ECN by priority: the firmware's ROCE_CC_PRIO_MASK decides it there.
    """
    queues = host_queues(site)
    if queues is None:
        return {}
    forced = queues.host_traffic_class
    return {
        "mtu": str(site.mtu_bytes or ""),
        "trust": queues.trust,
        "dscp_map": _dscp_map(queues),
        "pfc_mask": priority_mask(queues.pfc),
        "ecn_mask": "" if inbox else priority_mask(queues.ecn),
        "cnp_dscp": str(queues.cnp_dscp),
        "cnp_priority": str(queues.cnp_priority),
        "traffic_class": str(queues.traffic_class),
        "host_traffic_class": "" if forced is None else str(forced),
        "loose_rp_filter": "2" if len(group.interfaces) > 1 else "",
    }


def _dscp_map(queues: HostQueues) -> str:
    """The entries that differ from the NIC's own; empty where the NIC looks at the VLAN tag, and so at no map."""
    if queues.trust != "dscp":
        return ""
    entries = sorted(queues.dscp_to_priority.items())
    return " ".join(f"{dscp}:{priority}" for dscp, priority in entries if priority != dscp >> 3) or "default"


def group_values(group: HostGroup, numa: NumaPlan) -> dict[str, str]:
    """What rows may name in braces. An empty value leaves the row out."""
    return {
        "hca_list": hca_list(group.hcas),
        "topology_policy": numa.topology_policy,
        # The kubelet refuses to start with static CPU management and no reserved CPU.
        "cpu_manager": "static" if numa.reserved_cpus else "",
        "full_cores": "true" if numa.reserved_cpus else "",
        "cpus_across_nodes": "true" if numa.reserved_cpus and numa.cpus_across_nodes else "",
        "reserved_cpus": numa.reserved_cpus,
        "many_numa_nodes": str(numa.numa_nodes) if numa.numa_nodes > NODES_BY_DEFAULT else "",
        "closest_nodes": "true" if numa.numa_nodes > 2 and numa.topology_policy in _MERGING else "",
        "hugepages_2mib": str(numa.hugepages_2mib) if numa.hugepages_2mib else "",
        "irqbalance": "stopped" if group.interfaces else "",
        **{f"irq_cpus {name}": cpus for name, cpus in _irq_cpus(group, numa).items()},
    }


_MERGING = ("best-effort", "restricted")
"""Policies that may choose several NUMA nodes, and so can prefer close ones."""


def _irq_cpus(group: HostGroup, numa: NumaPlan) -> dict[str, str]:
    """{interface: CPU list of its interrupts, or "local"}; interfaces and HCAs are listed in the same order."""
    hcas = dict(zip(group.interfaces, group.hcas, strict=False))
    return {name: numa.interrupts.get(hcas.get(name, ""), "local") for name in group.interfaces}


def _fill(row: Row, group: HostGroup, values: Mapping[str, str]) -> Iterator[Setting]:
    """The settings of a row: one, or one for each interface or HCA; none where a value that it names is empty.

    A value may differ by item: `values` has it as "NAME ITEM".
    """
    named = set(re.findall(r"{(\w+)}", row.id + row.want))
    repeated = next((name for name in _ITEM if name in named), None)
    items: tuple[str, ...] = getattr(group, _ITEM[repeated]) if repeated else ("",)
    for item in items:
        fill = {name: values.get(f"{name} {item}", values.get(name, "")) for name in named - {repeated}}
        if all(fill.values()):
            # In a kernel setting's key a slash stands for the dot of a name (sysctl.d(5)).
            fill |= {repeated: item.replace(".", "/") if row.id.startswith("sysctl.") else item} if repeated else {}
            yield Setting(id=row.id.format_map(fill), role=row.role, want=row.want.format_map(fill))


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
