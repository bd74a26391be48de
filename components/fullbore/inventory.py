"""Ansible's dynamic inventory of a site, from its plan. Pure.

Groups: one for each role (the role's own name), kind (`gpu`, `storage`), rack (`rack_NAME`) and host group
(`group_NAME`). Ansible allows no hyphen in a group's name, so it becomes an underscore there.
"""

from __future__ import annotations

import shlex

from fullbore.plan.hosts import HostContent, content_of
from fullbore.plan.model import GroupPlan, HostPlan, SitePlan


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
    settings = [{"id": s.id, "role": s.role, "want": s.want, "reboot": s.reboot} for s in content.settings]
    return {
        "fullbore_settings": settings,
        "fullbore_roles": list(group.roles),
        "fullbore_document_text": content.document_text,
    }


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
    }
    return shlex.join(part for key, value in options.items() for part in ("-o", f"{key}={value}"))
