"""Debian root filesystems made from packages, for the images that no registry here could provide.

`mmdebstrap` builds them with the package sources that this machine is configured for. A recipe's result is kept in the
cache that clones share, under a name that covers the recipe and the release.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shlex
import subprocess
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fullbore_sandbox.state import SandboxError, locked
from fullbore_sandbox.toolchain import cache_dir, is_intact, seal

SYSROOT = "/opt/fullbore/sysroot"
"""Where a host finds its described hardware."""
EPOCH = "1735689600"
"""SOURCE_DATE_EPOCH of the build, 2025-01-01: file times do not differ from one build to the next."""
LEAN = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/info/*",
    # Nobody reads a half-written image: a build that is cut off is thrown away.
    "force-unsafe-io",
)
ENTRY = """#!/bin/sh
# The engine mounts /proc/sys read-only, for kernel settings outside a namespace belong to the whole machine. Those
# below net/ are the container's own: they alone are made writable. Then the right to mount is given up for good.
set -e
mount -t proc proc /mnt
mount --bind /mnt/sys/net /proc/sys/net
umount /mnt
exec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin /sbin/init
"""
SSHD = f"""PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile /etc/fullbore-sandbox/authorized_keys
UseDNS no
SetEnv FULLBORE_SYSROOT={SYSROOT}
"""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a root filesystem holds beside Debian's essential packages."""

    name: str
    packages: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    """Text by absolute path; a first line with #! makes it executable."""
    masked: tuple[str, ...] = ()
    """systemd units that must not start."""

    @property
    def path(self) -> Path:
        described = json.dumps([self.packages, dict(self.files), self.masked, LEAN, release(), platform.machine()])
        key = hashlib.sha256(described.encode()).hexdigest()[:12]
        return cache_dir() / f"rootfs-{self.name}-{release()}-{key}" / f"{self.name}.tar"


BASE = Recipe(name="base", packages=("python3", "python3-numpy", "ca-certificates"))
"""The runtime image stands on it, and the gateway and the metrics servers run in it."""
HOST = Recipe(
    name="host",
    packages=(
        "systemd", "systemd-sysv", "dbus", "openssh-server", "util-linux",
        "python3", "python3-prometheus-client", "python3-yaml",
        "iproute2", "ethtool", "procps", "kmod", "ca-certificates",
    ),
    files={
        "/etc/environment": f"FULLBORE_SYSROOT={SYSROOT}\n",
        "/etc/systemd/system.conf.d/50-fullbore-sandbox.conf": (
            f"[Manager]\nDefaultEnvironment=FULLBORE_SYSROOT={SYSROOT}\n"
        ),
        "/etc/ssh/sshd_config.d/10-fullbore-sandbox.conf": SSHD,
        "/sbin/fullbore-sandbox-init": ENTRY,
        # Empty, not missing: a missing one makes systemd apply every preset, networkd's among them.
        "/etc/machine-id": "",
    },
    masked=("systemd-networkd.service", "systemd-resolved.service", "systemd-timesyncd.service", "getty.target"),
)  # fmt: skip
"""A bare-metal host: systemd as the first process, and SSH."""


def release() -> str:
    """The code name of this machine's release, e.g. bookworm."""
    return _os_release("VERSION_CODENAME")


def _os_release(name: str) -> str:
    lines = Path("/etc/os-release").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)[name].strip('"')


def ensure(recipe: Recipe) -> Path:
    """The recipe's tar file, built now where it is missing or damaged. Raises SandboxError with what the tool said."""
    path = recipe.path
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.parent / ".lock"):
        if not is_intact(path):
            partial = path.with_name(f".{path.name}.partial.tar")
            _build(recipe, partial)
            seal(partial, path)
    return path


def _build(recipe: Recipe, target: Path) -> None:
    argv = [
        "mmdebstrap",
        "--mode=root",
        "--variant=essential",
        f"--include={','.join(recipe.packages)}",
        *(f"--dpkgopt={option}" for option in LEAN),
        *(f"--aptopt={option}" for option in _apt_options()),
        *(f"--customize-hook={command}" for command in _customizing(recipe)),
        release(),
        str(target),
        *map(str, sources()),
    ]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SOURCE_DATE_EPOCH": EPOCH, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(argv, env={**_proxies(), **environment}, capture_output=True, text=True, check=False)
    if done.returncode:
        said = "\n".join(f"  {line}" for line in done.stderr.strip().splitlines()[-15:])
        raise SandboxError(f"mmdebstrap: {recipe.name} failed; do this machine's package sources answer?\n{said}")


def sources(root: Path = Path("/")) -> list[Path]:
    """The files of apt's sources below `root` that name this machine's release, without others' repositories.

    Whose a repository is, apt knows from what it has downloaded. One that stands in a file with the release's own
    stays; so does every one before the first `apt-get update`, or where a site's mirror gives another origin.
    Raises SandboxError where none is left.
    """
    folder = root / "etc/apt"
    files = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]
    named = [
        f for f in files if f.suffix in (".list", ".sources") and f.exists() and release() in f.read_text().split()
    ]
    origins = _origins(root)
    own = [f for f in named if not origins[f] or _os_release("ID") in origins[f]]
    if not named:
        raise SandboxError(f"{folder}: no package source names {release()}; add one")
    return own or named


def _origins(root: Path) -> Mapping[Path, set[str]]:
    """Who publishes the repositories of each file, in lower case: `debian`, `docker`."""
    argv = ["apt-get", "indextargets", "-o", f"Dir={root}", "--format", "$(SOURCESENTRY)\t$(ORIGIN)"]
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    found: dict[Path, set[str]] = defaultdict(set)
    for line in told.splitlines():
        entry, _, origin = line.partition("\t")
        found[Path(entry.rpartition(":")[0])] |= {origin.lower()} - {""}
    return found


def _apt_options() -> list[str]:
    """How this machine's apt reaches its sources: proxies and certificates."""
    told = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    return [
        line for line in told.splitlines() if line.startswith(("Acquire::http", "Acquire::https")) and '""' not in line
    ]


def _proxies() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k.lower().endswith("_proxy")}


def _customizing(recipe: Recipe) -> list[str]:
    """Hooks that write the recipe's files and take out what belongs to this machine."""
    hooks = ["rm -f $1/etc/apt/apt.conf.d/99mmdebstrap $1/etc/dpkg/dpkg.cfg.d/99mmdebstrap $1/etc/ssh/ssh_host_*"]
    hooks.append("rm -rf $1/etc/apt/sources.list $1/etc/apt/sources.list.d/* $1/etc/resolv.conf $1/etc/hostname")
    for path, text in recipe.files.items():
        hooks.append(f"mkdir -p $1{Path(path).parent} && printf %s {_quoted(text)} > $1{path}")
        if text.startswith("#!"):
            hooks.append(f"chmod 755 $1{path}")
    hooks += [f"ln -sf /dev/null $1/etc/systemd/system/{unit}" for unit in recipe.masked]
    return hooks


def _quoted(text: str) -> str:
    return shlex.quote(text)
