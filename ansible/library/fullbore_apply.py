#!/usr/bin/python
"""Applies a role's settings that live in the running machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fullbore_apply
short_description: Apply a role's settings that live in the running machine
version_added: "0.1.0"
description:
  - Sets what differs among kernel settings, NIC QoS, RoCE type of service, CPU governor, interrupt affinity,
    units that must not run, the loaded GPU driver, persistence mode, MIG instances, CDI devices and labels of
    the node, then reads it again.
    What takes effect at the next boot only is no failure. Settings that live in files are left to the role's own tasks.
options:
  settings:
    description: The settings, each with C(id), C(role) and C(want).
    type: list
    elements: dict
    required: true
  role:
    description: The role whose settings are applied.
    type: str
    required: true
  kinds:
    description: Kinds of setting that are applied, in place of all that the role has.
    type: list
    elements: str
author:
  - Fullbore (@fullbore)
"""

EXAMPLES = r"""
- name: Apply the fabric's settings
  fullbore_apply:
    settings: "{{ fullbore_settings }}"
    role: rdma
"""

RETURN = r"""
changes:
  description: What was changed, or in check mode would be, each with C(id), C(had) and C(want).
  type: list
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.fullbore_agent.apply import apply  # pyright: ignore[reportMissingImports]
from ansible.module_utils.fullbore_agent.settings import (  # pyright: ignore[reportMissingImports]
    BadSettings,
)
from ansible.module_utils.fullbore_agent.system import System  # pyright: ignore[reportMissingImports]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "settings": {"type": "list", "elements": "dict", "required": True},
            "role": {"type": "str", "required": True},
            "kinds": {"type": "list", "elements": "str"},
        },
        supports_check_mode=True,
    )
    settings = [s for s in module.params["settings"] if s["role"] == module.params["role"]]
    kinds = module.params["kinds"]
    if kinds is not None:
        settings = [s for s in settings if s["id"].partition(".")[0] in kinds]
    try:
        applied = apply(System(), settings, check=module.check_mode)
    except BadSettings as error:
        module.fail_json(msg=str(error))
    changes = [change._asdict() for change in applied.changes]
    result = {
        "changed": bool(changes),
        "changes": changes,
        "diff": {
            "before": "".join(f"{change.id} = {change.had}\n" for change in applied.changes),
            "after": "".join(f"{change.id} = {change.want}\n" for change in applied.changes),
        },
    }
    if applied.failures:
        module.fail_json(msg="; ".join(applied.failures), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
