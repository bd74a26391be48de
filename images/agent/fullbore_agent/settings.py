"""Reading a host's settings: a table of kinds, small pure parsers, one function over them.

The kinds are described where they are planned (`fullbore.plan.hosts`). A thing that is not there reads as "absent";
one that cannot be read reads as "error: REASON", so that it shows as drift with its reason.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .cdi import read_cdi
from .gpu import read_driver, read_mig, read_option, read_persistence
from .infiniband import opensm_lines, partition_lines, read_ipoib, read_opensm, read_partition
from .node import read_label, read_member, read_taint
from .nvme import read_iopolicy, read_readahead
from .packages import read_package
from .system import System, ToolError

ABSENT = "absent"
NO_CPUFREQ = "not applicable: no cpufreq"
"""The governor of a machine whose frequency is not the kernel's to set: a VM, or a server whose BIOS keeps it."""
SYSCTL_FILE = "/etc/sysctl.d/90-fullbore.conf"
LIMITS_FILE = "/etc/security/limits.d/90-fullbore.conf"
NCCL_FILE = "/etc/nccl.conf"
KUBELET_FILE = "/etc/fullbore/kubelet.yaml"

TCLASS = "/sys/class/infiniband/{}/tc/1/traffic_class"

Reader = Callable[[System, str, str], str]
"""(system, key, want) -> what the host holds."""


class BadSettings(ValueError):
    """Ids that no reader knows; the text names every one."""


def read_all(system: System, wants: Mapping[str, str]) -> dict[str, str]:
    """{id: value that the host holds} for {id: value wanted}. Raises BadSettings before reading anything."""
    bad = [setting for setting in wants if not _is_known(*setting.partition("."))]
    if bad:
        kinds = ", ".join(sorted({*READERS, "extra"}))
        raise BadSettings(f"settings: {', '.join(map(repr, bad))}: not KIND.KEY of a known kind; kinds are {kinds}")
    return {setting: _held(system, setting, wants) for setting in wants}


def _held(system: System, setting: str, wants: Mapping[str, str]) -> str:
    kind, _, key = setting.partition(".")
    try:
        return READERS[kind](system, key, wants[setting]) if kind != "extra" else _extra(system, key, wants)
    except FileNotFoundError:
        return ABSENT
    except (OSError, ToolError, ValueError) as error:
        return f"error: {error}"


def _is_known(kind: str, _: str, key: str) -> bool:
    return key in LINES if kind == "extra" else kind in READERS and bool(key)


def holds(setting: str, value: str, want: str) -> bool:
    """True where a value is what is wanted, or the machine has nothing that it could be set on."""
    return value == want or (setting == "governor.all" and value == NO_CPUFREQ)


def awaiting_reboot(settings: Iterable[Mapping[str, Any]], values: Mapping[str, str]) -> list[str]:
    """Ids that the next boot brings to what is wanted; with a driver that waits for it, all that only it would show."""
    later = [s for s in settings if s.get("reboot") and not holds(s["id"], values[s["id"]], s["want"])]
    known = [s["id"] for s in later if values[s["id"]].endswith(f"; at boot: {s['want']}")]
    if "driver.loaded" not in known:
        return known
    (role,) = (s["role"] for s in later if s["id"] == "driver.loaded")
    return [s["id"] for s in later if s["id"] in known or s["role"] == role]


def drifted(settings: Iterable[Mapping[str, Any]], values: Mapping[str, str]) -> dict[str, list[str]]:
    """{role: [ids that do not hold what is wanted]}, roles without drift left out."""
    drift: dict[str, list[str]] = {}
    for setting in settings:
        if not holds(setting["id"], values[setting["id"]], setting["want"]):
            drift.setdefault(setting["role"], []).append(setting["id"])
    return drift


# Parsers: text in, values out.


def parse_assignments(text: str) -> dict[str, str]:
    """`KEY = VALUE` lines; # and ; start a comment line. Runs of blanks in a value become one space."""
    return dict(_pairs(text))


def _pairs(text: str) -> list[tuple[str, str]]:
    lines = (line.partition("=") for line in map(str.strip, text.splitlines()) if line and line[0] not in "#;")
    return [(key.strip(), " ".join(value.split())) for key, equals, value in lines if equals]


def parse_limits(text: str) -> dict[str, str]:
    """limits.conf lines as {DOMAIN.TYPE.ITEM: value}."""
    lines = (line.partition("#")[0].split() for line in text.splitlines())
    return {".".join(fields[:3]): fields[3] for fields in lines if len(fields) == 4}


def parse_mlnx_qos(text: str) -> dict[str, str]:
    """{trust, pfc, dscp} of what `mlnx_qos -i IF` prints. Raises ValueError where trust or PFC is missing.

    `dscp` names the entries that differ from priority = DSCP / 8; without trust in it no map is shown.
    """
    trust = re.search(r"^Priority trust state:\s*(\w+)", text, re.MULTILINE)
    pfc = re.search(r"^\s*enabled\s+((?:[01]\s*){8})$", text, re.MULTILINE)
    if not trust or not pfc:
        raise ValueError("mlnx_qos: no trust state or PFC line in its output")
    shown = {"trust": trust[1], "pfc": ",".join(pfc[1].split())}
    lines = re.findall(r"^\s*prio:(\d) dscp:([\d,]+)$", text, re.MULTILINE)
    if lines:
        entries = sorted((int(dscp), int(prio)) for prio, dscps in lines for dscp in dscps.split(",") if dscp)
        changed = [f"{dscp}:{prio}" for dscp, prio in entries if prio != dscp >> 3]
        shown["dscp"] = " ".join(changed) or "default"
    return shown


def parse_dscp_map(text: str) -> dict[int, int]:
    """`26:5 48:6` -> {26: 5, 48: 6}; "default" -> {}."""
    entries = (entry.partition(":") for entry in text.split() if ":" in entry)
    return {int(dscp): int(priority) for dscp, _, priority in entries}


def parse_cpu_list(text: str) -> set[int]:
    """A kernel CPU list, "0-3,8" -> {0, 1, 2, 3, 8}."""
    cpus: set[int] = set()
    for span in filter(None, text.strip().split(",")):
        low, _, high = span.partition("-")
        cpus.update(range(int(low), int(high or low) + 1))
    return cpus


def parse_properties(text: str) -> dict[str, str]:
    """`systemctl show` lines."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def sysctl_path(key: str) -> str:
    """net.ipv4.tcp_ecn -> /proc/sys/net/ipv4/tcp_ecn; a slash in a key stands for a dot, as in sysctl.conf."""
    return "/proc/sys/" + key.translate(str.maketrans("./", "/."))


# Readers: one a kind.


def _sysctl(system: System, key: str, want: str) -> str:
    running = " ".join(system.described(sysctl_path(key)).read_text().split())
    at_boot = _assignments(system, SYSCTL_FILE).get(key, "unset")
    # A running value that is right and would be lost is drift too; one that is wrong says enough by itself.
    return f"{running}; at boot: {at_boot}" if running == want != at_boot else running


def _limits(system: System, key: str, want: str) -> str:
    del want
    return _limit_lines(system).get(key, ABSENT)


def _limit_lines(system: System) -> dict[str, str]:
    return parse_limits(system.file(LIMITS_FILE).read_text())


def _nccl(system: System, key: str, want: str) -> str:
    del want
    return _assignments(system, NCCL_FILE).get(key, ABSENT)


def _assignments(system: System, path: str) -> dict[str, str]:
    try:
        return parse_assignments(system.file(path).read_text())
    except FileNotFoundError:
        return {}


def _qos(system: System, key: str, want: str) -> str:
    del want
    interface, _, item = key.rpartition(".")
    shown = parse_mlnx_qos(system.run("mlnx_qos", "-i", interface))
    return shown.get(item, f"not in use: trust is {shown['trust']}")


def _ecn(system: System, key: str, want: str) -> str:
    del want
    return ",".join(file.read_text().strip() for file in ecn_files(system, key))


def ecn_files(system: System, key: str) -> list[Path]:
    """The switches of IF.np or IF.rp, one a priority; they come with NVIDIA's own driver."""
    interface, _, end = key.rpartition(".")
    folder = system.hardware(f"/sys/class/net/{interface}/ecn/roce_{end}/enable")
    return [folder / str(priority) for priority in range(8)]


def _cnp(system: System, key: str, want: str) -> str:
    del want
    return cnp_file(system, key).read_text().strip()


def cnp_file(system: System, key: str) -> Path:
    """Where IF.dscp or IF.prio is: sysfs of NVIDIA's own driver, else what the kernel's driver has in debugfs."""
    interface, _, item = key.rpartition(".")
    device = system.hardware(f"/sys/class/net/{interface}")
    file = device / "ecn/roce_np" / {"dscp": "cnp_dscp", "prio": "cnp_802p_prio"}[item]
    if file.exists():
        return file
    address = (device / "device").resolve().name
    return system.hardware(f"/sys/kernel/debug/mlx5/{address}/cc_params/np_cnp_{item}")


def _mtu(system: System, key: str, want: str) -> str:
    del want
    return mtu_file(system, key).read_text().strip()


def mtu_file(system: System, interface: str) -> Path:
    return system.hardware(f"/sys/class/net/{interface}/mtu")


def _tos(system: System, key: str, want: str) -> str:
    del want
    return system.run("cma_roce_tos", "-d", key).split()[-1]


def _tclass(system: System, key: str, want: str) -> str:
    """The kernel shows "Global tclass=106" where one is set, and nothing where none is."""
    del want
    found = re.search(r"(\d+)\s*$", system.hardware(TCLASS.format(key)).read_text().partition("\n")[0])
    return found[1] if found else "unset"


def _governor(system: System, key: str, want: str) -> str:
    del key, want
    cpus = list(system.hardware("/sys/devices/system/cpu").glob("cpu[0-9]*"))
    if cpus and not any((cpu / "cpufreq").exists() for cpu in cpus):
        return NO_CPUFREQ
    files = (file for cpu in cpus for file in cpu.glob("cpufreq/scaling_governor"))
    found = Counter(file.read_text().strip() for file in files)
    if len(found) > 1:
        return "mixed: " + ", ".join(f"{count} {name}" for name, count in sorted(found.items()))
    return next(iter(found), ABSENT)


def _irq(system: System, key: str, want: str) -> str:
    numbers, local = interface_irqs(system, key)
    wanted = wanted_cpus(want, local)
    remote = [n for n in numbers if not irq_cpus(system, n) <= wanted]
    return f"remote: {len(remote)} of {len(numbers)}" if remote else want


def wanted_cpus(want: str, local: set[int]) -> set[int]:
    """The CPUs that interrupts are wanted on: a CPU list, or "local" for those of the NIC's NUMA node."""
    return local if want == "local" else parse_cpu_list(want)


def interface_irqs(system: System, interface: str) -> tuple[list[int], set[int]]:
    """The interrupts of a network interface and the CPUs of its NUMA node."""
    device = system.hardware(f"/sys/class/net/{interface}/device")
    local = parse_cpu_list((device / "local_cpulist").read_text())
    return sorted(int(entry.name) for entry in (device / "msi_irqs").iterdir()), local


def irq_cpus(system: System, number: int) -> set[int]:
    return parse_cpu_list(system.hardware(f"/proc/irq/{number}/smp_affinity_list").read_text())


def _kubelet(system: System, key: str, want: str) -> str:
    del want
    return _kubelet_keys(system).get(key, ABSENT)


def _kubelet_keys(system: System) -> dict[str, str]:
    """{dotted key: value} of the kubelet's part, without what names its format."""
    return dict(_flat(json.loads(system.file(KUBELET_FILE).read_text()), "", leave=("apiVersion", "kind")))


def _flat(value: Any, name: str, leave: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        yield name, str(value)
        return
    for key, item in value.items():
        if key not in leave:
            yield from _flat(item, f"{name}.{key}" if name else key)


def _extra(system: System, kind: str, wants: Mapping[str, str]) -> str:
    """Lines of the file that hold no setting of this kind: added by hand, or planned once and no longer."""
    try:
        lines = LINES[kind](system)
    except FileNotFoundError:
        return "none"
    # Which of two lines with one key counts is up to who reads the file: both are named.
    times = Counter(key for key, _ in lines)
    extra = [f"{key}={value}" for key, value in lines if f"{kind}.{key}" not in wants or times[key] > 1]
    return ", ".join(sorted(extra)) or "none"


def _unit(system: System, key: str, want: str) -> str:
    del want
    shown = parse_properties(system.run("systemctl", "show", "--property=LoadState,UnitFileState,ActiveState", key))
    if shown["LoadState"] == "not-found":
        return ABSENT
    return f"{shown['UnitFileState'] or shown['LoadState']},{shown['ActiveState']}"


def _stopped(system: System, key: str, want: str) -> str:
    """A unit that is static, masked or disabled starts only where something asks for it."""
    held = _unit(system, key, want)
    state, _, active = held.partition(",")
    off = active in ("inactive", "failed") and not state.startswith("enabled")
    return want if held == ABSENT or off else held


def _file(system: System, key: str, want: str) -> str:
    del want
    return hashlib.sha256(system.file(key).read_bytes()).hexdigest()


LINES: dict[str, Callable[[System], list[tuple[str, str]]]] = {
    "sysctl": lambda system: _pairs(system.file(SYSCTL_FILE).read_text()),
    "limits": lambda system: list(_limit_lines(system).items()),
    "nccl": lambda system: _pairs(system.file(NCCL_FILE).read_text()),
    "kubelet": lambda system: list(_kubelet_keys(system).items()),
    "opensm": opensm_lines,
    "partition": partition_lines,
}
"""The whole content of each file that a role writes line by line."""

READERS: dict[str, Reader] = {
    "sysctl": _sysctl,
    "limits": _limits,
    "nccl": _nccl,
    "qos": _qos,
    "ecn": _ecn,
    "cnp": _cnp,
    "mtu": _mtu,
    "tos": _tos,
    "tclass": _tclass,
    "governor": _governor,
    "irq": _irq,
    "kubelet": _kubelet,
    "unit": _unit,
    "stopped": _stopped,
    "file": _file,
    "package": read_package,
    "driver": read_driver,
    "nvreg": read_option,
    "persistence": read_persistence,
    "mig": read_mig,
    "cdi": read_cdi,
    "readahead": read_readahead,
    "iopolicy": read_iopolicy,
    "ipoib": read_ipoib,
    "opensm": read_opensm,
    "partition": read_partition,
    "node": read_member,
    "label": read_label,
    "taint": read_taint,
}
