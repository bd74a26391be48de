"""A site's host groups as the program declares them: their inputs, and the file that `pulumi import` takes them by."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from fullbore import VERSION
from fullbore.inventory import host_settings, role_variables
from fullbore.plan.hosts import content_of
from fullbore.plan.model import GroupPlan, HostPlan, MaintenancePlan, SitePlan

CONTENT = (
    "ansible/site.yml", "ansible/tasks", "ansible/vars", "ansible/roles", "ansible/library", "ansible/module_utils",
    "ansible/action_plugins", "ansible/lookup_plugins", "images/agent/build.py", "images/agent/fullbore_agent",
)  # fmt: skip
"""What a run executes on a host, or copies to it."""
PROJECT = "fullbore"
"""Name of the Pulumi project."""
STACK_TYPE, SITE_TYPE, GROUP_TYPE = "fullbore:index:HybridStack", "fullbore:index:Site", "fullbore:metal:HostGroup"
SITE_NAME = "site"


def group_inputs(site: SitePlan, group: GroupPlan, content: str) -> dict[str, Any]:
    """Inputs of the group's resource, all but `maxFailures`; `content` is `content_digest` of the repository."""
    place = group.rolling
    return {
        "group": group.name,
        "rack": group.rack,
        "roles": list(group.roles),
        "hosts": {host.name: _host(group, host) for host in group.hosts},
        "ssh": {"user": site.ssh_user, "privateKeyFile": site.ssh_private_key_file},
        "content": content,
        "rolling": {"pool": group.kind, "atOnce": place.at_once, "spare": place.spare, "rollBack": place.roll_back},
        "maintenance": maintenance_inputs(site.maintenance),
    }


def maintenance_inputs(given: MaintenancePlan | None) -> dict[str, Any]:
    """The input `maintenance` of a group; empty where there is no window."""
    if given is None:
        return {}
    return {
        "days": list(given.days),
        "start": given.start,
        "hours": given.hours,
        "timeZone": given.time_zone,
        "drainLimitS": given.drain_limit_s,
        "returnLimitS": given.return_limit_s,
        "kubeconfig": given.kubeconfig,
    }


def _host(group: GroupPlan, host: HostPlan) -> dict[str, Any]:
    content = content_of(group, host)
    return {
        "address": host.address,
        "port": host.port,
        "hostKey": host.host_key,
        "serial": host.serial,
        "settings": {setting.id: setting.want for setting in host_settings(content)},
        "vars": role_variables(group, content),
    }


def import_id(group: GroupPlan) -> str:
    """The id of the group's resource, by which it is imported."""
    return f"{group.rack}/{group.name}"


def import_file(environment: str, site: SitePlan, groups: Collection[str], existing_site: bool) -> dict[str, object]:
    """The file of `pulumi import --file` for groups of a site (all of them if none is named).

    `existing_site` says that the stack has the components around the groups already.
    """
    parents = [
        {"type": STACK_TYPE, "name": "stack", "logicalName": environment, "component": True},
        {"type": SITE_TYPE, "name": "site", "logicalName": SITE_NAME, "component": True, "parent": "stack"},
    ]
    resources = [
        {
            "type": GROUP_TYPE,
            "name": f"{SITE_NAME}-{group.name}",
            "id": import_id(group),
            "parent": "site",
            "version": VERSION,
        }
        for group in site.groups
        if not groups or group.name in groups
    ]
    if not existing_site:
        return {"resources": [*parents, *resources]}
    urn = f"urn:pulumi:{environment}::{PROJECT}::{STACK_TYPE}${SITE_TYPE}::{SITE_NAME}"
    return {"nameTable": {"site": urn}, "resources": resources}


def content_digest(root: Path) -> str:
    """sha256 over names and contents of all that a run executes. Another one makes every role run again."""
    digest = hashlib.sha256()
    for path in sorted(_content(root)):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode() + content)
    return f"sha256:{digest.hexdigest()}"


def _content(root: Path) -> Iterator[Path]:
    for name in CONTENT:
        top = root / name
        for path in (top, *top.rglob("*")):
            parts = path.relative_to(root).parts
            if path.is_file() and "__pycache__" not in parts and not any(part.startswith(".") for part in parts):
                yield path
