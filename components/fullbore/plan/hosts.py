"""Every value that a bare-metal host must hold, from its group and the catalog's rows. Pure.

Kinds of setting, and how each is read back on the host:

    sysctl.KEY              running value; "V; at boot: W" where it is right but /etc/sysctl.d/90-fullbore.conf says W
    limits.DOMAIN.TYPE.ITEM line of /etc/security/limits.d/90-fullbore.conf
    nccl.VARIABLE           line of /etc/nccl.conf
    qos.IF.trust            what mlnx_qos shows: "dscp" or "pcp"
    qos.IF.pfc              eight comma-separated 0 or 1, one a priority, as mlnx_qos takes them
    tos.HCA                 default RoCE type of service, decimal, as cma_roce_tos shows it
    governor.all            the cpufreq governor that all CPUs share, else "mixed: ..."
    irq.IF                  "local" where every interrupt of the interface stays on its NUMA node, else "remote: N of M"
    kubelet.KEY             dotted key of /etc/fullbore/kubelet.yaml
    unit.NAME               "enabled,active" as systemd says it
    file.PATH               sha256 of the file's content

A thing that is not there reads as "absent".
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping

from fullbore.catalog.host_profiles import PFC_MASK, ROLES, ROWS, TRAFFIC_CLASS, Row
from fullbore.config.models import HostGroup, Site
from fullbore.plan.model import Setting

AGENT_PORT = 9101
"""TCP port on which a host's agent serves metrics."""
DOCUMENT_VERSION = 1
DOCUMENT_PATH = "/etc/fullbore/plan.json"
NUMA_NODES_BY_DEFAULT = 8
"""The topology manager refuses more NUMA nodes than this unless told to allow them."""
RESERVED_CORES = 2
"""Physical cores of each NUMA node kept for the system: our inference (static CPU management needs at least one)."""


def settings_for(site: Site, group: HostGroup, host: str) -> tuple[Setting, ...]:
    """All settings of one host, in the order of the roles that write them.

    `site.sysctl` wins over a profile's row, and adds the keys that no row has.
    """
    document = document_for(site, group, host)
    plan_file = Setting(id=f"file.{DOCUMENT_PATH}", role="node_agent", want=_sha256(document_text(document)))
    return _in_role_order((*_profile(site, group), plan_file))


def roles_for(settings: tuple[Setting, ...]) -> tuple[str, ...]:
    """The roles that write these settings, in the order that they run."""
    used = {setting.role for setting in settings}
    return tuple(role for role in ROLES if role in used)


def document_for(site: Site, group: HostGroup, host: str) -> dict[str, object]:
    """`/etc/fullbore/plan.json` of one host, without its checksum: what its agent and boot-time unit read.

    Shape: {version, host, serial, site, rack, kind, agent: {port}, gpus, accelerator,
    fabric: {kind, interfaces, hcas, trust, pfc, tos}, settings: [{id, role, want, reboot}]}.
    The last three of `fabric` are None where the fabric has no such thing.
    """
    lossless = site.fabric == "roce"
    return {
        "version": DOCUMENT_VERSION,
        "host": host,
        "serial": group.hosts[host].serial,
        "site": site.name,
        "rack": group.rack,
        "kind": group.kind,
        "agent": {"port": AGENT_PORT},
        "gpus": group.gpus_per_host,
        "accelerator": group.accelerator,
        "fabric": {
            "kind": site.fabric,
            "interfaces": list(group.interfaces),
            "hcas": list(group.hcas),
            "trust": "dscp" if lossless else None,
            "pfc": PFC_MASK if lossless else None,
            "tos": TRAFFIC_CLASS if lossless else None,
        },
        "settings": [{"id": s.id, "role": s.role, "want": s.want, "reboot": s.reboot} for s in _profile(site, group)],
    }


def document_text(document: Mapping[str, object]) -> str:
    """The file's text: canonical JSON of the document and of `checksum`, the sha256 of the document without it."""
    body = {key: value for key, value in document.items() if key != "checksum"}
    return _canonical({**body, "checksum": f"sha256:{_sha256(_canonical(body))}"})


def group_values(site: Site, group: HostGroup) -> dict[str, str]:
    """What rows may name in braces. An empty value leaves the row out."""
    return {
        "hcas": ",".join(group.hcas),
        "topology_policy": _topology_policy(group),
        "reserved_cpus": reserved_cpus(group.cpus, group.numa_nodes),
        "many_numa_nodes": str(group.numa_nodes) if group.numa_nodes > NUMA_NODES_BY_DEFAULT else "",
    }


def reserved_cpus(cpus: int, numa_nodes: int) -> str:
    """CPUs kept for the system: the first two physical cores of each NUMA node, both threads, as a CPU list.

    Presumes how Linux numbers x86 CPUs: one thread of every core first, node after node, then the siblings
    in the same order. Empty for a machine too small to reserve from.
    """
    cores = cpus // 2
    per_node = cores // numa_nodes
    if per_node <= RESERVED_CORES:
        return ""
    first = [node * per_node + core for node in range(numa_nodes) for core in range(RESERVED_CORES)]
    return _cpu_list(sorted([*first, *(cpu + cores for cpu in first)]))


def _topology_policy(group: HostGroup) -> str:
    """best-effort where GPUs lie on several NUMA nodes: `restricted` would refuse a pod that takes all of them."""
    return "best-effort" if group.numa_nodes > 1 and group.gpus_per_host > 1 else "single-numa-node"


def _profile(site: Site, group: HostGroup) -> tuple[Setting, ...]:
    """The rows that apply, filled in, with the site's overrides; without the plan file's own checksum."""
    values = group_values(site, group)
    rows = [row for row in ROWS if row.applies(group.kind, site.fabric, group.accelerator)]
    settings = {s.id: s for row in rows for s in _fill(row, group, values)}
    for key, value in site.sysctl.items():
        row_id = f"sysctl.{key}"
        settings[row_id] = Setting(id=row_id, role="baseline", want=" ".join(str(value).split()))
    return _in_role_order(tuple(settings.values()))


def _fill(row: Row, group: HostGroup, values: Mapping[str, str]) -> Iterator[Setting]:
    """The settings of a row: one, or one for each interface or HCA; none where a value that it names is empty."""
    repeats = {"interface": group.interfaces, "hca": group.hcas}
    named = set(re.findall(r"{(\w+)}", row.id + row.want))
    if any(name not in repeats and not values[name] for name in named):
        return
    repeated = next((name for name in repeats if name in named), None)
    for item in repeats[repeated] if repeated else ("",):
        fill = {**values, repeated: item} if repeated else values
        yield Setting(id=row.id.format_map(fill), role=row.role, want=row.want.format_map(fill))


def _in_role_order(settings: tuple[Setting, ...]) -> tuple[Setting, ...]:
    return tuple(sorted(settings, key=lambda setting: ROLES.index(setting.role)))


def _cpu_list(cpus: list[int]) -> str:
    """[0, 1, 32, 33] -> "0-1,32-33"."""
    spans: list[list[int]] = []
    for cpu in cpus:
        if spans and cpu == spans[-1][1] + 1:
            spans[-1][1] = cpu
        else:
            spans.append([cpu, cpu])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in spans)


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
