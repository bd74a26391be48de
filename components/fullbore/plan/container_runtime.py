"""containerd and the NVIDIA Container Toolkit of a group: packages, files, CDI devices. Pure.

A kind of setting that only this role has: `cdi.nvidia.com/gpu` is how many GPUs, or MIG instances of them, the CDI
specification names by index, as `nvidia-ctk cdi list` lists them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from fullbore.catalog.container_runtime import CONFIG_V3, HANDLER, IMAGE_PLUGIN, LIMITS, RUNTIME_PLUGIN
from fullbore.config.container_runtime import ContainerRuntime, RegistryAccess
from fullbore.config.models import HostGroup, Site
from fullbore.plan.gpu_driver import HELD, Lock
from fullbore.plan.model import FilePlan, Setting
from fullbore.plan.versions import compare

ROLE = "container_runtime"
HEADER = f"# Written by Fullbore (role {ROLE}); changes made here are undone.\n"
CONFIG_FILE = "/etc/containerd/config.toml"
CERTS_FOLDER = "/etc/containerd/certs.d"
DROP_IN = "/etc/systemd/system/containerd.service.d/10-fullbore.conf"
TOOLKIT = (
    "nvidia-container-toolkit",
    "nvidia-container-toolkit-base",
    "libnvidia-container-tools",
    "libnvidia-container1",
)
"""All of one version (NVIDIA Container Toolkit, installation guide, apt)."""


def runtime_settings(site: Site, group: HostGroup, lock: Lock) -> Iterator[Setting]:
    """In the order in which they are set; none where the site leaves the runtime alone."""
    given = site.container_runtime
    if given is None or not lock:
        return
    yield _setting(f"package.{given.package}", given.containerd + HELD)
    if group.gpus_per_host:
        for name in TOOLKIT:
            yield _setting(f"package.{name}", lock["container_toolkit"] + HELD)
    yield _setting("unit.containerd.service", "enabled,active")
    if group.gpus_per_host:
        yield _setting("cdi.nvidia.com/gpu", str(group.gpus_per_host * max(1, len(group.mig))))
        yield _setting("unit.fullbore-containers.service", "enabled,active")


def _setting(id: str, want: str) -> Setting:
    return Setting(id=id, role=ROLE, want=want)


def runtime_files(site: Site, group: HostGroup, lock: Lock, registry: str) -> Iterator[FilePlan]:
    """containerd's configuration, the limits of its service, and a hosts.toml for each registry."""
    given = site.container_runtime
    if given is None or not lock:
        return
    limits = "".join(f"{name}={value}\n" for name, value in LIMITS.items())
    yield FilePlan(path=CONFIG_FILE, role=ROLE, text=config_text(given, gpus=bool(group.gpus_per_host)))
    yield FilePlan(path=DROP_IN, role=ROLE, text=f"{HEADER}[Service]\n{limits}")
    registries = {**({registry: RegistryAccess()} if registry else {}), **given.registries}
    for name, access in sorted(registries.items()):
        yield FilePlan(path=f"{CERTS_FOLDER}/{name}/hosts.toml", role=ROLE, text=hosts_text(name, access))


def config_version(given: ContainerRuntime) -> int:
    """The newest version of the configuration that the release reads."""
    return 3 if compare(given.containerd, CONFIG_V3) >= 0 else 2


def config_text(given: ContainerRuntime, *, gpus: bool) -> str:
    """containerd's config.toml: systemd's cgroups, CDI, hosts.toml of registries, and the handler `nvidia`."""
    version = config_version(given)
    runtime, images = RUNTIME_PLUGIN[version], IMAGE_PLUGIN[version]
    handlers = f"{runtime}.containerd.runtimes"
    tables: dict[str, dict[str, object]] = {
        f"{runtime}": {"enable_cdi": True, "cdi_spec_dirs": ["/etc/cdi", "/var/run/cdi"]},
        f"{images}.registry": {"config_path": CERTS_FOLDER},
        f"{runtime}.containerd": {"default_runtime_name": "runc"},
        f"{handlers}.runc": {"runtime_type": "io.containerd.runc.v2"},
        f"{handlers}.runc.options": {"SystemdCgroup": True},
    }
    if given.pause_image and version == 3:
        tables[f"{images}.pinned_images"] = {"sandbox": given.pause_image}
    elif given.pause_image:
        tables[images]["sandbox_image"] = given.pause_image
    if gpus:
        tables[f"{handlers}.nvidia"] = {"runtime_type": "io.containerd.runc.v2"}
        tables[f"{handlers}.nvidia.options"] = {"BinaryName": HANDLER, "SystemdCgroup": True}
    plugins = ((f"plugins.{_quoted(name)}", values) for name, values in tables.items())
    return f"{HEADER}version = {version}\n" + "".join(_table(name, values) for name, values in plugins)


def _quoted(name: str) -> str:
    """`io.containerd.cri.v1.runtime.containerd` -> `"io.containerd.cri.v1.runtime".containerd`."""
    plugin = next(p for p in (*RUNTIME_PLUGIN.values(), *IMAGE_PLUGIN.values()) if name.startswith(p))
    return f'"{plugin}"{name.removeprefix(plugin)}'


def _table(name: str, values: dict[str, object]) -> str:
    """A table of TOML, whose texts, booleans and arrays of texts are written as JSON writes them."""
    return f"\n[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


def hosts_text(name: str, access: RegistryAccess) -> str:
    """hosts.toml of a registry (containerd docs/hosts.md)."""
    server = f"https://{name}"
    host: dict[str, object] = {"capabilities": ["pull", "resolve"]}
    if access.ca_file:
        host["ca"] = access.ca_file
    return f"{HEADER}server = {json.dumps(server)}\n" + _table(f"host.{json.dumps(access.mirror or server)}", host)
