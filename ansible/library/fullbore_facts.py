#!/usr/bin/python
"""Reads every managed setting of a host in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fullbore_facts
short_description: Read every managed setting of a host in one call
version_added: "0.1.0"
description:
  - Reads the settings, says which roles have something to change, and signs the report with the host's SSH key.
  - Changes nothing, so check mode makes no difference.
  - "The signed text is the canonical JSON (sorted keys, no blanks, UTF-8) of the object
    {host, reported_at, settings}; verify with C(ssh-keygen -Y verify -n fullbore-facts)."
options:
  host:
    description: Name of the host in the plan; it becomes part of the signed report.
    type: str
    required: true
  settings:
    description: The settings, each with C(id), C(role) and C(want).
    type: list
    elements: dict
    required: true
  roles:
    description: Roles of the host, in the order that they run.
    type: list
    elements: str
    required: true
  require:
    description: Fail where anything differs, naming it; what only waits for a reboot does not count.
    type: bool
    default: false
  journal:
    description: Count a role that a killed run left unfinished as drift; a role that looks at itself does not.
    type: bool
    default: true
author:
  - Fullbore (@fullbore)
"""

EXAMPLES = r"""
- name: Read every setting
  fullbore_facts:
    host: "{{ inventory_hostname }}"
    settings: "{{ fullbore_settings }}"
    roles: "{{ fullbore_roles }}"
  register: facts
"""

RETURN = r"""
settings:
  description: What the host holds, by setting id.
  type: dict
  returned: always
drift:
  description: Ids that differ, by role, in the order of the roles; C(journal.ROLE) where a run was killed in a role.
  type: dict
  returned: always
interrupted:
  description: Roles that began and did not finish.
  type: list
  returned: always
reboot:
  description: Ids that hold what is wanted only after a reboot.
  type: list
  returned: always
owner:
  description: C(host), C(serial) and C(site) that the host's plan file names; null where it has none.
  type: dict
  returned: always
reported_at:
  description: When it was read, UTC, ISO 8601.
  type: str
  returned: always
signature:
  description: SSH signature of the report; null where the host has no ed25519 host key.
  type: str
  returned: always
"""

import json
from datetime import datetime, timezone
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.fullbore_agent.journal import interrupted  # pyright: ignore[reportMissingImports]
from ansible.module_utils.fullbore_agent.node import PLAN_FILE  # pyright: ignore[reportMissingImports]
from ansible.module_utils.fullbore_agent.settings import (  # pyright: ignore[reportMissingImports]
    BadSettings,
    awaiting_reboot,
    drifted,
    read_all,
)
from ansible.module_utils.fullbore_agent.system import System  # pyright: ignore[reportMissingImports]

HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"
NAMESPACE = "fullbore-facts"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "settings": {"type": "list", "elements": "dict", "required": True},
            "roles": {"type": "list", "elements": "str", "required": True},
            "require": {"type": "bool", "default": False},
            "journal": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    settings = module.params["settings"]
    wants = {s["id"]: s["want"] for s in settings}
    try:
        values = read_all(System(), wants)
    except BadSettings as error:
        module.fail_json(msg=str(error))
    report = {
        "host": module.params["host"],
        "reported_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "settings": values,
    }
    broken = interrupted(module.params["roles"]) if module.params["journal"] else []
    drift = in_order(module.params["roles"], drifted(settings, values), broken)
    waiting = awaiting_reboot(settings, values)
    found = {"drift": drift, "interrupted": broken, "reboot": waiting, "owner": owner(Path(PLAN_FILE))}
    result = {**report, **found, "signature": sign(module, report), "changed": False}
    left = {role: ids for role, ids in without(drift, waiting).items() if ids}
    if module.params["require"] and left:
        module.fail_json(msg=explain(left, values, wants), **result)
    module.exit_json(**result)


def owner(path: Path) -> dict[str, object] | None:
    """Whose the host is, by the plan that it was last converged to."""
    try:
        document = json.loads(path.read_text())
        return {key: document[key] for key in ("host", "serial", "site")}
    except (OSError, ValueError, KeyError, TypeError):
        return None  # none, or a damaged one, which its setting shows


def without(drift: dict[str, list[str]], waiting: list[str]) -> dict[str, list[str]]:
    """Drift that a reboot alone does not mend."""
    return {role: [setting for setting in ids if setting not in waiting] for role, ids in drift.items()}


def in_order(roles: list[str], drift: dict[str, list[str]], broken: list[str]) -> dict[str, list[str]]:
    """Drift by role in the order that roles run, with the roles that a killed run left unfinished."""
    unfinished = {role: [f"journal.{role}"] for role in broken}
    both = {role: drift.get(role, []) + unfinished.get(role, []) for role in roles}
    return {role: ids for role, ids in both.items() if ids}


def explain(drift: dict[str, list[str]], values: dict[str, str], wants: dict[str, str]) -> str:
    """Every setting that differs, by name and value."""
    ids = [setting for ids in drift.values() for setting in ids]
    differences = [
        f"{setting}: is {values[setting]}, want {wants[setting]}" if setting in values else f"{setting}: unfinished"
        for setting in ids
    ]
    return "settings differ: " + "; ".join(differences)


def sign(module: AnsibleModule, report: dict[str, object]) -> str | None:
    """The host's signature of its own report, so that a stored report can be trusted without asking the host."""
    if not Path(HOST_KEY).exists():
        module.warn(f"{HOST_KEY}: not there, so the report is not signed; make one with ssh-keygen -A")
        return None
    text = json.dumps(report, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    _, signature, _ = module.run_command(
        ["ssh-keygen", "-q", "-Y", "sign", "-f", HOST_KEY, "-n", NAMESPACE], data=text, binary_data=True, check_rc=True
    )
    return signature


if __name__ == "__main__":
    main()
