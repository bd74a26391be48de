"""Ansible's dynamic inventory of a site, from its plan and from the files that its roles copy.

Groups: one for each role (the role's own name), kind (`gpu`, `storage`), rack (`rack_NAME`) and host group
(`group_NAME`). Ansible allows no hyphen in a group's name, so it becomes an underscore there.
"""

from __future__ import annotations

import hashlib
import shlex
from functools import cache
from pathlib import Path

from fullbore.plan.hosts import HostContent, content_of
from fullbore.plan.model import GroupPlan, HostPlan, Setting, SitePlan

ROLES_FOLDER = Path(__file__).parents[2] / "ansible" / "roles"


def render(site: SitePlan) -> dict[str, object]:
    """The inventory as `--list` prints it. `_meta.hostvars` holds all variables: Ansible asks once for all hosts."""
    members: dict[str, list[str]] = {}
    for group in site.groups:
        for name in _group_names(group):
            members.setdefault(name, []).extend(host.name for host in group.hosts)
    hostvars = {host.name: _hostvars(site, group, host) for group in site.groups for host in group.hosts}
    return {
        "_meta": {"hostvars": hostvars},
        "all": {"children": sorted(members)},
        **{name: {"hosts": hosts} for name, hosts in sorted(members.items())},
    }


def _group_names(group: GroupPlan) -> list[str]:
    return [*group.roles, group.kind, _ansible(f"rack_{group.rack}"), _ansible(f"group_{group.name}")]


def _ansible(name: str) -> str:
    return name.replace("-", "_")


def _hostvars(site: SitePlan, group: GroupPlan, host: HostPlan) -> dict[str, object]:
    return {
        "ansible_host": host.address,
        "ansible_port": host.port,
        "ansible_user": site.ssh_user,
        "ansible_ssh_private_key_file": site.ssh_private_key_file,
        "ansible_ssh_common_args": ssh_args(host.host_key),
        "ansible_python_interpreter": "/usr/bin/python3",
        **role_variables(group, content_of(group, host)),
    }


def role_variables(group: GroupPlan, content: HostContent) -> dict[str, object]:
    """What the roles read of the plan, however the host is reached."""
    settings = [{"id": s.id, "role": s.role, "want": s.want, "reboot": s.reboot} for s in host_settings(content)]
    return {
        "fullbore_settings": settings,
        "fullbore_roles": list(group.roles),
        "fullbore_document_text": content.document_text,
        "fullbore_files": [{"path": f.path, "role": f.role, "text": f.text} for f in group.files],
        "fullbore_join": dict(group.join),
    }


def host_settings(content: HostContent) -> tuple[Setting, ...]:
    """What a host must hold: what is planned, and the files that its roles copy as they are."""
    planned = {setting.id for setting in content.settings}
    return (*content.settings, *(copied for unit, copied in _copied() if unit in planned))


_COPIED = {
    "/etc/systemd/system/fullbore-agent.service": ("node_agent", "fullbore-agent.service"),
    "/etc/systemd/system/fullbore-gpu.service": ("gpu_driver", "fullbore-gpu.service"),
    "/etc/systemd/system/fullbore-containers.service": ("container_runtime", "fullbore-containers.service"),
    "/etc/systemd/system/fullbore-fabric.service": ("roce", "fullbore-fabric.service"),
    "/etc/udev/rules.d/90-fullbore-fabric.rules": ("roce", "fullbore-fabric.service"),
    "/etc/systemd/system/fullbore-infiniband.service": ("infiniband", "fullbore-infiniband.service"),
    "/etc/udev/rules.d/91-fullbore-infiniband.rules": ("infiniband", "fullbore-infiniband.service"),
    "/etc/modules-load.d/fullbore-infiniband.conf": ("infiniband", "fullbore-infiniband.service"),
    "/etc/systemd/system/fullbore-opensm.service": ("infiniband", "fullbore-opensm.service"),
    "/etc/systemd/system/fullbore-numa.service": ("numa", "fullbore-numa.service"),
}
"""{path on a host: (role, unit that it belongs to)}; it lies in the role's `files` under its own name."""


@cache
def _copied() -> tuple[tuple[str, Setting], ...]:
    """(setting of the unit, setting of the file) for each of them."""
    found: list[tuple[str, Setting]] = []
    for path, (role, unit) in _COPIED.items():
        content = (ROLES_FOLDER / role / "files" / Path(path).name).read_bytes()
        setting = Setting(id=f"file.{path}", role=role, want=hashlib.sha256(content).hexdigest())
        found.append((f"unit.{unit}", setting))
    return tuple(found)


def ssh_args(host_key: str) -> str:
    """Options that accept exactly the planned host key, and no known_hosts file of the user.

    OpenSSH runs the command itself, without a shell; %H is the name that it looks for.
    """
    options = {
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": "/dev/null",
        "GlobalKnownHostsFile": "/dev/null",
        "HostKeyAlgorithms": "ssh-ed25519",
        "IdentitiesOnly": "yes",
        "KnownHostsCommand": f"/bin/echo %H {host_key}",
        # A machine that loses power answers no more, and says nothing: after a minute it is unreachable.
        "ServerAliveInterval": "15",
        "ServerAliveCountMax": "4",
    }
    return shlex.join(part for key, value in options.items() for part in ("-o", f"{key}={value}"))
