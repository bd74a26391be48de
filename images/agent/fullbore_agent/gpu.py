"""The NVIDIA driver of a host: what is loaded and what the next boot loads, its options, persistence, MIG instances."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterator

from .system import System, ToolError

MODPROBE_FILE = "/etc/modprobe.d/fullbore-nvidia.conf"
SERVICES = ("nvidia-fabricmanager.service", "nvidia-persistenced.service")
"""What keeps the driver's modules loaded without being a workload."""
MODULES = ("nvidia_uvm", "nvidia_drm", "nvidia_modeset", "nvidia_peermem", "nvidia")
"""In the order in which they can be unloaded."""
NONE = "none"
OTHER_NAMES = {"RestrictProfilingToAdminUsers": "RmProfilingAdminOnly"}
"""Options that /proc/driver/nvidia/params shows under another name
(https://developer.nvidia.com/nvidia-development-tools-solutions-err_nvgpuctrperm-permission-issue-performance-counters)."""

_VERSION = re.compile(r"^NVRM version: NVIDIA UNIX (Open )?(?:Kernel Module for \S+|\S+ Kernel Module)\s+([\d.]+)")
_INSTANCE = re.compile(r"^\|\s+(\d+)\s+MIG (\S+)\s+\d+\s+\d+\s+\d+:\d+\s+\|$", re.MULTILINE)
_PROFILE = re.compile(r"(\d+)g\.(\d+)gb")


# Parsers: text in, values out.


def parse_version(text: str) -> str:
    """`/proc/driver/nvidia/version` -> "open 580.95.05" or "proprietary 470.57.02"."""
    found = _VERSION.match(text)
    if not found:
        raise ValueError("/proc/driver/nvidia/version: no version of the driver in it")
    return f"{'open' if found[1] else 'proprietary'} {found[2]}"


def parse_modinfo(text: str) -> str:
    """What `modinfo nvidia` prints, in the same words. The open modules are licensed as "Dual MIT/GPL"."""
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    flavour = "open" if "GPL" in fields["license"] else "proprietary"
    return f"{flavour} {fields['version'].strip()}"


def parse_params(text: str) -> dict[str, str]:
    """`/proc/driver/nvidia/params`: `NAME: VALUE` lines, texts in quotes."""
    lines = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip().strip('"') for name, colon, value in lines if colon}


def parse_options(text: str) -> dict[str, str]:
    """`options nvidia NAME=VALUE...` lines of modprobe.d as {NAME: VALUE}."""
    words = (shlex.split(line, comments=True) for line in text.splitlines())
    pairs = (word.partition("=") for line in words if line[:2] == ["options", "nvidia"] for word in line[2:])
    return {name: value for name, _, value in pairs}


def parse_instances(text: str) -> dict[int, list[str]]:
    """What `nvidia-smi mig -lgi` prints as {GPU: [profile of each GPU instance]}, largest first."""
    found: dict[int, list[str]] = {}
    for gpu, profile in _INSTANCE.findall(text):
        found.setdefault(int(gpu), []).append(profile)
    return {gpu: sorted(profiles, key=_size, reverse=True) for gpu, profiles in found.items()}


def _size(profile: str) -> tuple[int, int]:
    slices, memory = _PROFILE.match(profile).groups()  # pyright: ignore[reportOptionalMemberAccess]
    return int(slices), int(memory)


# Readers.


def read_driver(system: System, key: str, want: str) -> str:
    """The loaded driver; "V; at boot: W" where the next boot loads another one."""
    del key, want
    loaded, at_boot = _loaded(system), _installed(system)
    return loaded if loaded == at_boot else f"{loaded}; at boot: {at_boot}"


def _loaded(system: System) -> str:
    try:
        return parse_version(system.hardware("/proc/driver/nvidia/version").read_text())
    except FileNotFoundError:
        return NONE


def _installed(system: System) -> str:
    try:
        return parse_modinfo(system.run("modinfo", "nvidia"))
    except ToolError:
        return NONE


def read_option(system: System, key: str, want: str) -> str:
    """What the loaded driver runs with; "V; at boot: W" where modprobe.d says another value."""
    params = parse_params(system.hardware("/proc/driver/nvidia/params").read_text())
    option = key.removeprefix("NVreg_")
    running = params.get(OTHER_NAMES.get(option, option), "unknown")
    try:
        at_boot = parse_options(system.file(MODPROBE_FILE).read_text()).get(key, "unset")
    except FileNotFoundError:
        at_boot = "unset"
    return running if running == want == at_boot else f"{running}; at boot: {at_boot}"


def read_persistence(system: System, key: str, want: str) -> str:
    """Persistence mode that all GPUs share, else "mixed"."""
    del key, want
    modes = set(_query(system, "persistence_mode").values())
    return modes.pop() if len(modes) == 1 else "mixed" if modes else NONE


def read_mig(system: System, key: str, want: str) -> str:
    """Instances of a GPU, largest first; "none", or "off" where MIG is; "off; at boot: WANT" where MIG waits for it."""
    mode = _query(system, "mig.mode.current").get(int(key), "no GPU")
    if mode != "Enabled":
        pending = _query(system, "mig.mode.pending").get(int(key))
        off = {"Disabled": "off", "[N/A]": "off"}.get(mode, mode)
        return f"{off}; at boot: {want}" if pending == "Enabled" and want != "off" else off
    return ",".join(_instances(system).get(int(key), [])) or NONE


def _instances(system: System) -> dict[int, list[str]]:
    try:
        return parse_instances(system.run("nvidia-smi", "mig", "-lgi"))
    except ToolError as error:
        # Exit status 6, "No GPU instances found: Not Found", or no GPU in MIG mode.
        if "found" in str(error).lower():
            return {}
        raise


def _query(system: System, field: str) -> dict[int, str]:
    """{GPU: value} of one field that nvidia-smi knows of each GPU."""
    text = system.run("nvidia-smi", f"--query-gpu=index,{field}", "--format=csv,noheader")
    rows = (line.partition(",") for line in text.splitlines() if line.strip())
    return {int(index): value.strip() for index, _, value in rows}


def workloads(system: System) -> int:
    """How often nvidia_uvm is held open: once and more by each CUDA process, never by the driver's own services."""
    try:
        return int(system.hardware("/sys/module/nvidia_uvm/refcnt").read_text())
    except FileNotFoundError:
        return 0


# Appliers.


def load_driver(system: System, key: str, want: str) -> None:
    """Load the driver that is installed, in place of another one where nothing uses the GPUs."""
    del key
    at_boot, loaded = _installed(system), _loaded(system)
    if at_boot == NONE:
        raise ToolError("no module for the running kernel; are the kernel's headers installed?")
    if at_boot != want:
        raise ToolError(f"the installed driver is {at_boot}")
    if system.hardware("/sys/module/nouveau").exists():
        raise ToolError("nouveau drives the GPUs until the next boot")
    with _services_stopped(system):
        if loaded != NONE:
            _unload(system)
        system.change("modprobe", "nvidia")


def _unload(system: System) -> None:
    _refuse_busy(system)
    loaded = [module for module in MODULES if system.hardware(f"/sys/module/{module}").exists()]
    system.change("modprobe", "-r", *loaded)


def _refuse_busy(system: System) -> None:
    if workloads(system):
        raise ToolError("something runs on the GPUs; drain the host")


@contextlib.contextmanager
def _services_stopped(system: System) -> Iterator[None]:
    """Stop the driver's services that run, none where the GPUs are in use, and start them again."""
    _refuse_busy(system)
    running = [name for name in SERVICES if "=active" in system.run("systemctl", "show", "-pActiveState", name)]
    for name in running:
        system.change("systemctl", "stop", name)
    try:
        yield
    finally:
        for name in reversed(running):
            system.change("systemctl", "start", name)


def set_persistence(system: System, key: str, want: str) -> None:
    """Through the persistence daemon, where it runs: nvidia-smi asks it."""
    del key
    system.change("nvidia-smi", "-pm", "1" if want == "Enabled" else "0")


def set_mig(system: System, key: str, want: str) -> None:
    """Divide a GPU anew. Raises ToolError where something runs, or where the mode waits for a boot."""
    _refuse_busy(system)
    gpu = int(key)
    if _query(system, "mig.mode.current").get(gpu) == "Enabled" and gpu in _instances(system):
        system.change("nvidia-smi", "mig", "-i", key, "-dci")
        system.change("nvidia-smi", "mig", "-i", key, "-dgi")
    if want == "off":
        system.change("nvidia-smi", "-i", key, "-mig", "0")
        return
    system.change("nvidia-smi", "-i", key, "-mig", "1")
    if _query(system, "mig.mode.current").get(gpu) != "Enabled":
        raise ToolError("MIG mode is on after the next boot")
    system.change("nvidia-smi", "mig", "-i", key, "-cgi", want, "-C")
