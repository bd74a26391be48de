"""Debian packages as settings: one version, held, so that nothing upgrades it; all of a role installed together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from time import monotonic
from typing import Any

from .gpu import workloads
from .system import System, ToolError

KIND = "package."
HELD = ",hold"
ANY = "any"
INSTALL_S = 850.0
"""Of all tools together. A driver's modules are compiled for the running kernel; Ansible ends a task after 900 s."""
APT = (
    "apt-get",
    "--yes",
    "--no-install-recommends",
    "--allow-downgrades",
    "--allow-change-held-packages",
    "--option=Dpkg::Options::=--force-confold",
    "--option=DPkg::Lock::Timeout=120",
)


def upstream(version: str) -> str:
    """A Debian version without epoch and revision: 1:580.95.05-0ubuntu1 -> 580.95.05 (Debian policy, 5.6.12)."""
    return version.partition(":")[2].rpartition("-")[0] if ":" in version else version.rpartition("-")[0] or version


def is_release(version: str, want: str) -> bool:
    """Whether a Debian version is of a release: 1.33.5-1.1 is of 1.33 and of 1.33.5, and not of 1.3."""
    own = upstream(version)
    return want == ANY or (own.startswith(want) and not own[len(want) : len(want) + 1].isdigit())


def read_package(system: System, key: str, want: str) -> str:
    """The release that is installed, ",hold" behind it; the wanted one where the version is of that release."""
    try:
        shown = system.run("dpkg-query", "--show", "--showformat=${db:Status-Abbrev}\t${Version}", key)
    except ToolError as error:
        if "no packages found" in str(error):
            return "absent"
        raise
    status, _, version = shown.partition("\t")
    if status[1:2] != "i":
        return "absent" if status[1:2] in ("n", "c") else f"broken: dpkg says {status.strip()}"
    release = want.removesuffix(HELD)
    held = HELD if status[:1] == "h" else ""
    return (release if is_release(version, release) else upstream(version)) + held


def install(
    system: System, settings: Iterable[Mapping[str, Any]], *, check: bool = False, idle_gpus: bool = False
) -> list[tuple[str, str, str]]:
    """Install what differs in one transaction, and hold it: (package, what it was, what it becomes) of each.

    Raises ToolError with what the tools say, or where `idle_gpus` and something runs on the GPUs.
    """
    wants = {s["id"].removeprefix(KIND): s["want"] for s in settings if s["id"].startswith(KIND)}
    changes = [(name, had, want) for name, want in wants.items() if (had := read_package(system, name, want)) != want]
    if changes and idle_gpus and workloads(system):
        raise ToolError("something runs on the GPUs; drain the host, then converge it again")
    if changes and not check:
        _install(system, {name: want.removesuffix(HELD) for name, _, want in changes})
    return changes


def _install(system: System, wants: Mapping[str, str]) -> None:
    end = monotonic() + INSTALL_S

    def change(*argv: str) -> None:
        left = end - monotonic()
        if left <= 0:
            raise ToolError(f"{argv[0]}: not begun, for {INSTALL_S:g} s are over; the next update goes on")
        system.change(*argv, timeout_s=left)

    # What a killed run left half-configured would stop apt-get.
    change("dpkg", "--configure", "-a")
    try:
        change("apt-get", "update", "--error-on=any")
    except ToolError as error:
        raise ToolError(
            f"{_not_fetched(error)}; see that the mirror answers from there; nothing was installed"
        ) from error
    exact = [f"{name}={_version(system, name, want)}" for name, want in wants.items()]
    change(*APT, "install", *exact)
    system.change("apt-mark", "hold", *wants)


def _not_fetched(error: ToolError) -> str:
    """The first address that apt could not read, and why; its last line says only that there was one."""
    lines = error.output.splitlines()
    return next((f"apt-get: {line[3:]}" for line in lines if line[3:].startswith("Failed to fetch")), str(error))


def _version(system: System, name: str, want: str) -> str:
    """The newest version of a release that apt's sources have; `apt-cache madison` lists the newest first."""
    lines = (line.split("|") for line in system.run("apt-cache", "madison", name).splitlines())
    versions = [fields[1].strip() for fields in lines if len(fields) == 3]
    for version in versions:
        if is_release(version, want):
            return version
    has = f"has {', '.join(versions[:5])}" if versions else "does not know it"
    raise ToolError(f"{name}: {want} is wanted, apt {has}; add the repository or mirror that has it")
